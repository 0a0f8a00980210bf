"""What commands write on: lines for people, on standard output. Errors are `__main__`'s, drawings the callers'."""

from typing import Final

from rich.console import Console, RenderableType


class Screen:
    """One terminal, or a file or pipe that stands for it."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to standard output, or to `console`."""
        self.console: Final = console or Console(highlight=False)

    def say(self, line: str) -> None:
        """Write a line as it is: never wrapped, nothing in it taken for a colour."""
        self.console.print(line, markup=False, soft_wrap=True)

    def show(self, drawing: RenderableType) -> None:
        """Write a table or a drawing."""
        self.console.print(drawing)
