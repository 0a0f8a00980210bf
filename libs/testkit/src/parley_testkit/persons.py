"""Somebody who talks to a running assistant whatever happens to it, and tells what was heard.

A real client of the web door that asks the questions of the samples and comes back when the connection breaks. `judge`
says what of it breaks the promise of docs/concepts/failure-modes.md. For the tests and the benchmark of deaths.
"""

import asyncio
import contextlib
import difflib
import functools
import random
import re
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from parley_cli.questions import sample_questions
from parley_contract.frames import RATE_HZ
from parley_testkit.blows import Blow, Moment, moment, strike
from parley_testkit.local_assistant import LocalAssistant
from parley_testkit.talker import Event, Talker, talking

_TURN_S: Final = 45.0
_BACK_S: Final = 30.0
_MICROPHONE_S: Final = 120.0
"""How long the microphone stays open after a question, at most."""
_QUIET_S: Final = 0.4
_ALIKE: Final = 0.8
_BYTES_PER_S: Final = 2 * RATE_HZ


class Question(NamedTuple):
    """Something to ask."""

    text: str
    pcm: bytes
    """s16le at 16 kHz mono."""


class Deed(NamedTuple):
    """What happens to the assistant during a question, and when."""

    moment: Moment
    act: Callable[[], Awaitable[None]]


class Heard(NamedTuple):
    """What the person heard of one question."""

    question: str
    transcript: str
    outcome: str
    """Of the turn's report; `lost` where the connection broke before there was one, `none` where none ever came."""
    reason: str = ""
    wait_ms: float = 0.0
    """The longest wait for sound of the reply or the apology, from the end of the question to the end of the sound."""
    sounded: bool = False
    held: bool = False
    apologized: bool = False
    twice: tuple[int, ...] = ()
    """Phrases whose sound began more than once."""
    away_ms: float = 0.0
    """From the blow until the conversation went on, where the connection broke."""
    was_struck: bool = False
    """Whether the blow's moment came before the turn was over."""


class Struck(NamedTuple):
    """A blow, what was heard of the question that it hit, and of the next one."""

    blow: Blow
    hit: Heard
    after: Heard


def judge(struck: Struck) -> list[str]:
    """Return what a person could complain about; empty if the promise was kept."""
    hit, after, gateway_died = struck.hit, struck.after, struck.blow.victim == "gateway"
    was_told = hit.sounded or hit.apologized
    problems = [
        (not hit.was_struck, "nobody was struck"),
        (hit.outcome == "none", "the question has no outcome"),
        (hit.outcome == "lost" and not gateway_died, "the connection broke"),
        (hit.outcome in {"empty", "interrupted"}, f"the question was {hit.outcome}"),
        (hit.outcome in {"answered", "failed"} and not was_told, "the person sat in silence"),
        (hit.outcome == "answered" and not _alike(hit.question, hit.transcript), f"heard as {hit.transcript!r}"),
        (bool(hit.twice), f"phrases {hit.twice} were said twice"),
        (after.outcome != "answered", f"the next question was {after.outcome} {after.reason}"),
        (bool(after.twice), f"phrases {after.twice} of the next answer were said twice"),
    ]
    return [problem for found, problem in problems if found]


