"""Where a local assistant keeps what is its own, and how others find it: one folder per assistant, with one lock.

    ${XDG_STATE_HOME:-~/.local/state}/parley/<namespace>_<name>/
        lock         held as long as `parley up` lives, so that a state file left by a crash fools nobody
        state.json   `Running`: where everything is; for `talk`, `status` and `trace`
        logs/        <component>.log of this run, <component>.log.1 of the one before
        nats/        the broker's configuration, seeds and streams
        token        what the door and the transcription API ask for, where they ask for something

`up` writes it, everything else reads it.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from parley_cli import locks
from parley_contract.components import ComponentName
from parley_contract.errors import PermanentError
from parley_runtime.tools import home_dir

_STATE: Final = "state.json"
_LOCK: Final = "lock"


class AlreadyRunningError(PermanentError):
    """Another `parley up` runs this assistant."""


class NotRunningError(PermanentError):
    """No local assistant answers to what was asked for."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a running assistant, ours or one that was there before."""

    name: ComponentName
    url: str
    pid: int | None = None
    """None for one that somebody else runs, and while it is down."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running assistant is."""

    assistant: str
    """`<namespace>_<name>`."""
    pid: int
    """Of `parley up`."""
    started_at: float
    """Unix seconds."""
    door: str
    """WebSocket address of the web door."""
    logs: str
    """Folder with a file per component."""
    parts: tuple[Part, ...]
    token_file: str = ""
    """File with the bearer token that the door and the transcription API ask for; empty where neither does."""
    models: tuple[str, ...] = ()
    """Folders of the models that it was started with."""

    def url(self, name: ComponentName) -> str:
        """Return the address of one of its parts."""
        return next(part.url for part in self.parts if part.name == name)


def state_dir() -> Path:
    """Return the folder of all local assistants: `$XDG_STATE_HOME/parley`, or `~/.local/state/parley`."""
    return Path(os.environ.get("XDG_STATE_HOME") or home_dir() / ".local" / "state") / "parley"


class Place:
    """The folder of one assistant."""

    def __init__(self, assistant: str) -> None:
        """Name it; nothing is made yet."""
        self.folder: Final = state_dir() / assistant

    @property
    def nats(self) -> Path:
        """Folder of the broker."""
        return self.folder / "nats"

    @property
    def logs(self) -> Path:
        """Folder of the logs."""
        return self.folder / "logs"

    @property
    def token(self) -> Path:
        """File of the token that callers have to show."""
        return self.folder / "token"

    def log(self, name: str) -> Path:
        """Return the log file of one component."""
        return self.logs / f"{name}.log"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and hold its lock while the block lasts; the state file goes with it.

        Raises:
            AlreadyRunningError: another process holds it.
        """
        # The seeds lie below.
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs.mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locks.held(self.folder / _LOCK))
            except locks.HeldError as error:
                running = self._read()
                who = f" (process {running.pid})" if running else ""
                raise AlreadyRunningError(
                    f"{self.folder.name} is running already{who}: talk to it with `parley talk`, or stop it first"
                ) from error
            stack.callback((self.folder / _STATE).unlink, missing_ok=True)
            yield

    def fresh_log(self, name: str) -> Path:
        """Put the log of the run before aside and return the path of the new one."""
        log = self.log(name)
        with contextlib.suppress(FileNotFoundError):
            log.replace(log.with_suffix(".log.1"))
        return log

    def write(self, running: Running) -> None:
        """Say where everything is; readers see the old file or the new one, never half of it."""
        draft = self.folder / f"{_STATE}.new"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(running), indent=2) + b"\n")
        draft.replace(self.folder / _STATE)

    def read(self) -> Running | None:
        """Return where it is; None if it does not run, or has not got that far."""
        return self._read() if locks.is_held(self.folder / _LOCK) else None

    def _read(self) -> Running | None:
        try:
            return msgspec.json.decode((self.folder / _STATE).read_bytes(), type=Running)
        except (OSError, msgspec.DecodeError):
            return None


def all_running() -> list[Running]:
    """Return every assistant that runs on this machine now."""
    places = (Place(path.name) for path in sorted(state_dir().glob("*")) if path.is_dir())
    return [running for place in places if (running := place.read())]


def find_running(name: str = "") -> Running:
    """Return the running assistant of this name (`libra`, or `default_libra`); without one, the only one that runs.

    Raises:
        NotRunningError: there is none, or more than one, with what to do.
    """
    running = {state.assistant: state for state in all_running()}
    chosen = [state for key, state in running.items() if name in {"", key, key.partition("_")[2]}]
    if len(chosen) == 1:
        return chosen[0]
    if not running:
        raise NotRunningError("no assistant runs on this machine: start one with `parley up`")
    names = ", ".join(running)
    if name and not chosen:
        raise NotRunningError(f"no assistant {name!r} runs on this machine; there is {names}")
    raise NotRunningError(f"several assistants run on this machine ({names}): say which with --assistant")
