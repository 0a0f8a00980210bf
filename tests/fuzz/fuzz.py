"""Looks for bytes that break what reads the bytes of others, guided by which lines they reach (atheris, libFuzzer).

`make fuzz` runs it for long, `tests/contract/test_fuzzing.py` for a moment: `fuzz.py TARGET [OPTIONS OF LIBFUZZER]`.
What may come of any bytes is a value or an error of ours, and no error repeats a word of what it is about. What is
found becomes a named test beside those of what it broke.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["parley_contract", "yaml"], enable_loader_override=False):
    from parley_contract.door import decode_request
    from parley_contract.errors import InvalidDocumentError, MalformedMessageError, UnknownMessageError
    from parley_contract.frames import decode_frame
    from parley_contract.messages import decode
    from parley_contract.resource import load_manifest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/contract/golden"
CANARY = "k4n4ry"
"""Put into every input where the input itself says, as something that a person said."""


class LeakError(Exception):
    """An error repeats what somebody said."""


def with_canary(data: bytes, canary: bytes) -> bytes:
    """Put the canary where the last two bytes say."""
    at = int.from_bytes(data[-2:]) % (len(data) + 1)
    return data[:at] + canary + data[at:]


def silent(read: Callable[[bytes], object], data: bytes) -> None:
    """Read, and look for the canary in all that a log could print of an error."""
    try:
        read(data)
    except (MalformedMessageError, UnknownMessageError) as error:
        if CANARY in f"{error!r} {error} {error.__cause__!r}":
            raise LeakError(repr(error)) from error


def message(data: bytes) -> None:
    """Read a message of the bus."""
    silent(decode, data)
    silent(decode, with_canary(data, b"\xa6" + CANARY.encode()))


def frame(data: bytes) -> None:
    """Read a frame."""
    silent(decode_frame, with_canary(data, CANARY.encode()))


def request(data: bytes) -> None:
    """Read what a client of the web door says."""
    silent(decode_request, data)
    silent(decode_request, with_canary(data, f'"{CANARY}"'.encode()))


def manifest(data: bytes) -> None:
    """Read a manifest; its errors quote it, because its writer reads them."""
    try:
        load_manifest(data.decode(errors="replace"))
    except InvalidDocumentError:
        return


TARGETS = {target.__name__: target for target in (message, frame, request, manifest)}
SEEDS = {
    "message": [path.read_bytes() for path in sorted((GOLDEN / "messages").glob("*.msgpack"))],
    "frame": [path.read_bytes() for path in sorted((GOLDEN / "frames").glob("*.bin"))],
    "request": [b'{"event":"interrupt"}', b'{"event":"position","at_ms":140.5}', b'{"event":"bye"}'],
    "manifest": [path.read_bytes() for path in sorted((ROOT / "docs/samples").glob("*.yaml"))],
}


def main() -> None:
    """Fuzz one target; what was learned stays in `out/fuzz/` for the next run, and so does what breaks it."""
    name, *options = sys.argv[1:]
    folder = Path(os.environ.get("FUZZ_FOLDER", ROOT / "out/fuzz")) / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (folder / f"seed-{number}").write_bytes(seed)
    # Golden bytes of different messages reach the same lines; without keep_seed all but one of them would be forgotten.
    own = [f"-artifact_prefix={folder.parent}/", "-max_len=4096", "-keep_seed=1"]
    atheris.Setup([sys.argv[0], *own, *options, str(folder)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
