"""Are we deaf, and what helps? Packets that come and cannot be read are answered with a remedy, the mildest first.

Asked by `calls` once a second with the counters of the link; pure, time is passed in. The end-to-end encryption is
begun anew (op 31), then the channel is left and joined again, and when that did not help either the channel is told.
Somebody else who is heard well meanwhile is not made to suffer from a second remedy: then only one speaker's client is
broken. Where somebody is said to speak and nothing arrives at all, only a new connection can help.
"""

import enum
from collections import deque
from typing import Final, NamedTuple

from parley_gateway.discord.counters import LinkCounters

TOLERANCE: Final = 36
"""Packets in a row: as many as discord.js lets pass, of which 5 to 24 are usual after a new key."""
RECOVERY_S: Final = 5.0
"""From op 31 until packets can be read: the server takes us out of the group and in again, seconds at worst."""
REJOIN_S: Final = 10.0
"""The same for leaving and joining, the handshake of the voice server included."""
STRIKES: Final = 3
"""Remedies in `STRIKES_S` before only words are left: each of them is heard by everybody in the channel."""
STRIKES_S: Final = 300.0
FORGOTTEN_S: Final = 30.0
"""Who sends nothing for so long begins anew: the odd packet of a whole day makes no streak."""
UNKNOWN: Final = 0
"""Stands for whoever sends packets that are nobody's."""
FORGED: Final = -1
"""Stands for the voice server, when what it sends does not pass the transport's encryption."""
SILENT: Final = -2
"""Stands for the voice server, when nothing comes from it although somebody speaks."""
SILENT_S: Final = 3.0
"""From the word that somebody speaks, which their first packet brings about, until the way is taken for broken."""
_NOBODY: Final = frozenset({UNKNOWN, FORGED, SILENT})
_CONNECTION: Final = frozenset({FORGED, SILENT})
"""What new keys cannot mend."""


class Step(enum.Enum):
    """What to do."""

    RECOVER = "recover"
    REJOIN = "rejoin"
    TELL = "tell"
    HEARD = "heard"
    """They are heard again, after TELL."""


class Remedy(NamedTuple):
    """What to do about whom; users that are none are left out."""

    step: Step
    users: frozenset[int]


class _Ear:
    """What is heard of one user."""

    def __init__(self) -> None:
        self.streak = 0
        self.good_at = float("-inf")
        self._good = self._bad = 0
        self._bad_at = float("-inf")

    def hear(self, good: int, bad: int, now: float) -> None:
        """Take in how many packets could be read so far, and how many could not."""
        if bad > self._bad:
            self.streak += bad - self._bad
            self._bad_at = now
        if good > self._good:
            self.streak, self.good_at = 0, now
        elif now - self._bad_at > FORGOTTEN_S:
            self.streak = 0
        self._good, self._bad = good, bad


class Judge:
    """Judges one link."""

    def __init__(self) -> None:
        self._ears: dict[int, _Ear] = {}
        self._tried: Step | None = None
        self._tried_at = float("-inf")
        self._patience_s = 0.0
        self._patients: frozenset[int] = frozenset()
        self._strikes: deque[float] = deque(maxlen=STRIKES)
        self._told: frozenset[int] = frozenset()
        self._silent_since: float | None = None

    def look(self, counters: LinkCounters, now: float) -> Remedy | None:
        """Compare with the last time."""
        self._listen(counters, now)
        healed = frozenset(user for user in self._told if self._ears[user].good_at >= now)
        self._told -= {user for user in (UNKNOWN, FORGED) if self._ears[user].streak == 0}
        if healed:
            self._told -= healed
            return Remedy(Step.HEARD, _people(healed))
        if now < self._tried_at + self._patience_s:
            # What could not be read before the remedy did its work is no sign that it did not.
            for ear in self._ears.values():
                ear.streak = 0
            return None
        if all(self._ears[user].good_at > self._tried_at for user in self._patients):
            self._tried = None
        deaf_to = frozenset(user for user, ear in self._ears.items() if ear.streak >= TOLERANCE)
        if self._silent_since is not None and now - self._silent_since >= SILENT_S:
            deaf_to |= {SILENT}
        deaf_to -= self._told
        return self._remedy(deaf_to, now) if deaf_to else None

    def forget(self, user_id: int) -> None:
        """They left, and with them what was wrong."""
        self._ears.pop(user_id, None)
        self._told -= {user_id}
        self._patients -= {user_id}

    def _remedy(self, deaf_to: frozenset[int], now: float) -> Remedy:
        worn_out = len(self._strikes) == STRIKES and now - self._strikes[0] < STRIKES_S
        others = (ear for user, ear in self._ears.items() if user not in deaf_to | _NOBODY)
        is_one_of_many = any(now - ear.good_at < REJOIN_S for ear in others)
        if worn_out or self._tried is Step.REJOIN or (self._tried is Step.RECOVER and is_one_of_many):
            self._told |= deaf_to
            self._tried = None
            return Remedy(Step.TELL, _people(deaf_to))
        step = Step.REJOIN if self._tried is Step.RECOVER or deaf_to & _CONNECTION else Step.RECOVER
        self._tried, self._tried_at, self._patients = step, now, deaf_to
        self._patience_s = REJOIN_S if step is Step.REJOIN else RECOVERY_S
        self._strikes.append(now)
        self._silent_since = None
        return Remedy(step, _people(deaf_to))

    def _listen(self, counters: LinkCounters, now: float) -> None:
        speakers = counters.speakers
        read = {user: (speaker.decrypted, speaker.failed) for user, speaker in speakers.items()}
        opened = sum(speaker.received for speaker in speakers.values()) + counters.unknown
        read[UNKNOWN] = (0, counters.unknown)
        read[FORGED] = (opened, counters.forged)
        read[SILENT] = (counters.datagrams - counters.ignored, 0)
        for user, (good, bad) in read.items():
            self._ears.setdefault(user, _Ear()).hear(good, bad, now)
        if counters.datagrams != counters.announced_after:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now


def _people(users: frozenset[int]) -> frozenset[int]:
    return users - _NOBODY
