"""Segments as subtitles."""

from parley_asr.engines import Segment
from parley_asr.subtitles import srt, vtt

SEGMENTS = (
    Segment(text="안녕하세요.", start_s=0.0, end_s=1.25),
    Segment(text="Fish & <chips>\n\n--> next", start_s=59.9996, end_s=3661.5),
)


def test_subrip() -> None:
    assert srt(SEGMENTS) == (
        "1\n00:00:00,000 --> 00:00:01,250\n안녕하세요.\n\n2\n00:01:00,000 --> 01:01:01,500\nFish & <chips> → next\n"
    )


def test_webvtt() -> None:
    assert vtt(SEGMENTS) == (
        "WEBVTT\n"
        "\n"
        "00:00:00.000 --> 00:00:01.250\n안녕하세요.\n"
        "\n"
        "00:01:00.000 --> 01:01:01.500\nFish &amp; &lt;chips&gt; → next\n"
    )


def test_nothing_said_is_an_empty_file() -> None:
    assert (srt(()), vtt(())) == ("", "WEBVTT\n")
