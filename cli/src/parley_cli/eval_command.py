"""`parley eval asr`: a folder of sounds whose words are known goes through models, and what is wrong is counted.

Files go one after the other, so that the times are those of a service with nothing else to do.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from parley_cli.errors import BadRequestError
from parley_cli.evaluations import (
    Evaluation,
    FileResult,
    SystemResult,
    drawn_files,
    drawn_systems,
    find_pairs,
    system_result,
)
from parley_cli.launches import DOOR_TOKEN
from parley_cli.lone_asr import lone_asr
from parley_cli.outputs import prepare_file
from parley_cli.places import find_running
from parley_cli.pulling import pull_all
from parley_cli.questions import Question
from parley_cli.reports import legible
from parley_cli.scoring import scored
from parley_cli.screen import Screen
from parley_cli.talk_command import read_token
from parley_cli.transcribing import NotTranscribedError, Service, connected
from parley_contract.catalogue import find_model
from parley_runtime.models import ModelStore

_FAILED: Final = 1


class NothingToEvaluateError(BadRequestError):
    """There is no folder, or no sound in it whose words are known."""


class MixedWishesError(BadRequestError):
    """Options that ask for two things at once."""


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be evaluated."""

    folder: Path
    language: str = ""
    """ISO 639-1; empty leaves it to the service."""
    models: Sequence[str] = ()
    windows_s: Sequence[float] = ()
    assistant: str = ""
    url: str = ""
    show: bool = False
    """Print what was said and what was understood, where they differ."""
    json: Path | None = None
    model_store: str = ""


async def evaluate(errand: Errand, screen: Screen, hurry: asyncio.Event) -> int:
    """Do it all; 1 if a file got no transcript. Interrupted, it tells of what was done until then.

    Raises:
        BadRequestError: for what cannot be done as it was asked, before anything is begun.
    """
    _check(errand)
    pairs = _pairs(errand.folder, screen)
    if errand.json:
        prepare_file(errand.json)
    results: list[SystemResult] = []
    try:
        if errand.models:
            await _with_models(errand, pairs, results, screen, hurry)
        else:
            url, secret = _running_service(errand)
            async with connected(url, secret) as service:
                await _score(service, errand, pairs, results, screen)
    finally:
        _tell(results, errand, screen)
    return _FAILED if any(result.totals.failed for result in results) else 0


def _check(errand: Errand) -> None:
    ways = [
        name
        for name, given in (("--model", errand.models), ("--url", errand.url), ("--assistant", errand.assistant))
        if given
    ]
    if len(ways) > 1:
        raise MixedWishesError(f"{' and '.join(ways)} exclude each other: say which service shall transcribe")
    if errand.windows_s and not errand.models:
        raise MixedWishesError("--encoder-window-s needs --model: a service that runs already has its own")


def _pairs(folder: Path, screen: Screen) -> list[Question]:
    if not folder.is_dir():
        raise NothingToEvaluateError(
            f"{folder} is no folder: name one with sounds and, for each, a text of the same name"
        )
    pairs, left_out = find_pairs(folder)
    for sentence in left_out:
        screen.say(sentence)
    if not pairs:
        raise NothingToEvaluateError(
            f"{folder} has no sound whose words are known: put NAME.txt, with what is said, beside NAME.wav"
        )
    return pairs


def _running_service(errand: Errand) -> tuple[str, str]:
    if errand.url:
        return errand.url.rstrip("/"), os.environ.get(DOOR_TOKEN, "")
    running = find_running(errand.assistant)
    return running.url("asr"), read_token(running)


async def _with_models(
    errand: Errand, pairs: Sequence[Question], results: list[SystemResult], screen: Screen, hurry: asyncio.Event
) -> None:
    store = ModelStore.at(errand.model_store)
    known = [find_model(name, "asr") for name in errand.models if os.sep not in name]
    await pull_all(store, [model for model in known if store.state(model) != "present"], screen)
    for model in errand.models:
        for window_s in errand.windows_s or (None,):
            async with _alone(model, window_s, store, hurry) as service:
                await _score(service, errand, pairs, results, screen)


@contextlib.asynccontextmanager
async def _alone(model: str, window_s: float | None, store: ModelStore, hurry: asyncio.Event) -> AsyncIterator[Service]:
    async with lone_asr(model, window_s, store.root, hurry) as url, connected(url, "") as service:
        yield service


async def _score(
    service: Service, errand: Errand, pairs: Sequence[Question], results: list[SystemResult], screen: Screen
) -> None:
    """Have every file transcribed and scored; the result is among `results` also if it ends early."""
    name = await service.name()
    files: list[FileResult] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(
            *columns, console=screen.console, transient=True, disable=not screen.console.is_terminal
        ) as progress:
            task = progress.add_task(name, total=len(pairs))
            for pair in pairs:
                files.append(await _file(service, pair, errand.language))
                progress.advance(task)
    finally:
        if files:
            results.append(system_result(name, files))


async def _file(service: Service, pair: Question, language: str) -> FileResult:
    reference, began_at = pair.expected or "", time.monotonic()
    try:
        heard = await service.transcribe(pair.wav, language)
    except NotTranscribedError as error:
        return FileResult(file=legible(pair.wav.name), reference=reference, error=legible(str(error)))
    took_s = time.monotonic() - began_at
    scored_in = language or heard.language
    return FileResult(
        file=legible(pair.wav.name),
        reference=reference,
        hypothesis=heard.text,
        language=scored_in,
        audio_s=heard.duration_s,
        took_s=round(took_s, 3),
        score=scored(reference, heard.text, language=scored_in),
    )


def _tell(results: Sequence[SystemResult], errand: Errand, screen: Screen) -> None:
    for result in results:
        screen.show(drawn_files(result))
        for file in result.files:
            if file.error:
                screen.say(f"{file.file}: {file.error}")
            elif errand.show and file.score.characters.count:
                screen.say(f"{file.file}\n  said  {file.reference}\n  heard {file.hypothesis}")
        screen.say("")
    if len(results) > 1:
        screen.show(drawn_systems(results))
    if errand.json and results:
        record = msgspec.json.encode(Evaluation(systems=list(results)))
        errand.json.write_bytes(msgspec.json.format(record, indent=2) + b"\n")
