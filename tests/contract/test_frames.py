"""What goes over the bus as sound: the header byte by byte, yesterday's bytes, and bad ones."""

import json
import math
import struct
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from parley_contract.errors import MalformedMessageError
from parley_contract.frames import FRAME_BYTES, Flag, Frame, decode_frame, encode_frame, faded

GOLDEN = Path(__file__).parent / "golden" / "frames"
DESCRIBED = sorted(GOLDEN.glob("*.json"))

described = pytest.mark.parametrize("path", DESCRIBED, ids=lambda path: path.stem)

U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
SOUND = st.integers(1, FRAME_BYTES // 2).flatmap(lambda samples: st.binary(min_size=2 * samples, max_size=2 * samples))


def frame_of(path: Path) -> Frame:
    fields = json.loads(path.read_bytes())
    return Frame(**fields | {"pcm": bytes.fromhex(fields["pcm"]), "flags": Flag(fields["flags"])})


def header(version: int = 1, flags: int = 0) -> bytes:
    return struct.pack("<BBHHHII", version, flags, 1, 0, 1, 5, 1600)


@described
def test_golden_frames_decode_and_encode(path: Path) -> None:
    data = path.with_suffix(".bin").read_bytes()

    assert decode_frame(data) == frame_of(path)
    assert encode_frame(frame_of(path)) == data


def test_no_golden_frame_stands_alone() -> None:
    assert {path.stem for path in GOLDEN.glob("*.bin")} == {path.stem for path in DESCRIBED}
    assert any(frame_of(path).is_end for path in DESCRIBED)


def test_the_header_is_laid_out_as_documented() -> None:
    frame = Frame(
        sequence=0x04030201, media_samples=0x08070605, pcm=b"\x0a\x0b", epoch=0x1211, revision=0x1413, attempt=0x1615
    )

    assert encode_frame(frame) == bytes.fromhex("01 00 1112 1314 1516 01020304 05060708 0a0b")


@given(sequence=U32, media_samples=U32, pcm=SOUND, epoch=U16, revision=U16, attempt=U16)
def test_a_frame_of_sound_comes_back_as_it_was(
    sequence: int, media_samples: int, pcm: bytes, epoch: int, revision: int, attempt: int
) -> None:
    frame = Frame(
        sequence=sequence, media_samples=media_samples, pcm=pcm, epoch=epoch, revision=revision, attempt=attempt
    )

    read = decode_frame(encode_frame(frame))

    assert read == frame
    assert not read.is_end


@given(sequence=U32, media_samples=U32, epoch=U16)
def test_a_closing_frame_comes_back_as_it_was(sequence: int, media_samples: int, epoch: int) -> None:
    frame = Frame(sequence=sequence, media_samples=media_samples, pcm=b"", epoch=epoch, flags=Flag.END)

    read = decode_frame(encode_frame(frame))

    assert read == frame
    assert read.is_end


def test_media_time_starts_again_after_74_hours() -> None:
    frame = Frame(sequence=0, media_samples=2**32 + 320, pcm=b"\x00\x00")

    assert decode_frame(encode_frame(frame)).media_samples == 320


def test_flags_of_a_newer_version_are_ignored() -> None:
    read = decode_frame(header(flags=0b1111_1110) + b"\x00\x00")

    assert read.flags is Flag.NONE


@pytest.mark.parametrize(
    "data, path",
    [
        (b"", "$.header"),
        (header()[:15], "$.header"),
        (header(version=0) + b"\x00\x00", "$.version"),
        (header(version=2) + b"\x00\x00", "$.version"),
        (header() + b"\x00", "$.pcm"),
        (header() + bytes(FRAME_BYTES + 2), "$.pcm"),
        (header(), "$.pcm"),
        (header(flags=1) + b"\x00\x00", "$.pcm"),
    ],
    ids=["empty", "cut header", "version 0", "newer version", "half a sample", "21 ms", "no sound", "sound after end"],
)
def test_a_bad_frame_is_malformed_at_its_path(data: bytes, path: str) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        decode_frame(data)

    assert caught.value.path == path


@given(st.binary(max_size=FRAME_BYTES + 40))
def test_of_random_bytes_only_malformed_comes(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except MalformedMessageError:
        return

    assert frame.is_end != bool(frame.pcm)


@pytest.mark.parametrize("field", ["epoch", "revision", "attempt"])
def test_a_field_that_does_not_fit_is_a_programming_error(field: str) -> None:
    frame = msgspec.structs.replace(Frame(sequence=0, media_samples=0, pcm=b"\x00\x00"), **{field: 2**16})

    with pytest.raises(struct.error):
        encode_frame(frame)


# Dying away.


def samples_of(pcm: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(pcm) // 2}h", pcm)


def test_sound_that_is_cut_dies_away_to_nothing_with_no_step_that_could_be_heard() -> None:
    loudest = struct.pack("<320h", *[32767] * 320)

    levels = samples_of(faded(loudest))

    assert list(levels) == sorted(levels, reverse=True)
    assert (levels[0] > 32700, levels[159], levels[-1]) == (True, 16384, 0)
    assert max(before - after for before, after in pairwise(levels)) <= 32767 * math.pi / 2 / 320 + 1


@given(SOUND)
def test_what_dies_away_is_as_long_as_it_was_and_nowhere_louder(pcm: bytes) -> None:
    after = samples_of(faded(pcm))

    assert len(after) == len(pcm) // 2
    assert all(abs(now) <= abs(before) for now, before in zip(after, samples_of(pcm), strict=True))


def test_of_nothing_nothing_is_left() -> None:
    assert faded(b"") == b""
