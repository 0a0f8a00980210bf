"""Sound in and out of files: any container that FFmpeg reads becomes 20 ms frames at 16 kHz mono; replies become WAVs.

The only importer of PyAV. Pacing is `talking`'s: these frames come as fast as they are asked for.
"""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
from av.audio.resampler import AudioResampler

from parley_cli.errors import BadRequestError
from parley_cli.live_wavs import Readable, Rewound, skip_header
from parley_contract.frames import FRAME_BYTES, RATE_HZ

SILENCE: Final = bytes(FRAME_BYTES)
_LIVE_BLOCK_BYTES: Final = 1024
"""What FFmpeg reads at a time of something that is just being said."""


class UnreadableAudioError(BadRequestError):
    """What was given is no sound that can be decoded."""


def read_frames(source: Path | Readable, name: str) -> Iterator[bytes]:
    """Decode sound, frame by frame; the last one is filled up with silence.

    Args:
        source: a file, or a stream that may be endless and need not seek.
        name: what to call it in an error.

    Yields:
        `FRAME_BYTES` of s16le at 16 kHz mono.

    Raises:
        UnreadableAudioError: there is no such file, it is no sound, or it breaks off in the middle of a packet.
    """
    rest = b""
    try:
        with _opened(source) as container:
            if not container.streams.audio:
                raise UnreadableAudioError(f"{name} holds no sound, only {_kinds(container)}")
            resampler = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
            for decoded in container.decode(container.streams.audio[0]):
                for resampled in resampler.resample(decoded):
                    rest += resampled.to_ndarray().astype("<i2", copy=False).tobytes()
                whole = len(rest) // FRAME_BYTES * FRAME_BYTES
                yield from _cut(rest[:whole])
                rest = rest[whole:]
            for resampled in resampler.resample(None):
                rest += resampled.to_ndarray().astype("<i2", copy=False).tobytes()
    except FileNotFoundError as error:
        raise UnreadableAudioError(f"there is no file {name}") from error
    except (av.FFmpegError, OSError) as error:
        # FFmpeg repeats the file's name, and knows a stream only by a made-up one.
        reason = getattr(error, "strerror", None) or "it cannot be decoded"
        raise UnreadableAudioError(f"{name} cannot be read as sound: {reason}") from error
    yield from _cut(rest + bytes(-len(rest) % FRAME_BYTES))


def check_sound(path: Path) -> None:
    """Decode the beginning of a file.

    Raises:
        UnreadableAudioError: it is no sound.
    """
    frames = read_frames(path, str(path))
    if next(frames, None) is None:
        raise UnreadableAudioError(f"{path} holds a sound track with no sound in it")


def write_wav(path: Path, pcm: bytes) -> None:
    """Write s16le PCM at 16 kHz mono as a WAV file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)


def _opened(source: Path | Readable) -> av.container.InputContainer:
    if isinstance(source, Path):
        return av.open(str(source), mode="r")
    stream = Rewound(source)
    if plain := skip_header(stream):
        layout = f"{plain.channels} channels" if plain.channels > 2 else ("mono", "stereo")[plain.channels - 1]  # noqa: PLR2004
        options = {"sample_rate": str(plain.rate_hz), "ch_layout": layout}
        return av.open(stream, mode="r", format="s16le", options=options, buffer_size=_LIVE_BLOCK_BYTES)
    return av.open(stream, mode="r")


def _cut(pcm: bytes) -> Iterator[bytes]:
    for begin in range(0, len(pcm), FRAME_BYTES):
        yield pcm[begin : begin + FRAME_BYTES]


def _kinds(container: av.container.InputContainer) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"
