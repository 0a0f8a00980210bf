"""What libopus can do and discord.py does not pass on. Used by `opus`."""

from typing import TYPE_CHECKING, Final

import discord.opus

if TYPE_CHECKING:
    import ctypes

_SET_COMPLEXITY: Final = 4010
"""OPUS_SET_COMPLEXITY_REQUEST (opus_defines.h)."""


def decode_into(
    room: "ctypes._Pointer[ctypes.c_int16]",
    decoder: discord.opus.Decoder,
    payload: bytes | None,
    samples: int,
    *,
    fec: bool,
) -> int:
    """Decode a packet, what it says of the one before (`fec`), or nothing at all (None); return how many samples it is.

    discord.py's own way copies sample by sample, which takes as long as decoding.

    Args:
        room: for the sound.
        decoder: of discord.py.
        payload: the packet, which is not empty.
        samples: how many there may be; for `fec` or None exactly so many.
        fec: see above.

    Raises:
        discord.opus.OpusError: it is no Opus.
    """
    size = len(payload) if payload else 0
    made: int = discord.opus._lib.opus_decode(decoder._state, payload, size, room, samples, fec)  # noqa: SLF001  # see `library`
    return made


def set_complexity(encoder: discord.opus.Encoder, complexity: int) -> None:
    """Choose how much time libopus spends on a frame, from 0 to 10."""
    discord.opus._lib.opus_encoder_ctl(encoder._state, _SET_COMPLEXITY, complexity)  # noqa: SLF001  # see `library`
