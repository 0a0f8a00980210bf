"""discord.py 2.7.1 from inside: the one page that touches its private attributes, and mends what it does not do.

Used by `links`, which sees a `LinkClient` and nothing else of it, and by `opus`, for what of libopus cannot be reached
otherwise. What is relied on stands in RELIED_ON, and a contract test holds the installed version against it.

Mended: the thread that reads the socket (`sockets`); close codes (`closings`); a WebSocket that cannot be opened, that
says something malformed or is closed while it is answered ends the task that would try again, without a word; news that
we have left, late, ends the attempt to come back; plaintext stays allowed for ever after encryption was off for a
while; nothing tells that keys have changed.
"""

import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
import davey
import discord
import discord.opus
import structlog
from discord.enums import SpeakingState
from discord.gateway import DiscordVoiceWebSocket
from discord.voice_state import ConnectionFlowState, SocketReader, VoiceConnectionState

from parley_gateway.discord import closings
from parley_gateway.discord.errors import VoiceRefusedError
from parley_gateway.discord.rtp import SILENCE
from parley_gateway.discord.sockets import LoopReader
from parley_gateway.discord.translations import error_of
from parley_gateway.discord.transport import Transport, modes

if TYPE_CHECKING:
    import ctypes

log: Final = structlog.get_logger()

RELIED_ON: Final[dict[type, tuple[str, ...]]] = {
    VoiceConnectionState: (
        "_connect_websocket",
        "_create_socket",
        "_execute_transition",
        "_recover_from_invalid_commit",
        "can_encrypt",
        "disconnect",
        "state",
    ),
    DiscordVoiceWebSocket: (
        "from_connection_state",
        "initial_connection",
        "poll_event",
        "received_binary_message",
        "received_message",
        "send_heartbeat",
        "speak",
    ),
    SocketReader: ("pause", "register", "resume", "stop", "unregister"),
    discord.VoiceClient: ("create_connection_state", "supported_modes"),
}
RELIED_ON_INSTANCE: Final = (
    "_expecting_disconnect",
    "_runner",
    "_socket_reader",
    "_state",
    "dave_protocol_version",
    "dave_session",
    "mode",
    "secret_key",
    "socket",
    "ssrc",
    "ws",
)
"""Attributes of a VoiceConnectionState that its __init__ sets."""
_MARK: Final = b"\xfa\xfa"
"""The end of an end-to-end encrypted frame (DAVE protocol, Payload Format)."""
_PLAIN_S: Final = 10
"""How long after an upgrade frames in clear may still be under way."""
_ABNORMAL: Final = 1006
"""Closed without a code (RFC 6455, 7.4.1)."""
_SET_COMPLEXITY: Final = 4010
_TRANSITION: Final = struct.Struct(">H")
_COMMIT, _WELCOME = 29, 30
_JOINING: Final = (ConnectionFlowState.set_guild_voice_state, ConnectionFlowState.got_voice_server_update)


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


def decode_into(
    room: "ctypes._Pointer[ctypes.c_int16]",
    decoder: discord.opus.Decoder,
    payload: bytes | None,
    samples: int,
    *,
    fec: bool,
) -> int:
    """Decode a packet, what it says of the one before (`fec`), or nothing at all (None); return how many samples it is.

    discord.py's own way copies sample by sample, which takes as long as decoding.

    Args:
        room: for the sound.
        decoder: of discord.py.
        payload: the packet, which is not empty.
        samples: how many there may be; for `fec` or None exactly so many.
        fec: see above.

    Raises:
        discord.opus.OpusError: it is no Opus.
    """
    size = len(payload) if payload else 0
    made: int = discord.opus._lib.opus_decode(decoder._state, payload, size, room, samples, fec)  # noqa: SLF001  # see the module
    return made


def set_complexity(encoder: discord.opus.Encoder, complexity: int) -> None:
    """Choose how much time libopus spends on a frame, from 0 to 10."""
    discord.opus._lib.opus_encoder_ctl(encoder._state, _SET_COMPLEXITY, complexity)  # noqa: SLF001  # see the module


