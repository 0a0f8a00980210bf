"""One call, through all the connections it takes: what arrives is heard, what is played is said, deafness is answered.

Made by `links`, anew whenever a channel is joined. `receiving`, `speaking`, `roster` and `deafness` are put together
here, and what they count is passed on. Not here: joining and leaving.
"""

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aiohttp
import structlog

from parley_contract import telemetry as words
from parley_gateway.discord.counters import LinkCounters, SpeakerCounters
from parley_gateway.discord.deafness import Judge, Step
from parley_gateway.discord.library.link_clients import LinkClient
from parley_gateway.discord.listeners import Channel, Listener
from parley_gateway.discord.pacing import Pacer
from parley_gateway.discord.receiving import Receiver
from parley_gateway.discord.roster import Changes, Roster, announces_speech
from parley_gateway.discord.rtp import TRAILING
from parley_gateway.discord.sources import Heard
from parley_gateway.discord.speaking import Speaking
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

_DOOR: Final = "discord"
_DEAF: Final = (
    "I cannot hear some of you: your sound arrives, and I cannot decrypt it. Please leave the channel and come back."
)


class Call:
    """One call."""

    def __init__(
        self,
        listener: Listener,
        pacer: Pacer,
        telemetry: Telemetry,
        run: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Begin without a connection; made on the event loop.

        Args:
            listener: who is told what happens.
            pacer: the thread that sends for all links, running.
            telemetry: where packets are counted, by door and never by user.
            run: lets something go on until it is over, or the call is.
        """
        self.counters: Final = LinkCounters()
        self.client: LinkClient | None = None
        """The connection of this moment."""
        self._listener = listener
        self._pacer = pacer
        self._telemetry = telemetry
        self._reported = SpeakerCounters()
        self._roster = Roster()
        self._judge = Judge()
        self._receiver = Receiver(self._roster, self.counters, self._heard)
        self._speaking = Speaking(pacer, self.counters, run)
        self.mouth: Final = self._speaking.mouth

    @property
    def present(self) -> frozenset[int]:
        """Who is in the channel beside us."""
        return self._roster.present

    # Connections.

    def attach(self, client: LinkClient) -> None:
        """There is a connection, or there will be in a moment."""
        self.client = client
        self._roster.own_id = client.user.id
        self._receiver.attach(client)
        self._speaking.attach(client, self._roster)

    def connected(self) -> None:
        """The voice server has us: let it know the way back to us, and say what waits."""
        self.mouth.breathe(TRAILING)
        self.mouth.wake()

    def lost(self) -> None:
        """The connection is made anew, and so is every ssrc and every key."""
        self._receiver.reset()
        self._roster.forget_sources()

    def detach(self) -> None:
        """There is no connection any more."""
        self.client = None
        self._receiver.detach()
        self._speaking.detach()

    def close(self) -> None:
        """The call is over; sound that waits is dropped."""
        self.client = None
        self._receiver.close()
        self._speaking.close()
        self.report()

    # What a connection brings.

    def datagram(self, datagram: bytes) -> None:
        """Something arrived on the socket."""
        self._receiver.datagram(datagram)

    def said(self, message: dict[str, Any]) -> None:
        """The voice server said something in JSON."""
        if announces_speech(message) and not self._is_deafened:
            self.counters.announced_after = self.counters.datagrams
        self._tell(self._roster.read(message))

    def keys_changed(self) -> None:
        """Whatever can be encrypted or decrypted may have changed."""
        self._receiver.keys_changed()
        self.mouth.wake()

    def reconcile(self, channel: Channel) -> None:
        """Compare who is there with what the main gateway says."""
        self._tell(self._roster.reconcile(channel.voice_states))

    def _heard(self, user_id: int, heard: Heard) -> None:
        self._listener.frame(user_id, heard.pcm, heard.arrived_at)

    def _tell(self, changes: Changes) -> None:
        for user_id in changes.left:
            self._receiver.forget(user_id)
            self._judge.forget(user_id)
            self._listener.left(user_id)
        for user_id in changes.joined:
            self._listener.joined(user_id)
        if changes:
            self._receiver.named()
            self.mouth.wake()

    @property
    def _is_deafened(self) -> bool:
        """Whether somebody, ourselves or a moderator, has Discord send us nothing."""
        state = self.client.guild.me.voice if self.client is not None else None
        return state is not None and (state.deaf or state.self_deaf)

    # Once a second.

    async def heal(self, now: float) -> bool:
        """Do what helps against deafness; True if that is to leave and to join again."""
        remedy = self._judge.look(self.counters, now)
        if remedy is None:
            return False
        log.info("a remedy for deafness", step=remedy.step.value, speakers=len(remedy.users))
        match remedy.step:
            case Step.RECOVER if self.client is not None:
                self.counters.recoveries += 1
                self.count_remedy("recover")
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    await self.client.begin_encryption_anew()
            case Step.TELL:
                self.count_remedy("tell")
                self._listener.deaf(remedy.users, _DEAF)
            case Step.HEARD:
                self._listener.recovered(remedy.users)
            case _:
                pass
        return remedy.step is Step.REJOIN

    def count_remedy(self, remedy: str) -> None:
        """Add one to the metric."""
        self._telemetry.record(words.VOICE_REMEDIES, door=_DOOR, remedy=remedy)

    def report(self) -> None:
        """Add to the metrics what was counted since the last time: each by itself would cost more than its packet."""
        totals = self.counters.totals()
        for state, count in totals.since(self._reported):
            self._telemetry.record(words.VOICE_PACKETS, count, door=_DOOR, state=state)
        self._reported = totals
        for late_s in self._pacer.drain_lateness():
            self._telemetry.record(words.PACING_LATE, late_s, door=_DOOR)
