"""Looks for bytes that break what reads the bytes of others, guided by which lines they reach (atheris, libFuzzer).

`make fuzz` runs it for long, `tests/contract/test_fuzzing.py` for a moment: `fuzz.py TARGET [OPTIONS OF LIBFUZZER]`.
What may come of any bytes is a value or an error of ours, and no error repeats a word of what it is about. What is
found becomes a named test beside those of what it broke.
"""

import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["parley_contract", "parley_gateway.discord", "yaml"], enable_loader_override=False
):
    from parley_contract.door import decode_request
    from parley_contract.errors import InvalidDocumentError, MalformedMessageError, UnknownMessageError
    from parley_contract.frames import decode_frame
    from parley_contract.messages import decode
    from parley_contract.resource import load_manifest
    from parley_gateway.discord import rtp
    from parley_gateway.discord.counters import LinkCounters
    from parley_gateway.discord.opus import require_codec
    from parley_gateway.discord.reception import RING, Reception
    from parley_gateway.discord.roster import Roster

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


class Keys:
    """Opens what ends in zeros; what begins with one is encrypted end-to-end, for the user whom its last byte names."""

    own_ssrc = 5
    is_end_to_end = True

    def open(self, datagram: bytes, clear: int) -> bytes | None:
        """See Keys of the receive path."""
        return datagram[clear : -len(TAIL)] if datagram.endswith(TAIL) else None

    def decrypt(self, user_id: int, payload: bytes) -> bytes | None:
        """As above."""
        return payload if payload[:1] != b"\1" or user_id == payload[-1] else None


class GrowthError(Exception):
    """Something of a datagram was kept that should not have been."""


TAIL = bytes(rtp.TAG_BYTES + rtp.NONCE_BYTES)
PEOPLE = (10, 11, 12)
_SIZED = struct.Struct(">BH")


def datagrams(data: bytes) -> Iterator[tuple[float, bytes]]:
    """Cut bytes into datagrams, each behind a byte of pause in ms and of flags, and two of length."""
    at = 0
    while at + _SIZED.size <= len(data):
        flags, size = _SIZED.unpack_from(data, at)
        at += _SIZED.size
        body = data[at : at + size % 400]
        at += len(body)
        if flags & 1:
            body = bytes([0x80 | body[0] & 0x3F, 0x78]) + body[1:] + TAIL if body else TAIL
        yield (flags >> 1) / 1000, body


def datagram(data: bytes) -> None:
    """Receive what comes on a voice channel's socket, whatever it is, and keep nothing of it in the end."""
    require_codec()
    heard: list[int] = []
    roster, counters = Roster(1), LinkCounters()
    reception = Reception(roster, counters, lambda _, heard_now: heard.append(len(heard_now.pcm)))
    reception.keys = Keys()
    roster.read({"op": 11, "d": {"user_ids": [str(user) for user in PEOPLE]}})
    now, sent = 0.0, 0
    for pause_s, body in datagrams(data):
        now, sent = now + pause_s, sent + 1
        reception.datagram(body, now)
        if sent % 8 == 0:
            reception.keys_changed(now)
    while (due := reception.due) is not None:
        now = max(now, due)
        reception.run(now)
    if counters.datagrams != sent or set(heard) - {640} or len(counters.speakers) > len(PEOPLE):
        raise GrowthError(f"{counters.datagrams} of {sent} datagrams, frames of {set(heard)} bytes")
    # 120 ms of a packet, ten times that for a hole before it, and a tail.
    if len(heard) > 100 * (sent + RING):
        raise GrowthError(f"{len(heard)} frames of {sent} datagrams")


TARGETS = {target.__name__: target for target in (message, frame, request, manifest, datagram)}
SEEDS = {
    "message": [path.read_bytes() for path in sorted((GOLDEN / "messages").glob("*.msgpack"))],
    "frame": [path.read_bytes() for path in sorted((GOLDEN / "frames").glob("*.bin"))],
    "request": [b'{"event":"interrupt"}', b'{"event":"position","at_ms":140.5}', b'{"event":"bye"}'],
    "datagram": [
        b"".join(
            _SIZED.pack(41, len(body)) + body
            for number in range(6)
            for body in [rtp.header(number, number * 960, ssrc, is_marked=False) + payload]
        )
        for ssrc, payload in ((77, b"\xf8\xff\xfe"), (78, b"\x48" + bytes(40)), (79, b"\1" + bytes(20) + b"\x0b"))
    ],
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