class _WebSocket(DiscordVoiceWebSocket):
    """The voice WebSocket, which survives what it cannot read and says what became of it."""

    _connection: "_ConnectionState"
    latency_s: float | None = None
    """The latest round trip. discord.py notes when it sent a heartbeat after a quick answer is there already."""
    _beat_at = 0.0

    async def send_heartbeat(self, data: Any) -> None:  # noqa: ANN401  # discord.py's signature
        self._beat_at = time.monotonic()
        await self.send_as_json(data)

    async def initial_connection(self, data: dict[str, Any]) -> None:
        if not set(data["modes"]).intersection(self._connection.supported_modes):
            raise VoiceRefusedError(
                "encryption",
                f"The voice server offers none of {', '.join(self._connection.supported_modes)}. Update Parley.",
            )
        await super().initial_connection(data)

    async def received_message(self, msg: dict[str, Any]) -> None:
        if msg.get("op") == self.HEARTBEAT_ACK:
            self.latency_s = time.monotonic() - self._beat_at
        try:
            await super().received_message(msg)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("the voice server said something unreadable", op=msg.get("op"), error=type(error).__name__)
        self._connection.events.keys_changed()

    async def received_binary_message(self, msg: bytes) -> None:
        try:
            await super().received_binary_message(msg)
            if msg[2] in (_COMMIT, _WELCOME):
                self._connection.transition_id = _TRANSITION.unpack_from(msg, 3)[0]
        except (IndexError, ValueError, struct.error) as error:
            # What it was about is missing from the group now; `deafness` notices if that matters.
            log.warning("the encryption's group was not changed", op=msg[2:3].hex(), error=str(error))
        self._connection.events.keys_changed()

    async def poll_event(self) -> None:
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


class _ConnectionState(VoiceConnectionState):
    """One connection to a voice server, through all its reconnects."""

    ws: _WebSocket

    def __init__(self, client: "LinkClient", events: Events) -> None:
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
        return self._state

    @state.setter
    def state(self, state: ConnectionFlowState) -> None:
        was_connected = self.is_connected()
        VoiceConnectionState.state.fset(self, state)  # type: ignore[attr-defined]  # mypy takes it for its value
        if self.is_connected() != was_connected:
            self.events.connectedness_changed()

    async def _connect_websocket(self, resume: bool) -> _WebSocket:  # noqa: FBT001  # discord.py's signature
        try:
            self.ws = await _WebSocket.from_connection_state(self, resume=resume, hook=self.hook)
        except (aiohttp.ClientError, OSError) as error:
            log.warning("the voice server cannot be reached", error=type(error).__name__)
            raise _closure(_ABNORMAL) from error
        self.state = ConnectionFlowState.websocket_connected
        return self.ws

    async def voice_state_update(self, data: Any) -> None:  # noqa: ANN401  # a TypedDict that only its checker imports
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


