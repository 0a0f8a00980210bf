"""Close codes of the voice WebSocket: what each means, and what discord.py is to make of it. Pure; used by `library`.

discord.py leaves for good at 1000 and 4021, waits for news of a move at 4014 and 4022, resumes at 4015, and comes back
with a fresh identify at anything else. Two of these do not work: a resume never ends (it waits for a session
description that RESUMED does not bring), and a server that will never let us in is asked five times, after which
`connect` returns as if all were well.
"""

from typing import Final, Literal, NamedTuple

from parley_gateway.discord.errors import Refused, Unavailable

FRESH: Final = 4009
"""The session timed out: discord.py leaves, and joins with a fresh identify."""
FINAL: Final = 4021
"""discord.py leaves and stays away."""
CRASHED: Final = 4015
REMOVED: Final = (4014, 4022)
"""We were taken out of the channel, or the call is over; it may be a move, too, and then discord.py comes back."""
_REFUSALS: Final[dict[int, tuple[Refused, str]]] = {
    4004: (
        "not_allowed",
        "The voice server does not know our session. Join again; if that fails too, restart the gateway.",
    ),
    4011: ("channel_gone", "The voice server does not know this channel. Was it deleted? Join another one."),
    4012: ("encryption", "Discord's voice protocol has moved on. Update Parley to talk to its voice servers again."),
    4016: ("encryption", "Discord wants a transport encryption that this version does not have. Update Parley."),
    4017: (
        "encryption",
        "Discord wants end-to-end encryption (DAVE) of a version that this one does not have. Update Parley.",
    ),
}
_RATE_LIMITED: Final = 4021


class Verdict(NamedTuple):
    """What a close code means."""

    code: int
    """What discord.py is told."""
    kind: Literal["refused", "unavailable", "passing"]
    """Never again, not now, or nothing that discord.py does not mend."""
    refused: Refused = "not_allowed"
    unavailable: Unavailable = "server"
    sentence: str = ""


def judge(code: int) -> Verdict:
    """Say what to make of a close code."""
    if code in _REFUSALS:
        reason, sentence = _REFUSALS[code]
        return Verdict(FINAL, "refused", refused=reason, sentence=f"{sentence} (close code {code})")
    if code == _RATE_LIMITED:
        sentence = "Discord says that we connect too often. Wait a few minutes, then join again. (close code 4021)"
        return Verdict(code, "unavailable", unavailable="rate_limited", sentence=sentence)
    return Verdict(FRESH if code == CRASHED else code, "passing")
