"""`parley models`: what models there are, which of them are here, and whether they are what they should be."""

import functools
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from parley_cli.interrupts import in_thread_of_its_own
from parley_cli.pulling import Pulling, pull_all
from parley_cli.screen import Screen
from parley_runtime.catalogue import Hub, Model, catalogue, find_model
from parley_runtime.models import ModelStore, State

_MEGABYTE: Final = 1_000_000
_COLOURS: Final[dict[State, str]] = {"present": "green", "incomplete": "red", "missing": ""}


def chosen(names: Sequence[str]) -> tuple[Model, ...]:
    """Return the entries of these names, all of them for none.

    Raises:
        UnknownModelError: for the first that the catalogue lacks.
    """
    return tuple(find_model(name) for name in names) or catalogue()


def listing(store: ModelStore) -> Table:
    """Draw the catalogue, with what of it is in the store."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("kind")
    table.add_column("MB", justify="right")
    table.add_column("here", no_wrap=True)
    table.add_column("licence")
    table.add_column("sources")
    for model in catalogue():
        state = store.state(model)
        sources = [source.repo if isinstance(source, Hub) else "package index" for source in model.sources]
        table.add_row(
            model.name,
            model.kind,
            f"{model.size / _MEGABYTE:.0f}",
            state,
            model.licence,
            ", ".join(sources),
            style=_COLOURS[state],
        )
    return table


async def pull(store: ModelStore, names: Sequence[str], screen: Screen, *, again: bool) -> int:
    """Bring models into the store."""
    wanted = chosen(names)
    here = [model for model in wanted if store.state(model) == "present" and not again]
    for model in here:
        screen.say(f"{model.name} is here already")
    await pull_all(store, [model for model in wanted if model not in here], screen, again=again)
    return 0


async def verify(store: ModelStore, names: Sequence[str], screen: Screen) -> int:
    """Read models and compare every hash; 1 if something is wrong. Without names, whatever is here."""
    wanted = [model for model in chosen(names) if names or store.state(model) != "missing"]
    sound = True
    for model in wanted:
        with Pulling(screen) as pulling:
            problems = await in_thread_of_its_own(functools.partial(_problems, store, model, pulling))
        sound = sound and not problems
        screen.say(f"{model.name}: {'as the catalogue says' if not problems else 'damaged'}")
        for problem in problems:
            screen.say(f"  {problem}")
        if problems:
            screen.say(f"  `parley models pull --again {model.name}` fetches it anew")
    if not wanted:
        screen.say(f"no model is in {store.root} yet: `parley models pull NAME` brings one")
    return 0 if sound else 1


def _problems(store: ModelStore, model: Model, pulling: Pulling) -> list[str]:
    advance, read = pulling.bar(model.name), 0

    def count(size: int) -> None:
        nonlocal read
        read += size
        advance("reading", read, model.size)

    return store.problems(model, count)
