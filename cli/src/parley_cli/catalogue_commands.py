"""`parley models`: shows, brings, verifies and removes models; `catalogue_views` draws them."""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType

from parley_cli.catalogue_views import Here, Shown, as_json, details, listing, megabytes
from parley_cli.errors import BadRequestError
from parley_cli.interrupts import in_thread_of_its_own
from parley_cli.language_models import LanguageModels, ollama_version
from parley_cli.places import all_running
from parley_cli.preparing import USUAL_OLLAMA
from parley_cli.pulling import Pulling, pull_all
from parley_cli.screen import Screen, has_input
from parley_contract.catalogue import Model, catalogue, find_model
from parley_contract.errors import PermanentError
from parley_runtime import pulls
from parley_runtime.fetching import refuse_offline
from parley_runtime.models import ModelStore, recorded


class NothingNamedError(BadRequestError):
    """A command that needs models was given none."""


class UnconfirmedError(BadRequestError):
    """Something would be removed, and nobody could be asked."""


class ModelInUseError(PermanentError):
    """A running assistant has the model loaded, or would miss it when a part of it starts again."""


async def show_all(store: ModelStore, screen: Screen, *, json: bool, ollama: str = USUAL_OLLAMA) -> int:
    """Draw the catalogue, with what of it is here or in the Ollama at this address."""
    shown = await _look(store, catalogue(), ollama)
    _draw(shown, listing(shown), screen, json=json)
    return 0


async def show(store: ModelStore, names: Sequence[str], screen: Screen, *, json: bool) -> int:
    """Draw all that is known of some models."""
    shown = await _look(store, _chosen(names), USUAL_OLLAMA)
    _draw(shown, details(shown), screen, json=json)
    return 0


async def pull(
    store: ModelStore, names: Sequence[str], screen: Screen, *, again: bool, ollama: str = USUAL_OLLAMA
) -> int:
    """Bring models into the store, or have the Ollama at this address pull its own."""
    wanted = _chosen(names)
    here = [model for model in wanted if store.state(model) == "present" and not again]
    for model in here:
        screen.say(f"{model.name} is here already")
    for model in (model for model in wanted if model.is_ollamas):
        await _have_ollama_pull(ollama, model, screen)
    missing = [model for model in wanted if model not in here and not model.is_ollamas]
    await pull_all(store, missing, screen, again=again)
    return 0


async def verify(store: ModelStore, names: Sequence[str], screen: Screen) -> int:
    """Read models and compare every hash; 1 if something is wrong. Without names, whatever is here."""
    chosen = _chosen(names) if names else catalogue()
    wanted = [model for model in chosen if names or store.state(model) != "missing"]
    sound = True
    for model in wanted:
        if model.is_ollamas:
            screen.say(f"{model.name}: Ollama keeps it, and checked it when it pulled it")
            continue
        with Pulling(screen) as pulling:
            problems = await in_thread_of_its_own(functools.partial(_problems, store, model, pulling))
        sound = sound and not problems
        screen.say(f"{model.name}: {_verdict(store, model) if not problems else 'damaged'}")
        for problem in problems:
            screen.say(f"  {problem}")
        if problems:
            screen.say(f"  `parley models pull --again {model.name}` fetches it anew")
    if not wanted:
        screen.say(f"no model is in {store.root} yet: `parley models pull NAME` brings one")
    return 0 if sound else 1


async def remove(store: ModelStore, names: Sequence[str], screen: Screen, *, yes: bool) -> int:
    """Take models out of the store, and what was fetched of them."""
    wanted = _chosen(names)
    for model in wanted:
        _refuse_in_use(store.folder(model))
    if not yes and not await _agreed(wanted, store, screen):
        screen.say("nothing was removed")
        return 1
    for model in wanted:
        if model.is_ollamas:
            screen.say(f"{model.name} is Ollama's: `ollama rm {model.name}` removes it")
        elif freed := await in_thread_of_its_own(functools.partial(pulls.remove, store, model)):
            screen.say(f"removed {model.name}: {megabytes(freed)} MB freed")
        else:
            screen.say(f"{model.name} is not here")
        if model.kind == "llm" and not model.is_ollamas:
            screen.say(f"  what Ollama has made of it stays: `ollama rm {model.name}`")
    return 0


