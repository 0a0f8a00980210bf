"""Discord's main gateway: who a bot is, what happens on its servers, and where its voice connection goes.

It knows sessions and their sockets. Where people are in voice channels is `switchboard`'s, which is given opcode 4.
"""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from parley_testkit.discord.ops import PRIVILEGED, GatewayClose, GatewayOp, Intent
from parley_testkit.discord.settings import Settings
from parley_testkit.discord.sockets import BROKEN, Socket
from parley_testkit.discord.users import Bot, Json
from parley_testkit.discord.violations import Violations
from parley_testkit.discord.world import Guild, World

VoiceRequest = Callable[[Bot, Json], None]
_NEEDS: Final = {
    "GUILD_CREATE": Intent.GUILDS,
    "GUILD_UPDATE": Intent.GUILDS,
    "CHANNEL_CREATE": Intent.GUILDS,
    "CHANNEL_UPDATE": Intent.GUILDS,
    "MESSAGE_CREATE": Intent.GUILD_MESSAGES,
    "VOICE_STATE_UPDATE": Intent.GUILD_VOICE_STATES,
}
"""What a bot must have asked for to be told of it; of the rest it is always told."""


class GatewaySession:
    """A bot's session, which outlives its socket."""

    def __init__(self, bot: Bot, intents: Intent) -> None:
        """Begin with nothing said."""
        self.bot: Final = bot
        self.id: Final = secrets.token_hex(16)
        self.intents: Final = intents
        self.socket: Socket | None = None
        self.acknowledges = True
        """Whether heartbeats are answered."""
        self.last_beat_s = time.monotonic()
        self.resumed = 0
        self._sent: list[tuple[int, str]] = []

    def dispatch(self, event: str, data: Json) -> None:
        """Tell of an event, if the bot asked for events of its kind."""
        needed = _NEEDS.get(event)
        if needed and not self.intents & needed:
            return
        number = len(self._sent) + 1
        message = json.dumps({"op": int(GatewayOp.DISPATCH), "t": event, "s": number, "d": data})
        self._sent.append((number, message))
        if self.socket:
            self.socket.say(message)

    def resume(self, after: int) -> None:
        """Tell what happened meanwhile."""
        self.resumed += 1
        for number, message in self._sent:
            if number > after and self.socket:
                self.socket.say(message)
        self.dispatch("RESUMED", {})


