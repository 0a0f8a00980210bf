"""Sound of the corpus, and where in it speech is: rendered once, kept in the user's cache by its content's hash.

Every part of a line is spoken by itself, with the comma that a speaker who goes on would put there, and laid so that
from its last audible sample to the next one's first it is silent for just as long as the line says. So the renderer
knows where speech ends, and no detector has to find out. Beside each `<hash>.wav` lies `<hash>.json`, an `Annotation`.

The voices are made to draw no noise, or always the same, so that a line sounds the same wherever it is rendered.
"""

import functools
import hashlib
import shutil
import tempfile
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import _kokoro
import _loudness
import msgspec
import numpy as np
import soxr
from _corpus import Dialogue, Line, VoiceName
from _loudness import SPEECH_DB, Samples
from rich.progress import track

from parley_cli.screen import Screen
from parley_contract.catalogue import find_model
from parley_contract.frames import RATE_HZ
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_runtime.tools import cache_dir
from parley_tts.engines import Speech, Synthesizer, espeak, piper
from parley_tts.speakable import speakable

_VERSION: Final = 1
"""Raised when the same line is rendered otherwise."""
_LOUDEST: Final = 0.95
_ESPEAK: Final[Mapping[VoiceName, str]] = {"us": "en-us", "gb": "en-gb+f3", "male": "en-us+m3"}
_KOKORO: Final[Mapping[VoiceName, str]] = {"alpha": "jf_alpha", "kumo": "jm_kumo"}
_PIPER: Final = "en_US-joe-medium"
_PUNCTUATION: Final = ".!?,;:"


class Span(msgspec.Struct, frozen=True):
    """One part as it is heard: from its first audible sample to one past its last, at 16 kHz."""

    begin: int
    end: int


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """Where speech is in a rendered line."""

    line: Line
    voice: VoiceName
    rate_hz: int = RATE_HZ
    spans: tuple[Span, ...]
    """A part each."""

    @property
    def end(self) -> int:
        """The annotated end of speech: one past the last sample that is audibly voiced."""
        return self.spans[-1].end


class Rendered(NamedTuple):
    """A line as sound."""

    samples: Samples
    annotation: Annotation
    wav: Path


def rendered(dialogues: Sequence[Dialogue], screen: Screen) -> list[tuple[Dialogue, list[Rendered]]]:
    """Return the dialogues with the sound of their lines, rendering what is not in the cache and showing progress.

    Raises:
        ParleyError: a voice cannot be fetched or does not speak.
    """
    folder = cache_dir() / "bench" / "turns"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        place: (d.voice, line)
        for d in dialogues
        for line in d.turns
        if not _is_there(place := _place(folder, d.voice, line))
    }
    if wanted:
        screen.say(f"rendering {len(wanted)} lines into {folder}")
        store = ModelStore.at()
        for place, (voice, line) in track(wanted.items(), "rendering", console=screen.console, transient=True):
            _render(place, line, voice, store)
    return [(d, [_load(_place(folder, d.voice, line)) for line in d.turns]) for d in dialogues]


def laid_out(line: Line, sounds: Sequence[Samples]) -> tuple[Samples, tuple[Span, ...]]:
    """Put the parts of a line one behind the other, each as far from the next as the line says.

    Args:
        line: whose parts these are.
        sounds: at 16 kHz, a part each, with whatever silence their voice put around them.

    Returns:
        The sound, which begins with the first audible sample and ends softly, and where its parts are.
    """
    spans, starts, cursor = list[Span](), list[int](), 0
    for part, sound in zip(line.parts, sounds, strict=True):
        audible = _loudness.voiced(sound)
        starts.append(cursor - audible.begin)
        spans.append(Span(cursor, cursor + audible.end - audible.begin))
        cursor = spans[-1].end + round(part.pause_s * RATE_HZ)
    lead = -starts[0]
    mixed = np.zeros(max(start + len(sound) for start, sound in zip(starts, sounds, strict=True)) + lead, np.float32)
    for start, sound in zip(starts, sounds, strict=True):
        mixed[start + lead : start + lead + len(sound)] += sound
    return mixed, tuple(Span(span.begin + lead, span.end + lead) for span in spans)


def as_loud_as_speech(samples: Samples) -> Samples:
    """Bring speech to the loudness of all of it."""
    gain = 10 ** (SPEECH_DB / 20) / _loudness.speech_rms(samples)
    louder: Samples = (samples * min(gain, _LOUDEST / float(np.abs(samples).max()))).astype(np.float32)
    return louder


def _render(place: Path, line: Line, voice: VoiceName, store: ModelStore) -> None:
    speaker = _speaker(voice, store)
    samples, spans = laid_out(line, [_said(speaker, _unfinished(part.text)) for part in line.parts])
    annotation = Annotation(line=line, voice=voice, spans=spans)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        wav = Path(scratch) / "line.wav"
        _write(wav, as_loud_as_speech(samples))
        wav.rename(place.with_suffix(".wav"))
        page = Path(scratch) / "line.json"
        page.write_bytes(msgspec.json.format(msgspec.json.encode(annotation)))
        page.rename(place.with_suffix(".json"))


def _unfinished(text: str) -> str:
    """Put a comma where somebody will go on, so that the voice does not fall."""
    return text if text[-1] in _PUNCTUATION else f"{text},"


def _said(speaker: Synthesizer, text: str) -> Samples:
    pieces = list[Samples]()

    def take(piece: Samples) -> bool:
        pieces.append(piece)
        return True

    speaker.speak(Speech(text=speakable(text, "en"), language="en"), take)
    resampled: Samples = soxr.resample(np.concatenate(pieces), speaker.voice.rate_hz, RATE_HZ).astype(np.float32)
    return resampled


def _speaker(voice: VoiceName, store: ModelStore) -> Synthesizer:
    """Return a voice in the state of its first word: Kokoro's sounds depend on how much it has said before."""
    if voice in _KOKORO:
        return _kokoro.load(pull(store, find_model("kokoro-ja")), _KOKORO[voice])
    return _lasting(voice, store.root)


@functools.cache
def _lasting(voice: VoiceName, models: Path) -> Synthesizer:
    if voice in _ESPEAK:
        return espeak.load(_ESPEAK[voice])
    return _without_noise(pull(ModelStore(models), find_model(_PIPER)))


def _without_noise(folder: Path) -> Synthesizer:
    """Load a Piper voice that says everything always in the same way."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in folder.glob(f"{_PIPER}.onnx*"):
            shutil.copy(path, scratch)
        page = Path(scratch) / f"{_PIPER}.onnx.json"
        config = msgspec.json.decode(page.read_bytes())
        config["inference"] |= {"noise_scale": 0.0, "noise_w": 0.0}
        page.write_bytes(msgspec.json.encode(config))
        return piper.load(Path(scratch))


def _place(folder: Path, voice: VoiceName, line: Line) -> Path:
    content = msgspec.json.encode([_VERSION, voice, line.text])
    return folder / hashlib.sha256(content).hexdigest()[:24]


def _is_there(place: Path) -> bool:
    return place.with_suffix(".wav").exists() and place.with_suffix(".json").exists()


def _write(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())


def _load(place: Path) -> Rendered:
    wav = place.with_suffix(".wav")
    with wave.open(str(wav)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(32768)
    return Rendered(samples, msgspec.json.decode(place.with_suffix(".json").read_bytes(), type=Annotation), wav)
