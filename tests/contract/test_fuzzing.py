"""A moment of fuzzing for whatever reads the bytes of others; `make fuzz` goes on for as long as you like."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "fuzz/fuzz.py"


@pytest.mark.parametrize(
    "target, runs",
    [("message", 100_000), ("frame", 50_000), ("request", 100_000), ("manifest", 1500), ("datagram", 5000)],
)
def test_of_any_bytes_only_our_errors_come_and_they_repeat_nothing(target: str, runs: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, target, f"-runs={runs}", "-seed=4711"],
        env={**os.environ, "FUZZ_FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Done {runs} runs" in done.stderr
