"""Hearing with the real Silero model on real speech: where utterances begin and end, and what that costs."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from parley_contract.catalogue import find_model
from parley_gateway.segments import WINDOW_SAMPLES
from parley_gateway.utterance_events import Began, Ended, FrameHeard, Happening
from parley_gateway.utterance_state import Hearing, UtteranceRules
from parley_gateway.utterances import step
from parley_gateway.vad import SileroModel, VoiceDetector
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.loudness import LoudnessDetector

SAMPLES = [
    "en/hello_world",
    "en/counting",
    "en/quick_brown_fox",
    "es/pangrama",
    "fr/bonjour_monde",
    "ja/kazoeru",
    "zh/jishu",
]


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel(pull(ModelStore.at(), find_model("silero-vad")) / "silero_vad_16k_op15.onnx")


@pytest.fixture(scope="module")
def speech() -> Callable[[str], NDArray[np.float32]]:
    folder = pull(ModelStore.at(), find_model("audioeval"))
    return lambda name: _float_wav(folder / f"{name}.wav")


def _float_wav(path: Path) -> NDArray[np.float32]:
    """Read a WAV of 32-bit float samples, which the standard library's reader refuses."""
    data = path.read_bytes()
    return np.frombuffer(data[data.index(b"data") + 8 :], "<f4")


def pcm(samples: NDArray[np.float32]) -> bytes:
    return np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def listen(
    samples: NDArray[np.float32], detector: VoiceDetector, *, step_bytes: int = 640
) -> tuple[list[Happening], list[float]]:
    """Return what happened while some sound was heard, and the probabilities."""
    sound, state = pcm(samples), Hearing()
    happened: list[Happening] = []
    probabilities: list[float] = []
    for start in range(0, len(sound), step_bytes):
        windows = detector.feed(sound[start : start + step_bytes])
        probabilities += [window.probability for window in windows]
        state, now_happened = step(state, FrameHeard(windows), start / 32_000, UtteranceRules())
        happened += now_happened
    return happened, probabilities


