"""What was said, by ear: sound that a test heard is transcribed again and compared without case and punctuation."""

import re

import numpy as np

from parley_asr.engines import Decoding
from parley_asr.engines.whisper import LoadOptions, load
from parley_runtime.models import ModelStore


def heard_by_whisper(sound: bytes) -> str:
    """Transcribe English speech, s16le at 16 kHz mono, by tiny.en, which has to be pulled; takes seconds."""
    options = LoadOptions(
        name="tiny.en",
        folder=ModelStore.at().locate("tiny.en", "asr"),
        device="cpu",
        compute_type="int8",
        cpu_threads=1,
        window_s=30,
        language="en",
        hotwords="",
    )
    samples = np.frombuffer(sound, dtype="<i2").astype(np.float32) / np.float32(32768)
    return load(options).transcribe([samples], Decoding(beam_size=1))[0].text


def plain(text: str) -> str:
    """Leave the words of an English sentence."""
    return re.sub(r"[^a-z0-9 ]", "", text.lower()).strip()
