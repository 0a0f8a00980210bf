"""One source of packets becomes one speaker's frames: in order, decoded, concealed, and followed by silence.

Made by `reception` for each ssrc whose user is known. Time is passed in; nothing here waits. Packets come in decrypted,
or to be decrypted soon; frames of 20 ms come out, whatever the packets' length.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from parley_contract.frames import FRAME_BYTES, FRAME_MS
from parley_gateway.discord.counters import SpeakerCounters
from parley_gateway.discord.jitter import Hole, JitterBuffer, Ready
from parley_gateway.discord.opus import SpeechDecoder
from parley_gateway.discord.rtp import SILENCE

FRAME_S: Final = FRAME_MS / 1000
TAIL_FRAMES: Final = 25
"""Half a second. Nothing comes while nobody speaks, and a voice detector needs silence to say that a voice has ended;
whoever judges silence goes on by the wall clock after that."""
TAIL_AFTER_S: Final = 0.06
"""The next of the five packets of silence may be late by so much without a frame more than there was time for."""
_QUIET: Final = bytes(FRAME_BYTES)


class Heard(NamedTuple):
    """A frame, and monotonic seconds of when it was there."""

    pcm: bytes
    arrived_at: float


class Source:
    """The packets of one ssrc."""

    def __init__(self, user_id: int, counters: SpeakerCounters) -> None:
        """Begin to hear; what is counted here is what comes out of the jitter buffer."""
        self.user_id: Final = user_id
        self._counters = counters
        self.waiting: Final = JitterBuffer()
        self._decoder = SpeechDecoder()
        self._rest = b""
        self._silent_from: float | None = None
        """When the talkspurt was ended by its client; None within one, and once the tail is over."""
        self._tail = 0

    def put(self, sequence: int, now: float) -> int | None:
        """Give a packet its place; see JitterBuffer."""
        number = self.waiting.put(sequence, now)
        if number is not None:
            self._silent_from = None
        return number

    def frames(self, now: float) -> Iterator[Heard]:
        """Return every frame that is there by now."""
        taken = self.waiting.take(now)
        for index, item in enumerate(taken):
            if isinstance(item, Ready):
                yield from self._decoded(item)
            else:
                successor = taken[index + 1] if index + 1 < len(taken) else None
                yield from self._filled(item, successor, now)
        yield from self._silence(now)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing more comes out before a packet comes in."""
        return self._silent_from is None and len(self.waiting) == 0

    @property
    def due(self) -> float | None:
        """When to ask for frames although no packet came."""
        moments = [moment for moment in (self.waiting.due, self._tail_due) if moment is not None]
        return min(moments, default=None)

    def _decoded(self, packet: Ready) -> Iterator[Heard]:
        pcm = self._decoder.decode(packet.payload)
        if pcm is None:
            self._counters.broken += 1
            pcm, made_up = self._decoder.conceal(1, None)
            self._counters.concealed += made_up
        else:
            self._counters.decoded += 1
        yield from self._cut(pcm, packet.arrived_at)
        if packet.payload == SILENCE and len(self.waiting) == 0:
            self._silent_from, self._tail = packet.arrived_at + FRAME_S, 0

    def _filled(self, hole: Hole, successor: Ready | Hole | None, now: float) -> Iterator[Heard]:
        if not hole.was_there:
            self._counters.lost += hole.packets
        payload = successor.payload if isinstance(successor, Ready) else None
        pcm, made_up = self._decoder.conceal(hole.packets, payload)
        self._counters.concealed += made_up
        yield from self._cut(pcm, successor.arrived_at if isinstance(successor, Ready) else now)

    def _cut(self, pcm: bytes, arrived_at: float) -> Iterator[Heard]:
        if len(pcm) == FRAME_BYTES and not self._rest:
            yield Heard(pcm, arrived_at)
            return
        self._rest += pcm
        while len(self._rest) >= FRAME_BYTES:
            yield Heard(self._rest[:FRAME_BYTES], arrived_at)
            self._rest = self._rest[FRAME_BYTES:]

    @property
    def _tail_due(self) -> float | None:
        if self._silent_from is None:
            return None
        return self._silent_from + max(TAIL_AFTER_S, (self._tail + 1) * FRAME_S)

    def _silence(self, now: float) -> Iterator[Heard]:
        while self._silent_from is not None and (due := self._tail_due) is not None and now >= due:
            self._tail += 1
            yield Heard(_QUIET, self._silent_from + self._tail * FRAME_S)
            if self._tail == TAIL_FRAMES:
                self._silent_from = None
