"""Piper voices as sherpa-onnx wants them: a table of phonemes, and the model with its facts written into it.

A Piper voice is `<voice>.onnx` with `<voice>.onnx.json` beside it; sherpa-onnx reads no JSON. `pulls` derives the two
files once, below `sherpa/` in the voice's folder; for a voice that somebody brought, the tts service derives them.
The originals stay as they are, so their hashes stay true.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from parley_contract.errors import PermanentError

DERIVED: Final = "sherpa"
_METADATA_FIELD: Final = 14
"""`metadata_props` of ONNX's ModelProto, a repeated StringStringEntryProto with key = 1 and value = 2 (onnx.proto)."""
_LENGTH_DELIMITED: Final = 2


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
    num_speakers: int = 1
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
    return PiperVoice(model=models[0], config=config)


class SherpaFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What sherpa-onnx loads."""

    model: Path
    tokens: Path


def derived(folder: Path) -> SherpaFiles:
    """Return where the derived files of a voice's folder belong, there or not."""
    return SherpaFiles(model=folder / DERIVED / "model.onnx", tokens=folder / DERIVED / "tokens.txt")


def is_derived(voice: PiperVoice, files: SherpaFiles) -> bool:
    """Whether the derived files are there and as long as they must be."""
    try:
        return files.model.stat().st_size == voice.model.stat().st_size + len(
            metadata(voice.config)
        ) and files.tokens.read_text("utf-8") == token_table(voice.config)
    except FileNotFoundError:
        return False


def derive(voice: PiperVoice, files: SherpaFiles) -> None:
    """Write the derived files, each by a rename, so that a reader never sees half of one."""
    files.model.parent.mkdir(parents=True, exist_ok=True)
    partial = files.model.with_suffix(".partial")
    shutil.copyfile(voice.model, partial)
    with partial.open("ab") as model:
        model.write(metadata(voice.config))
    partial.rename(files.model)
    partial = files.tokens.with_suffix(".partial")
    partial.write_text(token_table(voice.config), "utf-8")
    partial.rename(files.tokens)


def problems(folder: Path) -> list[str]:
    """Compare derived files, where a folder has some, with what they are derived from; as `ModelStore.problems`."""
    files = derived(folder)
    if not files.model.parent.is_dir():
        return []
    voice = read_voice(folder)
    wanted = hashlib.sha256()
    with voice.model.open("rb") as model:
        while block := model.read(1024 * 1024):
            wanted.update(block)
    wanted.update(metadata(voice.config))
    with files.model.open("rb") as model:
        is_same = hashlib.file_digest(model, "sha256").digest() == wanted.digest()
    return [] if is_same and is_derived(voice, files) else [f"{DERIVED}/: is not what the voice's files give"]


def token_table(config: PiperConfig) -> str:
    """Return sherpa-onnx's `tokens.txt`: a phoneme and its id per line."""
    return "".join(f"{phoneme} {ids[0]}\n" for phoneme, ids in config.phoneme_id_map.items())


def metadata(config: PiperConfig) -> bytes:
    """Return the bytes that, appended to the model, give it the metadata sherpa-onnx asks for.

    `metadata_props` is a repeated field, and protobuf merges what is appended to a message into it: no ONNX library is
    needed. The keys are those of sherpa-onnx's `scripts/piper/add_meta_data.py`.
    """
    return b"".join(_entries(_facts(config)))


def _facts(config: PiperConfig) -> Mapping[str, str]:
    return {
        "model_type": "vits",
        "comment": "piper",
        "language": config.espeak.voice,
        "voice": config.espeak.voice,
        "has_espeak": "1",
        "n_speakers": str(config.num_speakers),
        "sample_rate": str(config.audio.sample_rate),
    }


def _entries(facts: Mapping[str, str]) -> Iterator[bytes]:
    for key, value in facts.items():
        yield _field(_METADATA_FIELD, _field(1, key.encode()) + _field(2, value.encode()))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encode seven bits a byte, the lowest first, the top bit saying that more follow (protobuf's encoding page)."""
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # seven bits
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
