"""How models are shown: a table of all, a page for one, JSON for scripts. Pure; `catalogue_commands` looks them up."""

import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from parley_contract.catalogue import Hub, Model, Ollama, Source, Wheels
from parley_runtime.models import State

Here = State | Literal["ask Ollama"]
"""Of a model that Ollama keeps, nobody else knows whether it is here."""

_COLOURS: Final[dict[Here, str]] = {"present": "green", "incomplete": "red"}
_TOLD_IN_THE_LIST: Final[tuple[str, ...]] = ("int8", "float16")


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A model, and what of it is on this machine."""

    model: Model
    here: Here
    folder: str
    """Where its files belong; empty for Ollama's."""


def as_json(shown: Sequence[Shown]) -> bytes:
    """Return the catalogue's entries with `size` (bytes), `here` and `folder`, for scripts."""
    entries = [
        {**msgspec.to_builtins(one.model), "size": one.model.size, "here": one.here, "folder": one.folder}
        for one in shown
    ]
    return msgspec.json.format(msgspec.json.encode(entries), indent=2)


def listing(shown: Sequence[Shown]) -> RenderableType:
    """Draw a line for each, in 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in ("name", "kind", "languages", "MB", "VRAM, MiB", "here", "licence"):
        table.add_column(column, no_wrap=True, justify="right" if column == "MB" else "left")
    for one in shown:
        model = one.model
        table.add_row(
            model.name,
            model.kind,
            _languages(model),
            megabytes(model.size),
            _span(model),
            one.here,
            re.split(r" \(|;", model.licence)[0],
            style=_COLOURS.get(one.here, ""),
        )
    return table


def _languages(model: Model) -> str:
    if len(model.languages) > 1:
        return str(len(model.languages))
    return "many" if model.languages == ("multilingual",) else "".join(model.languages)


def _span(model: Model) -> str:
    """Say what a model takes from int8 to float16, or in its only quantisation."""
    ends: list[str] = [kind for kind in _TOLD_IN_THE_LIST if kind in model.vram_mib] or list(model.vram_mib)
    estimated = "" if set(ends) <= set(model.vram_measured) else "~"
    return f"{estimated}{'-'.join(str(model.vram_mib[kind]) for kind in ends)}" if ends else ""


def details(shown: Sequence[Shown]) -> RenderableType:
    """Draw all that is known of each."""
    return Group(*(_page(one) for one in shown))


def _page(one: Shown) -> RenderableType:
    model = one.model
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "kind": model.kind,
        "languages": " ".join(model.languages),
        "licence": model.licence,
        "size": f"{megabytes(model.size)} MB",
        "VRAM": _vram(model, list(model.vram_mib)) and f"{_vram(model, list(model.vram_mib))} MiB",
        "here": f"{one.here}, in {one.folder}" if one.here == "present" and one.folder else one.here,
        "sources": "\n".join(map(_source, model.sources)),
        "files": "\n".join(f"{file.path}  {file.sha256 or 'no hash known'}" for file in model.files),
    }
    for what, said in rows.items():
        if said:
            table.add_row(what, said)
    return Group(Text(model.name, style="bold"), Text(model.note), table, Text())


def _vram(model: Model, compute_types: Sequence[str]) -> str:
    """Say how much memory a model takes; `~` marks what was not measured."""
    return ", ".join(
        f"{kind} {'' if kind in model.vram_measured else '~'}{model.vram_mib[kind]}" for kind in compute_types
    )


def _source(source: Source) -> str:
    match source:
        case Wheels():
            return f"package index: {', '.join(f'{wheel.name} {wheel.version}' for wheel in source.wheels)}"
        case Hub():
            return f"hub: {source.repo}, {source.revision}"
        case Ollama():
            return f"Ollama, which lists it as {source.digest[:12]}"


def megabytes(size: int) -> str:
    """Say how many megabytes these bytes are."""
    return f"{size / 1_000_000:.0f}"
