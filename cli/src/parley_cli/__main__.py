"""`parley`, and `python -m parley_cli`: quiet before anything else, then the command."""

import io
import signal
import sys


def main() -> None:
    """Run `parley` with the process's arguments and exit."""
    # Until a command waits and knows better: to die of Ctrl-C, instead of saying where in Python that happened.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Where a locale or a file's name is not UTF-8, a strange character is better than none of the rest.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Not at the top: it takes half a second, in which Ctrl-C is to be as quiet as later.
    from parley_cli.app import run  # noqa: PLC0415

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
