"""Everybody who is heard in one session: a microphone each, made when their first frame comes.

Used by `ears`, which are the `Ears` of all of them. Somebody who only listens costs nothing, and who has left is
forgotten with the frames that nobody will ask for any more. Not here: names, and what any of it means.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from parley_contract.endings import Ending
from parley_contract.frames import Frame
from parley_gateway.gathering import Gathering, Place
from parley_gateway.inbound import Ears, Microphone, TurnSound
from parley_gateway.segments import SpeechWindow
from parley_gateway.turn_judges import TurnJudge
from parley_gateway.utterance_state import UtteranceRules

_WORDS_FIRST_S: Final = 0.15
"""How long the judgement of a pause's sound waits for its words: on few cores the two would slow each other down, and
it is with the words that everything else begins."""


class Hearing(NamedTuple):
    """How sound is judged."""

    gathering: Gathering[Any]
    rules: UtteranceRules
    turn_judge: TurnJudge | None


class _Speaker:
    def __init__(self, microphone: Microphone) -> None:
        self.microphone: Final = microphone
        self.place: Place[Any] | None = None
        """None once they have left."""
        self.pause: TurnSound | None = None
        """What is to be judged: at once when its words are there, or when `asks_later` says so."""
        self.asks_later: asyncio.TimerHandle | None = None
        self.judging: asyncio.Future[float] | None = None

    def judge_no_more(self) -> None:
        """Let no pause be judged any more that was to be."""
        for pending in (self.asks_later, self.judging):
            if pending is not None:
                pending.cancel()
        self.pause = self.asks_later = self.judging = None


class Speakers:
    """The microphones of one session."""

    def __init__(self, hearing: Hearing, ears: Ears, wake: Callable[[], None], *, epoch: int) -> None:
        """Begin with nobody.

        Args:
            hearing: how sound is judged.
            ears: told what is heard.
            wake: called when `due` is earlier than it was.
            epoch: the session's.
        """
        self._hearing = hearing
        self._ears = ears
        self._wake = wake
        self._epoch = epoch
        self._all: dict[str, _Speaker] = {}

    @property
    def heard(self) -> tuple[str, ...]:
        """Who was heard and has not left."""
        return tuple(name for name, speaker in self._all.items() if speaker.place is not None)

    @property
    def are_speaking(self) -> bool:
        """Whether an utterance of anybody's is running."""
        return any(speaker.microphone.is_speaking for speaker in self._all.values())

    @property
    def due(self) -> float | None:
        """When to call `wait_over` unless a frame comes first; None while nobody speaks."""
        return min((due for each in self._all.values() if (due := each.microphone.due) is not None), default=None)

    def hear(self, speaker: str, pcm: bytes) -> None:
        """Take 20 ms of somebody's sound, a whole frame."""
        known = self._all.get(speaker)
        if known is None:
            known = self._all[speaker] = _Speaker(
                Microphone(speaker, self._ears, self._hearing.rules, epoch=self._epoch)
            )
        if known.place is None:
            known.place = self._hearing.gathering.join(functools.partial(self._take, known))
        known.place.hear(pcm)

    def _take(self, speaker: _Speaker, pcm: bytes, windows: tuple[SpeechWindow, ...], arrived_at: float) -> None:
        microphone = speaker.microphone
        was_speaking = microphone.is_speaking
        microphone.hear(pcm, windows, arrived_at)
        if microphone.is_speaking and not was_speaking:
            # Only now is something due earlier than before: every further frame puts it off.
            self._wake()

    def wait_over(self, now: float) -> None:
        """No frame came until `due`."""
        for speaker in list(self._all.values()):
            if (due := speaker.microphone.due) is not None and now >= due:
                speaker.microphone.wait_over(now)

    def close(self, now: float) -> None:
        """Nobody is heard any more, for now."""
        for speaker in list(self._all.values()):
            if speaker.place is not None:
                speaker.place.settle()
            speaker.microphone.close(now)
            speaker.judge_no_more()

    def leave(self, speaker: str, now: float) -> None:
        """Somebody has left: what they were saying is over."""
        known = self._all.get(speaker)
        if known is None or known.place is None:
            return
        known.place.settle()
        known.place = None
        known.microphone.close(now)
        known.judge_no_more()
        self._forget_if_gone(speaker)

    # Judging pauses.

    def judge_pause(self, speaker: str) -> None:
        """Have the turn model say whether this pause sounds like the end, as soon as its words are there."""
        known = self._all[speaker]
        known.judge_no_more()
        if self._hearing.turn_judge is not None:
            known.pause = known.microphone.turn_sound()
            known.asks_later = asyncio.get_running_loop().call_later(_WORDS_FIRST_S, self._ask, known)

    def pause_over(self, speaker: str) -> None:
        """Somebody speaks on: how their pause sounded tells nobody anything, and the next one wants to be judged."""
        self._all[speaker].judge_no_more()

    def _ask(self, speaker: _Speaker) -> None:
        judge, turn = self._hearing.turn_judge, speaker.pause
        speaker.judge_no_more()
        if judge is not None and turn is not None and speaker.microphone.is_speaking:
            speaker.judging = judge.ask(turn.pcm, functools.partial(self._sounded, speaker, turn.until))

    def _sounded(self, speaker: _Speaker, until: int, audio: float) -> None:
        speaker.microphone.sound_judged(until, audio, time.monotonic())
        self._wake()

    def words_judged(self, speaker: str, utterance: str, covers_seq: int, ending: Ending) -> None:
        """A transcript of somebody's utterance up to that frame ends so."""
        if (known := self._all.get(speaker)) is not None:
            known.microphone.words_judged(utterance, covers_seq, ending, time.monotonic())
            if known.pause is not None:
                self._ask(known)
            self._wake()

    # What is kept.

    @property
    def kept(self) -> tuple[str, ...]:
        """The utterances whose frames are kept."""
        return tuple(utterance for speaker in self._all.values() for utterance in speaker.microphone.kept)

    def again(self, utterance: str, from_seq: int, to_seq: int | None) -> Iterator[Frame]:
        """Return frames of an utterance that is kept; none for one that is not."""
        for speaker in self._all.values():
            if utterance in speaker.microphone.kept:
                return speaker.microphone.again(utterance, from_seq, to_seq)
        return iter(())

    def forget(self, utterance: str) -> None:
        """The frames of this utterance are of no more use."""
        for name, speaker in list(self._all.items()):
            speaker.microphone.forget(utterance)
            self._forget_if_gone(name)

    def _forget_if_gone(self, name: str) -> None:
        speaker = self._all.get(name)
        if speaker is not None and speaker.place is None and not speaker.microphone.kept:
            del self._all[name]
