"""Which sessions have a turn that somebody still has to account for."""

from typing import Any

from parley_agent.orphans import REMEMBERED_S, OpenTurns
from parley_contract.messages import TurnReport, UtteranceStarted


def began(session: str, turn: int = 1, epoch: int = 1) -> UtteranceStarted:
    return UtteranceStarted(session=session, epoch=epoch, turn=turn, utterance=f"{epoch}-{turn}", speaker="me")


def ended(session: str, turn: int = 1, epoch: int = 1) -> TurnReport:
    fields: dict[str, Any] = {"outcome": "answered", "started_at": 0, "speech_ms": 900}
    return TurnReport(session=session, epoch=epoch, turn=turn, speaker="me", **fields)


def test_a_turn_is_open_until_its_report_whatever_became_of_others() -> None:
    turns = OpenTurns()

    for message in (began("a"), began("a", 2), began("b"), began("b"), ended("b"), ended("a"), ended("c")):
        turns.take(message, 100)

    assert turns.sessions(101) == {"a"}


def test_the_same_number_in_another_epoch_is_another_turn() -> None:
    turns = OpenTurns()

    turns.take(began("a", epoch=2), 100)
    turns.take(ended("a", epoch=1), 100)

    assert turns.sessions(101) == {"a"}


def test_what_is_too_old_to_be_on_record_is_forgotten() -> None:
    turns = OpenTurns()
    turns.take(began("a"), 100)

    assert turns.sessions(100 + REMEMBERED_S) == set()
