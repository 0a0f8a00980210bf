"""How the bot behaves: why it cannot join, who may command it, when it leaves, and that it has words for all of it."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parley_gateway.discord.manners import (
    ALONE_S,
    Company,
    Wish,
    failure,
    grouped,
    hindrance,
    latest,
    leaves_at,
    may_command,
)
from parley_gateway.discord.words import SENTENCES, WORDS, say

ALL = frozenset({"view_channel", "connect", "speak"})
FINE = Wish(channel=7, may=ALL)


@pytest.mark.parametrize(
    "wish, word",
    [
        (FINE, None),
        (Wish(channel=None), "not_in_voice"),
        (replace(FINE, is_joining=True), "joining"),
        (replace(FINE, here=7), "here_already"),
        (replace(FINE, here=8), "busy"),
        (replace(FINE, may=ALL - {"view_channel"}), "cannot_view"),
        (replace(FINE, may=ALL - {"connect"}), "cannot_connect"),
        (replace(FINE, may=ALL - {"speak"}), "cannot_speak"),
        (replace(FINE, is_full=True), "full"),
        (replace(FINE, is_full=True, may=ALL | {"move_members"}), None),
        (replace(FINE, is_stage=True), "cannot_speak_on_stage"),
        (replace(FINE, is_stage=True, may=ALL | {"mute_members"}), None),
        # What somebody has to do first is said first.
        (replace(FINE, may=frozenset(), is_full=True), "cannot_view"),
    ],
)
def test_every_reason_not_to_join_has_a_word(wish: Wish, word: str | None) -> None:
    assert hindrance(wish) == word


@pytest.mark.parametrize(
    "roles, allowed, manages, may",
    [([], [], False, True), ([1], [2], False, False), ([1, 2], [2], False, True), ([], [2], True, True)],
)
def test_who_may_command(roles: list[int], allowed: list[int], *, manages: bool, may: bool) -> None:
    assert may_command(roles, allowed, manages=manages) is may


def test_speech_puts_off_when_it_leaves_and_solitude_brings_it_nearer() -> None:
    company = Company(heard_at=0.0, alone_since=0.0).joined(1).joined(2)

    assert leaves_at(company, 300) == 300.0
    assert leaves_at(company.spoke(100.0), 300) == 400.0
    assert leaves_at(company.spoke(100.0).left(1, 110.0), 300) == 400.0
    alone = company.spoke(100.0).left(1, 110.0).left(2, 120.0)
    assert leaves_at(alone, 300) == 120.0 + ALONE_S
    assert leaves_at(alone, 10) == 130.0
    assert leaves_at(alone.left(2, 150.0), 300) == 120.0 + ALONE_S
    assert leaves_at(alone.joined(3), 300) == 400.0
    assert leaves_at(alone, 0) is None


@pytest.mark.parametrize(
    "code", ["timed_out", "server", "rate_limited", "busy", "encryption", "not_allowed", "channel_gone", "no_codec"]
)
def test_every_failure_of_a_link_has_a_sentence_of_its_own(code: str) -> None:
    assert failure(code) != "agent_unavailable"
    assert say("en", failure(code))


def test_what_an_admission_fails_for_is_told_apart() -> None:
    assert [failure(code) for code in ("too_many_sessions", "draining", "agent_unavailable")] == [
        "too_many_sessions",
        "draining",
        "agent_unavailable",
    ]


@pytest.mark.parametrize("language", [*SENTENCES])
def test_a_language_has_all_words_with_the_same_blanks(language: str) -> None:
    def blanks(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert set(SENTENCES[language]) == set(WORDS)
    for word in WORDS:
        assert blanks(SENTENCES[language][word]) == blanks(SENTENCES["en"][word]), word


@pytest.mark.parametrize("locale, begins", [("ko", "음성"), ("en-US", "I am"), ("en-GB", "I am"), ("pt-BR", "I am")])
def test_the_locale_of_whoever_asks_chooses_the_language(locale: str, begins: str) -> None:
    assert say(locale, "not_here").startswith(begins)


def test_a_privacy_code_is_written_as_discord_shows_it() -> None:
    assert grouped("148928826417579655827922775722") == "14892 88264 17579 65582 79227 75722"


@given(st.lists(st.floats(0, 60_000), max_size=20))
def test_the_latest_turns_are_few_and_in_order(values: list[float]) -> None:
    written = latest(values)

    assert written == ", ".join(f"{value / 1000:.2f} s" for value in values[-5:])
