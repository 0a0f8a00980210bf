"""What became of the packets of one link, counted: by speaker for `/status`, together for the metrics.

Written by `reception`, `sources`, `mouths` and `calls` on their way, read by `calls` and `deafness`. A user's id is
never a label of a metric.
"""

from collections.abc import Iterator

import msgspec


class SpeakerCounters(msgspec.Struct):
    """Packets of one speaker since the link was connected; what is `failed` was received, and not decrypted in time."""

    received: int = 0
    """Came through the transport's encryption, with an ssrc that is this speaker's."""
    decrypted: int = 0
    failed: int = 0
    late: int = 0
    """Came twice, or after their turn."""
    lost: int = 0
    """Never came, or late: holes in the sequence."""
    concealed: int = 0
    """Frames made up for what was lost or failed."""
    decoded: int = 0
    broken: int = 0
    """Decrypted, and no Opus."""

    def since(self, before: "SpeakerCounters") -> Iterator[tuple[str, int]]:
        """Return what became more, by its name here, which is a state of the metric."""
        for state in self.__struct_fields__:
            if more := getattr(self, state) - getattr(before, state):
                yield state, more


class LinkCounters(msgspec.Struct):
    """Packets of one link since it was connected, those of its speakers included."""

    datagrams: int = 0
    """Whatever arrived on the socket."""
    ignored: int = 0
    """Not sound: RTCP, video, keepalives, our own, too short."""
    forged: int = 0
    """Sound that does not pass the transport's encryption."""
    unknown: int = 0
    """Thrown away because nobody said in time whose they are."""
    announced_after: int = -1
    """How many datagrams had arrived when it was last said that somebody begins to speak: if it is as many as now,
    nothing of that is heard."""
    sent: int = 0
    """Frames of sound put on the wire, silence among them."""
    unsent: int = 0
    """Frames of sound that the socket did not take."""
    recoveries: int = 0
    """How often the encryption was begun anew because nothing could be decrypted."""
    rejoins: int = 0
    """How often the channel was left and joined again, whatever for."""
    speakers: dict[int, SpeakerCounters] = {}  # a struct gives each object its own copy
    """By user id."""

    def totals(self) -> SpeakerCounters:
        """Add up all speakers."""
        speakers = self.speakers.values()
        return SpeakerCounters(
            *(sum(getattr(each, field) for each in speakers) for field in SpeakerCounters.__struct_fields__)
        )
