"""How the WAVs of replies are called."""

import pytest

from parley_cli.captions import reply_name


@pytest.mark.parametrize(
    "source,taken,name",
    [
        ("/music/hello.wav", set(), "hello.reply.wav"),
        ("hello.mp4", {"hello.reply.wav"}, "hello.reply-2.wav"),
        ("hello.wav", {"hello.reply.wav", "hello.reply-2.wav"}, "hello.reply-3.wav"),
        ("-", set(), "stdin.reply.wav"),
        ("/dev/fd/63", set(), "63.reply.wav"),
        ("질문.wav", {"질문.reply.wav"}, "질문.reply-2.wav"),
        (f"{'a' * 251}.wav", set(), f"{'a' * 200}.reply.wav"),
        (f"{'가' * 83}.wav", set(), f"{'가' * 66}.reply.wav"),
    ],
)
def test_a_reply_is_called_after_its_question_and_never_overwrites_another(
    source: str, taken: set[str], name: str
) -> None:
    assert reply_name(source, taken) == name
