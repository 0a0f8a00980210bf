"""What we say on one link: frames are played into it on the event loop, and packets leave on the pacing thread.

Made by `speaking`. It decides when a talkspurt begins and ends; the order of what waits is `lanes`', the RTP is
`talkspurts`', the encryption and the socket are the `Wire`'s. Nothing of anybody's voice leaves unencrypted: while the
keys are not there sound waits, and with nobody in the channel it passes as if it had been sent.
"""

import enum
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from parley_contract.frames import FRAME_BYTES
from parley_gateway.discord.counters import LinkCounters
from parley_gateway.discord.lanes import Lane, Lanes, Said
from parley_gateway.discord.opus import SpeechEncoder
from parley_gateway.discord.pacing import Pacer
from parley_gateway.discord.rtp import SILENCE, TRAILING
from parley_gateway.discord.sources import FRAME_S
from parley_gateway.discord.talkspurts import Talkspurts

KEEPALIVE_S: Final = 15.0
"""A router forgets the way back to us after a minute without a packet of ours, and then nothing is heard any more."""
_STALLED_S: Final = 0.1
"""So late that catching up would be a burst: the process was stopped, and its clock begins anew."""


class Gate(enum.Enum):
    """Whether sound may leave."""

    OPEN = "open"
    ALONE = "alone"
    """Nobody is there: it passes without being sent."""
    SHUT = "shut"
    """No connection, or no keys yet: it waits."""


class Wire(Protocol):
    """The way out, called on the pacing thread: it looks at the connection and the keys of that moment."""

    @property
    def gate(self) -> Gate:
        """Whether sound may leave."""
        ...

    @property
    def own_ssrc(self) -> int | None:
        """Ours; None before the voice server has said so."""
        ...

    def send(self, header: bytes, payload: bytes) -> bool:
        """Encrypt and send a packet; False if it did not leave."""
        ...


class OnWire(NamedTuple):
    """How far playback is, of the reply alone; `frames` never goes back."""

    frames: int
    """Frames of the reply that were sent, or would have been in an empty channel."""
    at: float
    """Monotonic seconds at which the latest of them was; -inf before the first."""
    waiting: int
    """Frames of it that are here and not sent yet."""


class _Phase(enum.Enum):
    SILENT = "silent"
    ASKING = "asking"
    """The voice server is being told that we speak."""
    SOUNDING = "sounding"
    BREATHING = "breathing"
    """Silence goes out that nobody is told of, and sound waits for its end."""


