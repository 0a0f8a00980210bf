"""Close codes of the voice server, and what is made of them."""

import pytest

from parley_gateway.discord.closings import FINAL, FRESH, judge


@pytest.mark.parametrize("code", [1000, 1006, 4006, 4009, 4014, 4022])
def test_what_discordpy_mends_is_left_to_it(code: int) -> None:
    assert judge(code)[:2] == (code, "passing")


def test_a_crashed_server_is_left_and_joined_again() -> None:
    assert judge(4015)[:2] == (FRESH, "passing")


@pytest.mark.parametrize(
    "code, reason", [(4004, "not_allowed"), (4011, "channel_gone"), (4016, "encryption"), (4017, "encryption")]
)
def test_a_refusal_is_final_and_says_what_to_do(code: int, reason: str) -> None:
    verdict = judge(code)

    assert (verdict.code, verdict.kind, verdict.refused) == (FINAL, "refused", reason)
    assert f"(close code {code})" in verdict.sentence


def test_too_many_attempts_are_no_refusal() -> None:
    verdict = judge(4021)

    assert (verdict.code, verdict.kind, verdict.unavailable) == (FINAL, "unavailable", "rate_limited")
