"""faster-whisper through a path of our own: a short encoder window, timestamps only on demand, no temperature ladder.

The only importer of faster_whisper and ctranslate2. `app` loads it. Not here: long utterances (`windows`), what
counts as silence (`judging`) or who is served first (`decoder`).

Whisper always encodes 30 s, however short the utterance, and `WhisperModel.transcribe` pads to that. CTranslate2
takes shorter input (its PR 1446), so the mel spectrogram is padded with zeros to `window_s` and encoded as it is:
tiny.en int8 on one core 77 ms instead of 442. Below 8 s the decoder begins to loop. Padding the mel rather than the
waveform is what keeps int8 accurate.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens, merge_punctuations

from parley_asr.engines import (
    Decoded,
    DecodeFailedError,
    Decoding,
    Engine,
    ModelUnusableError,
    OutOfMemoryError,
    Samples,
    Segment,
    Task,
    timing,
)
from parley_contract.frames import RATE_HZ

SAFE_WINDOW_S: Final = 30.0
"""What Whisper was trained on."""
WORKERS: Final = 2
"""Decodes at the same time: one of live speech and one of a file. They share the weights."""
MEL_FRAMES_PER_S: Final = 100
_MIN_SAMPLES: Final = RATE_HZ // 10
"""The spectrogram needs more than one analysis window (25 ms); anything shorter is padded with zeros."""
_TOKENS_PER_S: Final = {"en": 8}
_OTHER_TOKENS_PER_S: Final = 13
"""Korean needs up to 13 tokens a second, other scripts that were not favoured by the vocabulary about the same
(Moonshine's documentation gives 13 for non-Latin ones). Fast English is 6 words, 8 tokens."""
_SPARE_TOKENS: Final = 8
_MAX_LENGTH: Final = 448
"""Whisper's text context."""
_OPENING: Final = "\"'“¿([{-"
_CLOSING: Final = "\"'.。,，!！?？:：”)]}、"
"""Marks that belong to the word after them, and to the word before."""

_FALLBACKS: Final = {
    "int8_float16": ("int8_float32", "int8", "float32"),
    "int8_bfloat16": ("int8_float32", "int8", "float32"),
    "int8_float32": ("int8", "float32"),
    "float16": ("float32",),
    "bfloat16": ("float32",),
}


class LoadOptions(NamedTuple):
    """How to load a model; see the settings of the same names."""

    name: str
    folder: Path
    device: str = "auto"
    compute_type: str = "int8"
    cpu_threads: int = 0
    window_s: float = 10.0
    language: str = ""
    hotwords: str = ""


class _Voice(NamedTuple):
    """All that depends on the language and the task."""

    tokenizer: Tokenizer
    suppress: list[int]


def load(options: LoadOptions) -> "WhisperTranscriber":
    """Load a CTranslate2 Whisper model from its folder; blocks for as long as that takes (tiny.en: 0.3 s).

    Raises:
        ModelUnusableError: the folder holds no model, or it does not fit the settings.
    """
    device = options.device
    if device == "auto":
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    if not (options.folder / "model.bin").is_file():
        raise ModelUnusableError(f"{options.folder} holds no model.bin: pull {options.name} with `parley models pull`")
    try:
        compute_type = nearest_compute_type(options.compute_type, ctranslate2.get_supported_compute_types(device))
        model = WhisperModel(
            str(options.folder),
            device=device,
            compute_type=compute_type,
            cpu_threads=options.cpu_threads,
            num_workers=WORKERS,
            local_files_only=True,
        )
    except (RuntimeError, ValueError) as error:
        raise ModelUnusableError(f"{options.name} does not load on {device}: {error}") from error
    if not model.model.is_multilingual and options.language not in {"", "en"}:
        raise ModelUnusableError(
            f"{options.name} understands English only, and LANGUAGE is {options.language!r}: take a multilingual model"
        )
    if options.language and options.language not in model.supported_languages:
        raise ModelUnusableError(f"{options.name} does not know LANGUAGE {options.language!r}")
    engine = Engine(
        model=options.name,
        device=device,
        compute_type=compute_type,
        window_s=min(options.window_s, SAFE_WINDOW_S),
        languages=tuple(model.supported_languages),
    )
    return WhisperTranscriber(model, engine, language=options.language, hotwords=options.hotwords)


def nearest_compute_type(wanted: str, supported: set[str]) -> str:
    """What a device can do of what was asked for: a profile made for a GPU still runs, slower, without one.

    Raises:
        ValueError: nothing of the kind is supported, which only a misspelt name brings about.
    """
    for candidate in (wanted, *_FALLBACKS.get(wanted, ())):
        if candidate in supported or candidate in {"default", "auto"}:
            return candidate
    raise ValueError(f"compute type {wanted!r} is not among {', '.join(sorted(supported))}")


class WhisperTranscriber:
    """A Whisper model in memory. Implements `Transcriber`."""

    def __init__(self, model: WhisperModel, engine: Engine, *, language: str, hotwords: str) -> None:
        """Take over a loaded model; `load` is the way to get one."""
        self._engine = engine
        self._model = model
        self._language = language or ("" if engine.is_multilingual else "en")
        self._hotwords = hotwords.strip()
        self._voices: dict[tuple[str, Task], _Voice] = {}
        self._latest: tuple[tuple[float, bytes], Any] | None = None
        self._features = model.feature_extractor
        if self._features.mel_filters.shape[0] != model.model.n_mels:
            # A folder without preprocessor_config.json: large-v3 wants 128 bands, the default is 80.
            self._features = FeatureExtractor(feature_size=model.model.n_mels)

    @property
    def engine(self) -> Engine:
        """What is loaded."""
        return self._engine

    def transcribe(self, windows: Sequence[Samples], how: Decoding) -> list[Decoded]:
        """Decode windows; see `Transcriber`."""
        if how.timing == "words" and len(windows) > 1:
            # An alignment is made for one language and one window's tokens.
            return [decoded for samples in windows for decoded in self._transcribe([samples], how)]
        if len(windows) > 1 and self._engine.device == "cpu":
            # Eight of them, one thread each: 1.2 times as fast in one batch, 2.3 times in two beside each other.
            parts = [windows[first::WORKERS] for first in range(min(WORKERS, len(windows)))]
            with ThreadPoolExecutor(len(parts)) as threads:
                decoded = list(threads.map(lambda part: self._transcribe(part, how), parts))
            return [decoded[number % WORKERS][number // WORKERS] for number in range(len(windows))]
        return self._transcribe(windows, how)

    def _transcribe(self, windows: Sequence[Samples], how: Decoding) -> list[Decoded]:
        window_s = SAFE_WINDOW_S if how.is_safe else self._engine.window_s
        windows = [samples[: int(window_s * RATE_HZ)] for samples in windows]
        try:
            encoded = self._encode(windows, window_s, is_live=how.timing == "none")
            languages = [how.language or self._language] * len(windows)
            if not languages[0]:
                languages = self._detect(encoded)
            return self._decode(encoded, windows, languages, how)
        except (RuntimeError, ValueError) as error:
            raise _failure(self._engine, error) from error

    def _encode(self, windows: Sequence[Samples], window_s: float, *, is_live: bool) -> Any:  # noqa: ANN401 - ctranslate2 has no stubs
        """Encode windows. Of live speech the latest single one is kept: a candidate's may be the final's too."""
        if len(windows) > 1 or not is_live:
            return self._model.encode(np.stack([self._mel(samples, window_s) for samples in windows]))
        [samples] = windows
        key = (window_s, hashlib.blake2b(samples.tobytes()).digest())
        latest = self._latest
        if latest is None or latest[0] != key:
            latest = self._latest = key, self._model.encode(self._mel(samples, window_s))
        return latest[1]

    def _decode(
        self,
        encoded: Any,  # noqa: ANN401 - as above
        windows: Sequence[Samples],
        languages: Sequence[str],
        how: Decoding,
    ) -> list[Decoded]:
        voices = [self._voice(language, how.task) for language in languages]
        results = self._model.model.generate(
            encoded,
            [self._prompt(voice, how) for voice in voices],
            max_length=max(
                max_length(len(samples) / RATE_HZ, language, has_timestamps=how.timing != "none")
                for samples, language in zip(windows, languages, strict=True)
            ),
            suppress_blank=True,
            # The same for all languages: marks and the tokens that steer.
            suppress_tokens=voices[0].suppress,
            return_scores=True,
            return_no_speech_prob=True,
            max_initial_timestamp_index=round(SAFE_WINDOW_S / timing.TIMESTAMP_S),
            **_choice(how),
        )
        heard = zip(windows, languages, voices, results, strict=True)
        return [
            Decoded(
                text=voice.tokenizer.decode(tokens := result.sequences_ids[0]).strip(),
                language=language,
                no_speech_prob=float(result.no_speech_prob),
                tokens=len(tokens),
                # CTranslate2 divides by the length without the token that ends the text.
                avg_logprob=float(result.scores[0]) * len(tokens) / (len(tokens) + 1),
                segments=self._segments(encoded, tokens, voice.tokenizer, how, len(samples) / RATE_HZ),
            )
            for samples, language, voice, result in heard
        ]

    def _segments(
        self,
        encoded: Any,  # noqa: ANN401 - ctranslate2 has no stubs
        tokens: list[int],
        tokenizer: Tokenizer,
        how: Decoding,
        audio_s: float,
    ) -> tuple[Segment, ...]:
        if how.timing == "none":
            return ()
        found = timing.pieces(tokens, first_timestamp=tokenizer.timestamp_begin, audio_s=audio_s)
        if how.timing == "segments" or not found:
            return timing.segments(found, tokenizer.decode)
        spoken = [token for piece in found for token in piece.tokens if token < tokenizer.eot]
        [alignment] = self._model.find_alignment(tokenizer, [spoken], encoded, round(audio_s * MEL_FRAMES_PER_S))
        merge_punctuations(alignment, _OPENING, _CLOSING)
        return timing.segments_of_words(found, alignment, tokenizer.decode, audio_s=audio_s)

    def _prompt(self, voice: _Voice, how: Decoding) -> list[int]:
        before = voice.tokenizer.encode(f" {how.prompt.strip()}") if how.prompt.strip() else []
        prompt: list[int] = self._model.get_prompt(
            voice.tokenizer, before, without_timestamps=how.timing == "none", hotwords=self._hotwords or None
        )
        return prompt

    def _mel(self, samples: Samples, window_s: float) -> npt.NDArray[np.float32]:
        """(bands, window_s * 100) float32: the spectrogram, zeros after its end."""
        frames = int(window_s * MEL_FRAMES_PER_S)
        if len(samples) < _MIN_SAMPLES:
            samples = np.pad(samples, (0, _MIN_SAMPLES - len(samples)))
        mel = self._features(samples)[:, :frames]
        return np.ascontiguousarray(np.pad(mel, ((0, 0), (0, frames - mel.shape[1]))), dtype=np.float32)

    def _detect(self, encoded: Any) -> list[str]:  # noqa: ANN401 - as above
        """Return the likeliest language of each window, as ISO 639-1."""
        return [str(likeliest[0][0]).strip("<|>") for likeliest in self._model.model.detect_language(encoded)]

    def _voice(self, language: str, task: Task) -> _Voice:
        voice = self._voices.get((language, task))
        if voice is None:
            tokenizer = Tokenizer(self._model.hf_tokenizer, self._engine.is_multilingual, task=task, language=language)
            voice = _Voice(tokenizer, list(get_suppressed_tokens(tokenizer, [-1])))
            self._voices[language, task] = voice
        return voice


def _failure(engine: Engine, error: Exception) -> DecodeFailedError:
    """Say what broke; CTranslate2 raises the same kind for everything, and words for it on a GPU alone."""
    if "out of memory" in str(error).lower():
        return OutOfMemoryError(
            f"{engine.device} has no memory left for {engine.model} in {engine.compute_type}: take a smaller model, "
            "COMPUTE_TYPE int8 or BEAM_SIZE 1, or leave the card to it alone"
        )
    return DecodeFailedError(f"{engine.model} on {engine.device}: {error}")


def _choice(how: Decoding) -> dict[str, Any]:
    """Return how CTranslate2 chooses the next token: the likeliest, or by chance in proportion to how likely it is."""
    if how.temperature > 0:
        return {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": how.temperature}
    return {"beam_size": how.beam_size}


def max_length(audio_s: float, language: str, *, has_timestamps: bool = False) -> int:
    """CTranslate2's `max_length` for as many tokens as fit into that much speech, so that a loop ends early.

    CTranslate2 lets Whisper generate half of `max_length` tokens, prompt not counted.
    """
    tokens = round(audio_s * _TOKENS_PER_S.get(language, _OTHER_TOKENS_PER_S)) + _SPARE_TOKENS
    if has_timestamps:
        # Two for each segment, and speech of less than a second is hardly ever one.
        tokens += 2 + round(2 * audio_s)
    return min(_MAX_LENGTH, 2 * tokens)
