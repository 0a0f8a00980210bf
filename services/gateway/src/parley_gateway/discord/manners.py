"""How the bot behaves: when it joins, why it cannot, who may command it, and when it leaves. Pure.

Used by `hosting`, `stays`, `arrivals` and `commands`, which look at Discord and put what they see into the values of
this page.
"""

from collections.abc import Collection, Mapping
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from parley_gateway.discord.words import Word

ALONE_S: Final = 60.0
"""Alone in a channel it leaves after so long, or earlier where it is told to; who was cut off comes back within it."""
PERMISSIONS: Final = ("view_channel", "connect", "speak", "move_members", "mute_members")
"""Those of the bot in a channel that matter, by their names at Discord."""
_SHOWN: Final = 5
_GROUP: Final = 5


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants the bot to join, as far as it matters whether it can."""

    channel: int | None
    """The voice channel of whoever asks; None if they are in none."""
    is_stage: bool = False
    is_full: bool = False
    """Whether the channel's limit is reached; who may move members comes in all the same."""
    may: frozenset[str] = frozenset()
    """Which of `PERMISSIONS` the bot has there."""
    here: int | None = None
    """The channel of this server in which the bot is."""
    is_joining: bool = False
    """Whether it is on its way to one."""


Hindrance = Literal[
    "not_in_voice",
    "here_already",
    "busy",
    "joining",
    "cannot_view",
    "cannot_connect",
    "cannot_speak",
    "cannot_speak_on_stage",
    "full",
]


def hindrance(wish: Wish) -> Hindrance | None:
    """Return why the bot cannot join, before anything is tried; None where nothing is known to be in the way."""
    match wish:
        case Wish(channel=None):
            return "not_in_voice"
        case Wish(is_joining=True):
            return "joining"
        case Wish(here=int() as here):
            return "here_already" if here == wish.channel else "busy"
        case Wish(may=may) if "view_channel" not in may:
            return "cannot_view"
        case Wish(may=may) if "connect" not in may:
            return "cannot_connect"
        case Wish(is_full=True, may=may) if "move_members" not in may:
            return "full"
        case Wish(is_stage=True, may=may) if "mute_members" not in may:
            return "cannot_speak_on_stage"
        case Wish(is_stage=False, may=may) if "speak" not in may:
            return "cannot_speak"
        case _:
            return None


_FAILURES: Final[Mapping[str, Word]] = {
    "too_many_sessions": "too_many_sessions",
    "draining": "draining",
    "timed_out": "timed_out",
    "server": "server",
    "rate_limited": "rate_limited",
    "busy": "joining",
    "encryption": "encryption",
    "not_allowed": "refused",
    "channel_gone": "channel_gone",
    "no_codec": "no_codec",
}


def failure(code: str) -> Word:
    """Return how to say that joining failed: by the code of an AdmissionError, or a voice link's reason."""
    return _FAILURES.get(code, "agent_unavailable")


def may_command(roles: Collection[int], allowed: Collection[int], *, manages: bool) -> bool:
    """Whether somebody with these roles may command; who manages the server always may."""
    return manages or not allowed or bool(set(roles) & set(allowed))


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in the channel beside the bot, and since when nothing happened."""

    people: frozenset[int] = frozenset()
    heard_at: float
    """Monotonic seconds at which somebody spoke last, or the bot came."""
    alone_since: float | None

    def joined(self, person: int) -> "Company":
        """Somebody is there."""
        return replace(self, people=self.people | {person}, alone_since=None)

    def left(self, person: int, now: float) -> "Company":
        """Somebody is there no more."""
        people = self.people - {person}
        return replace(self, people=people, alone_since=self.alone_since if people else (self.alone_since or now))

    def spoke(self, now: float) -> "Company":
        """Somebody said something."""
        return replace(self, heard_at=now)


def leaves_at(company: Company, idle_s: float) -> float | None:
    """Return when the bot leaves unless something happens; None if it stays. `idle_s` is the owner's, 0 for never."""
    if not idle_s:
        return None
    if company.alone_since is not None:
        return company.alone_since + min(idle_s, ALONE_S)
    return company.heard_at + idle_s


def grouped(code: str) -> str:
    """Write a privacy code as Discord shows it: in groups of five digits."""
    return " ".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def seconds(value_ms: float) -> str:
    """Write a duration for people."""
    return f"{value_ms / 1000:.2f} s"


def latest(values_ms: Collection[float]) -> str:
    """Write the latest few durations, oldest first."""
    return ", ".join(seconds(value) for value in list(values_ms)[-_SHOWN:])
