"""The presets (design section 7) and what a language changes, as partial specs; what is written overrides them.

Figures come from the guide's table. The laptop's were measured on two shared cores: one thread each for Whisper and
the model, because two of them on busy cores collapse to 2 tokens/s; 10 s windows decode five times faster than 30 s
ones at the same error rate; the small model rambles above temperature 0.
"""

from collections.abc import Mapping
from typing import Final, Literal

Profile = Literal["lowLatency", "balanced", "accurate", "laptop"]

_GPU_LLM: Final = {
    "model": "qwen2.5:7b-instruct",
    "maxContextTurns": 6,
    "device": "auto",
    "numCtx": 4096,
    "numThread": None,
    "temperature": 0.7,
}
_GPU_ASR: Final = {"device": "auto", "cpuThreads": 4}

PROFILES: Final[Mapping[str, Mapping[str, object]]] = {
    "lowLatency": {
        "asr": {**_GPU_ASR, "model": "small", "computeType": "int8", "beamSize": 1, "partialIntervalS": 0.9},
        "llm": {**_GPU_LLM, "numPredict": 40},
        "gpu": {"sharing": "shared"},
    },
    "balanced": {
        "asr": {**_GPU_ASR, "model": "medium", "computeType": "int8_float16", "beamSize": 2, "partialIntervalS": 1.0},
        "llm": {**_GPU_LLM, "numPredict": 60},
        "gpu": {"sharing": "shared"},
    },
    "accurate": {
        "asr": {**_GPU_ASR, "model": "large-v3", "computeType": "float16", "beamSize": 3, "partialIntervalS": 1.0},
        "llm": {**_GPU_LLM, "numPredict": 60},
        "gpu": {"sharing": "shared"},
    },
    "laptop": {
        "asr": {
            "model": "tiny.en",
            "computeType": "int8",
            "beamSize": 1,
            "partialIntervalS": 1.0,
            "device": "cpu",
            "cpuThreads": 1,
        },
        "llm": {
            "model": "smollm2:135m",
            "numPredict": 60,
            "maxContextTurns": 6,
            "device": "cpu",
            "numCtx": 2048,
            "numThread": 1,
            "temperature": 0.0,
        },
        "gpu": {"sharing": "none"},
    },
}

LANGUAGES: Final[Mapping[str, Mapping[str, object]]] = {
    "en": {
        "asr": {"encoderWindowS": 10.0},
        "tts": {"engine": "piper", "voice": "en_US-joe-medium", "fallbacks": ["espeak"]},
    },
    # No other language keeps its accuracy with a short window until measured (design section 7).
    "other": {"asr": {"encoderWindowS": 30.0}, "tts": {"engine": "espeak", "voice": "", "fallbacks": []}},
}
"""Defaults by language; an empty espeak voice speaks the assistant's language."""
