"""What one emulated human heard of one speaker: every frame, with the time at which it arrived."""

import time
from typing import Final, NamedTuple

from parley_testkit.discord.opus import Decoder
from parley_testkit.discord.rtp import SILENCE, Packet


class HeardFrame(NamedTuple):
    """20 ms that arrived."""

    at_s: float
    """By the monotonic clock."""
    sequence: int
    timestamp: int
    """RTP's, at 48 kHz."""
    is_marked: bool
    is_silence: bool
    """One of those that end a talkspurt."""
    pcm: bytes
    """s16le at 16 kHz mono."""


class Heard:
    """All of it, in the order in which it arrived; `EmulatedHuman.heard` returns it, and it goes on growing."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.frames: Final[list[HeardFrame]] = []
        self.undecryptable = 0
        """Frames that this human's end-to-end encryption could not read."""
        self.undecodable = 0
        """Frames that were no Opus."""
        self._decoder = Decoder()

    @property
    def voiced(self) -> list[HeardFrame]:
        """The frames that are no silence."""
        return [frame for frame in self.frames if not frame.is_silence]

    @property
    def pcm(self) -> bytes:
        """The sound of the voiced frames, s16le at 16 kHz mono; pauses are left out."""
        return b"".join(frame.pcm for frame in self.voiced)

    def take(self, packet: Packet, opus: bytes | None) -> None:
        """Keep a packet, with what decryption made of its payload."""
        if opus is None:
            self.undecryptable += 1
            return
        try:
            pcm = self._decoder.decode(opus)
        except ValueError:
            self.undecodable += 1
            return
        is_silence = opus == SILENCE
        self.frames.append(
            HeardFrame(time.monotonic(), packet.sequence, packet.timestamp, packet.is_marked, is_silence, pcm)
        )
