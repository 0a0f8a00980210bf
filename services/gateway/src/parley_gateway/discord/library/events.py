"""What a link wants to know of its connection: the seam between `links` and this folder."""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from parley_gateway.discord.library.link_clients import LinkClient


class Events(Protocol):
    """What a link wants to know; all on the event loop, all returning at once."""

    def attached(self, client: "LinkClient") -> None:
        """A connection is being made, and this is what will be told of."""
        ...

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
