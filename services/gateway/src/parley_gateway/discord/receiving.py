"""`reception` on the event loop: whatever comes gets its time, and it is asked again as soon as something is due.

Made by `calls`, one per call. Not here: what a packet says, and whose it is.
"""

import asyncio
import time

from parley_gateway.discord.counters import LinkCounters
from parley_gateway.discord.reception import Keys, Reception, Take
from parley_gateway.discord.roster import Roster


class Receiver:
    """All that is heard on one link."""

    def __init__(self, roster: Roster, counters: LinkCounters, take: Take) -> None:
        """Hear for `take`, once there is a connection."""
        self._reception = Reception(roster, counters, take)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")

    def attach(self, keys: Keys) -> None:
        """There is a connection, with these keys."""
        self._reception.keys = keys

    def detach(self) -> None:
        """There is none any more."""
        self._reception.keys = None
        self._reception.reset()

    def reset(self) -> None:
        """The connection is made anew: no packet of before goes on."""
        self._reception.reset()

    def datagram(self, datagram: bytes) -> None:
        """Something arrived on the socket."""
        self._reception.datagram(datagram, time.monotonic())
        self._arm()

    def keys_changed(self) -> None:
        """What could not be decrypted may be decrypted now."""
        self._reception.keys_changed(time.monotonic())
        self._arm()

    def named(self) -> None:
        """The roster knows more than before."""
        self._reception.named(time.monotonic())
        self._arm()

    def forget(self, user_id: int) -> None:
        """They left."""
        self._reception.forget(user_id)

    def close(self) -> None:
        """Hear nothing any more."""
        self.detach()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        """Come back when something is due: a hole, a tail, a packet without a key. Most packets leave nothing due."""
        due = self._reception.due
        if due is None or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        wait_s = max(0.0, due - time.monotonic()) + 0.001
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self._reception.run(time.monotonic())
        self._arm()
