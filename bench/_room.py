"""A microphone in a room, always open: frames of the room's noise, with what is said mixed in. Pure.

`_caller` sends a frame every 20 ms. The noise goes on between the lines as it does while somebody speaks, so that no
voice detector is helped or startled by its beginning.
"""

import zlib
from typing import Final

import numpy as np
from _corpus import Dialogue
from _loudness import SPEECH_DB, Samples

from parley_contract.frames import FRAME_SAMPLES, RATE_HZ

NOISE_SNR_DB: Final = 12.0
"""How far the speech lies above the noise of a noisy dialogue."""
QUIET_DB: Final = -60.0
"""The noise of a quiet room. Digital silence would be easier on a voice detector."""
_LOOP_S: Final = 8


def room_of(dialogue: Dialogue) -> Samples:
    """Return the noise in which a dialogue is held, a loop."""
    return noise(dialogue.name, SPEECH_DB - NOISE_SNR_DB if dialogue.noisy else QUIET_DB)


def noise(name: str, level_db: float) -> Samples:
    """Return eight seconds of pink noise, the same for the same name; they join without a seam.

    Args:
        name: decides which.
        level_db: RMS, in dB of full scale.
    """
    count = _LOOP_S * RATE_HZ
    chance = np.random.default_rng(zlib.crc32(name.encode()))
    spectrum = np.fft.rfft(chance.standard_normal(count))
    # Power falls with frequency from 50 Hz on, as in rooms and streets; below there is little that a microphone takes.
    frequencies = np.fft.rfftfreq(count, 1 / RATE_HZ)
    spectrum *= np.where(frequencies < 50, 0, 1 / np.sqrt(np.maximum(frequencies, 50)))  # noqa: PLR2004  # as said above
    sound = np.fft.irfft(spectrum, count)
    pink: Samples = (sound / np.sqrt(np.mean(sound**2)) * 10 ** (level_db / 20)).astype(np.float32)
    return pink


class Microphone:
    """Gives frame after frame."""

    def __init__(self, room: Samples) -> None:
        """Be in a room whose noise is `room`, over and over."""
        self.frames = 0
        """How many were given."""
        self._room = room
        self._said: Samples = np.zeros(0, dtype=np.float32)

    @property
    def is_speaking(self) -> bool:
        """Whether something is left to say."""
        return len(self._said) > 0

    def say(self, samples: Samples) -> int:
        """Speak from the next frame on, and return its number."""
        self._said = samples
        return self.frames

    def frame(self) -> bytes:
        """Return the next 20 ms: s16le at 16 kHz mono."""
        begin = self.frames * FRAME_SAMPLES
        mixed = self._room.take(range(begin, begin + FRAME_SAMPLES), mode="wrap")
        said, self._said = self._said[:FRAME_SAMPLES], self._said[FRAME_SAMPLES:]
        mixed[: len(said)] += said
        self.frames += 1
        return np.round(np.clip(mixed, -1, 1) * 32767).astype("<i2").tobytes()
