"""What a link wants to know of its connection: the seam between `links` and this folder."""

from typing import Any, Protocol


class Events(Protocol):
    """What a link wants to know; all on the event loop, all returning at once."""

    def datagram(self, datagram: bytes) -> None:
        """Something arrived on the socket."""
        ...

    def said(self, message: dict[str, Any]) -> None:
        """The voice server said something in JSON, and discord.py has done its part."""
        ...

    def keys_changed(self) -> None:
        """Whatever can be encrypted or decrypted may have changed."""
        ...

    def connectedness_changed(self) -> None:
        """`is_connected` may have changed."""
        ...

    def gone(self) -> None:
        """discord.py has left the channel and will not come back by itself."""
        ...
