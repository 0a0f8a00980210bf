"""How far the operator reaches is found out by asking, said where that is not enough, and believed when seen twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from parley_contract.errors import PermanentError, RetryableError
from parley_operator.cluster import ApiAwayError, Cluster, MissingError, RefusedError
from parley_operator.kinds import Kind
from parley_operator.reach import EVERYWHERE, find_reach, until_changed, until_reached
from parley_operator.resources.objects import Object

pytestmark = pytest.mark.looptime

FORBIDDEN = RefusedError("voiceassistants.parley.dev is forbidden")
AWAY = ApiAwayError("no answer")


class Lands(Cluster):
    """Tells assistants of every namespace but those that it is told not to, in one answer after the other."""

    def __init__(self, *answers: dict[str, RetryableError | PermanentError]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def objects(self, kind: Kind, namespace: str = "", **_: Any) -> AsyncIterator[Object]:  # noqa: ANN401
        assert kind.name == "VoiceAssistant"
        self.asked.append(namespace)
        error = self.answers[0].get(namespace)
        if namespace == "last" and len(self.answers) > 1:
            del self.answers[0]
        if error is not None:
            raise error
        yield {}


async def test_what_cannot_be_watched_is_told_with_what_to_do() -> None:
    lands = Lands({"office": FORBIDDEN})

    found = await find_reach(lands, ("home", "office"))

    assert found.namespaces == ("home",)
    advice = "if the namespace is there, helm upgrade gives the operator its rights in it"
    assert found.lacking == {"office": f"{FORBIDDEN}: {advice}"}


async def test_a_definition_that_is_missing_is_asked_for_and_all_namespaces_are_one_question() -> None:
    lands = Lands({EVERYWHERE: MissingError("404")})

    found = await find_reach(lands, ())

    assert lands.asked == [EVERYWHERE]
    assert found.namespaces == ()
    assert "definition of VoiceAssistants is not installed: apply crds/" in found.lacking[EVERYWHERE]


async def test_it_waits_until_there_is_something_to_watch_and_takes_no_silence_for_an_answer() -> None:
    lands = Lands({"home": AWAY, "last": AWAY}, {"home": AWAY, "last": FORBIDDEN}, {"last": FORBIDDEN})
    lacking: dict[str, str] = {}

    reached = await until_reached(lands, ("last", "home"), lacking)

    assert reached == ("home",)
    assert set(lacking) == {"last"}


@pytest.mark.parametrize(
    "answers, questions",
    [
        ([{"last": FORBIDDEN}, {"last": FORBIDDEN}], 2),
        ([{"last": FORBIDDEN}, {}, {"last": FORBIDDEN}, {"last": FORBIDDEN}], 4),
        ([{"last": AWAY}, {"last": AWAY}, {"last": FORBIDDEN}, {"last": FORBIDDEN}], 4),
    ],
)
async def test_another_reach_has_to_be_seen_twice_in_a_row(
    answers: list[dict[str, RetryableError | PermanentError]], questions: int
) -> None:
    lands = Lands(*answers)

    await asyncio.wait_for(until_changed(lands, ("home", "last"), ("home", "last"), every_s=10), timeout=1000)

    assert lands.asked.count("last") == questions