class Mouth:
    """Everything said on one link, through whatever connection it has."""

    def __init__(
        self,
        pacer: Pacer,
        counters: LinkCounters,
        *,
        ask: Callable[[], None],
        rest: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Say nothing yet.

        Args:
            pacer: the thread that sends.
            counters: of the link.
            ask: called on the event loop before a talkspurt: announce it, then call `speak`.
            rest: called on the pacing thread after one.
            clock: gives monotonic seconds.
        """
        self._pacer = pacer
        self._counters = counters
        self._ask = ask
        self._rest = rest
        self._clock = clock
        self._lock = threading.Lock()
        self._lanes = Lanes()
        self._talkspurts = Talkspurts(clock())
        self._encoder: SpeechEncoder | None = None
        self._encoded: tuple[Said, bytes] | None = None
        self._phase = _Phase.SILENT
        self._trailing = 0
        self._sent_at = float("-inf")
        self._frames = 0
        self._frame_at = float("-inf")
        self.wire: Wire | None = None
        """The connection of this moment."""

    # On the event loop.

    def play(self, pcm: bytes, lane: Lane) -> None:
        """See VoiceLink."""
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes, this one {len(pcm)}")
        with self._lock:
            if not self._lanes.put(pcm, lane):
                self._counters.unsent += 1
        self.wake()

    def wake(self) -> None:
        """Something may be said that could not before: sound, keys, or a connection came."""
        with self._lock:
            if self._phase is not _Phase.SILENT or not self._lanes.has_something or self._gate is Gate.SHUT:
                return
            self._phase = _Phase.ASKING
        self._ask()

    def speak(self) -> None:
        """The voice server knows that we speak: do."""
        self._begin(_Phase.SOUNDING, after=_Phase.ASKING, trailing=0)

    def breathe(self, packets: int) -> None:
        """Send packets of silence if there is nothing else: to be let in, or to keep the way open."""
        if self.wire is not None:
            self._begin(_Phase.BREATHING, after=_Phase.SILENT, trailing=packets)

    def keep_alive(self, now: float) -> None:
        """Send one if none was sent for long."""
        if now - self._sent_at >= KEEPALIVE_S:
            self.breathe(1)

    def cut(self, lane: Lane) -> OnWire:
        """See VoiceLink."""
        with self._lock:
            self._lanes.cut(lane)
            return self._on_wire()

    def hold(self, *, is_held: bool) -> OnWire:
        """Hold the reply, or let it go on."""
        with self._lock:
            self._lanes.is_held = is_held
            on_wire = self._on_wire()
        self.wake()
        return on_wire

    def close(self) -> None:
        """Nothing that waits is said any more."""
        with self._lock:
            self.wire = None
            self._lanes.drop("reply")
            self._lanes.drop("notice")

    @property
    def on_wire(self) -> OnWire:
        """How far playback is."""
        with self._lock:
            return self._on_wire()

    @property
    def is_silent(self) -> bool:
        """Whether no talkspurt is going on or about to begin."""
        return self._phase is _Phase.SILENT

    # On the pacing thread.

    def tick(self, due: float) -> float | None:
        """See Paced."""
        with self._lock:
            gate, wire = self._gate, self.wire
            may_sound = gate is not Gate.SHUT and self._phase is _Phase.SOUNDING
            said = self._lanes.take() if may_sound else None
            if said is None and not self._trailing:
                self._phase = _Phase.SILENT
                self._lanes.rest()
            else:
                now = self._clock()
                if now - due > _STALLED_S:
                    self._talkspurts.begin(now)
                    due = now
                self._say(said, gate, wire)
                return due + FRAME_S
        self._rest()
        return None

    def prepare(self) -> None:
        """See Paced: encoding takes longer than a millisecond on a busy machine, and would make the others late."""
        with self._lock:
            said = self._lanes.peek()
            if said is None or (self._encoded and self._encoded[0] is said):
                return
        packet = self._encode(said)
        with self._lock:
            self._encoded = said, packet

    def _say(self, said: Said | None, gate: Gate, wire: Wire | None) -> None:
        if said is None:
            self._trailing -= 1
            payload = SILENCE
        else:
            # What passes unheard leaves nothing to end.
            self._trailing = TRAILING if gate is Gate.OPEN else 0
            payload = self._encoded[1] if self._encoded and self._encoded[0] is said else self._encode(said)
            self._encoded = None
        if (gate is Gate.OPEN or said is None) and wire is not None and (ssrc := wire.own_ssrc) is not None:
            if wire.send(self._talkspurts.next(ssrc), payload):
                self._counters.sent += 1
            else:
                self._counters.unsent += 1
            self._sent_at = self._clock()
        if said is not None and said.lane == "reply" and not said.is_tail:
            self._frames += 1
            self._frame_at = self._clock()

    def _encode(self, said: Said) -> bytes:
        self._encoder = self._encoder or SpeechEncoder()
        return self._encoder.encode(said.pcm)

    # On either, under the lock but for the first.

    def _begin(self, phase: _Phase, *, after: _Phase, trailing: int) -> None:
        now = self._clock()
        with self._lock:
            if self._phase is not after:
                return
            self._phase, self._trailing = phase, trailing
            self._talkspurts.begin(now)
        self._pacer.at(now, self)

    @property
    def _gate(self) -> Gate:
        return Gate.SHUT if self.wire is None else self.wire.gate

    def _on_wire(self) -> OnWire:
        return OnWire(self._frames, self._frame_at, self._lanes.waiting("reply"))
