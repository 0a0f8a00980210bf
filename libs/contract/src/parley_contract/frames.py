"""Audio on the bus: a fixed 16-byte header and 20 ms of PCM.

Used by every process that touches sound. Not for files or web sockets: those carry bare PCM.

| offset | field    | type | meaning                                                                    |
|--------|----------|------|----------------------------------------------------------------------------|
| 0      | version  | u8   | `VERSION`                                                                  |
| 1      | flags    | u8   | `Flag`                                                                     |
| 2      | epoch    | u16  | the session's epoch: raised when the session moves to another process      |
| 4      | revision | u16  | the turn's revision; 0 for microphone frames                               |
| 6      | attempt  | u16  | which delivery of the work item made this frame; 1 for microphone frames   |
| 8      | sequence | u32  | from 0, without a hole, per utterance or phrase                            |
| 12     | media    | u32  | first sample's position, in samples since the epoch (or phrase) began; a   |
|        |          |      | session of more than 74 h starts again from 0                              |

All little-endian, like the s16le samples that follow. An utterance or phrase closes with one frame
that has `Flag.END` and no samples; its sequence is one past the last audible one.
"""

import enum
import math
import struct
from array import array
from typing import Final

import msgspec

from parley_contract.errors import MalformedMessageError

VERSION: Final = 1
RATE_HZ: Final = 16_000
FRAME_MS: Final = 20
FRAME_SAMPLES: Final = RATE_HZ * FRAME_MS // 1000
FRAME_BYTES: Final = 2 * FRAME_SAMPLES
_HEADER: Final = struct.Struct("<BBHHHII")
_U32: Final = 0xFFFF_FFFF


class Flag(enum.IntFlag):
    """Bits of the header's flags byte; unknown bits are ignored."""

    NONE = 0
    END = 1


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame. `pcm` is at most `FRAME_BYTES` of s16le at 16 kHz mono; only the last of a phrase may be shorter."""

    sequence: int
    media_samples: int
    pcm: bytes
    epoch: int = 0
    revision: int = 0
    attempt: int = 1
    flags: Flag = Flag.NONE

    @property
    def is_end(self) -> bool:
        """Whether this frame closes its utterance or phrase."""
        return Flag.END in self.flags


def encode_frame(frame: Frame) -> bytes:
    """Put a frame on the wire.

    Raises:
        struct.error: another header field is out of its range; a programming error, not bad input.
    """
    return (
        _HEADER.pack(
            VERSION,
            frame.flags,
            frame.epoch,
            frame.revision,
            frame.attempt,
            frame.sequence,
            frame.media_samples & _U32,
        )
        + frame.pcm
    )


def decode_frame(data: bytes) -> Frame:
    """Read a frame.

    Raises:
        MalformedMessageError: wrong version, a cut header, half a sample, more than 20 ms, or sound after the end.
    """
    if len(data) < _HEADER.size:
        raise MalformedMessageError(f"a frame has at least {_HEADER.size} bytes, this one {len(data)}", path="$.header")
    version, bits, epoch, revision, attempt, sequence, media_samples = _HEADER.unpack_from(data)
    if version != VERSION:
        raise MalformedMessageError(f"frame version {version}, this process reads {VERSION}", path="$.version")
    pcm = data[_HEADER.size :]
    flags = Flag(bits & Flag.END)
    if len(pcm) % 2 or len(pcm) > FRAME_BYTES:
        raise MalformedMessageError(
            f"{len(pcm)} bytes of PCM, expected an even number up to {FRAME_BYTES}", path="$.pcm"
        )
    if bool(pcm) == (Flag.END in flags):
        raise MalformedMessageError("a closing frame carries no PCM and any other frame some", path="$.pcm")
    return Frame(
        sequence=sequence,
        media_samples=media_samples,
        pcm=pcm,
        epoch=epoch,
        revision=revision,
        attempt=attempt,
        flags=flags,
    )


def faded(pcm: bytes) -> bytes:
    """Return sound that dies away over its length: what a listener hears last of a reply that is cut.

    A plain cut clicks. Whoever plays lets one frame more be heard, faded, of what it throws away; nobody counts that as
    played. The fall is half a cosine, which has no corner at either end.

    Args:
        pcm: s16le, a frame mostly.
    """
    samples = array("h", pcm)
    step = math.pi / max(1, len(samples))
    gains = (0.5 + 0.5 * math.cos(step * number) for number in range(1, len(samples) + 1))
    return array("h", (round(sample * gain) for sample, gain in zip(samples, gains, strict=True))).tobytes()