class Person:
    """Somebody in a conversation; `meeting` is the way in."""

    def __init__(self, assistant: LocalAssistant, seed: int) -> None:
        self._assistant = assistant
        self._url = assistant.state.url("gateway")
        self._questions = [Question(each.expected or "", _pcm(each.wav)) for each in sample_questions()]
        self._chance = random.Random(seed)  # noqa: S311  # a seed that can be repeated is the point
        self._connection = contextlib.AsyncExitStack()
        self._done_at: float | None = None
        self.heard: list[Heard] = []
        """All questions so far."""
        self.talker: Talker

    async def connect(self) -> None:
        """Connect, for the first time or again, as soon as somebody is there.

        Raises:
            TimeoutError: nobody was, for half a minute.
        """
        resume = self.talker.session["resume"] if hasattr(self, "talker") else ""
        async with asyncio.timeout(_BACK_S):
            while True:
                await self._connection.aclose()
                with contextlib.suppress(OSError, InvalidHandshake, ConnectionClosed, EOFError):
                    self.talker = await self._connection.enter_async_context(
                        talking(self._url, query=f"resume={resume}")
                    )
                    return
                await asyncio.sleep(0.1)

    async def leave(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(ConnectionClosed):
            await self.talker.send(event="bye")
        await self._connection.aclose()

    async def struck(self, blow: Blow) -> Struck:
        """Ask a question that a blow hits, and another one after it."""
        hit = await self.ask(Deed(blow.moment, functools.partial(strike, self._assistant, blow)))
        return Struck(blow, hit, await self.ask())

    async def ask(self, deed: Deed | None = None) -> Heard:
        """Ask the next question, listen to what comes of it, and have something done meanwhile."""
        question = self._questions[len(self.heard) % len(self._questions)]
        self._done_at = None
        if deed and deed.moment == "between":
            await self._do(deed)
            deed = None
        heard = await self._listen(question, deed)
        self.heard.append(heard._replace(was_struck=self._done_at is not None))
        return self.heard[-1]

    async def _listen(self, question: Question, deed: Deed | None) -> Heard:
        began = _Begun(time.monotonic(), len(self.talker.events), len(self.talker.sound))
        try:
            async with asyncio.timeout(_TURN_S):
                await self._until_over(question, deed, began)
        except TimeoutError:
            return Heard(question.text, "", "none")
        except (EOFError, ConnectionClosed):
            lost_at = self._done_at or time.monotonic()
            await self.connect()
            return Heard(question.text, "", "lost", away_ms=(time.monotonic() - lost_at) * 1000)
        return _heard(question, self.talker, began)

    async def _until_over(self, question: Question, deed: Deed | None, began: "_Begun") -> None:
        """Ask, act, and listen until the turn is over and nothing more is said.

        Raises:
            EOFError, ConnectionClosed: the connection broke.
            TimeoutError: the turn never ended.
        """
        turns = len(self.talker.of("turn"))
        speaking = asyncio.ensure_future(self.talker.say(question.pcm, then_silence_s=_MICROPHONE_S))
        acting = asyncio.ensure_future(self._do_at(deed, began.spoken_until(question))) if deed else None
        try:
            await self.talker.until("turn", count=turns + 1, timeout_s=_TURN_S)
            await self._until_quiet()
            if acting and self._done_at:
                await acting
        finally:
            for task in filter(None, (speaking, acting)):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, EOFError, ConnectionClosed, TimeoutError):
                    await task

    async def _until_quiet(self) -> None:
        """Wait for the end of what is still being said, such as an apology after a turn's end."""
        frames = -1
        while len(self.talker.sound) != frames:
            frames = len(self.talker.sound)
            await asyncio.sleep(_QUIET_S)

    async def _do_at(self, deed: Deed, spoken_until: float) -> None:
        await moment(deed.moment, self.talker, spoken_until, self._chance)
        await self._do(deed)

    async def _do(self, deed: Deed) -> None:
        self._done_at = time.monotonic()
        await deed.act()


@contextlib.asynccontextmanager
async def meeting(assistant: LocalAssistant, *, seed: int) -> AsyncIterator[Person]:
    """Talk to an assistant while the block lasts."""
    person = Person(assistant, seed)
    await person.connect()
    try:
        yield person
    finally:
        await person.leave()


class _Begun(NamedTuple):
    """When a question began, and what the talker had by then."""

    at: float
    events: int
    frames: int

    def spoken_until(self, question: Question) -> float:
        return self.at + len(question.pcm) / _BYTES_PER_S


def _heard(question: Question, talker: Talker, began: _Begun) -> Heard:
    """Account for a question whose turn has a report."""
    events = talker.events[began.events :]
    report = next(event["report"] for event in events if event["event"] == "turn")
    begins = [event["phrase"] for event in events if _begins(event) and event["turn"] == report["turn"]]
    canned = {event["kind"] for event in events if event["event"] == "canned"}
    spoken_until = began.spoken_until(question)
    heard_at = [at for at in _meant_at(talker, events, began) if at > spoken_until]
    waits = [later - earlier for earlier, later in zip([spoken_until, *heard_at], heard_at, strict=False)]
    return Heard(
        question=question.text,
        transcript=" ".join(event["text"] for event in events if event["event"] == "transcript"),
        outcome=report["outcome"],
        reason=report["reason"],
        wait_ms=max(waits, default=0.0) * 1000,
        sounded=bool(begins),
        held="hold" in canned,
        apologized="apology" in canned,
        twice=tuple(sorted({phrase for phrase in begins if begins.count(phrase) > 1})),
    )


def _begins(event: Event) -> bool:
    return (event["event"], event.get("edge")) == ("mark", "begin")


def _meant_at(talker: Talker, events: Sequence[Event], began: _Begun) -> list[float]:
    """Return when the frames of the reply and the apology came: all but what was said to shorten the wait."""
    starts = {event["_frames"]: event.get("kind") != "hold" for event in events if _begins(event) or "kind" in event}
    meant_at, is_meant = [], True
    for number, (at, _) in enumerate(talker.sound[began.frames :], start=began.frames):
        is_meant = starts.get(number, is_meant)
        if is_meant:
            meant_at.append(at)
    return meant_at


def _alike(said: str, understood: str) -> bool:
    one, other = (re.sub(r"[^a-z0-9 ]", "", text.lower()) for text in (said, understood))
    likeness: float = difflib.SequenceMatcher(None, one, other).ratio()
    return likeness >= _ALIKE


def _pcm(path: Path) -> bytes:
    with wave.open(str(path)) as sound:
        return bytes(sound.readframes(sound.getnframes()))
