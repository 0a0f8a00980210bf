"""Reading a subject back."""

import pytest

from parley_contract.subjects import Subjects, turn_and_phrase


def test_a_voice_subject_names_its_turn_and_phrase() -> None:
    assert turn_and_phrase(Subjects("default_libra").voice("0a1b2c", 12, 3)) == (12, 3)


@pytest.mark.parametrize("subject", ["", "parley.a.voice.s.1", "parley.a.voice.s.one.2", "parley.a.voice.s.1.2.3"])
def test_a_subject_that_names_neither_is_told_apart(subject: str) -> None:
    assert turn_and_phrase(subject) is None
