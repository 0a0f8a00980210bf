"""Opus to and from our frames: 16 kHz mono straight away, without a resampler (RFC 6716).

Used by `sources` and by `mouths`. libopus decodes a packet of any bandwidth at the rate it is asked for, so
discord.py's bindings, made for 48 kHz stereo, are told another rate. A packet that is no Opus is an answer here, never
an exception: bytes of others decide.
"""

import contextlib
import ctypes
from typing import Final

import discord.opus

from parley_contract.frames import FRAME_BYTES, FRAME_SAMPLES, RATE_HZ
from parley_gateway.discord.errors import VoiceRefusedError
from parley_gateway.discord.library.libopus import decode_into, set_complexity

MAX_CONCEALED: Final = 5
"""Packets made up in a row: further on, libopus fades to noise that a recognizer takes for speech."""
MAX_FILLED: Final = 10
"""Packets of a hole that are filled at all, the rest of them with silence: more is not worth waiting for by anybody."""
_LONGEST: Final = RATE_HZ * 120 // 1000
"""No packet holds more than 120 ms (RFC 6716, 2.1.4)."""
_SAMPLE_BYTES: Final = 2
_LIBRARY: Final = "libopus.so.0"
_BITRATE_KBPS: Final = 40
"""Wideband speech in mono is transparent below this; a channel allows 64 and more."""
_EXPECTED_LOSS: Final = 0.15
_COMPLEXITY: Final = 5
"""Of 10: half the time of libopus's own 9, for a difference that nobody hears in speech at this rate."""


class _Decoder(discord.opus.Decoder):
    SAMPLING_RATE = RATE_HZ
    CHANNELS = 1
    SAMPLE_SIZE = 2
    SAMPLES_PER_FRAME = FRAME_SAMPLES
    FRAME_SIZE = FRAME_BYTES


class _Encoder(discord.opus.Encoder):
    SAMPLING_RATE = RATE_HZ
    CHANNELS = 1
    SAMPLE_SIZE = 2
    SAMPLES_PER_FRAME = FRAME_SAMPLES
    FRAME_SIZE = FRAME_BYTES


def require_codec() -> None:
    """Load libopus, once.

    Raises:
        VoiceRefusedError: it is not installed.
    """
    if discord.opus.is_loaded():
        return
    with contextlib.suppress(OSError):
        discord.opus.load_opus(_LIBRARY)
        return
    raise VoiceRefusedError(
        "no_codec",
        f"{_LIBRARY} cannot be loaded: install Debian's libopus0 where the gateway runs, and start it again.",
    )


class SpeechDecoder:
    """What one source says. Needs `require_codec`."""

    def __init__(self) -> None:
        self._decoder = _Decoder()  # type: ignore[no-untyped-call]  # discord.py leaves it out
        room = (ctypes.c_int16 * _LONGEST)()
        self._room = ctypes.cast(room, ctypes.POINTER(ctypes.c_int16))
        self._sound = memoryview(room).cast("B")
        self._in_a_row = 0

    def decode(self, payload: bytes) -> bytes | None:
        """Return a packet's sound, s16le at 16 kHz mono, usually 20 ms; None if it is no Opus."""
        self._in_a_row = 0
        return self._decode(payload, _LONGEST) if payload else None

    def conceal(self, packets: int, successor: bytes | None) -> tuple[bytes, int]:
        """Fill a hole: by what its successor carries of the packet before it, by guessing, then by silence.

        Returns:
            The sound, and how many packets of it are more than silence.
        """
        filled = min(packets, MAX_FILLED)
        guessed = max(0, min(filled - 1, MAX_CONCEALED - 1 - self._in_a_row))
        parts = [self._guess() for _ in range(guessed)]
        parts += [bytes(FRAME_BYTES)] * (filled - 1 - guessed)
        last = self._decode(successor, FRAME_SAMPLES, fec=True) if successor else None
        concealed = guessed + 1
        if last is None and self._in_a_row + guessed < MAX_CONCEALED:
            last = self._guess()
        elif last is None:
            last, concealed = bytes(FRAME_BYTES), guessed
        self._in_a_row += filled
        return b"".join((*parts, last)), concealed

    def _guess(self) -> bytes:
        return self._decode(None, FRAME_SAMPLES) or bytes(FRAME_BYTES)

    def _decode(self, payload: bytes | None, samples: int, *, fec: bool = False) -> bytes | None:
        try:
            made = decode_into(self._room, self._decoder, payload, samples, fec=fec)
        except discord.opus.OpusError:
            return None
        return bytes(self._sound[: made * _SAMPLE_BYTES])


class SpeechEncoder:
    """What we say. Needs `require_codec`."""

    def __init__(self) -> None:
        self._encoder = _Encoder(
            application="voip",
            signal_type="voice",
            bandwidth="wide",
            bitrate=_BITRATE_KBPS,
            fec=True,
            expected_packet_loss=_EXPECTED_LOSS,
        )
        set_complexity(self._encoder, _COMPLEXITY)

    def encode(self, pcm: bytes) -> bytes:
        """Make a packet of a frame."""
        return self._encoder.encode(pcm, FRAME_SAMPLES)
