"""What is stale and what is not."""

import pytest

from parley_contract.messages import PhraseReady
from parley_tts.fences import Fences


def said(*, session: str = "s1", epoch: int = 1, turn: int = 1, revision: int = 0) -> PhraseReady:
    return PhraseReady(session=session, epoch=epoch, turn=turn, revision=revision, phrase=0, text="")


@pytest.mark.parametrize(
    "known, asked, is_stale",
    [
        (said(), said(), False),
        (said(revision=1), said(), True),
        (said(revision=1), said(revision=1), False),
        (said(revision=1), said(revision=2), False),
        (said(turn=2, revision=1), said(turn=1), False),
        (said(session="s2", revision=1), said(), False),
        (said(epoch=2), said(epoch=1), True),
        (said(epoch=2), said(epoch=2), False),
        (said(epoch=1, revision=5), said(epoch=2), False),
    ],
)
def test_older_than_what_is_known_is_stale(known: PhraseReady, asked: PhraseReady, *, is_stale: bool) -> None:
    fences = Fences()

    fences.learn(known)

    assert fences.is_stale(asked) is is_stale


def test_what_arrives_late_lowers_nothing() -> None:
    fences = Fences()

    for revision in (2, 1, 0):
        fences.learn(said(revision=revision))

    assert fences.is_stale(said(revision=1))


def test_only_so_many_turns_are_remembered() -> None:
    fences = Fences()

    for turn in range(2000):
        fences.learn(said(turn=turn, revision=1))

    assert fences.is_stale(said(turn=1999))
    assert not fences.is_stale(said(turn=0))
