"""Which VoiceAssistant a command is about: the file that was named, else the laptop sample."""

from pathlib import Path
from typing import Final

from parley_cli.errors import BadRequestError
from parley_contract.resource import VoiceAssistant, load_manifest

SAMPLES: Final = Path(__file__).with_name("samples").resolve()
"""The repository's `docs/samples`, through a link that a built package replaces by the files themselves."""
LAPTOP: Final = SAMPLES / "laptop.yaml"


class UnreadableFileError(BadRequestError):
    """A file that a command was given cannot be read."""


def read_manifest(path: Path | None) -> VoiceAssistant:
    """Read a manifest, or the laptop sample for None.

    Raises:
        UnreadableFileError: there is no such file, or it is no text.
        InvalidDocumentError: with every problem by path.
    """
    path = path or LAPTOP
    try:
        text = path.read_text()
    except OSError as error:
        raise UnreadableFileError(f"cannot read the manifest {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"the manifest {path} is no text: byte {error.start} is not UTF-8") from error
    return load_manifest(text)
