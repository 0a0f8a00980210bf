"""How our sound is laid out in RTP: sequence, timestamp and marker of each packet, across pauses (RFC 3550, RFC 3551).

Used by `mouths`. Pure; time is passed in. Within a talkspurt a timestamp is that of the packet before and 20 ms; a new
one begins where the clock is, marked. discord.py counts only what was sent, so that receivers take every pause for
delay and play ever later, by seconds an hour (bwmarrin/discordgo#1695).
"""

import secrets
from typing import Final

from parley_gateway.discord.rtp import CLOCK_HZ, FRAME_TICKS, header


class Talkspurts:
    """The packets of one link, whatever connection they go through."""

    def __init__(self, now: float) -> None:
        """Begin anywhere, as RFC 3550 wants it."""
        self._sequence = secrets.randbelow(1 << 16)
        self._origin: Final = now
        self._first: Final = secrets.randbelow(1 << 32)
        self._last = -FRAME_TICKS
        """Ticks since the origin of the packet sent last."""
        self._is_new = True

    def begin(self, now: float) -> None:
        """The next packet begins a talkspurt."""
        self._is_new = True
        self._last = max(self._last, round((now - self._origin) * CLOCK_HZ) - FRAME_TICKS)

    def next(self, ssrc: int) -> bytes:
        """Return the header of the next packet."""
        self._last += FRAME_TICKS
        self._sequence += 1
        made = header(self._sequence, self._first + self._last, ssrc, is_marked=self._is_new)
        self._is_new = False
        return made
