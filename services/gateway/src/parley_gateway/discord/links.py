"""A voice link: our presence in one voice channel, from who speaks there to what we say.

The front of this package: the bot makes a `VoiceLink` per guild, hears through its `Listener` and plays into it. All
methods and all calls of the listener happen on the event loop. Not here: commands, permissions, sessions, turns.
"""

from typing import Literal, NamedTuple, Protocol

import discord

from parley_gateway.discord.counters import LinkCounters

Lane = Literal["reply", "notice"]
"""Where sound waits to be played. A notice (an acknowledgement, a warning) and the reply never sound together: who has
begun goes on until its lane is empty, and then a notice goes first."""
Gone = Literal["kicked", "lost", "refused", "rate_limited"]
"""Somebody removed us, or the channel is gone; the connection did not come back; Discord does not let us back in."""
Channel = discord.VoiceChannel | discord.StageChannel


class OnWire(NamedTuple):
    """How far playback is, of the reply alone; `frames` never goes back while a link is connected."""

    frames: int
    """Frames of the reply that were sent. In an empty channel those that would have been."""
    at: float
    """Monotonic seconds at which the latest of them was."""
    waiting: int
    """Frames of it that are here and not sent yet."""


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
        """These cannot be heard although they speak, and what could be done was done: say so in the channel."""
        ...

    def recovered(self, user_ids: frozenset[int]) -> None:
        """After `deaf`: these are heard again."""
        ...

    def disconnected(self, why: Gone, sentence: str) -> None:
        """The link is over, not by our own `disconnect`; `connect` may be called again."""
        ...


class VoiceLink(Protocol):
    """Our presence in one voice channel."""

    async def connect(self, channel: Channel) -> None:
        """Join and be able to hear; what is played before encryption is ready waits for it.

        Raises:
            VoiceRefusedError: Discord does not let us in.
            VoiceUnavailableError: not now; nothing of the attempt is left over.
        """
        ...

    async def disconnect(self) -> None:
        """Leave; sound that waits is dropped. Harmless when not connected."""
        ...

    def play(self, pcm: bytes, lane: Lane = "reply") -> None:
        """Say the next 20 ms: 640 bytes of s16le at 16 kHz mono. It may come earlier than it is due, by 10 s at most.

        Raises:
            ValueError: another size, or too much is waiting.
        """
        ...

    def cut(self, lane: Lane = "reply") -> OnWire:
        """Drop what waits in a lane and return how far playback came; nothing of it is sent after this returns."""
        ...

    def pause(self) -> OnWire:
        """Hold the reply where it is; a notice may still be said. Harmless when it is held already."""
        ...

    def resume(self) -> None:
        """Go on with it."""
        ...

    @property
    def on_wire(self) -> OnWire:
        """How far playback is."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether the voice server has us now; False also while a lost connection is made anew."""
        ...

    @property
    def channel(self) -> Channel | None:
        """Where we are."""
        ...

    @property
    def privacy_code(self) -> str | None:
        """What everybody in the channel can compare to know that nobody listens in; None without end-to-end."""
        ...

    @property
    def latency_s(self) -> float | None:
        """The latest round trip to the voice server's WebSocket; None while there is none."""
        ...

    @property
    def counters(self) -> LinkCounters:
        """What became of the packets."""
        ...
