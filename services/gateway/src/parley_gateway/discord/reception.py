"""The receive path: a datagram comes in, frames of speakers go out. The order of its steps is what makes it work.

Called by `receiving` for each datagram and whenever something is due; time is passed in and nothing waits, so that it
is tested on virtual time and fuzzed. Filter and header (`rtp`), transport (`Keys`), extension and padding (`rtp`), user
(`roster`), end-to-end decryption (`Keys`) on arrival, because a late packet's key may be gone, then order, sound and
silence (`sources`). Not here: sockets, discord.py, and what to do when nothing can be decrypted (`deafness`).
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from parley_gateway.discord import rtp
from parley_gateway.discord.counters import LinkCounters, SpeakerCounters
from parley_gateway.discord.jitter import UNREADABLE_S
from parley_gateway.discord.roster import Roster
from parley_gateway.discord.sources import Heard, Source

RING: Final = 100
"""Packets of users whom nobody has named yet: two seconds of one who has just come in."""
RING_S: Final = 2.0
GUESS_AFTER_S: Final = 0.5
"""Without end-to-end encryption nothing proves whose a packet is: op 5 gets so long before the only one is guessed."""
_UNREAD: Final = 400
"""Packets that wait for a key, of all speakers: 300 ms of 20, and a few more."""
_SOURCES: Final = 64
"""Who is heard at once; whoever is pushed out begins anew with the next packet."""


class Keys(Protocol):
    """What decrypts. It knows the keys of this moment: they change with every reconnect and every commit."""

    @property
    def own_ssrc(self) -> int | None:
        """Ours: what comes under it is our own voice."""
        ...

    @property
    def is_end_to_end(self) -> bool:
        """Whether frames carry proof of who sent them."""
        ...

    def open(self, datagram: bytes, clear: int) -> bytes | None:
        """Undo the transport's encryption; None for what the server did not send."""
        ...

    def decrypt(self, user_id: int, payload: bytes) -> bytes | None:
        """Undo a user's end-to-end encryption; None if it cannot be done with the keys of this moment."""
        ...


class _Packet(NamedTuple):
    header: rtp.Header
    payload: bytes
    arrived_at: float


class _Unread(NamedTuple):
    ssrc: int
    source: Source
    number: int
    payload: bytes
    arrived_at: float


Take = Callable[[int, Heard], None]
"""Is given whose a frame is, and the frame."""


