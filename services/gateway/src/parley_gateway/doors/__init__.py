"""Ways in: what a session expects of a door, whichever it is. The doors themselves are the modules beside this one."""

from typing import Protocol

from parley_contract.door import Error, Event


class Door(Protocol):
    """One listener's connection. All calls return at once; a door that cannot keep up closes itself."""

    def play(self, pcm: bytes) -> None:
        """Send one 20 ms frame of s16le at 16 kHz mono; it was paced already."""
        ...

    def tell(self, event: Event) -> None:
        """Say what happened, in order with the sound."""
        ...

    def close(self, why: Error | None) -> None:
        """Send what waits and close, normally; or say at once why not, and close."""
        ...
