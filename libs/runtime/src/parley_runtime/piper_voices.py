"""Piper voices on disk: what their configuration says, and the halves of their model that are made from it.

A Piper voice is `<voice>.onnx` with `<voice>.onnx.json` beside it. We speak with its model cut in two (decision 0016).
`pulls` derives the halves once, below `streaming/` in the voice's folder; for a voice that somebody brought, the tts
service derives them elsewhere. The originals stay as they are, so their hashes stay true. Not here: how a model is cut
(`voice_halves`).

    streaming/encoder.onnx   phonemes to latent
    streaming/decoder.onnx   latent to sound, its metadata saying how much of the one makes how much of the other
    streaming/SHA256SUMS     of both, and of the original that they were made from
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec

from parley_contract.errors import PermanentError

DERIVED: Final = "streaming"
ENCODER: Final = "encoder.onnx"
DECODER: Final = "decoder.onnx"
HOP_SAMPLES: Final = "hop_samples"
CONTEXT_FRAMES: Final = "context_frames"
"""Keys of the decoder's metadata; `voice_halves.Decoder` says what they mean."""
BEGIN, PAD, END = "^", "_", "$"
"""What stands at the beginning of a sentence, behind each phoneme, and at the end, as phonemes of their own."""
_SUMS: Final = "SHA256SUMS"
"""In the form that `sha256sum -c` reads."""
_DERIVED_BEFORE: Final = "sherpa"
"""What Parley made of a voice until it cut models itself: 63 MB that nobody reads any more."""


class VoiceUnusableError(PermanentError):
    """The folder holds no Piper voice, or one of a kind that we cannot speak with."""


class _Audio(msgspec.Struct, frozen=True):
    sample_rate: int


class _Espeak(msgspec.Struct, frozen=True):
    voice: str


class _Inference(msgspec.Struct, frozen=True):
    noise_scale: float = 0.667
    length_scale: float = 1.0
    noise_w: float = 0.8


class PiperConfig(msgspec.Struct, frozen=True):
    """What `<voice>.onnx.json` says, as far as we need it."""

    audio: _Audio
    espeak: _Espeak
    phoneme_id_map: dict[str, Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]]
    """Phoneme, a single character, to the model's input ids."""
    inference: _Inference = _Inference()
    phoneme_type: str = "espeak"


class PiperVoice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice on disk."""

    model: Path
    config: PiperConfig

    @property
    def name(self) -> str:
        """The voice's name, from its file."""
        return self.model.stem


def read_voice(folder: Path) -> PiperVoice:
    """Find the voice in a folder and read its configuration.

    Raises:
        VoiceUnusableError: there is none or more than one, or its phonemes are not espeak's.
    """
    models = sorted(path for path in folder.glob("*.onnx") if path.with_name(f"{path.name}.json").is_file())
    if len(models) != 1:
        raise VoiceUnusableError(
            f"{folder} holds {len(models)} Piper voices; there must be one `<voice>.onnx` with its `<voice>.onnx.json`"
        )
    config_path = models[0].with_name(f"{models[0].name}.json")
    try:
        config = msgspec.json.decode(config_path.read_bytes(), type=PiperConfig)
    except msgspec.DecodeError as error:
        raise VoiceUnusableError(f"{config_path} is no configuration of a Piper voice: {error}") from error
    if config.phoneme_type != "espeak":
        raise VoiceUnusableError(
            f"{models[0].name} wants {config.phoneme_type} phonemes; only espeak's are spoken here"
        )
    if lacking := [mark for mark in (BEGIN, PAD, END) if mark not in config.phoneme_id_map]:
        raise VoiceUnusableError(f"{config_path} has no ids for {' '.join(lacking)} in its phoneme_id_map")
    return PiperVoice(model=models[0], config=config)


class Halves(msgspec.Struct, frozen=True, kw_only=True):
    """The two halves of a voice's model, there or not."""

    encoder: Path
    decoder: Path

    @property
    def folder(self) -> Path:
        """Where they lie, and nothing else."""
        return self.encoder.parent


def derived(folder: Path) -> Halves:
    """Return where the halves of a voice's folder belong, there or not."""
    return Halves(encoder=folder / DERIVED / ENCODER, decoder=folder / DERIVED / DECODER)


def is_derived(voice: PiperVoice, halves: Halves) -> bool:
    """Whether the halves are there and were made from this very model; reads it (0.1 s for 63 MB)."""
    return _recorded(halves).get(_original(voice)) == _sha256(voice.model)


def derive(voice: PiperVoice, halves: Halves) -> None:
    """Make the halves, or leave what was there; a reader finds both or none. Blocks for three seconds.

    Raises:
        VoiceUnusableError: the model cannot be cut.
        OSError: they cannot be written.
    """
    partial = halves.folder.with_name(f".{halves.folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _split(voice.model, partial)
        sums = {name: _sha256(partial / name) for name in (ENCODER, DECODER)} | {_original(voice): _sha256(voice.model)}
        (partial / _SUMS).write_text("".join(f"{sha256}  {name}\n" for name, sha256 in sums.items()), "utf-8")
        if halves.folder.exists():
            shutil.rmtree(halves.folder)
        partial.rename(halves.folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(halves.folder.with_name(_DERIVED_BEFORE), ignore_errors=True)


def problems(folder: Path) -> list[str]:
    """Compare halves, where a folder has some, with what was written down of them; as `ModelStore.problems`."""
    halves = derived(folder)
    if not halves.folder.is_dir():
        return []
    voice, recorded = read_voice(folder), _recorded(halves)
    if not is_derived(voice, halves):
        return [f"{DERIVED}/: was not made from {voice.model.name}"]
    return [
        f"{DERIVED}/{half.name}: is not as it was made"
        for half in (halves.encoder, halves.decoder)
        if not half.is_file() or recorded.get(half.name) != _sha256(half)
    ]


def _split(model: Path, folder: Path) -> None:
    """Run `voice_halves`, whose memory goes with its process."""
    command = [sys.executable, "-P", "-m", "parley_runtime.voice_halves", str(model), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    match done.returncode:
        case os.EX_OK:
            return
        case os.EX_DATAERR:
            raise VoiceUnusableError(done.stderr)
        case os.EX_IOERR:
            raise OSError(int(done.stderr), os.strerror(int(done.stderr)), str(folder))
        case status:
            last = (done.stderr.strip().splitlines() or ["it was killed, perhaps for want of memory"])[-1]
            raise VoiceUnusableError(f"cutting {model.name} in two ended with {status}: {last}")


def _original(voice: PiperVoice) -> str:
    return f"../{voice.model.name}"


def _recorded(halves: Halves) -> dict[str, str]:
    """Return the SHA-256 of each file as it was when the halves were made; empty if there are none."""
    try:
        lines = (halves.folder / _SUMS).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