class Gateway:
    """All sessions of all bots."""

    def __init__(self, world: World, settings: Settings, violations: Violations) -> None:
        """Begin with nobody connected."""
        self.url = ""
        self.sessions: Final[list[GatewaySession]] = []
        """Those that are valid, oldest first."""
        self.refusals: Final[list[int]] = []
        """Codes with which the next identifications are refused, one each."""
        self.voice_request: VoiceRequest = lambda _bot, _data: None
        """Who takes opcode 4."""
        self._world = world
        self._settings = settings
        self._violations = violations

    def sessions_of(self, bot: Bot) -> list[GatewaySession]:
        """Return a bot's sessions that have a socket."""
        return [session for session in self.sessions if session.bot is bot and session.socket]

    def dispatch(self, guild: Guild, event: str, data: Json) -> None:
        """Tell every bot of a server."""
        for session in self.sessions:
            if session.bot.id in guild.users:
                session.dispatch(event, data)

    def tell(self, bot: Bot, event: str, data: Json) -> None:
        """Tell one bot."""
        for session in self.sessions:
            if session.bot is bot:
                session.dispatch(event, data)

    # --- What a server does to its clients ----------------------------------------------------------------------------

    def ask_to_reconnect(self, bot: Bot) -> None:
        """Send opcode 7."""
        self._say(bot, GatewayOp.RECONNECT, None)

    def invalidate(self, bot: Bot, *, resumable: bool = False) -> None:
        """Send opcode 9; a session that cannot be resumed is forgotten."""
        self._say(bot, GatewayOp.INVALID_SESSION, resumable)
        if not resumable:
            self.sessions[:] = [session for session in self.sessions if session.bot is not bot]

    def hang_up(self, bot: Bot, code: int = BROKEN) -> None:
        """Close a bot's sockets; its sessions can be resumed."""
        for session in self.sessions_of(bot):
            if session.socket:
                session.socket.close(code)

    def _say(self, bot: Bot, op: GatewayOp, data: object) -> None:
        for session in self.sessions_of(bot):
            if session.socket:
                session.socket.say(json.dumps({"op": int(op), "d": data}))

    def tick(self, now_s: float) -> None:
        """Notice heartbeats that do not come."""
        limit_s = 1.5 * self._settings.heartbeat_s
        for session in self.sessions:
            if session.socket and session.socket.closed_with is None and now_s - session.last_beat_s > limit_s:
                self._violations.add("heartbeat", f"{session.bot.name} sent the gateway none for {limit_s:.1f} s")
                session.socket.close(GatewayClose.SESSION_TIMED_OUT)

    # --- Sockets ------------------------------------------------------------------------------------------------------

    async def accept(self, request: web.Request) -> web.WebSocketResponse:
        """Serve a socket to its end."""
        response = web.WebSocketResponse()
        await response.prepare(request)
        socket = Socket(response, request)
        interval_ms = round(self._settings.heartbeat_s * 1000)
        hello = {"op": int(GatewayOp.HELLO), "d": {"heartbeat_interval": interval_ms, "_trace": []}}
        await response.send_str(json.dumps(hello))
        while isinstance(message := await socket.receive(), str):
            said = json.loads(message)
            match said.get("op"), said.get("d"):
                case GatewayOp.HEARTBEAT, _:
                    await response.send_str(json.dumps({"op": int(GatewayOp.HEARTBEAT_ACK), "d": None}))
                    continue
                case GatewayOp.IDENTIFY, dict(data):
                    if isinstance(session := self._identify(data), GatewaySession):
                        await self._serve(session, socket, None)
                        break
                    await response.close(code=session)
                case GatewayOp.RESUME, dict(data):
                    kept = next((kept for kept in self.sessions if kept.id == data.get("session_id")), None)
                    if kept and kept.bot.token == data.get("token"):
                        await self._serve(kept, socket, int(data.get("seq") or 0))
                        break
                    await response.send_str(json.dumps({"op": int(GatewayOp.INVALID_SESSION), "d": False}))
                    continue
                case _:
                    await response.close(code=GatewayClose.NOT_AUTHENTICATED)
            break
        return response

    def _identify(self, data: Json) -> GatewaySession | int:
        if self.refusals:
            return self.refusals.pop(0)
        bot = self._world.bot_of(str(data.get("token")))
        if bot is None:
            return GatewayClose.AUTHENTICATION_FAILED
        intents = Intent(int(data.get("intents", 0)))
        if intents & PRIVILEGED & ~bot.allowed_intents:
            return GatewayClose.DISALLOWED_INTENTS
        session = GatewaySession(bot, intents)
        self.sessions.append(session)
        return session

    async def _serve(self, session: GatewaySession, socket: Socket, after: int | None) -> None:
        session.socket, session.last_beat_s = socket, time.monotonic()
        if after is None:
            self._welcome(session)
        else:
            session.resume(after)
        await socket.serve(lambda message: self._take(session, socket, message))
        if session.socket is socket:
            session.socket = None
        if socket.closed_with in (1000, 1001) and session in self.sessions:
            self.sessions.remove(session)

    def _welcome(self, session: GatewaySession) -> None:
        bot = session.bot
        guilds = [guild for guild in self._world.guilds.values() if bot.id in guild.users]
        ready = {
            "v": 10,
            "user": bot.json() | {"verified": True, "email": None, "mfa_enabled": True},
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "session_type": "normal",
            "application": {"id": str(bot.id), "flags": 0},
            "private_channels": [],
            "relationships": [],
            "presences": [],
        }
        session.dispatch("READY", ready)
        for guild in guilds:
            session.dispatch("GUILD_CREATE", guild.json())

    def _take(self, session: GatewaySession, socket: Socket, message: str | bytes) -> None:
        said: dict[str, Any] = json.loads(message)
        match said.get("op"), said.get("d"):
            case GatewayOp.HEARTBEAT, _:
                session.last_beat_s = time.monotonic()
                if session.acknowledges:
                    socket.say(json.dumps({"op": int(GatewayOp.HEARTBEAT_ACK), "d": None}))
            case GatewayOp.VOICE_STATE, dict(data):
                self.voice_request(session.bot, data)
            case GatewayOp.PRESENCE | GatewayOp.REQUEST_MEMBERS, _:
                pass
            case _:
                self._violations.add("protocol", f"{session.bot.name} sent the gateway opcode {said.get('op')}")
                socket.close(GatewayClose.UNKNOWN_OP)
