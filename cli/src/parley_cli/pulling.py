"""Shows how far pulls are: bars on a terminal, a line before and after each where nobody watches."""

import functools
from collections.abc import Iterable
from typing import Final, Self

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from parley_cli.interrupts import in_thread_of_its_own
from parley_cli.language_models import Advance
from parley_cli.screen import Screen
from parley_contract.catalogue import Model
from parley_runtime import pulls
from parley_runtime.models import ModelStore

_MEGABYTE: Final = 1_000_000


class Pulling:
    """Bars while the block lasts."""

    def __init__(self, screen: Screen) -> None:
        """Draw on `screen`."""
        self._progress = Progress(
            TextColumn("  {task.fields[model]}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=screen.console,
            disable=not screen.console.is_terminal,
        )

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are."""
        self._progress.stop()

    def bar(self, model: str) -> Advance:
        """Add a bar and return what moves it; it may be called from any thread."""
        task: TaskID = self._progress.add_task("", model=model, total=None)

        def advance(doing: str, done: int, total: int) -> None:
            self._progress.update(task, description=doing, completed=done, total=total or None)

        return advance


async def pull_all(store: ModelStore, models: Iterable[Model], screen: Screen, *, again: bool = False) -> None:
    """Pull models one after the other.

    Raises:
        ParleyError: the first one that cannot be pulled; `pulls.pull` says which errors there are.
    """
    with Pulling(screen) as pulling:
        for model in models:
            screen.say(f"pulling {model.name} ({model.size / _MEGABYTE:.0f} MB, {model.licence})")
            if model.unpinned:
                screen.say(
                    f"  the catalogue has no hash of its {', '.join(model.unpinned)}: what comes is taken as it is, "
                    "and its hash recorded"
                )
            report = _report(pulling.bar(model.name))
            await in_thread_of_its_own(functools.partial(pulls.pull, store, model, report=report, again=again))


def _report(advance: Advance) -> pulls.Report:
    def report(progress: pulls.Progress) -> None:
        doing = f"{progress.phase} {progress.source}".strip()
        advance(doing, progress.done_bytes, progress.total_bytes)

    return report
