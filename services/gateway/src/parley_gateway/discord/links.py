"""A voice link: our presence in one voice channel, from who speaks there to what we say.

The front of this package: the bot makes a `VoiceLink` per guild, hears through its `Listener` and plays into it. All
methods and all calls of the listener happen on the event loop. Here `library`'s connection, `reception` and `mouths`
are put together, what they count is passed on, and deafness is answered. Not here: commands, permissions, sessions,
turns.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any, Final

import aiohttp
import structlog

from parley_contract import telemetry as words
from parley_gateway.discord import handshakes
from parley_gateway.discord.counters import LinkCounters, SpeakerCounters
from parley_gateway.discord.deafness import Judge, Remedy, Step
from parley_gateway.discord.errors import VoiceRefusedError, VoiceUnavailableError
from parley_gateway.discord.lanes import Lane
from parley_gateway.discord.library.link_clients import LinkClient
from parley_gateway.discord.listeners import Channel, Gone, Listener
from parley_gateway.discord.mouths import Gate, Mouth, OnWire
from parley_gateway.discord.opus import require_codec
from parley_gateway.discord.pacing import Pacer
from parley_gateway.discord.reception import Reception
from parley_gateway.discord.roster import Changes, Roster, announces_speech
from parley_gateway.discord.rtp import TRAILING
from parley_gateway.discord.sources import Heard
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

LOST_S: Final = 30.0
"""How long discord.py may try to get a connection back before the channel is left and joined again."""
_WATCH_S: Final = 1.0
_DOOR: Final = "discord"
_DEAF: Final = (
    "I cannot hear some of you: your sound arrives, and I cannot decrypt it. Please leave the channel and come back."
)


class _Wire:
    """The way out of a mouth: a connection, and whether anybody is there to hear."""

    def __init__(self, client: LinkClient, roster: Roster) -> None:
        self._client = client
        self._roster = roster
        self.send = client.send

    @property
    def own_ssrc(self) -> int | None:
        return self._client.own_ssrc

    @property
    def gate(self) -> Gate:
        client = self._client
        if not client.is_connected():
            return Gate.SHUT
        if not self._roster.is_anybody_here:
            return Gate.ALONE
        return Gate.OPEN if client.can_encrypt or not client.is_end_to_end else Gate.SHUT


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
        self._loop: asyncio.AbstractEventLoop
        self._client: LinkClient | None = None
        self._channel: Channel | None = None
        self._is_changing = False
        self._lost_at: float | None = None
        self._is_speaking = False
        """Whether the voice server was told so."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._begin()

    def _begin(self) -> None:
        """Forget the call before."""
        self._counters = LinkCounters()
        self._reported = SpeakerCounters()
        self._roster = Roster()
        self._judge = Judge()
        self._reception = Reception(self._roster, self._counters, self._heard)
        self._mouth = Mouth(self._pacer, self._counters, ask=self._announce, rest=self._rest)

    # What the bot does.

    async def connect(self, channel: Channel) -> None:
        """Join and be able to hear; what is played before encryption is ready waits for it.

        Raises:
            VoiceRefusedError: Discord does not let us in, or libopus is missing.
            VoiceUnavailableError: not now; nothing of the attempt is left over.
        """
        require_codec()
        self._loop = asyncio.get_running_loop()
        if self._channel is not None:
            raise VoiceUnavailableError(
                "busy", "This link is in a channel already. Disconnect it before it joins another."
            )
        self._begin()
        self._channel = channel
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
        self._mouth.play(pcm, lane)

    def cut(self, lane: Lane = "reply") -> OnWire:
        """Drop what waits in a lane and return how far playback came; nothing of it is sent after this returns."""
        return self._mouth.cut(lane)

    def pause(self) -> OnWire:
        """Hold the reply where it is; a notice may still be said. Harmless when it is held already."""
        return self._mouth.hold(is_held=True)

    def resume(self) -> None:
        """Go on with it."""
        self._mouth.hold(is_held=False)

    @property
    def on_wire(self) -> OnWire:
        """How far playback is."""
        return self._mouth.on_wire

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
        return self._roster.present

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
        return self._counters

    # Coming and going.

    async def _join(self, channel: Channel) -> None:
        self._is_changing = True
        try:
            await handshakes.join(channel, self)
        except BaseException:
            self._let_go()
            raise
        finally:
            self._is_changing = False
        self._lost_at = None
        for _ in range(2):
            self._tell(self._roster.reconcile(channel.voice_states))
        self._mouth.wake()

    async def _leave(self) -> None:
        self._is_changing = True
        try:
            if self._client is not None:
                await handshakes.leave(self._client)
        finally:
            self._is_changing = False
            self._let_go()

    def _let_go(self) -> None:
        """There is no connection any more."""
        self._client = self._reception.keys = self._mouth.wire = None
        self._reception.reset()

    async def _rejoin(self) -> None:
        """Leave and join again; end the link if that does not work."""
        channel = self._channel
        if channel is None or self._is_changing:
            return
        self._counters.rejoins += 1
        self._telemetry.record(words.VOICE_REMEDIES, door=_DOOR, remedy="rejoin")
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
        self._let_go()
        self._mouth.close()
        self._report()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    # What discord.py tells; see `library.events`.

    def attached(self, client: LinkClient) -> None:
        """See Events."""
        self._client = self._reception.keys = client
        self._mouth.wire = _Wire(client, self._roster)
        self._roster.own_id = client.user.id

    def datagram(self, datagram: bytes) -> None:
        """See Events."""
        self._reception.datagram(datagram, time.monotonic())
        self._arm()

    def said(self, message: dict[str, Any]) -> None:
        """See Events."""
        if announces_speech(message) and not self._is_deafened:
            self._counters.announced_after = self._counters.datagrams
        self._tell(self._roster.read(message))

    def keys_changed(self) -> None:
        """See Events."""
        self._reception.keys_changed(time.monotonic())
        self._arm()
        self._mouth.wake()

    def connectedness_changed(self) -> None:
        """See Events."""
        if self.is_connected:
            self._lost_at = None
            self._mouth.breathe(TRAILING)
            self._mouth.wake()
        else:
            self._lost_at = time.monotonic()
            self._reception.reset()
            self._roster.forget_sources()

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

    def _heard(self, user_id: int, heard: Heard) -> None:
        self._listener.frame(user_id, heard.pcm, heard.arrived_at)

    def _tell(self, changes: Changes) -> None:
        for user_id in changes.left:
            self._reception.forget(user_id)
            self._judge.forget(user_id)
            self._listener.left(user_id)
        for user_id in changes.joined:
            self._listener.joined(user_id)
        if changes:
            self._reception.named(time.monotonic())
            self._arm()
            self._mouth.wake()

    def _arm(self) -> None:
        """Come back when something is due: a hole, a tail, a packet without a key. Most packets leave nothing due."""
        due = self._reception.due
        if due is None or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._loop.call_later(max(0.0, due - time.monotonic()) + 0.001, self._due)

    def _due(self) -> None:
        self._timer = None
        self._reception.run(time.monotonic())
        self._arm()

    def _announce(self) -> None:
        self._run(self._speak())

    async def _speak(self) -> None:
        await self._announced(is_speaking=True)
        self._mouth.speak()

    def _rest(self) -> None:
        """Called on the pacing thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(self._rested)

    def _rested(self) -> None:
        if self._mouth.is_silent and self._channel is not None:
            if self._is_speaking:
                self._run(self._announced(is_speaking=False))
            self._mouth.wake()

    async def _announced(self, *, is_speaking: bool) -> None:
        self._is_speaking = is_speaking
        if self._client is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError):  # it is about to be connected anew
                await self._client.announce(is_speaking=is_speaking)

    async def _watch(self) -> None:
        while self._channel is not None:
            await asyncio.sleep(_WATCH_S)
            now = time.monotonic()
            self._report()
            self._mouth.keep_alive(now)
            self._look_around()
            remedy = self._judge.look(self._counters, now)
            if remedy is not None:
                await self._answer(remedy)
            client = self._client
            if client is not None and (
                client.is_abandoned or (self._lost_at is not None and now - self._lost_at > LOST_S)
            ):
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
        self._tell(self._roster.reconcile(channel.voice_states))

    @property
    def _is_deafened(self) -> bool:
        """Whether somebody, ourselves or a moderator, has Discord send us nothing."""
        state = self._channel.guild.me.voice if self._channel is not None else None
        return state is not None and (state.deaf or state.self_deaf)

    async def _answer(self, remedy: Remedy) -> None:
        log.info("a remedy for deafness", step=remedy.step.value, speakers=len(remedy.users))
        match remedy.step:
            case Step.RECOVER if self._client is not None:
                self._counters.recoveries += 1
                self._telemetry.record(words.VOICE_REMEDIES, door=_DOOR, remedy="recover")
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    await self._client.begin_encryption_anew()
            case Step.REJOIN:
                await self._rejoin()
            case Step.TELL:
                self._telemetry.record(words.VOICE_REMEDIES, door=_DOOR, remedy="tell")
                self._listener.deaf(remedy.users, _DEAF)
            case Step.HEARD:
                self._listener.recovered(remedy.users)
            case _:
                pass

    def _report(self) -> None:
        """Add to the metrics what was counted since the last time: each by itself would cost more than its packet."""
        totals = self._counters.totals()
        for state, count in totals.since(self._reported):
            self._telemetry.record(words.VOICE_PACKETS, count, door=_DOOR, state=state)
        self._reported = totals
        for late_s in self._pacer.drain_lateness():
            self._telemetry.record(words.PACING_LATE, late_s, door=_DOOR)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on until it is over, or the link is."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a voice link broke", error=type(error).__name__)
