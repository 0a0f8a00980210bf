"""Where nats-server and Ollama are on this machine: on PATH in the supported range, else in the user's cache.

Called by `parley up` and the tests. Building what is missing is `tools/setup`'s business; the ranges stand here and
there, and a test holds them equal.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from parley_contract.errors import PermanentError

Tool = Literal["nats-server", "ollama"]

SUPPORTED: Final[Mapping[Tool, tuple[tuple[int, int], tuple[int, int]]]] = {
    "nats-server": ((2, 12), (3, 0)),
    "ollama": ((0, 30), (1, 0)),
}
"""First supported version and first unsupported one. nats-server 2.12: what the field runs with 2.11's batched
direct get settled; Ollama 0.30: the first that keeps the prompt prefix by itself."""


class ToolMissingError(PermanentError):
    """A tool is neither on PATH nor in the cache."""


class HomelessError(PermanentError):
    """There is no place that is the user's own."""


def cache_dir() -> Path:
    """Return the user's cache of Parley: `$XDG_CACHE_HOME/parley`, or `~/.cache/parley`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home_dir() / ".cache") / "parley"


def home_dir() -> Path:
    """Return the user's home.

    Raises:
        HomelessError: the environment names none, and neither does the list of users, as in a container.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise HomelessError("this user has no home directory: set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME") from None


def find_tool(tool: Tool) -> Path:
    """Return the executable.

    Raises:
        ToolMissingError: saying how to get it.
    """
    seen = ""
    on_path = shutil.which(tool)
    if on_path:
        version = tool_version(Path(on_path))
        if version and is_supported(tool, version):
            return Path(on_path)
        seen = f" ({on_path} is version {'.'.join(map(str, version)) if version else 'unknown'})"
    built = sorted((cache_dir() / "bin").glob(f"{tool}-*/bin/{tool}"), key=lambda path: _numbers(path.parts[-3]))
    for path in reversed(built):
        if is_supported(tool, _numbers(path.parts[-3])):
            return path
    first, beyond = SUPPORTED[tool]
    raise ToolMissingError(
        f"{tool} {first[0]}.{first[1]} or newer (below {beyond[0]}.{beyond[1]}) was not found on PATH{seen} nor in "
        f"{cache_dir() / 'bin'}: run tools/setup, or install it and put it on PATH"
    )


def is_supported(tool: Tool, version: tuple[int, ...]) -> bool:
    """Whether a version is in the supported range."""
    first, beyond = SUPPORTED[tool]
    return first <= version[:2] < beyond


def tool_version(path: Path) -> tuple[int, ...] | None:
    """Ask an executable for its version; None if it cannot say."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _numbers(asked.stdout + asked.stderr) or None


def _numbers(text: str) -> tuple[int, ...]:
    """Return the last `a.b.c` in a text: Ollama mentions its client's version after a warning about the server's."""
    found = re.findall(r"(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, found[-1])) if found else ()
