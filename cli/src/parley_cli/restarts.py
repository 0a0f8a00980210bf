"""When a process that died is started again, and when that is no use. Pure; `supervisor` asks after each death."""

from typing import Final

import msgspec

FIRST_DELAY_S: Final = 0.2
"""A single death is over before a turn is lost."""
LONGEST_DELAY_S: Final = 15.0
"""Something that keeps dying costs little by then, and recovers soon enough when its cause goes away."""
FORGIVEN_AFTER_S: Final = 60.0
"""Whoever lived this long starts afresh."""
TRIES_BEFORE_FIRST_READY: Final = 3
"""What has never been ready is set up wrongly, and a person is waiting for the sentence that says so."""
BAD_SETTINGS: Final = 2
"""Exit code with which our services refuse their environment: no restart changes it."""
PORT_TAKEN: Final = 3
"""Exit code with which they say that another process has their port."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one process of the assistant."""

    deaths: int = 0
    """In a row, none of them forgiven."""
    was_ready: bool = False
    """Whether it was ready at any time."""


class Restart(msgspec.Struct, frozen=True):
    """Start it again after a while."""

    delay_s: float


class GiveUp(msgspec.Struct, frozen=True):
    """Starting it again would end the same way."""

    why: str


def after_death(record: Record, *, lived_s: float, exit_code: int) -> tuple[Record, Restart | GiveUp]:
    """Decide what follows a death that nobody asked for.

    Args:
        record: of the process until now.
        lived_s: from its start to its death.
        exit_code: as the operating system reports it; negative for a signal.
    """
    deaths = 1 if lived_s >= FORGIVEN_AFTER_S else record.deaths + 1
    record = msgspec.structs.replace(record, deaths=deaths)
    if exit_code == BAD_SETTINGS and not record.was_ready:
        return record, GiveUp("it refuses its settings")
    if exit_code == PORT_TAKEN and not record.was_ready:
        return record, GiveUp(
            "another process took its port after that was chosen: stop that one, or start again with --any-port"
        )
    if deaths >= TRIES_BEFORE_FIRST_READY and not record.was_ready:
        return record, GiveUp(f"it died {deaths} times and was never ready")
    return record, Restart(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (deaths - 1)))


def cause(exit_code: int) -> str:
    """Say how a process ended: `exit code 1`, or `signal 9`."""
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
