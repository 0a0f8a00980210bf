"""The processes of one control plane: started into one folder, watched, and gone with it.

Whatever they write is worth nothing afterwards, so they are killed and not asked. If the test run itself is killed, the
guardian that `parley up` has too sees its pipe break and ends them, and the shell around it removes the folder: the
same shell that removes it after an orderly end.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

_LOG_LINES: Final = 15
_REMOVE_S: Final = 30.0
_GUARDIAN: Final = "import sys; from parley_cli.guardian import end, watch; end(watch(sys.stdin), patience_s=0)"
# Whoever was killed a moment ago may still be writing: a second try removes that too.
_GUARD: Final = 'trap "" INT TERM HUP; "$0" -c "$1"; rm -rf -- "$2" || { sleep 1; rm -rf -- "$2"; }'
_SETTINGS: Final = ("ETCD_", "KUBE", "KWOK_")
"""Variables that say the same as arguments, and that were meant for somebody else's cluster."""
_UNHURRIED: Final = {"GOGC": "300"}
"""What is written in Go collects garbage a third as often: 13 % of what the API server computed was that, and where
tests run there is more memory than there are cores."""


class ChildDiedError(Exception):
    """A part of the control plane ended by itself; the message has the last lines of its log."""


class Children:
    """Processes that live as long as their folder; `children` is the way in."""

    def __init__(self, folder: Path, guardian: subprocess.Popen[bytes]) -> None:
        """Take over a folder that a guardian removes."""
        self.folder: Final = folder
        self._guardian = guardian
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, tuple[str | Path, ...]] = {}

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids, by name."""
        return {name: process.pid for name, process in self._running.items()}

    def start(self, name: str, program: str | Path, *arguments: str) -> None:
        """Start a process of that name, in a process group of its own; what it says goes into its log."""
        environment = {each: value for each, value in os.environ.items() if not each.startswith(_SETTINGS)}
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                [program, *arguments],
                env={**_UNHURRIED, **environment, "HOME": str(self.folder)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[name] = process
        self._commands[name] = (program, *arguments)
        self._tell(f"+{process.pid}")

    def kill(self, name: str) -> None:
        """End a process at once, as a crash would, and wait until it is gone."""
        process = self._running.pop(name)
        process.kill()
        process.wait()
        self._tell(f"-{process.pid}")

    def start_again(self, name: str) -> None:
        """Start a process that was killed, with all that it was given before."""
        program, *arguments = self._commands[name]
        self.start(name, program, *map(str, arguments))

    def check(self) -> None:
        """Look whether all of them still run.

        Raises:
            ChildDiedError: one does not.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ChildDiedError(
                    f"{name} ended with status {process.returncode}; the end of its log:\n{self.log(name)}"
                )

    def log(self, name: str) -> str:
        """Return the last lines that a process wrote."""
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-_LOG_LINES:])

    def end(self) -> None:
        """Kill all of them, the last one first, and wait until they are gone and the folder too."""
        for name in reversed([*self._running]):
            self.kill(name)
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        self._guardian.wait(_REMOVE_S)
        shutil.rmtree(self.folder, ignore_errors=True)  # if somebody killed the guardian

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._guardian.stdin is not None  # noqa: S101  # it was started with a pipe
        return self._guardian.stdin

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._pipe.write(f"{line}\n".encode())
            self._pipe.flush()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextlib.contextmanager
def children() -> Iterator[Children]:
    """Have a folder and processes in it while the block lasts; neither outlives it, however it ends."""
    # Not among pytest's folders, whose names are long: the path of a Unix socket has room for 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="parley-control-plane-"))
    try:
        guardian = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, sys.executable, _GUARDIAN, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        shutil.rmtree(folder)
        raise
    running = Children(folder, guardian)
    try:
        yield running
    finally:
        running.end()
