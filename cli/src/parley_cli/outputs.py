"""Files that commands write: tried before minutes are spent on what shall be in them. Used by the commands."""

from pathlib import Path

from parley_cli.errors import BadRequestError


class UnwritableFileError(BadRequestError):
    """A file that a command shall write cannot be written."""


def prepare_file(path: Path) -> None:
    """Make sure that a file can be written; one that is there keeps what is in it.

    Raises:
        UnwritableFileError: it cannot.
    """
    prepare_folder(path.parent)
    try:
        path.open("ab").close()
    except OSError as error:
        raise UnwritableFileError(f"cannot write {path}: {error.strerror}") from error


def prepare_folder(path: Path) -> None:
    """Make a folder if there is none.

    Raises:
        UnwritableFileError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFileError(f"cannot write into {path}: {error.strerror}") from error
