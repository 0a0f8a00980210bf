"""Who wants to know what happens in a voice channel: the seam between a `VoiceLink` and the bot beside it."""

from typing import Literal, Protocol

import discord

Gone = Literal["kicked", "lost", "refused", "rate_limited"]
"""Somebody took us out of the channel, or it is gone; the connection did not come back; Discord does not let us back
in, at all or for now."""
Channel = discord.VoiceChannel | discord.StageChannel


class Listener(Protocol):
    """Whoever wants to know what happens in the channel. Nothing of it may wait or raise."""

    def frame(self, user_id: int, pcm: bytes, arrived_at: float) -> None:
        """The next 20 ms of a speaker: 640 bytes of s16le at 16 kHz mono; `arrived_at` is monotonic seconds.

        Frames come in order, without a hole within a talkspurt, and as soon as they can. After one that its client
        ended, half a second of silence follows by the wall clock, then nothing until the speaker speaks again.
        """
        ...

    def joined(self, user_id: int) -> None:
        """Somebody is in the channel: told once for each who was there before us, too."""
        ...

    def left(self, user_id: int) -> None:
        """They are not any more."""
        ...

    def moved(self, channel: Channel) -> None:
        """Somebody moved us; who is in the new channel is told by `left` and `joined`."""
        ...

    def deaf(self, user_ids: frozenset[int], sentence: str) -> None:
        """These cannot be heard although they speak, and what could be done was done: say so in the channel.

        Nobody is named if it is not known whose sound it is.
        """
        ...

    def recovered(self, user_ids: frozenset[int]) -> None:
        """After `deaf`: these are heard again."""
        ...

    def disconnected(self, why: Gone, sentence: str) -> None:
        """The link is over, not by our own `disconnect`; `connect` may be called again."""
        ...
