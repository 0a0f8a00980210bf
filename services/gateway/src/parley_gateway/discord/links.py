"""A voice link: our presence in one voice channel, from who speaks there to what we say.

The front of this package: the bot makes a `VoiceLink` per guild, hears through its `Listener` and plays into it. All
methods and all calls of the listener happen on the event loop. Here a channel is joined, left, and joined again when
that is what helps; what is heard and said there meanwhile is in `calls`. Not here: commands, permissions, sessions,
turns.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Final

import structlog

from parley_gateway.discord import handshakes
from parley_gateway.discord.calls import Call
from parley_gateway.discord.counters import LinkCounters
from parley_gateway.discord.errors import VoiceRefusedError, VoiceUnavailableError
from parley_gateway.discord.lanes import Lane
from parley_gateway.discord.library.link_clients import LinkClient
from parley_gateway.discord.listeners import Channel, Gone, Listener
from parley_gateway.discord.mouths import OnWire
from parley_gateway.discord.opus import require_codec
from parley_gateway.discord.pacing import Pacer
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

LOST_S: Final = 30.0
"""How long discord.py may try to get a connection back before the channel is left and joined again."""
_WATCH_S: Final = 1.0


class VoiceLink:
    """Our presence in one voice channel; made before it is joined, and good for one after the other."""

    def __init__(self, listener: Listener, pacer: Pacer, telemetry: Telemetry) -> None:
        """Be nowhere.

        Args:
            listener: who is told what happens.
            pacer: the thread that sends for all links, running.
            telemetry: where packets are counted, by door and never by user.
        """
        self._listener = listener
        self._pacer = pacer
        self._telemetry = telemetry
        self._channel: Channel | None = None
        self._is_changing = False
        self._lost_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._call = self._anew()

    def _anew(self) -> Call:
        return Call(self._listener, self._pacer, self._telemetry, self._run)

    # What the bot does.

    async def connect(self, channel: Channel) -> None:
        """Join and be able to hear; what is played before encryption is ready waits for it.

        Raises:
            VoiceRefusedError: Discord does not let us in, or libopus is missing.
            VoiceUnavailableError: not now; nothing of the attempt is left over.
        """
        require_codec()
        if self._channel is not None:
            raise VoiceUnavailableError(
                "busy", "This link is in a channel already. Disconnect it before it joins another."
            )
        self._call, self._channel = self._anew(), channel
        try:
            await self._join(channel)
        except BaseException:
            self._forget()
            raise
        self._run(self._watch())

    async def disconnect(self) -> None:
        """Leave; sound that waits is dropped. Harmless when not connected."""
        for task in (tasks := tuple(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._leave()
        self._forget()

    def play(self, pcm: bytes, lane: Lane = "reply") -> None:
        """Say the next 20 ms: 640 bytes of s16le at 16 kHz mono, as soon as those before were said.

        More than 10 s that wait are too much: what comes then is dropped, and counted as unsent.

        Raises:
            ValueError: another size.
        """
        self._call.mouth.play(pcm, lane)

    def cut(self, lane: Lane = "reply") -> OnWire:
        """Drop what waits in a lane and return how far playback came; nothing of it is sent after this returns."""
        return self._call.mouth.cut(lane)

    def pause(self) -> OnWire:
        """Hold the reply where it is; a notice may still be said. Harmless when it is held already."""
        return self._call.mouth.hold(is_held=True)

    def resume(self) -> None:
        """Go on with it."""
        self._call.mouth.hold(is_held=False)

    @property
    def on_wire(self) -> OnWire:
        """How far playback is."""
        return self._call.mouth.on_wire

    @property
    def is_connected(self) -> bool:
        """Whether the voice server has us now; False also while a lost connection is made anew."""
        return self._client is not None and self._client.is_connected()

    @property
    def channel(self) -> Channel | None:
        """Where we are, or are about to be."""
        return self._channel

    @property
    def present(self) -> frozenset[int]:
        """Who is in the channel beside us."""
        return self._call.present

    @property
    def privacy_code(self) -> str | None:
        """What everybody in the channel can compare to know that nobody listens in; None without end-to-end."""
        client = self._client
        return client.voice_privacy_code if client is not None and client.can_encrypt else None

    @property
    def latency_s(self) -> float | None:
        """The latest round trip to the voice server's WebSocket; None while there is none."""
        return self._client.latency_s if self._client is not None else None

    @property
    def counters(self) -> LinkCounters:
        """What became of the packets since the link was connected."""
        return self._call.counters

    @property
    def _client(self) -> LinkClient | None:
        """The connection of this moment."""
        return self._call.client

    # Coming and going.

    async def _join(self, channel: Channel) -> None:
        self._is_changing = True
        try:
            await handshakes.join(channel, self)
        except BaseException:
            self._call.detach()
            raise
        finally:
            self._is_changing = False
        self._lost_at = None
        # What the main gateway says twice in a row is believed.
        for _ in range(2):
            self._call.reconcile(channel)
        self._call.mouth.wake()

    async def _leave(self) -> None:
        self._is_changing = True
        try:
            if self._client is not None:
                await handshakes.leave(self._client)
        finally:
            self._is_changing = False
            self._call.detach()

    async def _rejoin(self) -> None:
        """Leave and join again; end the link if that does not work."""
        channel = self._channel
        if channel is None or self._is_changing:
            return
        self._call.counters.rejoins += 1
        self._call.count_remedy("rejoin")
        await self._leave()
        try:
            await self._join(channel)
        except VoiceRefusedError as error:
            self._end("refused", str(error))
        except VoiceUnavailableError as error:
            self._end("rate_limited" if error.reason == "rate_limited" else "lost", str(error))

    def _end(self, why: Gone, sentence: str) -> None:
        log.info("a voice link ended", why=why)
        self._forget()
        self._listener.disconnected(why, sentence)

    def _forget(self) -> None:
        self._channel = None
        self._call.close()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    # What discord.py tells; see `handshakes` and `library.events`.

    def attached(self, client: LinkClient) -> None:
        """See Joiner."""
        self._call.attach(client)

    def datagram(self, datagram: bytes) -> None:
        """See Events."""
        self._call.datagram(datagram)

    def said(self, message: dict[str, Any]) -> None:
        """See Events."""
        self._call.said(message)

    def keys_changed(self) -> None:
        """See Events."""
        self._call.keys_changed()

    def connectedness_changed(self) -> None:
        """See Events."""
        if self.is_connected:
            self._lost_at = None
            self._call.connected()
        else:
            self._lost_at = time.monotonic()
            self._call.lost()

    def gone(self) -> None:
        """See Events."""
        client = self._client
        if self._is_changing or client is None or self._channel is None or not self._tasks:
            return
        if client.was_removed:
            self._end(
                "kicked",
                "Somebody removed me from the voice channel, or the channel is gone. Use /join to call me back.",
            )
        elif client.verdict is not None:
            self._end("refused" if client.verdict.kind == "refused" else "rate_limited", client.verdict.sentence)
        else:
            self._run(self._rejoin())

    # What goes on meanwhile.

    async def _watch(self) -> None:
        while self._channel is not None:
            await asyncio.sleep(_WATCH_S)
            now = time.monotonic()
            self._call.report()
            self._call.mouth.keep_alive(now)
            self._look_around()
            is_deaf = await self._call.heal(now)
            client = self._client
            is_broken = client is not None and (
                client.is_abandoned or (self._lost_at is not None and now - self._lost_at > LOST_S)
            )
            if is_deaf or is_broken:
                await self._rejoin()

    def _look_around(self) -> None:
        """Compare with what the main gateway says: whether we were moved, and who is there."""
        client = self._client
        if client is None or not client.is_connected():
            return
        channel = client.channel
        if self._channel is not None and channel.id != self._channel.id:
            self._channel = channel
            self._listener.moved(channel)
        self._call.reconcile(channel)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on until it is over, or the link is."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a voice link broke", error=type(error).__name__)
