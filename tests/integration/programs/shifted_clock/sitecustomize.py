"""A wall clock that a test sets: Python runs this in every process that has this folder on its PYTHONPATH.

The file named by SHIFTED_CLOCK says by how many seconds it is off. The monotonic clock stays as it is. libfaketime
would do it for any program, but with it every `time.sleep` of Python 3.11 fails (0.9.10).
"""

import os
import time
from pathlib import Path
from typing import Final

_SHIFT: Final = Path(os.environ["SHIFTED_CLOCK"])
_TRUE_NS: Final = time.time_ns


def _shifted_ns() -> int:
    return _TRUE_NS() + 1_000_000_000 * int(_SHIFT.read_text())


def _shifted() -> float:
    return _shifted_ns() / 1e9


time.time_ns = _shifted_ns
time.time = _shifted
