"""faster-whisper through our short window: real models on real speech, on silence, and on what is no speech."""

import re
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from _sentences import SENTENCES
from faster_whisper.audio import decode_audio

from parley_asr.engines import Decoded, Decoding, ModelUnusableError, Samples, Transcriber
from parley_asr.engines.whisper import LoadOptions, load, max_length, nearest_compute_type
from parley_asr.hearing import Hearing, Listening, Understood
from parley_asr.windows import limits, plan
from parley_contract.catalogue import find_model
from parley_contract.frames import RATE_HZ
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.asr_process import sample
from parley_testkit.transcriber_suite import Spoken, TranscriberSuite

SPOKEN = SENTENCES[:10]


def options(name: str = "tiny.en", **changes: object) -> LoadOptions:
    folder = pull(ModelStore.at(), find_model(name))
    return LoadOptions(name=name, folder=folder, device="cpu", cpu_threads=1)._replace(**changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    return load(options())


def espeak(text: str) -> Samples:
    wav = subprocess.run(
        ["espeak-ng", "-v", "en-us", "-s", "150", "--stdout", text], check=True, capture_output=True
    ).stdout
    return np.asarray(decode_audio(BytesIO(wav), sampling_rate=RATE_HZ), dtype=np.float32)


def plain(text: str) -> list[str]:
    digits = dict(zip(["four", "ten"], ("4", "10"), strict=True))
    return [digits.get(word, word) for word in re.findall(r"[a-z0-9']+", text.lower())]


def errors(expected: Sequence[str], heard: Sequence[str]) -> int:
    """Words that were left out, put in or changed."""
    row = list(range(len(heard) + 1))
    for count, word in enumerate(expected, 1):
        corner, row[0] = row[0], count
        for at, other in enumerate(heard, 1):
            corner, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, corner + (word != other))
    return row[-1]


async def understood(transcriber: Transcriber, samples: Samples, *, overlap_ms: int = 120) -> Understood:
    async def decode(window: Samples, how: Decoding) -> Decoded:
        return transcriber.transcribe([window], how)[0]

    sizes = limits(encoder_window_s=transcriber.engine.window_s, overlap_ms=overlap_ms)
    return await Hearing(Listening(limits=sizes, language="en")).final(samples, decode)


class TestWhisper(TranscriberSuite):
    @pytest.fixture
    def spoken(self) -> Spoken:
        return Spoken(sample("en/quick_brown_fox"), "the quick brown fox jumps over the lazy dog")


async def test_long_speech_with_pauses_comes_out_whole(transcriber: Transcriber) -> None:
    pause = np.zeros(RATE_HZ * 3 // 10, dtype=np.float32)
    samples = np.concatenate([part for sentence in SPOKEN for part in (espeak(sentence), pause)])
    expected = plain(" ".join(SPOKEN))

    heard = await understood(transcriber, samples)

    assert len(samples) / RATE_HZ > 30
    assert len(plan(samples, limits(encoder_window_s=10, overlap_ms=120))) > 3
    assert errors(expected, plain(heard.text)) <= 0.15 * len(expected)


async def test_long_speech_loses_no_sentence_and_doubles_none(transcriber: Transcriber) -> None:
    fox, hello = sample("en/quick_brown_fox"), sample("en/hello_world")
    samples = np.concatenate([fox, hello] * 8)

    heard = await understood(transcriber, samples)

    assert len(samples) / RATE_HZ > 30
    assert errors(plain("the quick brown fox jumps over the lazy dog hello world") * 8, plain(heard.text)) <= 4


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0, 9.0])
@pytest.mark.parametrize("kind", ["silence", "hiss", "loud hiss", "hum"])
async def test_silence_and_noise_are_empty(transcriber: Transcriber, kind: str, seconds: float) -> None:
    count = round(seconds * RATE_HZ)
    hiss = np.random.default_rng(0).standard_normal(count)
    sounds = {
        "silence": 0 * hiss,
        "hiss": 0.005 * hiss,
        "loud hiss": 0.1 * hiss,
        "hum": 0.1 * np.sin(2 * np.pi * 50 * np.arange(count) / RATE_HZ),
    }

    heard = await understood(transcriber, sounds[kind].astype(np.float32))

    assert (heard.verdict, heard.text) == ("silence", "")


def test_a_loop_ends_at_the_bound_of_its_duration(transcriber: Transcriber) -> None:
    hiss = (0.01 * np.random.default_rng(0).standard_normal(RATE_HZ)).astype(np.float32)

    [decoded] = transcriber.transcribe([hiss], Decoding())

    assert decoded.tokens <= max_length(1.0, "en") // 2 == 16


def test_a_korean_second_may_take_more_tokens_than_an_english_one() -> None:
    assert max_length(3.0, "ko") > max_length(3.0, "en")
    assert max_length(30.0, "ko") == 448


@pytest.mark.parametrize(
    "wanted, supported, taken",
    [
        ("int8", {"int8", "float32"}, "int8"),
        ("int8_float16", {"int8", "int8_float32", "float32"}, "int8_float32"),
        ("float16", {"int8", "float32"}, "float32"),
        ("float16", {"float16", "float32"}, "float16"),
    ],
)
def test_a_device_takes_the_nearest_compute_type_it_can(wanted: str, supported: set[str], taken: str) -> None:
    assert nearest_compute_type(wanted, supported) == taken


def test_a_profile_for_a_gpu_runs_on_the_cpu_too() -> None:
    transcriber = load(options(compute_type="int8_float16"))

    assert transcriber.engine.compute_type == "int8_float32"
    assert transcriber.transcribe([sample("en/hello_world")], Decoding())[0].text.lower() == "hello world."


def test_an_english_model_refuses_another_language() -> None:
    with pytest.raises(ModelUnusableError, match="understands English only"):
        load(options(language="ko"))


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ModelUnusableError, match="does not know LANGUAGE 'xx'"):
        load(options("base", language="xx"))


def test_a_folder_without_a_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusableError, match="parley models pull"):
        load(options(folder=tmp_path))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"no model")

    with pytest.raises(ModelUnusableError, match="does not load"):
        load(options(folder=tmp_path))


@pytest.mark.parametrize("language", ["es", ""])
def test_a_multilingual_model_takes_a_language_or_finds_it(language: str) -> None:
    transcriber = load(options("base", language=language))

    [decoded] = transcriber.transcribe([sample("es/pangrama")], Decoding())

    assert decoded.language == "es"
    assert "comía feliz cardillo y kiwi" in decoded.text


def test_hotwords_are_heard_as_they_are_spelt() -> None:
    said = espeak("Hello Parlay, what is the time?")

    [without] = load(options()).transcribe([said], Decoding())
    [prompted] = load(options(hotwords="Parley")).transcribe([said], Decoding())

    assert "Parley" not in without.text
    assert "Parley" in prompted.text
