"""The model store: where the files of a model lie on this machine, and whether they are what the catalogue says.

Services call `ModelStore.locate` to find their files, `parley models` lists and verifies. Fetching is the business of
`pulls`: the store itself never writes, so a pod may mount it read-only.

    <root>/<kind>/<name>/…           all files of the model, put there by one rename after every hash was right
    <root>/<kind>/<name>/SHA256SUMS  hashes of the files of which the catalogue has none, as they were when pulled
    <root>/<kind>/<name>/streaming/  of voices: what `piper_voices` derived from them
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from parley_contract.catalogue import Kind, Model, ModelFile, find_model
from parley_contract.errors import PermanentError
from parley_runtime import piper_voices
from parley_runtime.tools import cache_dir

State = Literal["present", "incomplete", "missing"]
Counted = Callable[[int], None]
"""Told the bytes that were just read."""

_BLOCK_BYTES: Final = 4 * 1024 * 1024
_SUMS: Final = "SHA256SUMS"
"""In the form that `sha256sum -c` reads."""
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {"asr": ("model.bin", "config.json", "tokenizer.json")}
"""What a folder of one's own must hold; without tokenizer.json, faster-whisper would ask the hub for one."""


class ModelMissingError(PermanentError):
    """The files are not there; the message names the command that pulls them."""


class ModelDamagedError(PermanentError):
    """Files are there but are not what the catalogue promises; the message names the command that pulls them anew."""


class ModelStore:
    """A folder of models."""

    def __init__(self, root: Path) -> None:
        """Use `root`, which need not exist yet."""
        self.root: Final = root

    @classmethod
    def at(cls, folder: str = "") -> "ModelStore":
        """Open the store that a setting names; empty for the one in the user's cache."""
        return cls(_path(folder) if folder else cache_dir() / "models")

    def folder(self, model: Model) -> Path:
        """Return where a model's files belong, there or not."""
        # A colon would end the path in a container's volume or a PATH-like variable.
        return self.root / model.kind / model.name.replace(":", "-")

    def state(self, model: Model) -> State:
        """Say whether all files are there, judged by their sizes; `problems` reads them."""
        folder = self.folder(model)
        if not folder.is_dir():
            return "missing"
        return "present" if all(_has_size(folder / file.path, file) for file in model.files) else "incomplete"

    def locate(self, name: str, kind: Kind) -> Path:
        """Return the folder of a model's files.

        Args:
            name: a name of the catalogue, or the path of a folder with the model's own files (with a `/` in it).
            kind: what the caller can use.

        Raises:
            UnknownModelError: the catalogue has no such model.
            ModelMissingError: it has, but the files are not here; or the given folder does not exist.
            ModelDamagedError: some files are missing or have the wrong size.
        """
        if os.sep in name:
            return _own_folder(_path(name), kind)
        model = find_model(name, kind)
        match self.state(model):
            case "present":
                return self.folder(model)
            case "incomplete":
                raise ModelDamagedError(
                    f"files of {name} in {self.folder(model)} are missing or cut: run `parley models pull {name}`"
                )
            case "missing":
                raise ModelMissingError(f"{name} is not in {self.root}: run `parley models pull {name}`")

    def problems(self, model: Model, count: Counted = lambda _: None) -> list[str]:
        """Read every file and return what is wrong with them, as `path: what`; empty if all is well.

        Args:
            model: an entry of the catalogue.
            count: told of progress; a model has `model.size` bytes.
        """
        folder = self.folder(model)
        if not folder.is_dir():
            return [f"{model.name}: is not here"]
        return folder_problems(folder, model, count, known=recorded(folder)) or piper_voices.problems(folder)


def _path(name: str) -> Path:
    """Return what a setting names, `~` read as a shell does: that of nobody known stands for itself."""
    return Path(os.path.expanduser(name))  # noqa: PTH111  # pathlib's raises for an unknown user


def _own_folder(folder: Path, kind: Kind) -> Path:
    """Return a folder that somebody named as a model, if it can be one."""
    if not folder.is_dir():
        raise ModelMissingError(f"{folder} is no folder; it was given as the {kind} model")
    lacking = [name for name in _NEEDED.get(kind, ()) if not (folder / name).is_file()]
    if lacking:
        raise ModelDamagedError(
            f"{folder} was given as the {kind} model and lacks {', '.join(lacking)}: it must hold a Whisper model in "
            "CTranslate2's format"
        )
    return folder


def record(folder: Path, model: Model) -> None:
    """Write down the hashes of the files of which the catalogue has none."""
    if model.unpinned:
        sums = "".join(f"{file_sha256(folder / path)}  {path}\n" for path in model.unpinned)
        (folder / _SUMS).write_text(sums)


def recorded(folder: Path) -> dict[str, str]:
    """Return the hashes that were written down when the model in `folder` was pulled, by path."""
    try:
        lines = (folder / _SUMS).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {path: sha256 for sha256, _, path in (line.partition("  ") for line in lines)}


def folder_problems(
    folder: Path, model: Model, count: Counted = lambda _: None, *, known: Mapping[str, str]
) -> list[str]:
    """Compare the files in `folder` with the catalogue's hashes; as `ModelStore.problems`, wherever they lie.

    Args:
        folder: where they lie.
        model: an entry of the catalogue.
        count: told of progress.
        known: hashes of files of which the catalogue has none, where there is one.
    """
    found: list[str] = []
    for file in model.files:
        path = folder / file.path
        if not path.is_file():
            found.append(f"{file.path}: is not here")
        elif path.stat().st_size != file.size:
            found.append(f"{file.path}: has {path.stat().st_size} bytes instead of {file.size}")
        else:
            actual = file_sha256(path, count)
            expected = file.sha256 or known.get(file.path, actual)
            if actual != expected:
                found.append(f"{file.path}: has SHA-256 {actual} instead of {expected}")
    return found


def file_sha256(path: Path, count: Counted = lambda _: None) -> str:
    """Return a file's SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as data:
        while block := data.read(_BLOCK_BYTES):
            digest.update(block)
            count(len(block))
    return digest.hexdigest()


def _has_size(path: Path, file: ModelFile) -> bool:
    try:
        return path.stat().st_size == file.size
    except FileNotFoundError:
        return False
