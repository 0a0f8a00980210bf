"""A connection to a voice server and its WebSocket, as discord.py has them, with what it lacks.

Made by `link_clients`, one for all reconnects of a link; whatever happens is told to its `Events`. Mended: the thread
that reads the socket (`sockets`); close codes (`closings`); a WebSocket that cannot be opened, that says something
malformed or is closed while it is answered ends the task that would try again, without a word; news that we have left,
late, ends the attempt to come back; plaintext stays allowed for ever after encryption was off for a while; nothing
tells that keys have changed.
"""

import struct
import time
from typing import Any, Final

import aiohttp
import discord
import structlog
from discord.gateway import DiscordVoiceWebSocket
from discord.voice_state import ConnectionFlowState, VoiceConnectionState

from parley_gateway.discord import closings
from parley_gateway.discord.errors import VoiceRefusedError
from parley_gateway.discord.library.events import Events
from parley_gateway.discord.sockets import LoopReader
from parley_gateway.discord.translations import error_of

log: Final = structlog.get_logger()

_PLAIN_S: Final = 10
"""How long after an upgrade frames in clear may still be under way."""
_ABNORMAL: Final = 1006
"""Closed without a code (RFC 6455, 7.4.1)."""
_TRANSITION: Final = struct.Struct(">H")
_COMMIT, _WELCOME = 29, 30
_JOINING: Final = (ConnectionFlowState.set_guild_voice_state, ConnectionFlowState.got_voice_server_update)


class WebSocket(DiscordVoiceWebSocket):
    """The voice WebSocket, which survives what it cannot read and says what became of it."""

    _connection: "Connection"
    latency_s: float | None = None
    """The latest round trip; discord.py's own is wrong where an answer is there before it has noted when it asked."""
    _beat_at = 0.0

    async def send_heartbeat(self, data: Any) -> None:  # noqa: ANN401  # discord.py's signature
        """See discord.py; when is noted before, for the answer may be quick."""
        self._beat_at = time.monotonic()
        await self.send_as_json(data)

    async def initial_connection(self, data: dict[str, Any]) -> None:
        """See discord.py; a server with which we share no encryption is no server for us."""
        if not set(data["modes"]).intersection(self._connection.supported_modes):
            raise VoiceRefusedError(
                "encryption",
                f"The voice server offers none of {', '.join(self._connection.supported_modes)}. Update Parley.",
            )
        await super().initial_connection(data)

    async def received_message(self, msg: dict[str, Any]) -> None:
        """See discord.py; what cannot be read is overlooked, and any frame may change the keys."""
        if msg.get("op") == self.HEARTBEAT_ACK:
            self.latency_s = time.monotonic() - self._beat_at
        try:
            await super().received_message(msg)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("the voice server said something unreadable", op=msg.get("op"), error=type(error).__name__)
        self._connection.events.keys_changed()

    async def received_binary_message(self, msg: bytes) -> None:
        """See discord.py; likewise."""
        try:
            await super().received_binary_message(msg)
            if msg[2] in (_COMMIT, _WELCOME):
                self._connection.transition_id = _TRANSITION.unpack_from(msg, 3)[0]
        except (IndexError, ValueError, struct.error) as error:
            # What it was about is missing from the group now; `deafness` notices if that matters.
            log.warning("the encryption's group was not changed", op=msg[2:3].hex(), error=str(error))
        self._connection.events.keys_changed()

    async def poll_event(self) -> None:
        """See discord.py; however it ends, it ends as a close code that was judged."""
        try:
            await super().poll_event()
        except discord.ConnectionClosed as closed:
            self._connection.judge(closed)
            raise
        except (aiohttp.ClientError, OSError) as error:
            # It was closed while something was answered, and discord.py's task would end with that.
            closure = _closure(self.ws.close_code or _ABNORMAL)
            self._connection.judge(closure)
            raise closure from error


class Connection(VoiceConnectionState):
    """One connection to a voice server, through all its reconnects."""

    ws: WebSocket

    def __init__(self, client: discord.VoiceClient, events: Events) -> None:
        self.events = events
        self.transition_id = 0
        """Of the last change of the group; 0 is one, too."""
        self.verdict: closings.Verdict | None = None
        """Why the voice server closed on us for good."""
        self.was_removed = False
        """Whether somebody took us out of the channel, or the channel away."""
        super().__init__(client, hook=self._said)
        self._socket_reader.stop()
        self._socket_reader = LoopReader(self, client.loop)  # type: ignore[assignment]  # as if it were one
        self.add_socket_listener(events.datagram)

    async def _said(self, _: DiscordVoiceWebSocket, message: dict[str, Any]) -> None:
        self.events.said(message)

    @property
    def state(self) -> ConnectionFlowState:
        """See discord.py; whether it is connected is told on."""
        return self._state

    @state.setter
    def state(self, state: ConnectionFlowState) -> None:
        was_connected = self.is_connected()
        VoiceConnectionState.state.fset(self, state)  # type: ignore[attr-defined]  # mypy takes it for its value
        if self.is_connected() != was_connected:
            self.events.connectedness_changed()

    async def _connect_websocket(self, resume: bool) -> WebSocket:  # noqa: FBT001  # discord.py's signature
        try:
            self.ws = await WebSocket.from_connection_state(self, resume=resume, hook=self.hook)
        except (aiohttp.ClientError, OSError) as error:
            log.warning("the voice server cannot be reached", error=type(error).__name__)
            raise _closure(_ABNORMAL) from error
        self.state = ConnectionFlowState.websocket_connected
        return self.ws

    async def voice_state_update(self, data: Any) -> None:  # noqa: ANN401  # a TypedDict that only its checker imports
        """See discord.py; news of the stay before do not end an attempt to come back."""
        is_out = data["channel_id"] is None and not self._expecting_disconnect
        if is_out and self.state in _JOINING:
            # Of the stay before: Discord has not said yet that we are in, and this would end the attempt.
            return
        self.was_removed = is_out
        await super().voice_state_update(data)

    async def _execute_transition(self, transition_id: int) -> None:
        was_off = self.dave_downgraded
        await super()._execute_transition(transition_id)
        if was_off and not self.dave_downgraded and self.dave_session is not None:
            self.dave_session.set_passthrough_mode(False, _PLAIN_S)  # noqa: FBT003  # its signature

    async def disconnect(self, *, force: bool = True, cleanup: bool = True, wait: bool = False) -> None:
        """See discord.py; that it leaves for good is told on."""
        await super().disconnect(force=force, cleanup=cleanup, wait=wait)
        if cleanup:
            self.events.gone()

    def judge(self, closed: discord.ConnectionClosed) -> None:
        """Tell discord.py what to make of a close code.

        Raises:
            VoiceRefusedError: within a handshake, where discord.py would try again.
            VoiceUnavailableError: likewise.
        """
        verdict = closings.judge(closed.code)
        log.info("the voice server closed", code=closed.code, kind=verdict.kind)
        closed.code = verdict.code
        self.was_removed = closed.code in closings.REMOVED
        if verdict.kind == "passing":
            return
        self.verdict = verdict
        if self.state is not ConnectionFlowState.connected:
            raise error_of(verdict) from closed


def _closure(code: int) -> discord.ConnectionClosed:
    return discord.ConnectionClosed(None, shard_id=None, code=code)  # type: ignore[arg-type]  # it reads its code alone
