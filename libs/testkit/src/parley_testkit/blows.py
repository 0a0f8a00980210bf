"""Kills and stops the processes of a running assistant while somebody talks to it, and tells what that person heard.

For `make chaos`, its short version in the tests, and the benchmark of deaths. The assistant is a real one
(`local_assistant`), the person a real client of the web door who asks questions and comes back when the connection
breaks. `judge` says what of it breaks the promise of docs/concepts/failure-modes.md.
"""

import asyncio
import contextlib
import difflib
import os
import random
import re
import signal
import time
import wave
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from parley_cli.questions import sample_questions
from parley_contract.frames import RATE_HZ
from parley_testkit.local_assistant import LocalAssistant
from parley_testkit.talker import Event, Talker, talking

Moment = Literal["speaking", "deciding", "thinking", "replying", "between"]
"""While the person speaks; while the final transcript is made; before the first token; during the reply; after it."""

MOMENTS: Final[Mapping[str, tuple[Moment, ...]]] = {
    "asr": ("speaking", "deciding"),
    "tts": ("thinking", "replying"),
    "agent": ("thinking", "replying", "between"),
    "nats": ("speaking", "replying"),
    "ollama": ("thinking", "replying"),
    "gateway": ("speaking", "replying", "between"),
}
"""Who is killed, and when that hurts."""

_ENDPOINT_S: Final = 0.5
_TURN_S: Final = 45.0
_BACK_S: Final = 30.0
_MICROPHONE_S: Final = 120.0
"""How long the microphone stays open after a question, at most."""
_ALIKE: Final = 0.8
_BYTES_PER_S: Final = 2 * RATE_HZ


class Question(NamedTuple):
    """Something to ask."""

    text: str
    pcm: bytes
    """s16le at 16 kHz mono."""


class Blow(NamedTuple):
    """Who is killed, and when."""

    victim: str
    moment: Moment
    stops_s: float = 0.0
    """Stopped for so long and continued, instead of killed; with all that it has started."""


class Heard(NamedTuple):
    """What the person heard of one question."""

    question: str
    transcript: str
    outcome: str
    """Of the turn's report; `lost` where the connection broke before there was one, `none` where none ever came."""
    reason: str = ""
    silence_ms: float = 0.0
    """The longest wait for sound of the reply, or the apology: from the end of the question to the end of the sound."""
    sounded: bool = False
    held: bool = False
    apologized: bool = False
    twice: tuple[int, ...] = ()
    """Phrases whose sound began more than once."""
    away_ms: float = 0.0
    """From the blow until the conversation went on, where the connection broke."""


class Struck(NamedTuple):
    """A blow, what was heard of the question that it hit, and of the next one."""

    blow: Blow
    hit: Heard
    after: Heard


def questions() -> list[Question]:
    """Return the sample questions."""
    return [Question(question.expected or "", _pcm(question.wav)) for question in sample_questions()]


def plan(seed: int, blows_each: int) -> list[Blow]:
    """Order blows in rounds that hit everybody once, so that each victim has recovered before it is hit again."""
    order = random.Random(seed)  # noqa: S311  # a seed that can be repeated is the point
    rounds = []
    for number in range(blows_each):
        blows = [Blow(victim, moments[number % len(moments)]) for victim, moments in MOMENTS.items()]
        order.shuffle(blows)
        rounds += blows
    return rounds


