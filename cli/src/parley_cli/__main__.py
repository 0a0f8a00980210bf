"""`parley`: parses, runs a command, and turns every error that Parley raises into one sentence and an exit code."""

import sys
from typing import Final

from rich.console import Console

from parley_cli.app import app
from parley_cli.errors import BadRequestError
from parley_contract.errors import InvalidDocumentError, ParleyError
from parley_runtime.catalogue import UnknownModelError

_FAILED: Final = 1
_REFUSED: Final = 2
"""What was asked for cannot be done as it was asked; as for options that do not exist."""


def main() -> None:
    """Run `parley` with the process's arguments and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    code = _FAILED
    try:
        return int(app(arguments, result_action="return_value") or 0)
    except* ParleyError as group:
        code = _tell(group)
    return code


def _tell(group: BaseExceptionGroup[BaseException]) -> int:
    console, code = Console(stderr=True, highlight=False), _FAILED
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            code = max(code, _tell(error))
            continue
        console.print(f"parley: {error}", markup=False, soft_wrap=True, style="red")
        if isinstance(error, BadRequestError | InvalidDocumentError | UnknownModelError):
            code = _REFUSED
    return code


if __name__ == "__main__":
    main()
