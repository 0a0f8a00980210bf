"""A WAV that is still being recorded: its header read by hand, so that its sound comes as it is made.

Used by `audio` for streams. FFmpeg looks at the first 64 KiB of every 16-bit WAV, in case they are digital surround
sound, before it gives the first sample: two seconds of a microphone. Anything but plain PCM is left to it.
"""

import struct
from typing import Final

from parley_runtime.sounds import Plain, Readable

_PCM: Final = 1
_BITS: Final = 16
_LONGEST_HEADER: Final = 4096
_CHUNK_HEAD_BYTES: Final = 8
_FMT_BYTES: Final = 16


class Rewound:
    """A stream that gives again what was read from it."""

    def __init__(self, stream: Readable) -> None:
        """Read from `stream`."""
        self._stream = stream
        self._again = b""
        self.taken = b""
        """Everything that `take` has read."""

    def take(self, size: int) -> bytes:
        """Read exactly `size` bytes, fewer only at the end, and remember them."""
        wanted = len(self.taken) + size
        begin = len(self.taken)
        while len(self.taken) < wanted and (block := self._stream.read(wanted - len(self.taken))):
            self.taken += block
        return self.taken[begin:]

    def rewind(self) -> None:
        """Give all that was taken once more."""
        self._again = self.taken

    def read(self, size: int = -1, /) -> bytes:
        """Return what is there, at most `size` bytes; empty at the end."""
        if self._again:
            given = self._again if size < 0 else self._again[:size]
            self._again = self._again[len(given) :]
            return given
        return self._stream.read(size) or b""


def skip_header(stream: Rewound) -> Plain | None:
    """Read up to the first sample of a plain 16-bit WAV; of anything else, rewind the stream and return None."""
    found = _header(stream)
    if found is None:
        stream.rewind()
    return found


def _header(stream: Rewound) -> Plain | None:
    riff = stream.take(12)
    if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        return None
    plain = None
    while len(stream.taken) < _LONGEST_HEADER:
        head = stream.take(_CHUNK_HEAD_BYTES)
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if len(head) < _CHUNK_HEAD_BYTES:
            return None
        if name == b"data":
            return plain
        body = stream.take(min(size + size % 2, _LONGEST_HEADER))
        if name == b"fmt " and len(body) >= _FMT_BYTES:
            tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
            plain = Plain(rate_hz, channels) if (tag, bits) == (_PCM, _BITS) and channels and rate_hz else None
    return None