def judge(struck: Struck) -> list[str]:
    """Return what a person could complain about; empty if the promise was kept."""
    hit, after, gateway_died = struck.hit, struck.after, struck.blow.victim == "gateway"
    was_told = hit.sounded or hit.apologized
    problems = [
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
    """Somebody who talks to an assistant, whatever happens to it; `meeting` is the way in."""

    def __init__(self, assistant: LocalAssistant, seed: int) -> None:
        self._assistant = assistant
        self._url = assistant.state.url("gateway")
        self._questions = questions()
        self._asked = 0
        self._random = random.Random(seed)  # noqa: S311  # as in `plan`
        self._connection = contextlib.AsyncExitStack()
        self._struck_at = 0.0
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
        if blow.moment == "between":
            self._strike(blow)
            await asyncio.sleep(0.05)
            return Struck(blow, await self.ask(), await self.ask())
        return Struck(blow, await self.ask(blow), await self.ask())

    async def ask(self, blow: Blow | None = None) -> Heard:
        """Ask the next question and listen to what comes of it."""
        question = self._questions[self._asked % len(self._questions)]
        self._asked += 1
        began = _Begun(time.monotonic(), len(self.talker.events), len(self.talker.sound))
        self._struck_at = began.at
        try:
            async with asyncio.timeout(_TURN_S):
                await self._until_over(question, blow, began)
        except TimeoutError:
            return Heard(question.text, "", "none")
        except (EOFError, ConnectionClosed):
            await self.connect()
            return Heard(question.text, "", "lost", away_ms=(time.monotonic() - self._struck_at) * 1000)
        return _heard(question, self.talker, began)

    async def _until_over(self, question: Question, blow: Blow | None, began: "_Begun") -> None:
        """Ask, strike, and listen until the turn is over and nothing more is said.

        Raises:
            EOFError, ConnectionClosed: the connection broke.
        """
        turns = len(self.talker.of("turn"))
        speaking = asyncio.ensure_future(self.talker.say(question.pcm, then_silence_s=_MICROPHONE_S))
        striking = asyncio.ensure_future(self._strike_at(blow, question, began.at)) if blow else None
        try:
            await self.talker.until("turn", count=turns + 1, timeout_s=_TURN_S)
            await self._until_quiet()
        finally:
            for task in filter(None, (speaking, striking)):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, EOFError, ConnectionClosed):
                    await task

    async def _until_quiet(self) -> None:
        """Wait for the end of what is still being said, such as an apology after a turn's end."""
        frames = -1
        while len(self.talker.sound) != frames:
            frames = len(self.talker.sound)
            await asyncio.sleep(0.4)

    async def _strike_at(self, blow: Blow, question: Question, began_at: float) -> None:
        length_s, some = len(question.pcm) / _BYTES_PER_S, self._random.random()
        match blow.moment:
            case "speaking":
                await self.talker.until("speech_started", count=len(self.talker.of("speech_started")) + 1)
                await asyncio.sleep(some * 0.8 * max(0.0, began_at + length_s - time.monotonic()))
            case "deciding":
                await asyncio.sleep(began_at + length_s + _ENDPOINT_S - 0.2 + some * 0.3 - time.monotonic())
            case "thinking":
                await self.talker.until("transcript", count=len(self.talker.of("transcript")) + 1)
                await asyncio.sleep(some * 0.08)
            case _:
                await self.talker.until("mark", count=len(self.talker.of("mark")) + 1)
                await asyncio.sleep(some * 0.8)
        self._strike(blow)

    def _strike(self, blow: Blow) -> None:
        self._struck_at = time.monotonic()
        pid = self._assistant.pids[blow.victim]
        if not blow.stops_s:
            os.kill(pid, signal.SIGKILL)
            return
        os.killpg(pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(blow.stops_s, os.killpg, pid, signal.SIGCONT)


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


def _heard(question: Question, talker: Talker, began: _Begun) -> Heard:
    """Account for a question whose turn has a report."""
    events = talker.events[began.events :]
    [report, *_] = [event["report"] for event in events if event["event"] == "turn"]
    begins = [event["phrase"] for event in events if _begins(event) and event["turn"] == report["turn"]]
    canned = {event["kind"] for event in events if event["event"] == "canned"}
    spoken_until = began.at + len(question.pcm) / _BYTES_PER_S
    heard_at = [at for at in _meant_at(talker, events, began) if at > spoken_until]
    waits = [later - earlier for earlier, later in zip([spoken_until, *heard_at], heard_at, strict=False)]
    return Heard(
        question=question.text,
        transcript=" ".join(event["text"] for event in events if event["event"] == "transcript"),
        outcome=report["outcome"],
        reason=report["reason"],
        silence_ms=max(waits, default=0.0) * 1000,
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
