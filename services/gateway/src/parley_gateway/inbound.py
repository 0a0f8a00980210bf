"""Sound becomes segments and utterances: the way of one speaker's 20 ms frames from a door towards the bus.

The front door of the reading path. A door's frames arrive at `Microphone.hear` as `vad` judged them; `segments` and
`utterances` say what they mean, and the `Ears` (those of the session, in `ears`) are told, with positions turned into
times. The frames of an utterance are kept here until somebody says that its transcript is there, so that they can be
sent again; and the end of the turn's sound, for whoever judges in a pause whether it is over. Not here: turns, ids, and
what becomes of the transcript.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from parley_contract.endings import Ending
from parley_contract.frames import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, Flag, Frame
from parley_gateway import utterance_events, utterances
from parley_gateway.captures import CaptureClock
from parley_gateway.segments import SpeechWindow
from parley_gateway.utterance_events import Began, Ended, Paused, Resumed
from parley_gateway.utterance_state import Hearing, UtteranceRules, due
from parley_gateway.utterances import MEMORY_FRAMES

_MEDIA_MASK: Final = 0xFFFF_FFFF
"""A frame's media time is 32 bits wide: it wraps after three days of one session."""


class Ears(Protocol):
    """Whoever wants to know what a microphone hears. Times are monotonic seconds of capture."""

    def speech_began(self, speaker: str, voiced_at: float, *, continues: bool, reopens: bool) -> str:
        """An utterance begins; return its id. Its frames follow, pre-roll first."""
        ...

    def speech_paused(self, speaker: str, last_seq: int, voiced_until: float) -> None:
        """A segment of it ended at that frame."""
        ...

    def speech_resumed(self, speaker: str, latest_seq: int, voiced_at: float) -> None:
        """The next segment of it began; that is certain by that frame."""
        ...

    def speech_ended(self, speaker: str, ended: Ended, voiced_until: float) -> None:
        """It is over; its closing frame was given already."""
        ...

    def utterance_frame(self, utterance: str, frame: Frame) -> None:
        """Another frame of it, in order."""
        ...


_SURE_S: Final = 0.5
"""More than it takes from the first voiced sample until it is sure that it is speech."""
TURN_FRAMES: Final = 8 * 1000 // FRAME_MS
"""How much of a turn's sound is kept together: as far as the audio turn model hears."""


class TurnSound(NamedTuple):
    """A turn that may be over."""

    until: int
    """Position one past its last voiced sample."""
    pcm: bytes
    """Its end and the silence after it, up to 8 s of s16le at 16 kHz mono."""


class Recording:
    """The frames of one utterance."""

    def __init__(self, utterance: str, first_frame: int, epoch: int) -> None:
        self.utterance: Final = utterance
        self.first_frame: Final = first_frame
        self._epoch = epoch
        self._pcm: list[bytes] = []
        self._is_closed = False

    def add(self, pcm: bytes) -> Frame:
        """Append 20 ms and return the frame."""
        self._pcm.append(pcm)
        return self._frame(len(self._pcm) - 1)

    def close(self) -> Frame:
        """Append the closing frame and return it."""
        self._is_closed = True
        return self._frame(len(self._pcm))

    def frames(self, from_seq: int, to_seq: int | None) -> Iterator[Frame]:
        """Return the frames of a range (to the end for None), the closing one included, as far as there are any."""
        there = len(self._pcm) + self._is_closed
        for sequence in range(max(0, from_seq), there if to_seq is None else min(there, to_seq + 1)):
            yield self._frame(sequence)

    def _frame(self, sequence: int) -> Frame:
        is_end = sequence == len(self._pcm)
        return Frame(
            sequence=sequence,
            media_samples=(self.first_frame + sequence) * FRAME_SAMPLES & _MEDIA_MASK,
            pcm=b"" if is_end else self._pcm[sequence],
            epoch=self._epoch & 0xFFFF,
            flags=Flag.END if is_end else Flag.NONE,
        )


