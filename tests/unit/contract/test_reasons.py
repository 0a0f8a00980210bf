"""Reasons: each has words for people and a label for metrics, also those of a newer version."""

import pytest

from parley_contract.reasons import REASONS, label, sentence


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason])
def test_every_reason_has_a_sentence_that_is_more_than_its_code(reason: str) -> None:
    assert sentence(reason) != reason
    assert label(reason) == reason


def test_a_reason_of_a_newer_version_is_shown_as_it_is_and_counted_apart() -> None:
    assert sentence("hit_by_a_meteor") == "hit_by_a_meteor"
    assert label("hit_by_a_meteor") == "other"
