"""A bot's connection to the voice server: its session, its socket, its datagrams. The bot's side of a call.

`voice_server` accepts sockets and datagrams and finds whose they are; here is what is said on them. A session outlives
its socket until it is resumed, or given up.
"""

import json
import secrets
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from parley_testkit.discord.call import Call
from parley_testkit.discord.ops import VoiceClose, VoiceOp
from parley_testkit.discord.parties import Payload
from parley_testkit.discord.rtp import OPUS, Header, Packet, is_rtcp, read_body, read_header, sender_report
from parley_testkit.discord.settings import Settings
from parley_testkit.discord.sockets import Socket
from parley_testkit.discord.transport import KEY_BYTES, MODES, Transport
from parley_testkit.discord.violations import Kind, Violations
from parley_testkit.discord.watch import SpeechWatch
from parley_testkit.discord.world import VoiceState

_UNNUMBERED: Final = {VoiceOp.HELLO, VoiceOp.HEARTBEAT_ACK, VoiceOp.READY, VoiceOp.RESUMED}
"""What is not sent again after a resume, and so bears no sequence."""
_DAVE: Final = {VoiceOp.KEY_PACKAGE, VoiceOp.COMMIT_WELCOME, VoiceOp.TRANSITION_READY, VoiceOp.INVALID_COMMIT}
_KEPT: Final = 500
"""Messages that are sent again after a resume."""
Address = tuple[str, int]


