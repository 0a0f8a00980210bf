"""What commands write on: lines for people, on standard output. Errors are `exits`'s, drawings the callers'.

Whoever reads may go before a command ends: `| head -1`, a terminal that is closed. Nothing more is written then, and
the command is hung up on (SIGHUP), which ends it in order where it waits (`interrupts`).
"""

import errno
import io
import os
import signal
import sys
from typing import Final

from rich.console import Console, RenderableType
from rich.text import Text


class _Terminal(Console):
    """Standard output, whose reader may go."""

    def __init__(self) -> None:
        # What people and files are called is no markup, no emoji (":x:") and no syntax.
        super().__init__(highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Nobody reads any more."""
        self.quiet = True
        let_go_of_output()
        signal.raise_signal(signal.SIGHUP)


class Screen:
    """One terminal, or a file or pipe that stands for it."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to standard output, or to `console`."""
        self.console: Final = console or _Terminal()

    def say(self, line: str | Text, *, end: str = "\n") -> None:
        """Write a line as it is: never wrapped, nothing in it taken for a colour."""
        self._write(line, end=end, markup=False, soft_wrap=True)

    def show(self, drawing: RenderableType) -> None:
        """Write a table or a drawing."""
        self._write(drawing)

    def _write(
        self, what: RenderableType, *, end: str = "\n", markup: bool | None = None, soft_wrap: bool | None = None
    ) -> None:
        try:
            self.console.print(what, end=end, markup=markup, soft_wrap=soft_wrap)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # A terminal that was closed.
            self.console.on_broken_pipe()


def has_input() -> bool:
    """Whether there is a standard input: whoever starts a command may have closed it."""
    return isinstance(sys.stdin, io.TextIOBase)


def let_go_of_output() -> None:
    """Let what cannot be written go nowhere, or the interpreter would complain of it in the end."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