def _chosen(names: Sequence[str]) -> tuple[Model, ...]:
    """Return the entries of these names.

    Raises:
        NothingNamedError: there are none.
        UnknownModelError: for the first that the catalogue lacks.
    """
    if not names:
        raise NothingNamedError("name one or more models: `parley models list` shows them")
    return tuple(find_model(name) for name in names)


async def _look(store: ModelStore, models: Sequence[Model], ollama: str) -> list[Shown]:
    """Find out what of these models is here; Ollama is asked for its own, if it runs."""
    answers = await ollama_version(ollama) is not None
    found = []
    for model in models:
        here: Here = store.state(model)
        if model.is_ollamas:
            is_there = answers and await LanguageModels(ollama).has(model.name)
            here = "present" if is_there else "missing" if answers else "ask Ollama"
        found.append(Shown(model=model, here=here, folder="" if model.is_ollamas else str(store.folder(model))))
    return found


def _draw(shown: Sequence[Shown], drawing: RenderableType, screen: Screen, *, json: bool) -> None:
    if json:
        screen.say(as_json(shown).decode())
    else:
        screen.show(drawing)


async def _have_ollama_pull(url: str, model: Model, screen: Screen) -> None:
    if await ollama_version(url) is None:
        raise pulls.OllamasModelError(
            f"{model.name} is Ollama's, and none answers at {url}: start one with `ollama serve`, or leave it to "
            "`parley up`, which has Ollama pull what the assistant needs"
        )
    if await LanguageModels(url).has(model.name):
        screen.say(f"{model.name} is here already")
        return
    refuse_offline(model.name, "copy Ollama's models from a machine that has it")
    screen.say(f"pulling {model.name} ({megabytes(model.size)} MB, {model.licence})")
    with Pulling(screen) as pulling:
        await LanguageModels(url).pull(model.name, pulling.bar(model.name))


def _verdict(store: ModelStore, model: Model) -> str:
    """Say what a model without problems was found to be."""
    if not model.unpinned:
        return "as the catalogue says"
    if set(model.unpinned) <= recorded(store.folder(model)).keys():
        return "as it was when it was pulled"
    return f"there is no hash to compare its {', '.join(model.unpinned)} with; the rest is as the catalogue says"


def _problems(store: ModelStore, model: Model, pulling: Pulling) -> list[str]:
    advance, read = pulling.bar(model.name), 0

    def count(size: int) -> None:
        nonlocal read
        read += size
        advance("reading", read, model.size)

    return store.problems(model, count)


def _refuse_in_use(folder: Path) -> None:
    """Refuse what a running assistant was started with.

    Raises:
        ModelInUseError: naming it.
    """
    for running in all_running():
        if str(folder.resolve()) in running.models:
            raise ModelInUseError(
                f"{folder.name} is in use by {running.assistant} (process {running.pid}): stop that assistant first"
            )


async def _agreed(models: Sequence[Model], store: ModelStore, screen: Screen) -> bool:
    """Ask whether to go on.

    Raises:
        UnconfirmedError: there is nobody to ask.
    """
    question = f"Remove {', '.join(model.name for model in models)} from {store.root}? [y/N] "
    if not has_input() or not sys.stdin.isatty():
        raise UnconfirmedError("there is no terminal to ask on: say --yes to remove without being asked")
    try:
        answer = await in_thread_of_its_own(functools.partial(input, question))
    except EOFError:
        # Ctrl-D is no answer.
        screen.say("")
        return False
    return answer.strip().lower() in {"y", "yes"}
