"""Sound in and out of files: any container that FFmpeg reads becomes 20 ms frames at 16 kHz mono; replies become WAVs.

Pacing is `talking`'s: these frames come as fast as they are asked for.
"""

import contextlib
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from parley_cli.errors import BadRequestError
from parley_cli.live_wavs import Rewound, skip_header
from parley_contract.frames import FRAME_BYTES, RATE_HZ
from parley_runtime.sounds import Readable, UnreadableSoundError, read_pcm

SILENCE: Final = bytes(FRAME_BYTES)


class UnreadableAudioError(BadRequestError):
    """What was given is no sound that can be decoded."""


def read_frames(source: Path | Readable, name: str) -> Iterator[bytes]:
    """Decode sound, frame by frame; the last one is filled up with silence.

    Args:
        source: a file, or a stream that may be endless and need not seek; so may a file that is a pipe
            (`<(arecord …)` in a shell).
        name: what to call it in an error.

    Yields:
        `FRAME_BYTES` of s16le at 16 kHz mono.

    Raises:
        UnreadableAudioError: there is no such file, it is no sound, or it breaks off in the middle of a packet.
    """
    rest = b""
    try:
        for pcm in _pcm(source, name):
            rest += pcm
            whole = len(rest) // FRAME_BYTES * FRAME_BYTES
            yield from _cut(rest[:whole])
            rest = rest[whole:]
    except UnreadableSoundError as error:
        raise UnreadableAudioError(str(error)) from error
    yield from _cut(rest + bytes(-len(rest) % FRAME_BYTES))


def check_sound(path: Path) -> None:
    """Decode the beginning of a file; not that of a pipe, which would be gone then.

    Raises:
        UnreadableAudioError: it is no sound.
    """
    if path.is_fifo():
        return
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


def _pcm(source: Path | Readable, name: str) -> Iterator[bytes]:
    if isinstance(source, Path) and not source.is_fifo():
        yield from read_pcm(source, name)
        return
    with contextlib.ExitStack() as opened:
        stream = Rewound(opened.enter_context(source.open("rb", buffering=0)) if isinstance(source, Path) else source)
        yield from read_pcm(stream, name, plain=skip_header(stream))


def _cut(pcm: bytes) -> Iterator[bytes]:
    for begin in range(0, len(pcm), FRAME_BYTES):
        yield pcm[begin : begin + FRAME_BYTES]
