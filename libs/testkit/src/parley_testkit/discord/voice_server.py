"""Discord's voice server: a WebSocket behind TLS, and UDP with IP discovery, on loopback.

It knows whose a socket or a datagram is; what is said there is `link`'s. One server has two ports for its sockets, so
that a bot can be sent from one region to another.
"""

import asyncio
import json
import ssl
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from aiohttp import web

from parley_testkit.discord.call import Call
from parley_testkit.discord.link import Address, Link
from parley_testkit.discord.ops import VoiceClose, VoiceOp
from parley_testkit.discord.settings import Settings
from parley_testkit.discord.sockets import BROKEN, Socket
from parley_testkit.discord.violations import Violations
from parley_testkit.discord.world import Channel, VoiceState

LOOPBACK: Final = "127.0.0.1"
_CLOSE_S: Final = 1.0
_DISCOVERY_BYTES: Final = 74
_KEEPS_OPEN_BYTES: Final = 8
"""Datagrams as short as this only keep the way open."""
_RESUMABLE: Final = {BROKEN, VoiceClose.SERVER_CRASHED}


class Ticket(NamedTuple):
    """What a bot has to show: it was given with VOICE_SERVER_UPDATE."""

    token: str
    state: VoiceState


class VoiceServer:
    """One server; `start` starts it, and `stop` ends what the runner does not."""

    def __init__(self, settings: Settings, violations: Violations, calls: Callable[[Channel], Call]) -> None:
        """Serve the calls that `calls` finds by their channel."""
        self.links: Final[list[Link]] = []
        """Every session that there ever was, oldest first."""
        self.tickets: Final[list[Ticket]] = []
        self.refusals: Final[list[int]] = []
        """Codes with which the next identifications are refused, one each."""
        self.endpoints: list[str] = []
        """`host:port` of each region."""
        self._settings = settings
        self._violations = violations
        self._calls = calls
        self._udp: asyncio.DatagramTransport | None = None
        self._address: Address = (LOOPBACK, 0)

    async def start(self, tls: ssl.SSLContext) -> web.AppRunner:
        """Listen on free ports; the caller cleans the runner up."""
        app = web.Application()
        app.router.add_get("/", self._accept)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_S)
        await runner.setup()
        for _ in range(2):
            site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=tls)
            await site.start()
        self.endpoints = [f"localhost:{address[1]}" for address in runner.addresses]
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._datagram), (LOOPBACK, 0))
        self._address = self._udp.get_extra_info("sockname")
        return runner

    def tick(self, now_s: float) -> None:
        """Notice what does not come."""
        for link in self.links:
            if link.tick(now_s):
                name, limit_s = link.state.user.name, 2 * self._settings.voice_heartbeat_s
                self._violations.add("heartbeat", f"{name} sent the voice server none for {limit_s:.1f} s")
                link.close(VoiceClose.SESSION_TIMED_OUT)

    def stop(self) -> None:
        """Send and receive no datagram any more."""
        if self._udp:
            self._udp.close()

    @property
    def address(self) -> Address:
        """Where datagrams are received."""
        return self._address

    def link_of(self, user: int) -> Link | None:
        """Return a bot's newest session."""
        return next((link for link in reversed(self.links) if link.user == user), None)

    # --- Sockets ------------------------------------------------------------------------------------------------------

    async def _accept(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(compress=True)
        await response.prepare(request)
        interval_ms = round(self._settings.voice_heartbeat_s * 1000)
        await _say(response, VoiceOp.HELLO, {"v": 8, "heartbeat_interval": interval_ms})
        socket = Socket(response, request)
        code: int = VoiceClose.NOT_AUTHENTICATED
        while isinstance(message := await socket.receive(), str):
            said = json.loads(message)
            match said.get("op"), said.get("d"):
                case VoiceOp.HEARTBEAT, _:
                    await _say(response, VoiceOp.HEARTBEAT_ACK, {})
                    continue
                case VoiceOp.IDENTIFY, dict(data):
                    code = await self._identify(socket, data)
                case VoiceOp.RESUME, dict(data):
                    code = await self._resume(socket, data)
            break
        await response.close(code=code)
        return response

    async def _identify(self, socket: Socket, data: dict[str, Any]) -> int:
        """Serve a new session to its end, and return the code to hang up with."""
        if self.refusals:
            return self.refusals.pop(0)
        ticket = self._ticket(data)
        if ticket is None or ticket.state.channel is None:
            return VoiceClose.AUTHENTICATION_FAILED
        if data.get("session_id") != ticket.state.session_id:
            return VoiceClose.SESSION_INVALID
        call = self._calls(ticket.state.channel)
        if call.group.version > int(data.get("max_dave_protocol_version") or 0):
            return VoiceClose.E2EE_REQUIRED
        if old := self.link_of(ticket.state.user.id):
            old.call.leave(old)
        link = Link(
            ticket.state, call, settings=self._settings, violations=self._violations, transmit=self._send_datagram
        )
        self.links.append(link)
        await link.begin(socket, self.address)
        return self._end(link, socket)

    async def _resume(self, socket: Socket, data: dict[str, Any]) -> int:
        """Serve a session that broke to its end, and return the code to hang up with."""
        ticket = self._ticket(data)
        link = self.link_of(ticket.state.user.id) if ticket else None
        is_kept = link is not None and not link.is_open and link.call.parties.get(link.user) is link
        if link is None or not is_kept or link.session_id != data.get("session_id"):
            return VoiceClose.SESSION_INVALID
        await link.serve(socket, resumes_after=int(data.get("seq_ack", -1)))
        return self._end(link, socket)

    def _end(self, link: Link, socket: Socket) -> int:
        if socket.closed_with in _RESUMABLE:
            asyncio.get_running_loop().call_later(self._settings.resume_s, self._give_up, link, link.resumed)
        else:
            link.call.leave(link)
        return socket.closed_with or 1000

    def _give_up(self, link: Link, resumed: int) -> None:
        if link.resumed == resumed and not link.is_open:
            link.call.leave(link)

    def _ticket(self, data: dict[str, Any]) -> Ticket | None:
        return next((ticket for ticket in reversed(self.tickets) if ticket.token == data.get("token")), None)

    # --- Datagrams ----------------------------------------------------------------------------------------------------

    def _datagram(self, datagram: bytes, address: Address) -> None:
        if len(datagram) == _DISCOVERY_BYTES and datagram.startswith(b"\x00\x01\x00\x46"):
            self._discover(datagram, address)
            return
        if len(datagram) <= _KEEPS_OPEN_BYTES:
            return
        links = [link for link in reversed(self.links) if link.address == address]
        ssrc = int.from_bytes(datagram[8:12], "big")
        # After a change of region one socket has two sessions, and what was sent in the old one may still come.
        for link in [link for link in links if link.ssrc == ssrc] or links[:1]:
            link.receive(datagram)

    def _discover(self, datagram: bytes, address: Address) -> None:
        """Tell a client its own address (voice-connections, "IP Discovery")."""
        [ssrc] = struct.unpack_from(">I", datagram, 4)
        for link in self.links:
            if link.ssrc == ssrc:
                link.open_way(address)
                host, port = address
                answer = struct.pack(">HHI64sH", 2, 70, ssrc, host.encode(), port)
                self._send_datagram(answer, address)

    def _send_datagram(self, datagram: bytes, address: Address) -> None:
        if self._udp and not self._udp.is_closing():
            self._udp.sendto(datagram, address)


async def _say(response: web.WebSocketResponse, op: VoiceOp, data: dict[str, Any]) -> None:
    await response.send_str(json.dumps({"op": int(op), "d": data}))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._take(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Overlook that a client has gone."""
