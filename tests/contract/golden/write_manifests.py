"""Writes the golden manifests anew: `.venv/bin/python tests/contract/golden/write_manifests.py`.

Read the difference before you commit it: it is what a cluster will run, and each assistant's pods restart for it.
"""

import sys
from pathlib import Path

from parley_testkit.first_plans import sample_plans

HERE = Path(__file__).parent


def main() -> None:
    """Write each file that is there."""
    for golden in sorted((HERE / "manifests").glob("*.yaml")):
        golden.write_text(sample_plans(HERE.parents[2] / "docs/samples" / golden.name))
        sys.stdout.write(f"wrote {golden.relative_to(HERE)}\n")


if __name__ == "__main__":
    main()
