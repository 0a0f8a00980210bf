"""Any sound that FFmpeg reads, as PCM at 16 kHz mono. The only importer of PyAV; blocking, so called in threads.

`parley talk` reads files and pipes through it, the asr service what is uploaded. Not here: frames, pacing, limits.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import av
from av.audio.resampler import AudioResampler

from parley_contract.errors import PermanentError
from parley_contract.frames import RATE_HZ

_LIVE_BLOCK_BYTES: Final = 1024
"""What FFmpeg reads at a time of something that is just being said."""
_NOTHING_ELSE: Final = {"protocol_whitelist": "pipe"}
"""A playlist (`ffconcat`) names other files to read: who sends one as a stream shall not choose what is opened here."""

_TITLES: Final = "ignore"
"""How titles and artists are read that are not UTF-8, such as the cp949 of Korean Windows: by nobody here."""


class UnreadableSoundError(PermanentError):
    """What was given is no sound that can be decoded; the sentence says what is wrong with it."""


class Readable(Protocol):
    """A stream of bytes, such as a pipe."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Return what is there, at most `size` bytes; empty at the end."""
        ...


class Plain(NamedTuple):
    """Says of a stream that it is s16le PCM and has no header."""

    rate_hz: int
    channels: int


def read_pcm(source: Path | Readable, name: str, *, plain: Plain | None = None) -> Iterator[bytes]:
    """Decode sound, a packet at a time.

    Args:
        source: a file, or a stream that may be endless and need not seek.
        name: what to call it in an error.
        plain: what a stream without a header holds.

    Yields:
        s16le at 16 kHz mono, some samples each time.

    Raises:
        UnreadableSoundError: there is no such file, or no sound in it that can be decoded; of a recording that is
            damaged the rest is given.
    """
    try:
        with _opened(source, plain) as container:
            if not container.streams.audio:
                raise UnreadableSoundError(f"{name} holds no sound, only {_kinds(container)}")
            for resampled in _resampled(_frames(container)):
                yield resampled.to_ndarray().astype("<i2", copy=False).tobytes()
    except FileNotFoundError as error:
        raise UnreadableSoundError(f"there is no file {name}") from error
    except (av.FFmpegError, OSError) as error:
        # FFmpeg repeats the file's name, and knows a stream only by a made-up one.
        reason = getattr(error, "strerror", None) or "it cannot be decoded"
        raise UnreadableSoundError(f"{name} cannot be read as sound: {reason}") from error


def _frames(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Decode what can be decoded, as players do: a damaged packet is 20 to 100 ms of silence that nobody misses.

    Raises:
        av.FFmpegError: nothing could be.
    """
    problem: av.FFmpegError | None = None
    has_sound = False
    for packet in container.demux(container.streams.audio[0]):
        try:
            decoded = packet.decode()
        except av.InvalidDataError as error:
            problem = error
            continue
        for frame in decoded:
            has_sound = True
            yield frame
    if problem and not has_sound:
        raise problem


def _resampled(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Bring frames to one kind, also where theirs changes on the way: HE-AAC says late that it is stereo."""
    for _, alike in groupby(frames, key=lambda frame: (frame.format.name, frame.layout.name, frame.sample_rate)):
        resampler = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        for frame in alike:
            yield from resampler.resample(frame)
        yield from resampler.resample(None)


def _opened(source: Path | Readable, plain: Plain | None) -> av.container.InputContainer:
    if isinstance(source, Path):
        return av.open(str(source), mode="r", metadata_errors=_TITLES)
    if plain is None:
        return av.open(source, mode="r", options=_NOTHING_ELSE, metadata_errors=_TITLES)
    layout = f"{plain.channels} channels" if plain.channels > 2 else ("mono", "stereo")[plain.channels - 1]  # noqa: PLR2004
    options = {"sample_rate": str(plain.rate_hz), "ch_layout": layout}
    return av.open(source, mode="r", format="s16le", options=options, buffer_size=_LIVE_BLOCK_BYTES)


def _kinds(container: av.container.InputContainer) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"
