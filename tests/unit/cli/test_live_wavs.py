"""The header of a WAV that is still being recorded."""

import io
import struct

import pytest

from parley_cli.live_wavs import Rewound, skip_header
from parley_runtime.sounds import Plain

SOUND = b"\1\0\2\0\3\0"


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + bytes(len(body) % 2)


def fmt(tag: int = 1, channels: int = 1, rate_hz: int = 16_000, bits: int = 16) -> bytes:
    per_frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * per_frame, per_frame, bits))


def wav(*chunks: bytes) -> bytes:
    return b"RIFF\xff\xff\xff\xffWAVE" + b"".join(chunks)


def data(size: int = 0xFFFFFFFF) -> bytes:
    """The last chunk; a recorder that goes on for ever says any size."""
    return chunk(b"data", SOUND, size)


@pytest.mark.parametrize(
    "content,found",
    [
        (wav(fmt(), data()), Plain(16_000, 1)),
        (wav(fmt(channels=2, rate_hz=44_100), data()), Plain(44_100, 2)),
        (wav(fmt(), chunk(b"LIST", b"odd"), data()), Plain(16_000, 1)),
    ],
)
def test_a_plain_wav_is_read_up_to_its_first_sample(content: bytes, found: Plain) -> None:
    stream = Rewound(io.BytesIO(content))

    assert skip_header(stream) == found
    assert stream.read() == SOUND


@pytest.mark.parametrize(
    "content",
    [
        wav(fmt(tag=3, bits=32), data()),
        wav(fmt(bits=24), data()),
        wav(data()),
        wav(fmt()),
        wav(fmt(channels=0), data()),
        wav(chunk(b"junk", bytes(10_000)), fmt(), data()),
        b"fLaC and so on",
        b"RI",
        b"",
    ],
)
def test_anything_else_is_given_again_from_the_beginning(content: bytes) -> None:
    stream = Rewound(io.BytesIO(content))

    assert skip_header(stream) is None
    assert b"".join(iter(lambda: stream.read(7), b"")) == content
