"""Segments as subtitles: SubRip and WebVTT. Pure; called by the transcription API."""

from collections.abc import Iterable

from parley_asr.engines import Segment


def srt(segments: Iterable[Segment]) -> str:
    """Write SubRip: numbered, with commas before the milliseconds."""
    blocks = (
        f"{number}\n{_clock(segment.start_s, ',')} --> {_clock(segment.end_s, ',')}\n{_line(segment)}\n"
        for number, segment in enumerate(segments, start=1)
    )
    return "\n".join(blocks)


def vtt(segments: Iterable[Segment]) -> str:
    """Write WebVTT (W3C): points before the milliseconds."""
    blocks = (
        f"{_clock(each.start_s, '.')} --> {_clock(each.end_s, '.')}\n{_escaped(_line(each))}\n" for each in segments
    )
    return "\n".join(("WEBVTT\n", *blocks))


def _line(segment: Segment) -> str:
    # An empty line would end the subtitle, and an arrow begin another one.
    return " ".join(segment.text.split()).replace("-->", "→")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
