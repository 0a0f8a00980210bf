"""Writes the golden components of every sample anew: `.venv/bin/python tests/contract/golden/write_components.py`.

Read the difference before you commit it: it is what every assistant of that kind will run.
"""

import sys
from pathlib import Path

import msgspec
import yaml

from parley_contract.components import components
from parley_contract.resource import resolve

HERE = Path(__file__).parent


def main() -> None:
    """Write one file a sample."""
    for path in sorted((HERE.parents[2] / "docs/samples").glob("*.yaml")):
        made = [part for document in yaml.safe_load_all(path.read_text()) for part in components(resolve(document))]
        golden = HERE / "components" / f"{path.stem}.json"
        golden.write_text(msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n")
        sys.stdout.write(f"wrote {golden.relative_to(HERE)}\n")


if __name__ == "__main__":
    main()
