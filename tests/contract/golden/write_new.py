"""Writes the golden bytes of what has none yet: `.venv/bin/python tests/contract/golden/write_new.py`.

Messages are described by hand in `messages/<Name>.<n>.json`, frames in `frames/<name>.<n>.json`. Bytes that exist are
never written again: they are what processes in the field say. A message that gets a field gets a file with the next
number; the older ones stay, and must decode for ever.
"""

import json
import sys
from pathlib import Path

import msgspec

from parley_contract.frames import Flag, Frame, encode_frame
from parley_contract.messages import ALL, encode

HERE = Path(__file__).parent


def main() -> None:
    """Fill the gaps and say which."""
    kinds = {kind.__name__: kind for kind in ALL}
    for description in sorted((HERE / "messages").glob("*.json")):
        kind = kinds[description.name.partition(".")[0]]
        _write(description.with_suffix(".msgpack"), encode(msgspec.json.decode(description.read_bytes(), type=kind)))
    for description in sorted((HERE / "frames").glob("*.json")):
        fields = json.loads(description.read_bytes())
        fields |= {"pcm": bytes.fromhex(fields["pcm"]), "flags": Flag(fields["flags"])}
        _write(description.with_suffix(".bin"), encode_frame(Frame(**fields)))


def _write(path: Path, data: bytes) -> None:
    if not path.exists():
        path.write_bytes(data)
        sys.stdout.write(f"wrote {path.relative_to(HERE)}\n")


if __name__ == "__main__":
    main()
