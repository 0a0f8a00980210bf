"""Which VoiceAssistant a command is about: the file that was named, else the laptop sample."""

from pathlib import Path
from typing import Final

from parley_cli.errors import BadRequestError
from parley_contract.resource import VoiceAssistant, load_manifest

SAMPLES: Final = Path(__file__).parents[3] / "docs/samples"
"""The checkout's samples, from whatever folder `parley` is called. A built package has none."""
LAPTOP: Final = SAMPLES / "laptop.yaml"


class UnreadableFileError(BadRequestError):
    """A file that a command was given cannot be read."""


def read_manifest(path: Path | None) -> VoiceAssistant:
    """Read a manifest, or the laptop sample for None.

    Raises:
        UnreadableFileError: there is no such file, or it is no text; or the sample is not installed.
        InvalidDocumentError: with every problem by path.
    """
    if path is None and not LAPTOP.exists():
        raise UnreadableFileError("name a manifest with --file: the samples are not part of this installation")
    path = path or LAPTOP
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableFileError(f"cannot read the manifest {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"the manifest {path} is no text: byte {error.start} is not UTF-8") from error
    return load_manifest(text)
