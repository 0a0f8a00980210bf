"""What discord.py keeps of us per server, with the keys of this moment: our end of a voice channel.

Made by `handshakes`, used by `links`; it is the `Keys` of `reception` and the way out of `mouths`.
"""

import threading
from typing import Final

import davey
import discord
from discord.enums import SpeakingState
from discord.voice_state import ConnectionFlowState

from parley_gateway.discord import closings
from parley_gateway.discord.library.connections import Connection, WebSocket
from parley_gateway.discord.library.events import Events
from parley_gateway.discord.rtp import SILENCE
from parley_gateway.discord.transport import Transport, modes

_MARK: Final = b"\xfa\xfa"
"""The end of an end-to-end encrypted frame (DAVE protocol, Payload Format)."""


class LinkClient(discord.VoiceClient):
    """What discord.py keeps per guild: our connection, with the keys of this moment, for `reception` and `mouths`.

    Its own player is not used. `open` and `decrypt` are called on the event loop, `send` on the pacing thread.
    """

    supported_modes = modes()  # type: ignore[assignment]  # AES is none of those that it knows
    _connection: Connection

    def __init__(self, client: discord.Client, channel: discord.abc.Connectable, *, events: Events) -> None:
        """Made by `channel.connect(cls=…)`."""
        self._events = events
        self._transport: tuple[object, Transport] | None = None
        self._renewing = threading.Lock()
        super().__init__(client, channel)

    def create_connection_state(self) -> Connection:
        """See discord.py."""
        return Connection(self, self._events)

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
            await self._connection._recover_from_invalid_commit(self._connection.transition_id)  # noqa: SLF001  # see `library`

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
        ws: WebSocket | None = self._connection.ws or None  # type: ignore[truthy-bool]  # MISSING is false
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
        runner = self._connection._runner  # noqa: SLF001  # see `library`
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
