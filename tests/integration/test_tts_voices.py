"""The real voices: the suite, what they sound like to Whisper, and what they do with a voice that somebody brings."""

import contextlib
import gc
import os
import re
import shutil
import signal
import time
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest

from parley_asr.engines import Decoding, Transcriber
from parley_asr.engines.whisper import LoadOptions
from parley_asr.engines.whisper import load as load_whisper
from parley_cli.scoring import Score, scored
from parley_contract.catalogue import find_model
from parley_runtime.models import ModelStore
from parley_runtime.piper_voices import VoiceUnusableError, derived, read_voice
from parley_runtime.pulls import pull
from parley_testkit.synthesizer_suite import LONG, SynthesizerSuite, spoken
from parley_tts.engines import (
    CannotSpeakError,
    EngineUnusableError,
    Samples,
    Speech,
    SynthesisFailedError,
    Synthesizer,
    Voice,
    espeak,
)
from parley_tts.engines.piper import Latent, PiperModel, PiperSynthesizer
from parley_tts.engines.piper import load as load_piper
from parley_tts.pieces import FIRST_FRAMES, LARGEST_FRAMES, phoneme_ids
from parley_tts.shaping import AUDIBLE, Shaper

SENTENCES = (
    "The capital of France is Paris.",
    "I would be happy to help you with that.",
    "Sure, let me think about it for a moment.",
    "There are seven days in a week and twelve months in a year.",
    "You can make tea by pouring hot water over the leaves.",
    "It was the first time that anybody had walked on the moon.",
)


@pytest.fixture(scope="module")
def joe() -> Path:
    return pull(ModelStore.at(), find_model("en_US-joe-medium"))


@pytest.fixture(scope="module")
def whisper() -> Transcriber:
    folder = pull(ModelStore.at(), find_model("tiny.en"))
    return load_whisper(LoadOptions(name="tiny.en", folder=folder, device="cpu", cpu_threads=1))


@pytest.fixture(scope="module")
def piper(joe: Path) -> PiperSynthesizer:
    # What it says sounds different each time, but not in each run.
    onnxruntime.set_seed(4711)
    return load_piper(joe)


@pytest.fixture(scope="module")
def piper_model(joe: Path) -> PiperModel:
    return PiperModel(read_voice(joe), derived(joe), 1)


class TestPiper(SynthesizerSuite):
    @pytest.fixture
    def synthesizer(self, piper: Synthesizer) -> Synthesizer:
        return piper


class TestEspeak(SynthesizerSuite):
    @pytest.fixture
    def synthesizer(self) -> Synthesizer:
        return espeak.load()


@pytest.fixture(params=["piper", "espeak"])
def voice(request: pytest.FixtureRequest, piper: Synthesizer) -> Synthesizer:
    return piper if request.param == "piper" else espeak.load()


def shaped(voice: Synthesizer, text: str) -> Samples:
    """Say it as the service does: 16 kHz, in frames."""
    shaper = Shaper(voice.voice.rate_hz)
    pcm = b"".join([*shaper.feed(spoken(voice, text)), *shaper.finish()])
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)


def said(model: PiperModel) -> Latent:
    """Return the latent of some sentences, as one breath."""
    sentence = "həlˈoʊ ðˈɛɹ, haʊ ɑːɹ juː tədˈeɪ? aɪ hˈoʊp juː ɑːɹ wˈɛl."  # noqa: RUF001  # IPA
    return model.encode(phoneme_ids(sentence, model.piper.config.phoneme_id_map), speed=1)


def test_whisper_understands_the_voice(voice: Synthesizer, whisper: Transcriber) -> None:
    heard = [whisper.transcribe([shaped(voice, text)], Decoding())[0].text for text in SENTENCES]

    scores = [scored(said, text, language="en") for said, text in zip(SENTENCES, heard, strict=True)]
    rate = sum(scores, Score()).words.rate
    assert rate is not None
    assert rate < 0.2, heard


