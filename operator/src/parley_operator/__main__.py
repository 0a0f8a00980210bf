"""`python -m parley_operator run`: the operator's process."""

import argparse
import asyncio
import os
import sys

from parley_contract.errors import InvalidDocumentError
from parley_operator import settings
from parley_operator.app import run


def main() -> int:
    """Run the operator; return the exit status: 0 after SIGTERM, 2 for settings that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m parley_operator", description=settings.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="look after VoiceAssistants until SIGTERM", description=_variables())
    parser.parse_args()
    try:
        while asyncio.run(run(settings.load_settings(os.environ))):
            pass  # with watches of other namespaces
    except asyncio.CancelledError:
        return 0  # told to end while it waited for something to watch
    except InvalidDocumentError as error:
        print(error, file=sys.stderr)  # noqa: T201  # before there is a log, for whoever started it
        return 2
    return 0


def _variables() -> str:
    names = ", ".join(field.upper() for field in settings.Settings.__struct_fields__)
    return f"Settings are environment variables: {names}."


if __name__ == "__main__":
    sys.exit(main())
