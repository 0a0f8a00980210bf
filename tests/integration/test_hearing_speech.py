"""What is heard in known speech, wherever it is cut, and in what is no speech: the real path on the real tiny.en."""

import functools
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from parley_asr.engines import Decoded, Decoding, Samples, Transcriber
from parley_asr.engines.whisper import SAFE_WINDOW_S, LoadOptions, load
from parley_asr.hearing import Hearing, Listening, Understood
from parley_asr.windows import Limits, limits
from parley_cli.questions import sample_questions
from parley_cli.scoring import Score, scored
from parley_contract.catalogue import find_model
from parley_contract.frames import RATE_HZ
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_runtime.sounds import Readable, read_pcm
from parley_tts.engines import Samples as Sound
from parley_tts.engines import Speech, piper
from parley_tts.shaping import Shaper

MONOLOGUE = (
    "Yesterday we walked along the river until the rain began to fall. My sister bought a new bicycle and rode it to "
    "the beach. In the evening we sat in the kitchen and told each other stories about the farm."
)
BREATHLESS = "we walked along the river and over the bridge to the old house where my sister lived with her two dogs"
CUTS = 200
"""In all, over the four cases."""
RANDOM = np.random.default_rng(7)


@functools.cache
def engine(window_s: float) -> Transcriber:
    folder = pull(ModelStore.at(), find_model("tiny.en"))
    return load(LoadOptions(name="tiny.en", folder=folder, device="cpu", cpu_threads=1, window_s=window_s))


def read(source: Path | Readable) -> Samples:
    return np.frombuffer(b"".join(read_pcm(source, "it")), "<i2").astype(np.float32) / np.float32(32768)


def recited(text: str) -> Samples:
    """Say it with a voice that says it the same way each time."""
    command = ["espeak-ng", "-v", "en-us", "-s", "150", "--stdout", text]
    return read(BytesIO(subprocess.run(command, check=True, capture_output=True).stdout))


@functools.cache
def joe() -> piper.PiperSynthesizer:
    # It sounds different each time, but not in each run: whether Whisper understands it is not to be a matter of luck.
    onnxruntime.set_seed(4711)
    return piper.load(pull(ModelStore.at(), find_model("en_US-joe-medium")))


def said(text: str) -> Samples:
    """Say it with a voice that sounds a little different each time."""
    voice = joe()
    shaper, sound = Shaper(voice.voice.rate_hz), list[Sound]()

    def take(piece: Sound) -> bool:
        sound.append(piece)
        return True

    voice.speak(Speech(text=text, language="en"), take)
    pcm = b"".join([*shaper.feed(np.concatenate(sound)), *shaper.finish()])
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


class Ear:
    """Hears like the service, and decodes what it has heard before only once."""

    def __init__(self, window_s: float = 10.0, cut: Limits | None = None) -> None:
        self.engine = engine(window_s)
        self.how = Listening(
            limits=cut or limits(encoder_window_s=window_s, overlap_ms=120),
            language="en",
            has_safe_mode=window_s < SAFE_WINDOW_S,
        )
        self.windows = 0

    async def hear(self, samples: Samples, known: dict[tuple[bytes, Decoding], Decoded] | None = None) -> Understood:
        known = {} if known is None else known

        async def decode(window: Samples, how: Decoding) -> Decoded:
            self.windows += 1
            key = (window.tobytes(), how)
            if key not in known:
                known[key] = self.engine.transcribe([window], how)[0]
            return known[key]

        return await Hearing(self.how).final(samples, decode)


