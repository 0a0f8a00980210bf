"""Looks over the machine before an assistant is started: tools, ports, models, an Ollama; collects every problem.

Called by `starting`. It starts nothing and fetches nothing; what it returns is all that `launches` needs to know.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

import msgspec

from parley_cli import locks, refusals
from parley_cli.language_models import LanguageModels, ollama_version
from parley_cli.launches import DOOR_TOKEN, LOOPBACK, Machine
from parley_cli.places import Place
from parley_cli.ports import claim, free_port, lock_of, why_not
from parley_cli.refusals import RefusedError
from parley_contract.catalogue import Model, UnknownModelError, find_model
from parley_contract.components import Component, ComponentName, components
from parley_contract.resource import VoiceAssistant
from parley_contract.services import PORTS
from parley_runtime.broker import write_broker_files
from parley_runtime.models import ModelDamagedError, ModelMissingError, ModelStore
from parley_runtime.tools import ToolMissingError, cache_dir, find_tool, is_supported

USUAL_OLLAMA: Final = f"http://{LOOPBACK}:{PORTS['ollama']}"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How an assistant shall run here."""

    host: str = LOOPBACK
    """Address of the gateway's door."""
    any_port: bool = False
    """Take a free port where a usual one is taken."""
    model_store: str = ""
    """Folder of models; empty for the user's cache."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to know before the start."""

    components: tuple[Component, ...]
    machine: Machine
    store: ModelStore
    missing: tuple[Model, ...]
    """To be pulled first."""
    models: tuple[str, ...]
    """Folders of all that it needs from the store."""
    language_model: str
    token_file: str
    """Where the token of the door and the transcription API lies; empty if neither asks for one."""


async def prepare(assistant: VoiceAssistant, place: Place, wish: Wish, claims: contextlib.ExitStack) -> Prepared:
    """Look everything over.

    Args:
        assistant: what shall run.
        place: its folder.
        wish: how it shall run here.
        claims: the usual ports that it gets are taken until this is closed.

    Raises:
        RefusedError: with all problems.
    """
    problems = [
        *refusals.of_spec(assistant),
        *refusals.of_bot(assistant, os.environ),
        *(refusals.of_host(wish.host) or _of_address(wish.host)),
    ]
    if problems:
        raise RefusedError(assistant.metadata.name, problems)
    chosen = components(assistant)
    store = ModelStore.at(wish.model_store)
    ports = _ports(chosen, wish, claims, problems)
    nats_server = _tools(problems)
    ollama, ollama_url = await _ollama(next(part for part in chosen if part.name == "ollama"), claims, problems)
    missing = _missing_models(chosen, store, problems)
    if problems:
        raise RefusedError(assistant.metadata.name, problems)
    missing += await _missing_language_model(chosen, store, ollama, ollama_url)
    ports["nats"] = free_port()
    broker = write_broker_files(place.nats, assistant.key, port=ports["nats"])
    wanted = {need.variable for part in chosen for need in part.secrets}
    needs_token = DOOR_TOKEN in wanted or not refusals.is_loopback(wish.host)
    # What is not there is named by a file that the gateway finds in the same environment.
    secrets = {variable: os.environ.get(variable, "") for variable in wanted - {DOOR_TOKEN}}
    return Prepared(
        components=chosen,
        machine=Machine(
            python=sys.executable,
            nats_server=nats_server,
            nats_config=str(broker.config),
            ollama=ollama,
            ollama_url=ollama_url,
            ollama_models=str(cache_dir() / "ollama"),
            ports=ports,
            seeds={service: str(path) for service, path in broker.seeds.items()},
            model_store=str(store.root),
            host=wish.host,
            secrets={**secrets, **({DOOR_TOKEN: _token(place.token)} if needs_token else {})},
        ),
        store=store,
        missing=tuple(missing),
        models=_folders(chosen, store),
        language_model=assistant.spec.llm.model,
        token_file=str(place.token) if needs_token else "",
    )