class Reception:
    """All that is heard on one link."""

    def __init__(self, roster: Roster, counters: LinkCounters, take: Take) -> None:
        """Hear for `take`; nothing before `keys` are there."""
        self.keys: Keys | None = None
        """Those of the connection that there is."""
        self._roster = roster
        self._counters = counters
        self._take = take
        self._sources: dict[int, Source] = {}
        self._due: dict[int, Source] = {}
        """Those that have something to give although no packet comes: few, most of the time none."""
        self._unnamed: deque[_Packet] = deque(maxlen=RING)
        self._unread: deque[_Unread] = deque()

    def datagram(self, datagram: bytes, now: float) -> None:
        """Take in whatever arrived on the socket."""
        self._counters.datagrams += 1
        header, keys = rtp.read(datagram), self.keys
        if header is None or keys is None or header.ssrc == keys.own_ssrc:
            self._counters.ignored += 1
            return
        decrypted = keys.open(datagram, header.clear)
        if decrypted is None:
            self._counters.forged += 1
            return
        payload = rtp.payload(header, decrypted)
        if payload:
            self._resolve(_Packet(header, payload, now), now)
        else:
            self._counters.ignored += 1

    def named(self, now: float) -> None:
        """The roster knows more than before: hear what waited for that."""
        waiting, self._unnamed = self._unnamed, deque(maxlen=RING)
        for packet in waiting:
            if now - packet.arrived_at <= RING_S:
                self._resolve(packet, now)
            else:
                self._counters.unknown += 1

    def keys_changed(self, now: float) -> None:
        """Try again what could not be decrypted, oldest first: a later frame's key puts an earlier one's away."""
        waiting, self._unread = self._unread, deque()
        for unread in waiting:
            user_id = unread.source.user_id
            payload = self._decrypt(user_id, unread.payload)
            if payload is None:
                self._unread.append(unread)
                continue
            self._speaker(user_id).decrypted += 1
            unread.source.waiting.settle(unread.number, payload)
            self._give(unread.ssrc, unread.source, now)
        self.named(now)

    def forget(self, user_id: int) -> None:
        """They left: nothing of them comes any more."""
        for ssrc in [ssrc for ssrc, source in self._sources.items() if source.user_id == user_id]:
            del self._sources[ssrc]
            self._due.pop(ssrc, None)

    def reset(self) -> None:
        """The connection is a new one, and so are every ssrc and every key."""
        for everything in (self._sources, self._due, self._unnamed, self._unread):
            everything.clear()

    def run(self, now: float) -> None:
        """Give out all frames that are due."""
        while self._unread and now >= self._unread[0].arrived_at + UNREADABLE_S:
            self._give_up(now)
        for ssrc, source in list(self._due.items()):
            self._give(ssrc, source, now)

    @property
    def due(self) -> float | None:
        """When to call `run` although nothing arrived."""
        return min(self._moments(), default=None) if self._due or self._unread else None

    def _moments(self) -> Iterator[float]:
        if self._unread:
            yield self._unread[0].arrived_at + UNREADABLE_S
        yield from (due for source in self._due.values() if (due := source.due) is not None)

    def _resolve(self, packet: _Packet, now: float) -> None:
        """Find out whose packet it is, and hear it."""
        user_id, decrypted = self._roster.user(packet.header.ssrc), None
        if user_id is None:
            user_id, decrypted = self._proven(packet, now)
        if user_id is None:
            if len(self._unnamed) == RING:
                self._counters.unknown += 1
            self._unnamed.append(packet)
            return
        self._hear(user_id, packet, decrypted, now)

    def _hear(self, user_id: int, packet: _Packet, decrypted: bytes | None, now: float) -> None:
        ssrc, speaker = packet.header.ssrc, self._speaker(user_id)
        source = self._source(user_id, ssrc, speaker)
        speaker.received += 1
        # Its place comes first: davey takes the second of two equal packets for a failure.
        number = source.put(packet.header.sequence, packet.arrived_at)
        if number is None:
            speaker.late += 1
            return
        payload = self._decrypt(user_id, packet.payload) if decrypted is None else decrypted
        if payload is not None:
            speaker.decrypted += 1
            source.waiting.settle(number, payload)
        else:
            self._unread.append(_Unread(ssrc, source, number, packet.payload, packet.arrived_at))
            if len(self._unread) > _UNREAD:
                self._give_up(now)
        self._give(ssrc, source, now)

    def _give_up(self, now: float) -> None:
        unread = self._unread.popleft()
        self._speaker(unread.source.user_id).failed += 1
        unread.source.waiting.settle(unread.number, None)
        self._give(unread.ssrc, unread.source, now)

    def _give(self, ssrc: int, source: Source, now: float) -> None:
        for heard in source.frames(now):
            self._take(source.user_id, heard)
        if not source.is_at_rest and self._sources.get(ssrc) is source:
            self._due[ssrc] = source
        elif self._due:
            self._due.pop(ssrc, None)

    def _decrypt(self, user_id: int, payload: bytes) -> bytes | None:
        return None if self.keys is None else self.keys.decrypt(user_id, payload)

    def _speaker(self, user_id: int) -> SpeakerCounters:
        counters = self._counters.speakers.get(user_id)
        if counters is None:
            counters = self._counters.speakers[user_id] = SpeakerCounters()
        return counters

    def _source(self, user_id: int, ssrc: int, counters: SpeakerCounters) -> Source:
        source = self._sources.get(ssrc)
        if source is None or source.user_id != user_id:
            self.forget(user_id)
            if len(self._sources) >= _SOURCES:
                self.forget(next(iter(self._sources.values())).user_id)
            source = self._sources[ssrc] = Source(user_id, counters)
        return source

    def _proven(self, packet: _Packet, now: float) -> tuple[int | None, bytes | None]:
        """Tell who sent it: whose key decrypts it, or who alone can have. A silent frame, in clear, proves nothing.

        Returns:
            The user, and what was decrypted: it cannot be a second time.
        """
        ssrc, unheard = packet.header.ssrc, self._roster.unheard
        if self.keys is None or not self.keys.is_end_to_end:
            if len(unheard) == 1 and self._is_overdue(ssrc, now):
                self._roster.name(ssrc, only := next(iter(unheard)))
                return only, None
            return None, None
        for user_id in () if packet.payload == rtp.SILENCE else unheard:
            decrypted = self._decrypt(user_id, packet.payload)
            if decrypted is not None:
                self._roster.name(ssrc, user_id)
                return user_id, decrypted
        return None, None

    def _is_overdue(self, ssrc: int, now: float) -> bool:
        return any(each.header.ssrc == ssrc and now - each.arrived_at >= GUESS_AFTER_S for each in self._unnamed)