class Link:
    """One session of one bot."""

    is_bot = True

    def __init__(
        self,
        state: VoiceState,
        call: Call,
        *,
        settings: Settings,
        violations: Violations,
        transmit: Callable[[bytes, Address], None],
    ) -> None:
        """Belong to a bot's stay in a channel; `transmit` sends a datagram."""
        self.user: Final = state.user.id
        self.state: Final = state
        self.session_id: Final = state.session_id
        self.call: Final = call
        self.ssrc: Final = secrets.randbelow(2**32 - 1) + 1
        self.address: Address | None = None
        """Where its datagrams go, from IP discovery on."""
        self.transport: Transport | None = None
        """From "select protocol" on."""
        self.acknowledges = True
        """Whether heartbeats are answered."""
        self.delivers = True
        """Whether datagrams reach the bot."""
        self.datagrams_in = 0
        self.said: Final[list[tuple[VoiceOp, Payload]]] = []
        """What the bot said on its sockets, oldest first, heartbeats left out."""
        self.resumed = 0
        self.watch: Final = SpeechWatch(
            state.user.name, violations, settings.pacing_tolerance_ms, may_stall=settings.may_stall
        )
        self._settings = settings
        self._violations = violations
        self._transmit = transmit
        self._kept: list[tuple[int, str | bytes]] = []
        self._sequence = 0
        self._socket: Socket | None = None
        self._last_beat_s = time.monotonic()
        self._last_datagram_s = 0.0
        self._last_nonce = -1

    # --- The socket ---------------------------------------------------------------------------------------------------

    async def serve(self, socket: Socket, *, resumes_after: int | None = None) -> None:
        """Speak on a socket until it is closed; on one that resumes, say again what came after that sequence."""
        self._socket, self._last_beat_s = socket, time.monotonic()
        if resumes_after is not None:
            self.resumed += 1
            self.send(VoiceOp.RESUMED, {})
            for sequence, message in self._kept:
                if sequence > resumes_after:
                    socket.say(message)
        await socket.serve(self._take)
        if self._socket is socket:
            self._socket = None

    @property
    def is_open(self) -> bool:
        """Whether there is a socket."""
        return self._socket is not None and self._socket.closed_with is None

    def close(self, code: int) -> None:
        """Hang up with a code; 1006 breaks the connection without one."""
        if self._socket:
            self._socket.close(code)

    def send(self, op: VoiceOp, data: Payload) -> None:
        """Say something; binary for opcodes from 25 to 30."""
        is_numbered = op not in _UNNUMBERED
        self._sequence += is_numbered
        message: str | bytes
        if isinstance(data, bytes):
            message = struct.pack(">HB", self._sequence & 0xFFFF, op) + data
        else:
            message = json.dumps({"op": int(op), "d": data} | ({"seq": self._sequence} if is_numbered else {}))
        if is_numbered:
            self._kept = [*self._kept[-_KEPT:], (self._sequence, message)]
        if self._socket:
            self._socket.say(message)

    async def begin(self, socket: Socket, address: Address) -> None:
        """Say where datagrams go, and speak on a first socket until it is closed."""
        self._socket = socket
        host, port = address
        modes = list(self._settings.modes)
        ready = {"ssrc": self.ssrc, "ip": host, "port": port, "modes": modes, "experiments": [], "streams": []}
        self.send(VoiceOp.READY, ready)
        await self.serve(socket)

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._read(json.loads(message))
        elif message and message[0] in _DAVE:
            self.said.append((VoiceOp(message[0]), message[1:]))
            self.call.receive(self, VoiceOp(message[0]), message[1:])
        else:
            self._add("protocol", f"sent a binary message of {len(message)} bytes that is none of DAVE's")

    def _read(self, message: dict[str, Any]) -> None:
        data = message.get("d")
        try:
            op = VoiceOp(message["op"])
        except (KeyError, ValueError):
            self._add("protocol", f"sent an opcode that the voice gateway has not: {message.get('op')}")
            return
        if op is not VoiceOp.HEARTBEAT and isinstance(data, dict):
            self.said.append((op, data))
        match op, data:
            case VoiceOp.HEARTBEAT, dict():
                self._beat(data)
            case VoiceOp.SELECT_PROTOCOL, {"protocol": "udp", "data": {"mode": str(mode)}}:
                self._select(mode)
            case VoiceOp.SPEAKING, {"speaking": int(flags), "ssrc": int(ssrc)}:
                self._speaking(flags, ssrc)
            case VoiceOp.VIDEO, _:
                pass  # of whoever has no camera
            case _ if op in _DAVE and isinstance(data, dict):
                self.call.receive(self, op, data)
            case _:
                self._add("protocol", f"sent opcode {int(op)} in a form or at a time that it has not")

    def _beat(self, data: dict[str, Any]) -> None:
        self._last_beat_s = time.monotonic()
        acknowledged = data.get("seq_ack", -1)
        if not -1 <= acknowledged <= self._sequence:
            self._add("heartbeat", f"acknowledged message {acknowledged} of {self._sequence}")
        if self.acknowledges:
            self.send(VoiceOp.HEARTBEAT_ACK, {"t": data.get("t")})

    def _select(self, mode: str) -> None:
        chosen = next((known for known in MODES if known == mode and known in self._settings.modes), None)
        if chosen is None:
            self._add("protocol", f"chose the encryption {mode}, which was not offered")
            self.close(VoiceClose.UNKNOWN_ENCRYPTION)
            return
        self.transport = Transport(chosen, secrets.token_bytes(KEY_BYTES))
        description = {
            "mode": chosen,
            "secret_key": list(self.transport.key),
            "dave_protocol_version": self.call.group.version,
            "audio_codec": "opus",
            "media_session_id": secrets.token_hex(16),
        }
        self.send(VoiceOp.SESSION_DESCRIPTION, description)
        self.call.join(self)

    def _speaking(self, flags: int, ssrc: int) -> None:
        if ssrc != self.ssrc:
            self._add("speaking", f"spoke for SSRC {ssrc}, which is not its own")
        self.watch.speaking(flags)
        self.call.speak(self, self.ssrc, flags)

    # --- Datagrams ----------------------------------------------------------------------------------------------------

    def open_way(self, address: Address) -> None:
        """Send datagrams to the bot's own address from now on."""
        self.address, self._last_datagram_s = address, time.monotonic()

    def hear(self, sender: int, packet: Packet) -> None:  # noqa: ARG002 # a datagram names nobody
        """Bring the bot a packet of somebody else."""
        self.transmit_packet(packet)

    def transmit_packet(self, packet: Packet) -> None:
        """Encrypt a packet with the connection's key and send it."""
        if self.transport:
            self.transmit(self.transport.seal(packet.clear(), packet.body()))

    def transmit_report(self, ssrc: int) -> None:
        """Send an RTCP report of somebody, as Discord does between packets of voice."""
        if self.transport:
            self.transmit(self.transport.seal(*sender_report(ssrc)))

    def transmit(self, datagram: bytes) -> None:
        """Send bytes as they are, unless the bot is deafened or its router has forgotten the way."""
        life_s = self._settings.route_life_s
        is_forgotten = life_s is not None and time.monotonic() - self._last_datagram_s > life_s
        if (
            self.address
            and self.delivers
            and not is_forgotten
            and not (self.state.is_deafened or self.state.deafens_self)
        ):
            self._transmit(datagram, self.address)

    def receive(self, datagram: bytes) -> None:
        """Take a datagram of the bot's."""
        now_s = self._last_datagram_s = time.monotonic()
        self.datagrams_in += 1
        if is_rtcp(datagram) or self.transport is None:
            return
        try:
            header = read_header(datagram)
            payload = read_body(header, self.transport.open(datagram, header.clear_bytes))
        except ValueError as error:
            self._add("datagram", f"sent {error}")
            return
        nonce = self.transport.nonce(datagram)
        if nonce <= self._last_nonce:
            self._add("datagram", f"used the nonce {nonce} after {self._last_nonce}")
        self._last_nonce = nonce
        if header.payload_type == OPUS:
            self._voice(header, payload, now_s)

    def _voice(self, header: Header, payload: bytes, now_s: float) -> None:
        group = self.call.group
        self.watch.frame(
            header,
            payload,
            now_s,
            is_protected=self.user in group.stands_for,
            may_be_plain=group.version == 0 or len(self.call.parties) < 2,  # noqa: PLR2004
        )
        if not (self.state.is_muted or self.state.mutes_self or self.state.is_suppressed):
            packet = Packet(header.sequence, header.timestamp, header.ssrc, payload, is_marked=header.is_marked)
            self.call.forward(self, packet)

    def tick(self, now_s: float) -> bool:
        """Notice what did not come; say whether the connection has been silent for too long."""
        if self.call.parties.get(self.user) is self:
            self.watch.tick(now_s)
        return self.is_open and now_s - self._last_beat_s > 2 * self._settings.voice_heartbeat_s

    def _add(self, kind: Kind, what: str) -> None:
        self._violations.add(kind, f"{self.state.user.name} {what}")
