"""Every process of a whole assistant is killed, at its worst moments, while somebody talks to it.

`make chaos` does the same twenty times each (`PARLEY_BLOWS`), in an order that `PARLEY_SEED` decides.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from typing import Final

import httpx
import pytest
import pytest_asyncio

from parley_testkit.blows import MOMENTS, Blow, Person, judge, meeting, plan
from parley_testkit.local_assistant import LocalAssistant, local_assistant

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

BLOWS: Final = int(os.environ.get("PARLEY_BLOWS", "2"))
SEED: Final = int(os.environ.get("PARLEY_SEED") or random.SystemRandom().randrange(10**6))
RECOVERED_S: Final = 60.0


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAssistant]:
    with local_assistant(tmp_path_factory.mktemp("deaths")) as assistant:
        assistant.until_said("ready after")
        yield assistant


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person(assistant: LocalAssistant) -> AsyncIterator[Person]:
    async with meeting(assistant, seed=SEED) as person:
        assert (await person.ask()).outcome == "answered"
        yield person


@pytest.mark.parametrize(
    "blow", plan(SEED, BLOWS), ids=[f"{n}-{blow.victim}-{blow.moment}" for n, blow in enumerate(plan(SEED, BLOWS))]
)
async def test_whoever_is_killed_the_question_is_answered_and_so_is_the_next(person: Person, blow: Blow) -> None:
    struck = await person.struck(blow)

    assert judge(struck) == [], (SEED, struck)


async def until_ready(client: httpx.AsyncClient, url: str) -> None:
    while (await client.get(f"{url}/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110  # another process's word
        await asyncio.sleep(0.2)


async def test_in_the_end_everybody_is_ready_and_every_turn_has_an_outcome(
    assistant: LocalAssistant, person: Person
) -> None:
    state = assistant.state
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(RECOVERED_S):
        for part in state.parts:
            if part.name in {"asr", "tts", "agent", "gateway"}:
                await until_ready(client, part.url)
        turns = (await client.get(f"{state.url('agent')}/status")).json()["turns"]

    lost = [turn["reason"] for turn in turns if turn["outcome"] == "failed"]
    assert set(assistant.pids) >= set(MOMENTS)
    assert len({(turn["epoch"], turn["turn"]) for turn in turns}) == len(turns)
    assert set(lost) <= {"gateway_died"}, turns
