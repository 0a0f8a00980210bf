"""Every error that Parley raises becomes one sentence on standard error and an exit code. Called by `app.run`.

So does what the operating system refuses wherever nobody has better words for it: a full disk, a folder without rights.
"""

from typing import Final

from rich.console import Console

from parley_cli.errors import BadRequestError
from parley_cli.screen import let_go_of_output
from parley_contract.catalogue import UnknownModelError
from parley_contract.errors import InvalidDocumentError

FAILED: Final = 1
REFUSED: Final = 2
"""What was asked for cannot be done as it was asked; as for options that do not exist."""


def tell(group: BaseExceptionGroup[BaseException]) -> int:
    """Print what went wrong and return the exit code; errors of tasks come in groups within groups."""
    console, code = Console(stderr=True, highlight=False, emoji=False), FAILED
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            code = max(code, tell(error))
            continue
        if isinstance(error, OSError):
            let_go_of_output()
        if isinstance(error, BrokenPipeError):
            # Whoever read what we wrote wants no more of it.
            continue
        console.print(f"parley: {_sentence(error)}", markup=False, soft_wrap=True, style="red")
        if isinstance(error, BadRequestError | InvalidDocumentError | UnknownModelError):
            code = REFUSED
    return code


def _sentence(error: BaseException) -> str:
    """Say what the operating system refused, and of which file; everybody else's errors are sentences already."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
