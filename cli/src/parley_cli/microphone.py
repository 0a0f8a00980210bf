"""A microphone made of a file: gives a frame whenever it is asked for one, and silence while there is none.

Decoding runs in a thread of its own, because a pipe may keep it waiting for ever. Used by `talking`, which paces it.
"""

import queue
import threading
from collections.abc import Iterator
from typing import Final

from parley_cli.audio import SILENCE

_AHEAD_FRAMES: Final = 250
"""Decoded in advance: 5 s, enough for any hiccup, and little of an endless stream."""
_PRIMING_S: Final = 2.0


class Microphone:
    """Speaks one source, from its first frame to its last."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        """Begin to decode; frames wait until they are asked for."""
        self._queue: queue.Queue[bytes | Exception | None] = queue.Queue(_AHEAD_FRAMES)
        self._first_came = threading.Event()
        self.is_over = False
        """Whether the source has ended and all of it was given."""
        threading.Thread(target=self._decode, args=(frames,), name="decode", daemon=True).start()

    def prime(self) -> None:
        """Block until the first frame is there, 2 s at most, so that a file is not begun with a stutter."""
        self._first_came.wait(_PRIMING_S)

    def frame(self) -> bytes:
        """Return the next frame, or silence if none is there (yet, or any more).

        Raises:
            UnreadableAudioError: decoding failed; what was decoded before has been given.
        """
        if self.is_over:
            return SILENCE
        try:
            item = self._queue.get_nowait()
        except queue.Empty:
            return SILENCE
        if item is None:
            self.is_over = True
            return SILENCE
        if isinstance(item, Exception):
            raise item
        return item

    def _decode(self, frames: Iterator[bytes]) -> None:
        try:
            for frame in frames:
                self._queue.put(frame)
                self._first_came.set()
            self._queue.put(None)
        except Exception as error:  # noqa: BLE001  # handed to whoever asks for the next frame
            self._queue.put(error)
        self._first_came.set()