@pytest.mark.parametrize("overlap_ms", [120, 400])
@pytest.mark.parametrize("text", [MONOLOGUE, BREATHLESS], ids=["with pauses", "without a pause"])
async def test_wherever_speech_is_cut_no_word_is_lost_and_none_is_doubled(text: str, overlap_ms: int) -> None:
    samples = recited(text)
    known: dict[tuple[bytes, Decoding], Decoded] = {}
    total, worst, windows = Score(), 0, 0

    for cut in np.linspace(4 * RATE_HZ, 0.9 * len(samples), CUTS // 4).astype(int).tolist():
        ear = Ear(cut=Limits(window=cut, overlap=overlap_ms * RATE_HZ // 1000))
        score = scored(text, (await ear.hear(samples, known)).text, language="en")
        total, worst, windows = total + score, max(worst, score.words.count), windows + ear.windows

    assert windows > CUTS // 4
    # A word may be understood otherwise without what stood around it, in such short windows more than in those of ten
    # seconds. Words that are lost or doubled at each cut would be seen here.
    assert total.words.insertions + total.words.deletions <= 0.04 * total.words.length, (total, worst)
    assert total.words.substitutions <= 0.12 * total.words.length, (total, worst)


@pytest.mark.parametrize("pause_s, count", [(0.3, 5), (0.6, 3), (0.6, 2), (1.2, 3)])
async def test_of_several_questions_with_pauses_between_none_is_lost_and_none_is_doubled(
    pause_s: float, count: int
) -> None:
    questions = sample_questions()
    total, heard = Score(), list[str]()

    for first in range(len(questions)):
        asked = [questions[(first + number) % len(questions)] for number in range(count)]
        pause = np.zeros(round(pause_s * RATE_HZ), dtype=np.float32)
        samples = np.concatenate([part for question in asked for part in (pause, audible(read(question.wav)))])
        if len(samples) <= limits(encoder_window_s=10, overlap_ms=120).window:
            heard.append((await Ear().hear(samples)).text)
            total += scored(" ".join(question.expected or "" for question in asked), heard[-1], language="en")

    # A whole question is four words and more.
    assert len(heard) >= 4
    assert total.words.insertions + total.words.deletions < 4, heard


def audible(samples: Samples) -> Samples:
    """Take the silence around speech away."""
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1]]


def single(sound: NDArray[np.float64]) -> Samples:
    return sound.astype(np.float32)


def breaths(seconds: float) -> Samples:
    """Air that comes and goes, three seconds a breath."""
    count = round(seconds * RATE_HZ)
    air = np.convolve(RANDOM.standard_normal(count + 63), np.hanning(64) / 32, mode="valid")
    return single(air * 0.02 * np.clip(np.sin(2 * np.pi * np.arange(count) / RATE_HZ / 3), 0, 1))


def clicks(seconds: float) -> Samples:
    """Keys of a keyboard, five a second."""
    sound = np.zeros(round(seconds * RATE_HZ))
    decay = np.exp(-np.arange(RATE_HZ // 50) / 40)
    for at in range(0, len(sound) - len(decay), RATE_HZ // 5):
        sound[at : at + len(decay)] += 0.3 * decay * RANDOM.standard_normal(len(decay))
    return single(sound)


def chords(seconds: float) -> Samples:
    """Four chords of an organ, one a second."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    roots = np.array([220.0, 174.6, 261.6, 196.0])[(time % 4).astype(int)]
    tones = sum(np.sin(2 * np.pi * np.cumsum(roots * step) / RATE_HZ) for step in (1, 1.26, 1.5, 2))
    return single(0.05 * np.asarray(tones))


def pink(seconds: float) -> Samples:
    """Noise of a room with a fan in it."""
    count = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(RANDOM.standard_normal(count)) / np.sqrt(np.arange(1, count // 2 + 2))
    noise = np.fft.irfft(spectrum, count)
    return single(0.05 * noise / np.abs(noise).max())


@pytest.mark.parametrize("window_s", [10.0, 30.0])
@pytest.mark.parametrize("seconds", [1.0, 4.0, 9.0])
@pytest.mark.parametrize("sound", [breaths, clicks, chords, pink], ids=lambda sound: sound.__name__)
async def test_what_is_no_speech_has_no_text(
    sound: Callable[[float], Samples], seconds: float, window_s: float
) -> None:
    heard = await Ear(window_s).hear(sound(seconds))

    assert heard.text == ""


@pytest.mark.parametrize("word", ["Yes.", "No.", "Okay."])
@pytest.mark.parametrize("window_s", [10.0, 30.0])
async def test_a_single_word_is_heard(word: str, window_s: float) -> None:
    right = 0
    for _ in range(5):
        samples = said(word)
        loud = np.flatnonzero(np.abs(samples) > 0.02)
        samples = samples[max(0, loud[0] - RATE_HZ // 10) : loud[-1] + RATE_HZ // 10]
        # As the gateway sends it: a little of what was before, and the silence that ended it.
        heard = await Ear(window_s).hear(np.pad(samples, (RATE_HZ // 5, RATE_HZ // 2)))

        assert len(samples) < 0.9 * RATE_HZ
        right += scored(word, heard.text, language="en").words.count == 0

    assert right >= 4


@pytest.mark.parametrize("window_s", [10.0, 30.0])
async def test_a_monologue_of_thirteen_seconds_is_heard_whole(window_s: float) -> None:
    text = f"{MONOLOGUE} The next day the sun was shining again."
    samples = said(text)

    heard = await Ear(window_s).hear(samples)

    assert len(samples) / RATE_HZ > 11.5
    rate = scored(text, heard.text, language="en").words.rate
    assert rate is not None
    assert rate <= 0.2, heard.text


async def test_speech_in_noise_and_over_music_is_still_heard() -> None:
    samples = said(MONOLOGUE)
    for background in (pink, chords):
        behind = background(len(samples) / RATE_HZ)[: len(samples)]
        loudness = np.sqrt(np.mean(samples**2) / np.mean(behind**2)) * 10 ** (-12 / 20)

        heard = await Ear().hear(single(samples + loudness * behind))

        rate = scored(MONOLOGUE, heard.text, language="en").words.rate
        assert rate is not None
        assert rate <= 0.3, (background.__name__, heard.text)
