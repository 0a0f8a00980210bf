"""Prints a conversation as it happens: what was understood, the reply phrase by phrase, the timings, the reply's WAV.

`talk` and `demo` pass it on to `talking` as the listener. What it prints is for people; `reports` is for scripts.
"""

import os
from pathlib import Path
from typing import Final

from rich.text import Text

from parley_cli.audio import write_wav
from parley_cli.conversation import Turn
from parley_cli.screen import Screen
from parley_cli.waterfall import Waterfall
from parley_contract.door import Canned, Error, Event, Phrase, Transcript
from parley_contract.door import Turn as TurnOver
from parley_contract.frames import RATE_HZ
from parley_contract.messages import Endpoint, TurnReport
from parley_contract.reasons import sentence

_NAME_WIDTH: Final = 9
_LONGEST_STEM_BYTES: Final = 200
"""A file system takes names of 255 bytes, and a reply's is longer than its question's."""
_COMPLETE: Final = 0.8
_UNFINISHED: Final = 0.2
_WORDS: Final = {
    "complete": "the words could be all",
    "open": "the words lacked others",
    "unclear": "the words told nothing",
}


class Captions:
    """Writes under the conversation what is said in it."""

    def __init__(self, screen: Screen, *, assistant: str, replies: Path) -> None:
        """Print on `screen`; put the WAVs of replies into `replies`."""
        self._screen = screen
        self._assistant = assistant
        self._replies = replies
        self._speaking: int | None = None
        self.reply_wavs: Final[dict[int, Path]] = {}
        """The WAV of each turn that had a reply."""

    def take(self, event: Event, turn: Turn | None) -> None:
        """Take in an event and the turn it is about."""
        match event:
            case Transcript() if turn:
                self._end_line()
                self._line("you", event.text.strip() or f"({event.outcome})")
            case Phrase() if turn:
                self._say(turn.number, event.text.strip())
            case Canned() if turn:
                self._end_line()
                self._line(self._assistant, event.text)
            case TurnOver() if turn:
                self._end_line()
                self._over(turn, event.report)
            case Error():
                self._end_line()
                self._screen.say(f"  the assistant says: {event.sentence}")
            case _:
                pass

    def _say(self, number: int, text: str) -> None:
        if self._speaking != number:
            self._end_line()
            self._screen.say(_label(self._assistant), end="")
            self._speaking = number
        self._screen.say(f"{text} ", end="")

    def _over(self, turn: Turn, report: TurnReport) -> None:
        if report.outcome != "answered":
            self._line("", ending(report))
        if sound := turn.sound:
            wav = self._replies / reply_name(turn.source, taken={path.name for path in self.reply_wavs.values()})
            write_wav(wav, sound)
            self.reply_wavs[turn.number] = wav
            self._line("", f"{len(sound) / 2 / RATE_HZ:.1f} s of speech in {wav}")
        self._screen.show(Waterfall(report))

    def _line(self, who: str, text: str) -> None:
        self._screen.say(_label(who) + Text(text))

    def _end_line(self) -> None:
        if self._speaking is not None:
            self._screen.say("")
            self._speaking = None


def ending(report: TurnReport) -> str:
    """Say how a turn ended and, where it was not answered, why: `failed, no_reply: no word of the model came …`."""
    if not report.reason:
        return report.outcome
    detail = f" ({report.detail})" if report.detail else ""
    return f"{report.outcome}, {report.reason}: {sentence(report.reason)}{detail}"


def decision(endpoint: Endpoint | None) -> str:
    """Say by what somebody was held to have finished: `finished after 262 ms of silence: sounded complete …`."""
    if endpoint is None:
        return "never finished"
    reasons: list[str] = []
    if endpoint.audio is not None:
        sounded = (
            "complete" if endpoint.audio > _COMPLETE else "unfinished" if endpoint.audio < _UNFINISHED else "either way"
        )
        reasons.append(f"sounded {sounded} ({endpoint.audio:.2f})")
    if endpoint.ending:
        reasons.append(_WORDS[endpoint.ending])
    if endpoint.own_pause_ms is not None:
        reasons.append(f"pauses of {endpoint.own_pause_ms:.0f} ms")
    return f"finished after {endpoint.wait_ms:.0f} ms of silence{': ' if reasons else ''}{', '.join(reasons)}"


def anticipation(report: TurnReport) -> str:
    """Say what was begun before that was certain, and what it was good for; empty if nothing was."""
    said: list[str] = []
    if report.speculation:
        use = "the reply" if report.speculation == "hit" else "a reply that was of no use"
        said.append(f"{use} had been begun before")
    if report.taken_back:
        times = "once" if report.taken_back == 1 else f"{report.taken_back} times"
        said.append(f"taken back {times}, for its speaker went on")
    if report.wasted_tokens:
        said.append(f"{report.wasted_tokens} tokens written for nothing")
    return ", ".join(said)


def reply_name(source: str, taken: set[str]) -> str:
    """Return a file name for a reply to `source`: `hello.reply.wav`, then `hello.reply-2.wav`."""
    stem = "stdin" if source == "-" else Path(source).stem
    while len(os.fsencode(stem)) > _LONGEST_STEM_BYTES:
        stem = stem[:-1]
    name, number = f"{stem}.reply.wav", 1
    while name in taken:
        number += 1
        name = f"{stem}.reply-{number}.wav"
    return name


def _label(who: str) -> Text:
    return Text(f"  {who:<{_NAME_WIDTH}}", style="bold" if who else "dim")