def test_speech_begins_at_once(voice: Synthesizer) -> None:
    samples = shaped(voice, "What a day.")

    assert int(np.flatnonzero(np.abs(samples) > AUDIBLE)[0]) <= 0.015 * 16_000


def test_pieces_sound_as_the_whole_does(piper_model: PiperModel) -> None:
    latent = said(piper_model)

    whole, in_pieces = piper_model.decode(latent), list(piper_model.decode_in_pieces(latent))

    assert len(whole) == latent.shape[2] * piper_model.hop_samples
    assert len(in_pieces) > 3
    assert np.abs(whole).max() > 0.1
    np.testing.assert_allclose(np.concatenate(in_pieces), whole, atol=1e-5)


def test_a_frames_sound_needs_its_context_and_no_more(piper_model: PiperModel) -> None:
    latent = said(piper_model)
    whole, hop = piper_model.decode(latent), piper_model.hop_samples

    def error(context: int) -> float:
        """Return how far every tenth frame, decoded with so many neighbours, is from what it is in the whole."""
        worst = 0.0
        for at in range(context, latent.shape[2] - context, 10):
            alone = piper_model.decode(latent[:, :, at - context : at + 1 + context])
            difference = alone[context * hop : (context + 1) * hop] - whole[at * hop : (at + 1) * hop]
            worst = max(worst, float(np.abs(difference).max()))
        return worst

    assert error(piper_model.context_frames) < 1e-5
    assert error(piper_model.context_frames // 2) > 1e-3


def test_a_sentence_is_heard_before_it_is_made(piper: Synthesizer) -> None:
    at: list[float] = []
    # Time of this thread, in which all is made: other work of the machine is not in it.
    began_at = time.thread_time()

    def take(_: Samples) -> bool:
        at.append(time.thread_time() - began_at)
        return True

    piper.speak(Speech(text="You can make tea by pouring hot water over the dry leaves.", language="en"), take)

    assert len(at) > 2
    assert at[0] < 0.6 * at[-1]


def test_nothing_is_made_that_nobody_wants(piper: Synthesizer) -> None:
    pieces: list[Samples] = []

    def enough(samples: Samples) -> bool:
        pieces.append(samples)
        return len(pieces) < 2

    piper.speak(Speech(text=LONG, language="en"), enough)

    assert [len(piece) for piece in pieces] == [FIRST_FRAMES * 256, LARGEST_FRAMES * 256]


def test_without_noise_a_voice_says_everything_always_in_the_same_way(joe: Path, tmp_path: Path) -> None:
    page = tmp_path / "en_US-joe-medium.onnx.json"
    shutil.copy(joe / "en_US-joe-medium.onnx", tmp_path)
    config = msgspec.json.decode((joe / page.name).read_bytes())
    page.write_bytes(msgspec.json.encode(config | {"inference": {"noise_scale": 0, "noise_w": 0, "length_scale": 2}}))
    voice = load_piper(tmp_path)

    once, again = spoken(voice, "Hello there."), spoken(voice, "Hello there.")

    np.testing.assert_array_equal(once, again)
    # Twice as fast as a voice that is half as fast: 69 frames, as many as sherpa-onnx made of it.
    assert len(spoken(voice, "Hello there.", speed=2)) == 69 * 256
    assert len(once) > 1.6 * 69 * 256


def test_espeak_speaks_korean() -> None:
    voice = espeak.load()

    korean, spelled = spoken(voice, "안녕하세요, 반갑습니다.", language="ko"), spoken(voice, "안녕하세요, 반갑습니다.")

    assert 1 < len(korean) / voice.voice.rate_hz < 5
    assert len(korean) != len(spelled)


@pytest.mark.parametrize("first", ["", "head -c 20 /dev/zero;", "head -c 5001 /dev/zero;"])
def test_an_espeak_that_hangs_is_given_up_and_killed(tmp_path: Path, first: str) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{first} exec sleep 60\n")
    program.chmod(0o755)
    hanging = espeak.EspeakSynthesizer(str(program), Voice(engine="espeak", name="en", rate_hz=22_050), patience_s=0.3)

    with pytest.raises(SynthesisFailedError, match=r"no sound for 0\.3 s"):
        hanging.speak(Speech(text="Hello.", language="en"), lambda _: True)

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_region_without_a_voice_takes_the_languages_voice() -> None:
    assert len(spoken(espeak.load(), "Hello.", language="en-XX")) > 0


def test_a_piper_voice_does_not_speak_other_languages(piper: Synthesizer) -> None:
    with pytest.raises(CannotSpeakError, match="en_US-joe-medium speaks en, not ko"):
        spoken(piper, "안녕하세요.", language="ko")


def test_phonemes_come_clause_by_clause() -> None:
    program = espeak.find_espeak()

    heard = espeak.Phonemizer(program, "en-us").phonemes(["hello there", "my friend", "..."])

    assert heard == ["həlˈoʊ ðˈɛɹ", "maɪ fɹˈɛnd", ""]  # noqa: RUF001  # IPA


def test_a_clause_in_which_espeak_sees_a_pause_stays_one_clause() -> None:
    program = espeak.find_espeak()

    heard = espeak.Phonemizer(program, "en-us").phonemes(["hello; there", "friend"])

    assert heard == ["həlˈoʊ ðˈɛɹ", "fɹˈɛnd"]  # noqa: RUF001  # IPA


def test_notes_on_language_and_phoneme_codes_are_not_spoken() -> None:
    program = espeak.find_espeak()

    [heard] = espeak.Phonemizer(program, "en-us").phonemes(["안녕 [[h@]] hi"])

    assert not set(heard) & set("()[]@")


def waiting() -> set[int]:
    """Our children that are espeak-ng."""
    found = set()
    for page in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, name, rest = re.split(r"\((.*)\)", page.read_text(), maxsplit=1)
            if name == "espeak-ng" and int(rest.split()[1]) == os.getpid():
                found.add(int(page.parent.name))
    return found


def test_a_phonemizer_answers_also_when_the_process_that_waited_for_its_text_was_killed() -> None:
    before = waiting()
    phonemizer = espeak.Phonemizer(espeak.find_espeak(), "en-us")
    phonemizer.prepare()
    phonemizer.prepare()
    [prepared] = waiting() - before

    os.kill(prepared, signal.SIGKILL)

    assert phonemizer.phonemes(["friend"]) == ["fɹˈɛnd"]  # noqa: RUF001  # IPA
    assert waiting() == before


def test_the_process_that_waits_for_a_text_is_the_one_that_gets_it_and_ends_with_its_phonemizer() -> None:
    before = waiting()
    phonemizer = espeak.Phonemizer(espeak.find_espeak(), "en-us")
    phonemizer.prepare()

    assert phonemizer.phonemes(["friend"]) == ["fɹˈɛnd"]  # noqa: RUF001  # IPA
    assert waiting() == before
    phonemizer.prepare()
    assert len(waiting() - before) == 1
    del phonemizer
    gc.collect()
    assert waiting() == before


def test_a_voice_that_somebody_brings_is_made_loadable_without_touching_its_folder(joe: Path, tmp_path: Path) -> None:
    for name in ("en_US-joe-medium.onnx", "en_US-joe-medium.onnx.json"):
        shutil.copy(joe / name, tmp_path)

    voice = load_piper(tmp_path)

    assert len(spoken(voice, "Hello.")) > 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_without_a_voice_says_what_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(VoiceUnusableError, match="there must be one"):
        load_piper(tmp_path)


def test_without_espeak_the_error_says_what_to_install(joe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    for load in (lambda: load_piper(joe), espeak.load):
        with pytest.raises(EngineUnusableError, match="apt-get install espeak-ng"):
            load()


def test_an_espeak_voice_that_does_not_exist_is_refused() -> None:
    with pytest.raises(EngineUnusableError, match="knows no voice 'klingon-x'"):
        espeak.load("klingon-x")
