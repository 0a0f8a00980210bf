"""What can be set of the emulated Discord; the defaults are the real one's where it is known."""

from typing import Final, NamedTuple

from parley_testkit.discord.transport import MODES, Mode


class Settings(NamedTuple):
    """One emulator's."""

    modes: tuple[Mode, ...] = MODES
    """What the voice server offers, best first."""
    heartbeat_s: float = 41.25
    """Within which a client of the main gateway has to beat."""
    voice_heartbeat_s: float = 13.75
    """Within which a client of the voice gateway has to beat."""
    interaction_s: float = 3.0
    """Within which an interaction has to be answered or deferred."""
    pacing_tolerance_ms: float = 100.0
    """How far from its place a frame may come before it is recorded. Nothing else of a talkspurt's times is judged more
    strictly."""
    may_stall: bool = False
    """Whether a client may stand still in mid-word for as long as that, and let RTP's clock go on meanwhile; ours does
    where its process got no time for 0.1 s."""
    resume_s: float = 60.0
    """How long a voice session is kept after its socket broke."""
    route_life_s: float | None = None
    """After how long without a datagram from a client none reaches it, as behind some routers; None for never."""


BUSY: Final = Settings(pacing_tolerance_ms=1000, may_stall=True)
"""For tests, which share two cores with other tests: whoever is a second late is not just busy."""
