"""One stay in one voice channel: what its link hears goes to the session, and what the session says to the link.

Made by `hosting`, one per server. It is the link's `Listener` and the session's `Door` at once, knows who is there,
and says when it is time to leave. Not here: whether the bot may come, and what it writes.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from parley_contract import door as events
from parley_contract.frames import FRAME_MS
from parley_gateway.discord.links import VoiceLink
from parley_gateway.discord.listeners import Channel, Gone
from parley_gateway.discord.manners import Company, leaves_at
from parley_gateway.sessions import Session

_TURNS: Final = 5
_POSITION_FRAMES: Final = 25
"""How often the session is told how far its sound is: each half second of it."""


class Host(Protocol):
    """Whoever brought the bot into the channel. All calls return at once."""

    def ended(self, stay: "Stay", why: Gone | None, sentence: str) -> None:
        """The link is gone, or (None) the session is."""
        ...

    def deaf(self, stay: "Stay", people: frozenset[int]) -> None:
        """These cannot be heard."""
        ...

    def recovered(self, stay: "Stay", people: frozenset[int]) -> None:
        """These are heard again."""
        ...


class Stay:
    """One stay."""

    def __init__(self, host: Host, name_of: Callable[[int], str | None], *, guild: int, writes_to: int) -> None:
        """Begin outside of any channel.

        Args:
            host: told of what the stay cannot deal with.
            name_of: returns how a user is called; None for a bot, whom nobody listens to.
            guild: id of the server.
            writes_to: id of the text channel for what nobody asked for.
        """
        now = time.monotonic()
        self.guild: Final = guild
        self.writes_to: Final = writes_to
        self.is_muted = False
        self.is_resumed = False
        """Whether its conversation began before it."""
        self.language = "en"
        """Of whoever called the bot."""
        self.deaf_to: frozenset[int] = frozenset()
        self.e2ft_ms: Final[deque[float]] = deque(maxlen=_TURNS)
        self._host = host
        self._name_of = name_of
        self._company = Company(heard_at=now, alone_since=now)
        self._nameless: frozenset[int] = frozenset()
        self._changed = asyncio.Event()
        self._link: VoiceLink | None = None
        self._session: Session | None = None
        self._played = 0
        """Frames given to the link."""
        self._before = 0
        """Frames that the link had sent before."""
        self._cut = 0
        """Of the frames given to it those that were never sent."""

    def begin(self, link: VoiceLink, session: Session) -> None:
        """Let the session be heard through a link that is connected."""
        self._link, self._session, self._before = link, session, link.on_wire.frames
        self._introduce(session)
        session.join(self)

    def decline(self, session: Session, *, is_over: bool) -> None:
        """Let go of a session that was admitted, for its channel cannot be joined."""
        session.join(self)
        if is_over:
            session.close(self)
        else:
            session.leave(self)

    @property
    def link(self) -> VoiceLink | None:
        """The link, once there is one."""
        return self._link

    @property
    def session(self) -> Session | None:
        """The session, once there is one, until it has ended."""
        return self._session

    @property
    def channel(self) -> Channel | None:
        """Where the bot is."""
        return self._link.channel if self._link else None

    @property
    def people(self) -> frozenset[int]:
        """Who is there, the bot and other bots not counted."""
        return self._company.people

    async def until_time_to_leave(self, idle_s: float) -> None:
        """Return when nobody has said anything, or been there, for long enough."""
        while True:
            self._changed.clear()
            at = leaves_at(self._company, idle_s)
            wait_s = None if at is None else at - time.monotonic()
            if wait_s is not None and wait_s <= 0:
                return
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def end(self, *, is_over: bool) -> None:
        """Leave the channel; the session ends, unless another process shall go on with it."""
        session, self._session = self._session, None
        if session is not None:
            if is_over:
                session.close(self)
            else:
                session.leave(self)
        if self._link is not None:
            await self._link.disconnect()

    def mute(self) -> bool:
        """Listen no more, or again; return whether that is now no more."""
        self.is_muted = not self.is_muted
        if self.is_muted and self._session is not None:
            # What somebody is saying ends here.
            self._session.know({})
        elif self._session is not None:
            self._introduce(self._session)
        return self.is_muted

    def status(self) -> Mapping[str, Any]:
        """Return what `/status` of the gateway shows."""
        link, channel = self._link, self.channel
        return {
            "guild": str(self.guild),
            "channel": str(channel.id) if channel else "",
            "session": self._session.id if self._session else "",
            "connected": bool(link and link.is_connected),
            "people": len(self.people),
            "muted": self.is_muted,
            "deaf_to": sorted(map(str, self.deaf_to)),
            "encrypted": bool(link and link.privacy_code),
            "privacy_code": (link.privacy_code if link else None) or "",
            "voice_latency_ms": _ms(link.latency_s if link else None),
            "e2ft_ms": list(self.e2ft_ms),
            "packets": _counters(link) if link else {},
        }

    # What the link hears.

    def frame(self, user_id: int, pcm: bytes, arrived_at: float) -> None:
        """See Listener."""
        del arrived_at  # the gathering stamps it again, a few microseconds later
        if self._session is not None and not self.is_muted and user_id in self._company.people:
            if user_id in self._nameless:
                # Their sound may come sooner than what Discord's gateway says of them.
                self._introduce(self._session)
            self._session.hear(pcm, str(user_id))

    def joined(self, user_id: int) -> None:
        """See Listener."""
        if self._name_of(user_id) is None:
            return
        self._is_now(self._company.joined(user_id))

    def left(self, user_id: int) -> None:
        """See Listener."""
        self.deaf_to -= {user_id}
        self._is_now(self._company.left(user_id, time.monotonic()))

    def moved(self, channel: Channel) -> None:
        """See Listener."""

    def deaf(self, user_ids: frozenset[int], sentence: str) -> None:
        """See Listener."""
        del sentence  # said in the channel in the language of whoever called
        people = user_ids & self._company.people
        self.deaf_to |= people
        if people or not user_ids:
            self._host.deaf(self, people)

    def recovered(self, user_ids: frozenset[int]) -> None:
        """See Listener."""
        people = user_ids & self.deaf_to
        self.deaf_to -= people
        if people:
            self._host.recovered(self, people)

    def disconnected(self, why: Gone, sentence: str) -> None:
        """See Listener."""
        self._host.ended(self, why, sentence)

    def _is_now(self, company: Company) -> None:
        self._company = company
        self._changed.set()
        if self._session is not None and not self.is_muted:
            self._introduce(self._session)

    def _introduce(self, session: Session) -> None:
        """Tell the session who is there, and remember who is there without a name."""
        names = {person: self._name_of(person) or "" for person in self._company.people}
        self._nameless = frozenset(person for person, name in names.items() if not name)
        session.know({str(person): name for person, name in names.items()})

    # What the session says.

    def play(self, pcm: bytes) -> None:
        """See Door."""
        if self._link is None:
            return
        self._played += 1
        self._link.play(pcm)
        if self._played % _POSITION_FRAMES == 0:
            # Not now: the session is in the middle of a step.
            asyncio.get_running_loop().call_soon(self._tell_position)

    def _tell_position(self) -> None:
        if self._session is not None and self._link is not None:
            self._session.position((self._link.on_wire.frames - self._before + self._cut) * FRAME_MS)

    def tell(self, event: events.Event) -> None:
        """See Door."""
        match event:
            case events.SpeechStarted():
                self._company = self._company.spoke(time.monotonic())
                self._changed.set()
            case events.Cut() if self._link is not None:
                self._cut = self._played - (self._link.cut().frames - self._before)
            case events.Turn(report=report) if report.e2ft_ms is not None:
                self.e2ft_ms.append(report.e2ft_ms)
            case _:
                pass

    def close(self, why: events.Error | None) -> None:
        """See Door."""
        if self._session is not None:
            self._session = None
            self._host.ended(self, None, why.sentence if why else "")


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s * 1000, 1)


def _counters(link: VoiceLink) -> Any:  # noqa: ANN401  # JSON
    return msgspec.to_builtins(link.counters, str_keys=True)
