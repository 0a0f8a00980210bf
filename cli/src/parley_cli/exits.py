"""Every error that Parley raises becomes one sentence on standard error and an exit code. Called by `app.run`."""

from typing import Final

from rich.console import Console

from parley_cli.errors import BadRequestError
from parley_contract.catalogue import UnknownModelError
from parley_contract.errors import InvalidDocumentError

FAILED: Final = 1
REFUSED: Final = 2
"""What was asked for cannot be done as it was asked; as for options that do not exist."""


def tell(group: BaseExceptionGroup[BaseException]) -> int:
    """Print what went wrong and return the exit code; errors of tasks come in groups within groups."""
    console, code = Console(stderr=True, highlight=False), FAILED
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            code = max(code, tell(error))
            continue
        console.print(f"parley: {error}", markup=False, soft_wrap=True, style="red")
        if isinstance(error, BadRequestError | InvalidDocumentError | UnknownModelError):
            code = REFUSED
    return code