class LinkClient(discord.VoiceClient):
    """What discord.py keeps per guild: our connection, with the keys of this moment, for `reception` and `mouths`.

    Its own player is not used. `open` and `decrypt` are called on the event loop, `send` on the pacing thread.
    """

    supported_modes = modes()  # type: ignore[assignment]  # AES is none of those that it knows
    _connection: _ConnectionState

    def __init__(self, client: discord.Client, channel: discord.abc.Connectable, *, events: Events) -> None:
        """Made by `channel.connect(cls=…)`."""
        self._events = events
        self._transport: tuple[object, Transport] | None = None
        self._renewing = threading.Lock()
        super().__init__(client, channel)
        events.attached(self)

    def create_connection_state(self) -> _ConnectionState:
        """See discord.py."""
        return _ConnectionState(self, self._events)

    async def leave(self) -> None:
        """Leave the channel, and wait until Discord says that we have: its word would end whatever is begun before."""
        if self._connection.state is not ConnectionFlowState.disconnected:
            await self.disconnect(force=True)
        # Told twice that we have left, discord.py keeps a state of us that is in no channel.
        if (state := self.guild.me.voice) is not None and state.channel is not None:
            await self.client.wait_for("voice_state_update", check=self._is_our_leaving)

    def _is_our_leaving(self, member: discord.Member, _: discord.VoiceState, after: discord.VoiceState) -> bool:
        return member.id == self.user.id and member.guild.id == self.guild.id and after.channel is None

    async def announce(self, *, is_speaking: bool) -> None:
        """Tell the voice server that we begin to speak, or have ended (op 5)."""
        if self.is_connected():
            await self._connection.ws.speak(SpeakingState.voice if is_speaking else SpeakingState.none)

    async def begin_encryption_anew(self) -> None:
        """Ask to be taken out of the group and in again (op 31), as after a commit that could not be read."""
        if self.is_connected() and self.is_end_to_end:
            await self._connection._recover_from_invalid_commit(self._connection.transition_id)  # noqa: SLF001  # see the module

    @property
    def own_ssrc(self) -> int | None:
        """What we send under; None before the voice server has said so."""
        return self._connection.ssrc or None

    @property
    def is_end_to_end(self) -> bool:
        """Whether the call is, from now on, end-to-end encrypted: all are but those on a stage."""
        return self._connection.dave_protocol_version != 0

    @property
    def can_encrypt(self) -> bool:
        """Whether the group is complete, so that what we say can be understood."""
        return self._connection.can_encrypt

    def open(self, datagram: bytes, clear: int) -> bytes | None:
        """See Keys."""
        transport = self._transport_now()
        return None if transport is None else transport.open(datagram, clear)

    def decrypt(self, user_id: int, payload: bytes) -> bytes | None:
        """See Keys."""
        session = self._connection.dave_session
        if payload == SILENCE or (not self.is_end_to_end and not payload.endswith(_MARK)):
            return payload
        if session is None:
            return None
        try:
            return session.decrypt(user_id, davey.MediaType.audio, payload)
        except ValueError:
            return None

    def send(self, header: bytes, payload: bytes) -> bool:
        """Encrypt and send a packet; whether it left."""
        transport, session = self._transport_now(), self._connection.dave_session
        if transport is None or (self.is_end_to_end and session is None):
            return False
        try:
            if self.is_end_to_end and session is not None and payload != SILENCE:
                payload = session.encrypt_opus(payload)
            self._connection.socket.send(transport.seal(header, payload))
        except (ValueError, OSError):  # no key since a moment ago; no socket, or a full one
            return False
        return True

    @property
    def latency_s(self) -> float | None:
        """The latest round trip to the voice WebSocket; None before the first."""
        ws: _WebSocket | None = self._connection.ws or None  # type: ignore[truthy-bool]  # MISSING is false
        return ws.latency_s if ws is not None else None

    @property
    def verdict(self) -> closings.Verdict | None:
        """Why the voice server does not want us any more; None if it did not say."""
        return self._connection.verdict

    @property
    def was_removed(self) -> bool:
        """Whether somebody took us out of the channel, or the channel away."""
        return self._connection.was_removed

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody reads the voice WebSocket any more, which discord.py does not notice."""
        runner = self._connection._runner  # noqa: SLF001  # see the module
        return runner is not None and runner.done()

    def _transport_now(self) -> Transport | None:
        """Return the transport of the key of this moment; a second one of the same key would use a nonce twice."""
        key, mode = self._connection.secret_key, self._connection.mode
        if not key or not mode:
            return None
        if self._transport is None or self._transport[0] is not key:
            with self._renewing:
                if self._transport is None or self._transport[0] is not key:
                    self._transport = key, Transport(mode, bytes(key))
        return self._transport[1]


def _closure(code: int) -> discord.ConnectionClosed:
    return discord.ConnectionClosed(None, shard_id=None, code=code)  # type: ignore[arg-type]  # it reads its code alone
