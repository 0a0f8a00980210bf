"""uvicorn's connections, which hang up on clients that do not. Named by the lifecycle; nobody else calls them.

uvicorn waits for the head of a request as long as it takes, and closes a WebSocket by sending what waits and then the
end. With a client that says nothing, reads nothing, or whose machine is gone, both take for ever, and the connection
stays with all that it holds.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HEAD_S: Final = 5.0
"""How long a client may take to say what it wants; afterwards other limits hold."""
_LINGER_S: Final = 5.0
"""How long a client may take to answer the closing handshake once nobody is there for it any more."""


class HttpConnection(H11Protocol):
    """One connection, before it becomes a WebSocket. Unlike uvicorn's quicker one it takes no head without end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Somebody has connected."""
        super().connection_made(transport)
        self.loop.call_later(HEAD_S, self._hang_up_on_silence)

    def _hang_up_on_silence(self) -> None:
        asked: object = self.scope  # declared as if there were always one
        if asked is None:
            self.transport.abort()


class WebSocketConnection(WebSocketsSansIOProtocol):
    """One WebSocket."""

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application has returned: whatever the client does, the connection ends soon."""
        super().on_task_complete(task)
        self.loop.call_later(_LINGER_S, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """The client did not answer a ping in time: it reads nothing, so it is told nothing."""
        super().keepalive_timeout()
        self.transport.abort()