def _of_address(host: str) -> list[str]:
    """Return what is wrong with an address of another machine, which would look as if its ports were taken."""
    why = why_not(host)
    return [f"--host {host}: nobody can listen there on this machine ({why})"] if why else []


def _ports(
    chosen: Iterable[Component], wish: Wish, claims: contextlib.ExitStack, problems: list[str]
) -> dict[ComponentName, int]:
    ports: dict[ComponentName, int] = {part.name: part.port for part in chosen if part.service}
    hosts = {name: wish.host if name == "gateway" else LOOPBACK for name in ports}
    taken = {name: port for name, port in ports.items() if not claim(port, hosts[name], claims)}
    if wish.any_port:
        return ports | {name: free_port() for name in taken}
    problems += refusals.of_ports(taken)
    return ports


def _tools(problems: list[str]) -> str:
    """Return nats-server's path; espeak-ng speaks for every voice, but it is the tts service that finds it."""
    if shutil.which("espeak-ng") is None:
        problems.append("espeak-ng was not found on PATH: install it (Debian: apt-get install espeak-ng)")
    try:
        return str(find_tool("nats-server"))
    except ToolMissingError as error:
        problems.append(str(error))
        return ""


async def _ollama(component: Component, claims: contextlib.ExitStack, problems: list[str]) -> tuple[str, str]:
    """Return the executable to run (empty: one that answers is used) and the address."""
    if url := component.external_url.rstrip("/"):
        version = await ollama_version(url)
        if version is None:
            problems.append(f"spec.llm.externalUrl: no Ollama answers at {url}")
        elif not is_supported("ollama", version):
            problems.append(f"spec.llm.externalUrl: {url} is Ollama {'.'.join(map(str, version))}, too old or too new")
        return "", url
    url = USUAL_OLLAMA
    version = await ollama_version(url)
    # The Ollama of another `parley up` ends with that.
    if version is not None and is_supported("ollama", version) and not locks.is_held(lock_of(PORTS["ollama"])):
        return "", url
    if not claim(PORTS["ollama"], LOOPBACK, claims):
        url = f"http://{LOOPBACK}:{free_port()}"
    try:
        return str(find_tool("ollama")), url
    except ToolMissingError as error:
        problems.append(str(error))
        return "", url


def _missing_models(chosen: Iterable[Component], store: ModelStore, problems: list[str]) -> list[Model]:
    """Return the models of our own services that have to be pulled."""
    missing: list[Model] = []
    for need in (need for part in chosen for need in part.models if need.kind != "llm"):
        try:
            if os.sep in need.name:
                store.locate(need.name, need.kind)
            elif store.state(model := find_model(need.name, need.kind)) != "present":
                missing.append(model)
        except (UnknownModelError, ModelMissingError, ModelDamagedError) as error:
            problems.append(str(error))
    return missing


async def _missing_language_model(chosen: Iterable[Component], store: ModelStore, ollama: str, url: str) -> list[Model]:
    """Return the language model if its file has to be pulled; one that the catalogue lacks is pulled by Ollama."""
    (name,) = (need.name for part in chosen for need in part.models if need.kind == "llm")
    try:
        model = find_model(name, "llm")
    except UnknownModelError:
        return []
    if model.is_ollamas or store.state(model) == "present" or (not ollama and await LanguageModels(url).has(name)):
        return []
    return [model]


def _folders(chosen: Iterable[Component], store: ModelStore) -> tuple[str, ...]:
    found = []
    for need in (need for part in chosen for need in part.models):
        with contextlib.suppress(UnknownModelError):  # a folder of one's own, or a language model that Ollama knows
            found.append(str(store.folder(find_model(need.name, need.kind)).resolve()))
    return tuple(found)


def _token(file: Path) -> str:
    """Return the assistant's token: the environment's, else the one that was made for it."""
    token = os.environ.get(DOOR_TOKEN, "")
    if not token:
        with contextlib.suppress(FileNotFoundError):
            token = file.read_text().strip()
    token = token or token_urlsafe(24)
    file.touch(mode=0o600)
    file.write_text(f"{token}\n")
    return token
