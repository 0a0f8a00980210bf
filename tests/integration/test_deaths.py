"""Every process of a whole assistant is killed, at its worst moments, while somebody talks to it.

`make chaos` does the same twenty times each (`PARLEY_BLOWS`), in an order that `PARLEY_SEED` decides.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import pytest
import pytest_asyncio

from parley_testkit.blows import MOMENTS, Blow, plan
from parley_testkit.local_assistant import LocalAssistant, local_assistant, terse_manifest
from parley_testkit.persons import Person, Struck, judge, meeting
from parley_testkit.waiting import PATIENCE_S

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SHORT: Final = 2
BLOWS: Final = int(os.environ.get("PARLEY_BLOWS") or SHORT)
SEED: Final = int(os.environ["PARLEY_SEED"])
STOPS_S: Final = 5.0
"""Longer than a lease and than any redelivery: by then another has taken the work over."""
STOPPED: Final = (Blow("asr", "deciding", STOPS_S), Blow("agent", "thinking", STOPS_S), Blow("tts", "writing", STOPS_S))
KILLED: Final = (Blow("asr", "deciding"), Blow("agent", "replying"), Blow("tts", "replying"))
ALONE: Final = (
    Blow("gateway", "replying", STOPS_S),
    Blow("nats", "speaking", STOPS_S),
    Blow("agent", "writing", STOPS_S),
)
"""Stopped with nobody to take the work over, in the long version."""
STRUCK: Final = plan(SEED, BLOWS) + ([] if BLOWS == SHORT else [*ALONE])
ONE_OF_TWO: Final = STOPPED if BLOWS == SHORT else (STOPPED + KILLED) * (BLOWS // 2)


def numbered(blows: Sequence[Blow]) -> list[object]:
    return [pytest.param(blow, id=f"{number}-{blow}-seed{SEED}") for number, blow in enumerate(blows)]


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAssistant]:
    home = tmp_path_factory.mktemp("deaths")
    with local_assistant(home, "-f", str(terse_manifest(home))) as assistant:
        assistant.until_said("ready after")
        yield assistant


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person(assistant: LocalAssistant) -> AsyncIterator[Person]:
    async with meeting(assistant, seed=SEED) as person:
        assert (await person.ask()).outcome == "answered"
        yield person


async def until_remembered(assistant: LocalAssistant, person: Person, struck: Struck) -> None:
    """The answered ones of the two questions are the last that the assistant remembers, each once."""
    asked = [heard.transcript for heard in (struck.hit, struck.after) if heard.outcome == "answered"]
    deadline = time.monotonic() + PATIENCE_S
    while (remembered := await assistant.remembered(person.talker.session["session"]))[-len(asked) :] != asked:
        assert time.monotonic() < deadline, (remembered, struck)
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("blow", numbered(STRUCK))
async def test_whoever_is_struck_the_question_is_answered_and_so_is_the_next(
    assistant: LocalAssistant, person: Person, blow: Blow
) -> None:
    struck = await person.struck(blow)

    assert judge(struck) == [], struck
    await until_remembered(assistant, person, struck)


@pytest.mark.parametrize("blow", numbered(ONE_OF_TWO))
async def test_where_one_of_two_is_struck_the_other_answers(
    assistant: LocalAssistant, person: Person, blow: Blow
) -> None:
    await assistant.until_ready()
    async with assistant.replica(blow.victim):
        struck = await person.struck(blow)

    assert judge(struck) == [], struck
    assert struck.hit.outcome == "answered", struck
    await until_remembered(assistant, person, struck)


async def test_in_the_end_everybody_is_ready_and_every_turn_has_one_outcome(
    assistant: LocalAssistant, person: Person
) -> None:
    await assistant.until_ready()
    turns = (await assistant.status("agent"))["turns"]

    assert set(assistant.pids) == set(MOMENTS)
    assert len({(turn["epoch"], turn["turn"]) for turn in turns}) == len(turns)
