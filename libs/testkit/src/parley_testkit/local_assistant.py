"""A whole assistant as `parley up` runs it, in a process of its own: every part real, and started again when it dies.

For tests of the command line, of deaths, and for the benchmark of deaths. Each has a home of its own for state and
logs; models and tools are the user's.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from parley_cli.places import Running

PARLEY: Final = (sys.executable, "-m", "parley_cli")
_READY_S: Final = 60.0
_END_S: Final = 60.0


class LocalAssistant:
    """A `parley up` in a process group of its own, as a shell would start it; `local_assistant` is the way in."""

    def __init__(self, home: Path, *options: str, within: Sequence[str] = ()) -> None:
        """Start it, through the command `within` if there is one; it is ready when it has said so."""
        self.home: Final = home
        self.said: Final = home / "up.log"
        with self.said.open("wb") as said:
            self.process: Final = subprocess.Popen(
                [*within, *PARLEY, "up", "--any-port", *options],
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(home),
            )

    @property
    def state(self) -> Running:
        """Where everything is; pids change with every death."""
        [path] = self.home.glob("parley/*/state.json")
        return msgspec.json.decode(path.read_bytes(), type=Running)

    @property
    def pids(self) -> Mapping[str, int]:
        """Of the parts that run now."""
        return {part.name: part.pid for part in self.state.parts if part.pid}

    def log(self, part: str) -> str:
        """Return what a part has logged so far."""
        return (Path(self.state.logs) / f"{part}.log").read_text(errors="replace")

    def until_said(self, words: str, *, times: int = 1) -> None:
        """Wait until `up` has printed something so often.

        Raises:
            AssertionError: it did not, or has ended; the message is what it printed.
        """
        deadline = time.monotonic() + _READY_S
        while (printed := self.said.read_text()).count(words) < times:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"never said {words!r}:\n{printed}")
            time.sleep(0.05)

    def interrupt(self) -> int:
        """End it with Ctrl-C and return its exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(_END_S)


def environment(home: Path) -> dict[str, str]:
    """Return what makes `parley` keep its state in this home."""
    return {**os.environ, "XDG_STATE_HOME": str(home)}


@contextlib.contextmanager
def local_assistant(home: Path, *options: str, within: Sequence[str] = ()) -> Iterator[LocalAssistant]:
    """Run an assistant while the block lasts."""
    assistant = LocalAssistant(home, *options, within=within)
    try:
        yield assistant
    finally:
        if assistant.process.poll() is None:
            assistant.interrupt()