def loud_from_to(samples: NDArray[np.float32]) -> tuple[int, int]:
    """Return where sound begins and ends by its level alone, in samples: 5 ms that are within 35 dB of the loudest."""
    blocks = samples[: len(samples) // 80 * 80].reshape(-1, 80)
    levels = 10 * np.log10(np.maximum(np.mean(blocks**2, axis=1), 1e-12))
    loud = np.nonzero(levels > max(-50, float(levels.max()) - 35))[0]
    return int(loud[0]) * 80, (int(loud[-1]) + 1) * 80


def in_silence(samples: NDArray[np.float32], noise: float = 0.0) -> NDArray[np.float32]:
    """Put a second of silence before and two after, and noise of that RMS over everything."""
    padded = np.concatenate([np.zeros(16_000), samples, np.zeros(32_000)])
    return (padded + np.random.default_rng(7).normal(0, noise, len(padded)) if noise else padded).astype(np.float32)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_spoken_sentence_is_one_utterance_that_ends_with_its_last_sound(
    silero: SileroModel, speech: Callable[[str], NDArray[np.float32]], name: str
) -> None:
    begin, end = loud_from_to(speech(name))

    happened, _ = listen(in_silence(speech(name)), silero.detector())

    [began] = [thing for thing in happened if isinstance(thing, Began)]
    [ended] = [thing for thing in happened if isinstance(thing, Ended)]
    assert began.first_frame * 320 <= 16_000 + begin
    assert (ended.last_voiced - 16_000 - end) / 16 == pytest.approx(0, abs=45)


@pytest.mark.parametrize("name", SAMPLES)
def test_noise_at_12_db_neither_adds_utterances_nor_moves_the_end_far(
    silero: SileroModel, speech: Callable[[str], NDArray[np.float32]], name: str
) -> None:
    begin, end = loud_from_to(speech(name))
    loudness = float(np.sqrt(np.mean(speech(name)[begin:end] ** 2)))

    happened, _ = listen(in_silence(speech(name), noise=loudness / 4), silero.detector())

    [ended] = [thing for thing in happened if isinstance(thing, Ended)]
    assert (ended.last_voiced - 16_000 - end) / 16 == pytest.approx(0, abs=140)


def test_silence_and_noise_are_no_speech(silero: SileroModel) -> None:
    quiet, _ = listen(np.zeros(16_000 * 10, np.float32), silero.detector())
    noisy, _ = listen(in_silence(np.zeros(16_000 * 10, np.float32), noise=0.05), silero.detector())

    assert quiet == []
    assert noisy == []


def test_probabilities_do_not_depend_on_how_the_sound_is_cut(
    silero: SileroModel, speech: Callable[[str], NDArray[np.float32]]
) -> None:
    _, in_frames = listen(speech("en/counting"), silero.detector(), step_bytes=640)
    _, at_once = listen(speech("en/counting"), silero.detector(), step_bytes=2**20)

    assert in_frames == at_once


def test_speakers_do_not_disturb_each_other(silero: SileroModel, speech: Callable[[str], NDArray[np.float32]]) -> None:
    _, alone = listen(speech("en/counting"), silero.detector())
    one, other = silero.detector(), silero.detector()

    both = []
    sound, noise = pcm(speech("en/counting")), pcm(speech("en/hello_world"))
    for start in range(0, len(sound), 640):
        other.feed(noise[start : start + 640])
        both += [window.probability for window in one.feed(sound[start : start + 640])]

    assert both == alone


def test_speakers_who_are_judged_together_are_judged_as_if_alone(
    silero: SileroModel, speech: Callable[[str], NDArray[np.float32]]
) -> None:
    sounds = [pcm(in_silence(speech(name)))[: 640 * 100] for name in SAMPLES]
    alone = [silero.detector() for _ in SAMPLES]
    together = [silero.detector() for _ in SAMPLES]

    for start in range(0, len(sounds[0]), 640):
        frames = [sound[start : start + 640] for sound in sounds]
        judged = silero.judge(list(zip(together, frames, strict=True)))
        expected = [detector.feed(frame) for detector, frame in zip(alone, frames, strict=True)]

        for windows, one in zip(judged, expected, strict=True):
            assert [window.end for window in windows] == [window.end for window in one]
            for window, single in zip(windows, one, strict=True):
                assert window.probability == pytest.approx(single.probability, abs=1e-4)
                assert window.levels_db == pytest.approx(single.levels_db)


@pytest.mark.parametrize("kind", ["silero", "loudness"])
def test_real_and_fake_judge_the_same_windows(
    silero: SileroModel, speech: Callable[[str], NDArray[np.float32]], kind: str
) -> None:
    detector: VoiceDetector = silero.detector() if kind == "silero" else LoudnessDetector()
    sound = in_silence(speech("en/hello_world"))

    windows = [
        window for start in range(0, len(pcm(sound)), 640) for window in detector.feed(pcm(sound)[start : start + 640])
    ]

    assert [window.end for window in windows] == [
        WINDOW_SAMPLES * n for n in range(1, len(sound) // WINDOW_SAMPLES + 1)
    ]
    assert all(len(window.levels_db) == 4 for window in windows)
    middle = 16_000 + len(speech("en/hello_world")) // 2
    assert windows[middle // WINDOW_SAMPLES].probability > 0.5
    assert windows[0].probability < 0.1


def test_a_window_costs_far_less_than_its_own_time(silero: SileroModel) -> None:
    detector, frame = silero.detector(), bytes(640)
    detector.feed(frame * 100)

    began_at = time.process_time()
    detector.feed(frame * 500)

    # 10 s of sound. 50 speakers on one core would leave 640 us for a window of 32 ms; 72 us were measured when quiet.
    assert time.process_time() - began_at < 10 * 0.02


def test_a_missing_model_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="parley models pull"):
        SileroModel(tmp_path / "none.onnx")
