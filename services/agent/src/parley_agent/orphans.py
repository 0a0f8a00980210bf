"""Turns that nobody may account for any more, because gateway and agent of their session died together. Pure.

Every agent follows, for all sessions, which turns have begun and which have a report (`app` tells). A session whose
turn stays open and whose gateway is silent is adopted; its worker then finds that the gateway is lost, and accounts.
"""

from typing import Final

from parley_contract.messages import Message, TurnReport, UtteranceStarted

REMEMBERED_S: Final = 600.0
"""As far back as a worker that adopts the session reads the record."""


class OpenTurns:
    """Turns of all sessions that have begun and have no report."""

    def __init__(self) -> None:
        """Begin with none."""
        self._began_at: dict[tuple[str, int, int], float] = {}

    def take(self, message: Message, now: float) -> None:
        """Take in a message, whether it was taken before or not; `now` is monotonic seconds."""
        match message:
            case UtteranceStarted():
                self._began_at.setdefault((message.session, message.epoch, message.turn), now)
            case TurnReport():
                self._began_at.pop((message.session, message.epoch, message.turn), None)
            case _:
                pass

    def sessions(self, now: float) -> set[str]:
        """Return the sessions with an open turn; turns that are too old to be found on record are forgotten."""
        self._began_at = {turn: at for turn, at in self._began_at.items() if now - at < REMEMBERED_S}
        return {session for session, _, _ in self._began_at}