class Microphone:
    """One speaker."""

    def __init__(self, speaker: str, ears: Ears, rules: UtteranceRules, *, epoch: int) -> None:
        """Begin to listen to `speaker`; `epoch` is the session's."""
        self._speaker = speaker
        self._ears = ears
        self._rules = rules
        self._epoch = epoch
        self._clock = CaptureClock()
        self._state = Hearing()
        self._recent: deque[bytes] = deque(maxlen=MEMORY_FRAMES)
        self._turn: deque[bytes] = deque(maxlen=TURN_FRAMES if rules.smart else 0)
        self._turn_until = float("inf")
        """Until when the turn that ended may still go on."""
        self._running: Recording | None = None
        self._kept: dict[str, Recording] = {}

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance is running."""
        return self._running is not None

    @property
    def due(self) -> float | None:
        """When to call `wait_over` unless a frame comes first; None while nobody speaks."""
        return due(self._state, self._rules)

    def hear(self, pcm: bytes, windows: tuple[SpeechWindow, ...], now: float) -> None:
        """Take the next frame.

        Args:
            pcm: 20 ms of s16le at 16 kHz mono.
            windows: what a voice detector made of it and of all frames before: the windows that it completed.
            now: monotonic seconds of its arrival.

        Raises:
            ValueError: the frame has another size; nothing was taken.
        """
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes, this one {len(pcm)}")
        self._recent.append(pcm)
        self._clock.arrived((self._state.frames + 1) * FRAME_SAMPLES, now)
        if self._running:
            self._turn.append(pcm)
            self._ears.utterance_frame(self._running.utterance, self._running.add(pcm))
        elif now > self._turn_until:
            # 256 kB a speaker, of whom most are silent most of the time.
            self._turn.clear()
        self._take(utterance_events.FrameHeard(windows), now)

    def wait_over(self, now: float) -> None:
        """No frame came until `due`."""
        self._take(utterance_events.TimePassed(), now)

    def turn_sound(self) -> TurnSound | None:
        """Return the sound of the running turn so far, kept where evidence counts; None if nobody speaks."""
        running = self._state.running
        return None if running is None else TurnSound(running.last_voiced, b"".join(self._turn))

    def sound_judged(self, until: int, audio: float, now: float) -> None:
        """The audio turn model has judged a `TurnSound` with that `until`; too late, it makes no difference."""
        self._take(utterance_events.SoundJudged(until, audio), now)

    def words_judged(self, utterance: str, covers_seq: int, ending: Ending, now: float) -> None:
        """A transcript of an utterance up to that frame ends so; too late, it makes no difference."""
        if self._running and self._running.utterance == utterance:
            until = (self._running.first_frame + covers_seq + 1) * FRAME_SAMPLES
            self._take(utterance_events.WordsJudged(until, ending), now)

    def close(self, now: float) -> None:
        """The door closed; frames may come again later, after a gap."""
        self._take(utterance_events.DoorClosed(), now)

    def again(self, utterance: str, from_seq: int, to_seq: int | None) -> Iterator[Frame]:
        """Return frames of an utterance that is kept; none for one that is not."""
        recording = self._kept.get(utterance)
        return iter(()) if recording is None else recording.frames(from_seq, to_seq)

    @property
    def kept(self) -> tuple[str, ...]:
        """The utterances whose frames are kept."""
        return tuple(self._kept)

    def forget(self, utterance: str) -> None:
        """The frames of this utterance are of no more use."""
        self._kept.pop(utterance, None)

    def _take(self, event: utterance_events.Event, now: float) -> None:
        self._state, happened = utterances.step(self._state, event, now, self._rules)
        for thing in happened:
            match thing:
                case Began():
                    self._begin(thing)
                case Paused(last_seq, last_voiced):
                    self._ears.speech_paused(self._speaker, last_seq, self._clock.captured_at(last_voiced))
                case Resumed(latest_seq, first_voiced):
                    self._ears.speech_resumed(self._speaker, latest_seq, self._clock.captured_at(first_voiced))
                case Ended() if self._running:
                    self._end(self._running, thing, now)

    def _begin(self, began: Began) -> None:
        voiced_at = self._clock.captured_at(began.first_voiced)
        utterance = self._ears.speech_began(self._speaker, voiced_at, continues=began.continues, reopens=began.reopens)
        self._running = self._kept[utterance] = Recording(utterance, began.first_frame, self._epoch)
        heard_already = self._state.frames - began.first_frame
        if not began.continues and not began.reopens:
            self._turn.clear()
        for pcm in list(self._recent)[len(self._recent) - heard_already :]:
            self._turn.append(pcm)
            self._ears.utterance_frame(utterance, self._running.add(pcm))

    def _end(self, running: Recording, ended: Ended, now: float) -> None:
        self._running = None
        self._turn_until = now + self._rules.reopen_ms / 1000 + _SURE_S
        self._ears.utterance_frame(running.utterance, running.close())
        voiced_until = self._clock.captured_at(ended.last_voiced)
        self._ears.speech_ended(self._speaker, ended, voiced_until)
