"""uvicorn's WebSocket, which hangs up on clients that do not. Named by the lifecycle; nobody else calls it.

uvicorn closes a connection by sending what waits and then the end. To a client that reads nothing, or whose machine is
gone, that takes for ever, and the connection stays with all that it holds.
"""

import asyncio
from typing import Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_LINGER_S: Final = 5.0
"""How long a client may take to answer the closing handshake once nobody is there for it any more."""


class WebSocketConnection(WebSocketsSansIOProtocol):
    """One connection."""

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application has returned: whatever the client does, the connection ends soon."""
        super().on_task_complete(task)
        self.loop.call_later(_LINGER_S, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """The client did not answer a ping in time: it reads nothing, so it is told nothing."""
        super().keepalive_timeout()
        self.transport.abort()
