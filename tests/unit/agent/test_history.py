"""History: trimmed in blocks, cut to what was heard, and a prompt that only grows at its end."""

import msgspec

from parley_agent.history import Exchange, History, heard_part, max_history_chars, prompt


def grown(turns: int, *, max_turns: int = 6, max_chars: int = 10_000) -> History:
    history = History()
    for number in range(turns):
        history = history.add(
            Exchange(f"question {number}", f"answer {number}"), max_turns=max_turns, max_chars=max_chars
        )
    return history


def test_history_grows_to_its_limit_and_then_keeps_the_newer_half() -> None:
    lengths = [len(grown(turns).exchanges) for turns in range(1, 12)]

    assert lengths == [1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 3]


def test_the_newest_exchange_survives_every_trim() -> None:
    assert grown(7, max_turns=1).exchanges == (Exchange("question 6", "answer 6"),)
    assert grown(7, max_chars=5).exchanges == (Exchange("question 6", "answer 6"),)


def test_a_prompt_begins_with_the_prompt_before_it() -> None:
    before = prompt("system", grown(3), "next")
    after = prompt("system", grown(3).add(Exchange("next", "yes"), max_turns=6, max_chars=10_000), "more")

    assert after[: len(before)] == before


def test_an_unheard_answer_is_no_message() -> None:
    history = History((Exchange("hello", ""),))

    assert [message.role for message in prompt("system", history, "hello?")] == ["system", "user", "user"]


def test_only_whole_words_were_heard() -> None:
    text = "The quick brown fox jumps"

    assert heard_part(text, 0.5) == "The quick"
    assert heard_part(text, 1.0) == text
    assert heard_part(text, 0.0) == ""
    assert heard_part("Hello", 0.4) == ""


def test_a_history_of_the_largest_context_fits_into_a_message_of_the_broker() -> None:
    history = History()
    for _ in range(300):
        history = history.add(
            Exchange("물" * 500, "론" * 3000), max_turns=100, max_chars=max_history_chars(262_144, 2048, "")
        )

    assert len(msgspec.msgpack.encode(history)) < 512 * 1024
