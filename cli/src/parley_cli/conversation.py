"""What was said in a conversation with an assistant, turn by turn, put together from the door's events. Pure.

`talking` feeds it; `reports` and the commands read it. Sound is attributed by the marks between the frames: what
comes after a phrase's `begin` is that turn's. Positions count the sound received on the connection, from 0.
"""

from typing import Final

from parley_contract.door import Canned, Cut, Delta, Event, Mark, Phrase, SpeechStarted, Transcript
from parley_contract.door import Turn as TurnOver
from parley_contract.frames import RATE_HZ, faded
from parley_contract.messages import TurnReport

_BYTES_PER_MS: Final = 2 * RATE_HZ / 1000


class Turn:
    """One turn as the client saw it."""

    report: TurnReport | None = None
    """The gateway's account, once the turn is over."""

    def __init__(self, number: int, source: str) -> None:
        """Begin with nothing said."""
        self.number: Final = number
        self.source: Final = source
        """What was being spoken into the door when it began."""
        self._transcripts: dict[str, str] = {}
        self._phrases: dict[int, str] = {}
        self._begun: set[int] = set()
        self._sound: list[tuple[float, bytes]] = []

    @property
    def transcript(self) -> str:
        """What was understood."""
        return " ".join(text for text in self._transcripts.values() if text)

    @property
    def reply(self) -> str:
        """What was spoken, as text: the phrases whose sound came."""
        return " ".join(text for number, text in sorted(self._phrases.items()) if number in self._begun)

    @property
    def sound(self) -> bytes:
        """What was spoken: s16le at 16 kHz mono."""
        return b"".join(pcm for _, pcm in self._sound)

    def take(self, event: Transcript | Phrase | Mark | Cut) -> None:
        """Take in what belongs to this turn."""
        match event:
            case Transcript():
                self._transcripts[event.utterance] = event.text.strip() if event.outcome == "speech" else ""
            case Phrase():
                self._phrases[event.phrase] = event.text.strip()
            case Mark(edge="begin"):
                self._begun.add(event.phrase)
            case Cut():
                self._cut(event.at_ms)
            case _:
                pass

    def hear(self, at_ms: float, pcm: bytes) -> None:
        """Add sound of the reply."""
        self._sound.append((at_ms, pcm))

    def _cut(self, at_ms: float) -> None:
        """Throw away what comes after a position, but for a frame in which the sound dies away."""
        before = [each for each in self._sound if each[0] < at_ms]
        after = self._sound[len(before) :][:1]
        self._sound = [*before, *((at, faded(pcm)) for at, pcm in after)]


class Conversation:
    """All turns of one connection, in order."""

    def __init__(self) -> None:
        """Begin with none."""
        self.turns: dict[int, Turn] = {}
        self.source = ""
        """What is being spoken into the door now; turns that begin remember it."""
        self.received_ms = 0.0
        """Position of the next frame."""
        self._sounding: Turn | None = None

    @property
    def is_open(self) -> bool:
        """Whether a turn has begun that is not over."""
        return any(turn.report is None for turn in self.turns.values())

    def take(self, event: Event) -> Turn | None:
        """Take in an event and return the turn that it is about, if any."""
        match event:
            case SpeechStarted() | Delta():
                return self._turn(event.turn)
            case Transcript() | Phrase():
                self._turn(event.turn).take(event)
                return self._turn(event.turn)
            case Cut():
                self._turn(event.turn).take(event)
                self.received_ms = event.next_ms
                return self._turn(event.turn)
            case Mark():
                turn = self._turn(event.turn)
                turn.take(event)
                if event.edge == "begin":
                    self._sounding = turn
                return turn
            case Canned():
                # Not a part of any reply, so it goes into no reply's recording.
                self._sounding = None
                return self._turn(event.turn)
            case TurnOver():
                turn = self._turn(event.report.turn)
                turn.report = event.report
                return turn
            case _:
                return None

    def hear(self, pcm: bytes) -> None:
        """Take in a frame of a reply."""
        if self._sounding is not None:
            self._sounding.hear(self.received_ms, pcm)
        self.received_ms += len(pcm) / _BYTES_PER_MS

    def _turn(self, number: int) -> Turn:
        return self.turns.setdefault(number, Turn(number, self.source))


class Playhead:
    """How much of the sound received a loudspeaker would have played by now. Times are monotonic seconds."""

    def __init__(self) -> None:
        """Begin with nothing received."""
        self._received_ms = 0.0
        self._through_at = 0.0

    def arrived(self, pcm: bytes, now: float) -> None:
        """Queue a frame behind what is still being played."""
        duration_ms = len(pcm) / _BYTES_PER_MS
        self._received_ms += duration_ms
        self._through_at = max(self._through_at, now) + duration_ms / 1000

    def cut(self, next_ms: float, now: float) -> None:
        """Throw away what was not played yet; the next frame's position is `next_ms`."""
        self._received_ms = next_ms
        self._through_at = now

    def position_ms(self, now: float) -> float:
        """Return how much was played; what was thrown away counts as gone by."""
        return self._received_ms - max(0.0, self._through_at - now) * 1000
