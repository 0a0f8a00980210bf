"""Watches what one bot says, frame by frame, and records what real Discord or its listeners would not take well.

Pure but for the clock that is passed in: a table of frames and times is enough to test it. Each rule's words are in
`violations`. A talkspurt is what lies between "speaking 1" and "speaking 0".
"""

import math
from typing import Final

from parley_contract.frames import FRAME_MS
from parley_testkit.discord.rtp import SAMPLES, SILENCE, SILENCES, Header
from parley_testkit.discord.violations import Kind, Violations

MARKER: Final = b"\xfa\xfa"
"""How every end-to-end encrypted frame ends (white paper, "Magic Marker")."""
SPEECH_ENDS_S: Final = 0.5
"""How long after a frame of speech either the next one or silence has to come; longer where the tolerance is."""
GRACE_S: Final = 0.04
"""How much later than the first sound "speaking 1" may be read: a socket and datagrams keep no common order.
As long as the tolerance, where that is longer."""
_RATE_HZ: Final = 48_000


class SpeechWatch:
    """Watches one connection."""

    def __init__(
        self, name: str, violations: Violations, pacing_tolerance_ms: float, *, may_stall: bool = False
    ) -> None:
        """Expect nothing yet of the bot called `name`; `may_stall` as `Settings` has it."""
        self._name = name
        self._violations = violations
        self._tolerance_s = pacing_tolerance_ms / 1000
        self._longest_step = round(self._tolerance_s * _RATE_HZ) if may_stall else SAMPLES
        self._grace_s = max(GRACE_S, self._tolerance_s)
        self._speech_ends_s = max(SPEECH_ENDS_S, self._tolerance_s)
        self._is_speaking = False
        self._unannounced_s: float | None = None
        """Since when it has been sending sound before "speaking 1"; infinite once that has been recorded."""
        self._began: tuple[float, int] | None = None
        self._last: tuple[float, Header] | None = None
        self._silences = SILENCES
        self._has_spoken = False
        """Whether something but silence was sent since it last stopped."""
        self.pacing_ms: Final[list[float]] = []
        """How much later than its talkspurt's first frame, and one each 20 ms from there, every frame came."""

    def speaking(self, flags: int) -> None:
        """Take opcode 5."""
        self._is_speaking = bool(flags & 1)
        if self._is_speaking:
            self._unannounced_s = None

    def frame(self, header: Header, payload: bytes, now_s: float, *, is_protected: bool, may_be_plain: bool) -> None:
        """Take a frame.

        Args:
            header: RTP's.
            payload: as it was sent, still end-to-end encrypted.
            now_s: when it came.
            is_protected: the group stands for this bot.
            may_be_plain: nobody else is there, or there is no end-to-end encryption after a downgrade.
        """
        is_silence = payload == SILENCE
        self._follow(header, now_s, begins=not is_silence and self._silences >= SILENCES)
        if is_silence:
            self._silences += 1
        else:
            self._silences, self._has_spoken = 0, True
            self._speech(payload, now_s, is_protected=is_protected, may_be_plain=may_be_plain)
        self._last = (now_s, header)

    def tick(self, now_s: float) -> None:
        """Notice what did not come."""
        self._look_for_announcement(now_s)
        if self._last is None or now_s - self._last[0] < self._speech_ends_s:
            return
        if self._silences < SILENCES:
            self._add("silence", f"stopped after {self._silences} frames of silence instead of {SILENCES}")
            self._silences = SILENCES
        if self._is_speaking and self._has_spoken:
            self._add("silence", "said no 'speaking 0' after it had stopped")
        self._began, self._has_spoken = None, False

    def _speech(self, payload: bytes, now_s: float, *, is_protected: bool, may_be_plain: bool) -> None:
        if not self._is_speaking and self._unannounced_s is None:
            self._unannounced_s = now_s
        self._look_for_announcement(now_s)
        if not payload.endswith(MARKER) and not may_be_plain:
            case = "though the group stands" if is_protected else "while there is no group, so everybody drops it"
            self._add("unencrypted", f"sent a frame without end-to-end encryption {case}")

    def _look_for_announcement(self, now_s: float) -> None:
        if self._unannounced_s is not None and now_s - self._unannounced_s > self._grace_s:
            self._add("speaking", "sent sound before 'speaking 1'")
            self._unannounced_s = math.inf

    def _follow(self, header: Header, now_s: float, *, begins: bool) -> None:
        if self._last is None:
            self._began = (now_s, header.timestamp)
            return
        last_s, last = self._last
        if (header.sequence - last.sequence) % 2**16 != 1:
            self._add("sequence", f"went from RTP sequence {last.sequence} to {header.sequence}")
        step = (header.timestamp - last.timestamp) % 2**32
        if self._began is None or begins:
            if abs(now_s - last_s - step / _RATE_HZ) > max(self._tolerance_s, 2 * FRAME_MS / 1000):
                self._add("timestamps", f"let RTP's clock go on by {step / _RATE_HZ:.2f} s in {now_s - last_s:.2f} s")
            self._began = (now_s, header.timestamp)
            return
        if not SAMPLES <= step <= self._longest_step:
            self._add("sequence", f"let RTP's clock go on by {step} samples between two frames instead of {SAMPLES}")
        began_s, timestamp = self._began
        late_s = now_s - began_s - (header.timestamp - timestamp) % 2**32 / _RATE_HZ
        self.pacing_ms.append(late_s * 1000)
        if abs(late_s) > self._tolerance_s:
            self._add("pacing", f"sent a frame {late_s * 1000:+.0f} ms from where one each {FRAME_MS} ms would be")
            self._began = (now_s, header.timestamp)

    def _add(self, kind: Kind, what: str) -> None:
        self._violations.add(kind, f"{self._name} {what}")
