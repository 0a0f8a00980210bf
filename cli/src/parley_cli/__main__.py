"""`parley`, and `python -m parley_cli`: quiet before anything else, then the command."""

import signal
import sys


def main() -> None:
    """Run `parley` with the process's arguments and exit."""
    # Until a command waits and knows better: to die of Ctrl-C, instead of saying where in Python that happened.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Not at the top: it takes half a second, in which Ctrl-C is to be as quiet as later.
    from parley_cli.app import run  # noqa: PLC0415

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
