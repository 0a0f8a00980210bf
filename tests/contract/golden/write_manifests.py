"""Writes the golden manifests of every sample anew: `.venv/bin/python tests/contract/golden/write_manifests.py`.

Read the difference before you commit it: it is what a cluster will run, and each assistant's pods restart for it.
"""

import sys
from pathlib import Path

from parley_testkit.first_plans import sample_plans

HERE = Path(__file__).parent


def main() -> None:
    """Write one file a sample."""
    (HERE / "manifests").mkdir(exist_ok=True)
    for path in sorted((HERE.parents[2] / "docs/samples").glob("*.yaml")):
        golden = HERE / "manifests" / f"{path.stem}.yaml"
        golden.write_text(sample_plans(path))
        sys.stdout.write(f"wrote {golden.relative_to(HERE)}\n")


if __name__ == "__main__":
    main()
