"""Discord's REST API, as far as a voice bot uses it, and the faults that a test orders.

Paths, codes and bodies are those of discord-api-docs, resources/ and topics/opcodes-and-status-codes. Every reply has
the content type `application/json` with no charset, as Discord's have.
"""

import json
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from aiohttp import BodyPartReader, web

from parley_testkit.discord.gateway import Gateway
from parley_testkit.discord.interactions import Interaction
from parley_testkit.discord.ops import Permission
from parley_testkit.discord.world import Bot, Channel, Guild, Json, Message, World, snowflake

PREFIX: Final = "/api/v10"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_UNKNOWN_CHANNEL, _UNKNOWN_GUILD, _UNKNOWN_MESSAGE = 10003, 10004, 10008
_UNKNOWN_WEBHOOK, _UNKNOWN_INTERACTION, _MISSING_ACCESS, _MISSING_PERMISSIONS = 10015, 10062, 50001, 50013
_ALREADY_ACKNOWLEDGED: Final = 40060


class Fault(NamedTuple):
    """What a request is answered with instead."""

    method: str
    path: str
    """A part of it, such as `/callback`."""
    status: int
    code: int = 0
    """Discord's own."""
    retry_after_s: float | None = None
    """With 429."""


class Asked(NamedTuple):
    """A request that came."""

    at_s: float
    method: str
    path: str
    status: int


class ApiError(Exception):
    """An answer with an error of Discord's."""

    def __init__(self, status: int, code: int, message: str) -> None:
        """Answer with a status, Discord's own code and its words."""
        super().__init__(message)
        self.status: Final = status
        self.code: Final = code


class Rest:
    """The API; `faults` is the test's."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        """Serve this world."""
        self.faults: Final[list[Fault]] = []
        """Each is used once, by the first request that it fits."""
        self.asked: Final[list[Asked]] = []
        self.interactions: Final[list[Interaction]] = []
        self._world = world
        self._gateway = gateway

    def application(self) -> web.Application:
        """Make what serves it, and the main gateway beside it."""
        app = web.Application(middlewares=[self._guard], client_max_size=32 * 1024 * 1024)
        app.router.add_get("/gateway", self._gateway.accept)
        app.router.add_get("/gateway/", self._gateway.accept)
        routes: list[tuple[str, str, Callable[[web.Request, Bot], Awaitable[object]]]] = [
            ("GET", "/gateway", self._where),
            ("GET", "/gateway/bot", self._where_bot),
            ("GET", "/users/@me", self._me),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/applications/@me", self._application),
            ("GET", "/applications/{app}/commands", self._commands),
            ("PUT", "/applications/{app}/commands", self._set_commands),
            ("GET", "/applications/{app}/guilds/{guild}/commands", self._commands),
            ("PUT", "/applications/{app}/guilds/{guild}/commands", self._set_commands),
            ("GET", "/guilds/{guild}", self._guild),
            ("GET", "/guilds/{guild}/members/{user}", self._member),
            ("PATCH", "/guilds/{guild}/members/@me", self._rename),
            ("PATCH", "/guilds/{guild}/voice-states/@me", self._unsuppress),
            ("GET", "/channels/{channel}", self._channel),
            ("PUT", "/channels/{channel}/voice-status", self._voice_status),
            ("POST", "/channels/{channel}/typing", self._nothing),
            ("POST", "/channels/{channel}/messages", self._say),
            ("PATCH", "/channels/{channel}/messages/{message}", self._edit),
            ("DELETE", "/channels/{channel}/messages/{message}", self._delete),
        ]
        for method, path, handler in routes:
            app.router.add_route(method, PREFIX + path, self._authenticated(handler))
        # What belongs to an interaction is opened by its token, not by the bot's.
        app.router.add_post(PREFIX + "/interactions/{id}/{token}/callback", self._callback)
        app.router.add_post(PREFIX + "/webhooks/{app}/{token}", self._follow_up)
        for method in ("GET", "PATCH", "DELETE"):
            app.router.add_route(method, PREFIX + "/webhooks/{app}/{token}/messages/{message}", self._answer)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not request.path.startswith(PREFIX):
            return await handler(request)
        fault = next((f for f in self.faults if f.method == request.method and f.path in request.path), None)
        try:
            if fault:
                self.faults.remove(fault)
                response: web.StreamResponse = _failure(fault)
            else:
                response = await handler(request)
        except ApiError as error:
            response = _json({"message": str(error), "code": error.code}, error.status)
        except web.HTTPNotFound:
            response = _json({"message": "404: Not Found", "code": 0}, HTTPStatus.NOT_FOUND)
        self.asked.append(Asked(time.monotonic(), request.method, request.path, response.status))
        return response

    def _authenticated(self, handler: Callable[[web.Request, Bot], Awaitable[object]]) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            bot = self._world.bot_of(request.headers.get("Authorization", "").removeprefix("Bot "))
            if bot is None:
                raise ApiError(HTTPStatus.UNAUTHORIZED, 0, "401: Unauthorized")
            answer = await handler(request, bot)
            return _json(answer) if answer is not None else web.Response(status=HTTPStatus.NO_CONTENT)

        return handle

    # --- The bot itself -----------------------------------------------------------------------------------------------

    async def _where(self, _request: web.Request, _bot: Bot) -> object:
        return {"url": self._gateway.url}

    async def _where_bot(self, _request: web.Request, _bot: Bot) -> object:
        limit = {"total": 1000, "remaining": 999, "reset_after": 14_400_000, "max_concurrency": 1}
        return {"url": self._gateway.url, "shards": 1, "session_start_limit": limit}

    async def _me(self, _request: web.Request, bot: Bot) -> object:
        return bot.json() | {"verified": True, "email": None, "mfa_enabled": True, "locale": "en-US"}

    async def _application(self, _request: web.Request, bot: Bot) -> object:
        return {
            "id": str(bot.id),
            "name": bot.name,
            "icon": None,
            "description": "",
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "",
            "flags": 0,
            "owner": bot.json(),
            "team": None,
        }

    async def _commands(self, request: web.Request, bot: Bot) -> object:
        return bot.commands.get(_guild_id(request), [])

    async def _set_commands(self, request: web.Request, bot: Bot) -> object:
        guild = _guild_id(request)
        place = {"guild_id": str(guild)} if guild else {}
        body = await request.json()
        made = [
            {"type": 1, "options": [], "description": "", "nsfw": False, "default_member_permissions": None}
            | command
            | {"id": str(snowflake()), "application_id": str(bot.id), "version": str(snowflake())}
            | place
            for command in body
        ]
        bot.commands[guild] = made
        return made

    # --- Servers and channels -----------------------------------------------------------------------------------------

    def _find_guild(self, request: web.Request, bot: Bot) -> Guild:
        guild = self._world.guilds.get(int(request.match_info["guild"]))
        if guild is None:
            raise ApiError(HTTPStatus.NOT_FOUND, _UNKNOWN_GUILD, "Unknown Guild")
        if bot.id not in guild.users:
            raise ApiError(HTTPStatus.FORBIDDEN, _MISSING_ACCESS, "Missing Access")
        return guild

    def _find_channel(self, request: web.Request, bot: Bot, needed: Permission = Permission.NOTHING) -> Channel:
        channel = self._world.channel(int(request.match_info["channel"]))
        if channel is None:
            raise ApiError(HTTPStatus.NOT_FOUND, _UNKNOWN_CHANNEL, "Unknown Channel")
        if bot.id not in channel.guild.users or Permission.VIEW_CHANNEL not in channel.everyone:
            raise ApiError(HTTPStatus.FORBIDDEN, _MISSING_ACCESS, "Missing Access")
        if needed & ~channel.everyone:
            raise ApiError(HTTPStatus.FORBIDDEN, _MISSING_PERMISSIONS, "Missing Permissions")
        return channel

    async def _guild(self, request: web.Request, bot: Bot) -> object:
        return self._find_guild(request, bot).json()

    async def _member(self, request: web.Request, bot: Bot) -> object:
        guild = self._find_guild(request, bot)
        user = guild.users.get(int(request.match_info["user"]))
        if user is None:
            raise ApiError(HTTPStatus.NOT_FOUND, 10007, "Unknown Member")
        return guild.member(user)

    async def _rename(self, request: web.Request, bot: Bot) -> object:
        guild = self._find_guild(request, bot)
        if Permission.CHANGE_NICKNAME not in guild.everyone:
            raise ApiError(HTTPStatus.FORBIDDEN, _MISSING_PERMISSIONS, "Missing Permissions")
        guild.nicknames[bot.id] = (await request.json()).get("nick") or ""
        return guild.member(bot)

    async def _unsuppress(self, request: web.Request, bot: Bot) -> None:
        guild = self._find_guild(request, bot)
        state = guild.voice_states.get(bot.id)
        if state is None:
            raise ApiError(HTTPStatus.NOT_FOUND, 10065, "Unknown Voice State")
        if Permission.MUTE_MEMBERS not in guild.everyone:
            raise ApiError(HTTPStatus.FORBIDDEN, _MISSING_PERMISSIONS, "Missing Permissions")
        state.is_suppressed = bool((await request.json()).get("suppress", state.is_suppressed))
        self._gateway.dispatch(guild, "VOICE_STATE_UPDATE", state.json())

    async def _channel(self, request: web.Request, bot: Bot) -> object:
        return self._find_channel(request, bot).json()

    async def _voice_status(self, request: web.Request, bot: Bot) -> None:
        channel = self._find_channel(request, bot, Permission.SET_VOICE_STATUS)
        channel.status = (await request.json()).get("status") or ""

    async def _nothing(self, request: web.Request, bot: Bot) -> None:
        self._find_channel(request, bot)

    # --- Messages -----------------------------------------------------------------------------------------------------

    async def _say(self, request: web.Request, bot: Bot) -> object:
        channel = self._find_channel(request, bot, Permission.SEND_MESSAGES)
        body, files = await _read(request)
        message = Message(author=bot, channel_id=channel.id, content="", flags=int(body.get("flags", 0)))
        message.take(body, files)
        message.versions.clear()
        channel.messages.append(message)
        self._gateway.dispatch(channel.guild, "MESSAGE_CREATE", message.json() | {"guild_id": str(channel.guild.id)})
        return message.json()

    def _find_message(self, request: web.Request, bot: Bot) -> tuple[Channel, Message]:
        channel = self._find_channel(request, bot)
        message = next((m for m in channel.messages if m.id == int(request.match_info["message"])), None)
        if message is None:
            raise ApiError(HTTPStatus.NOT_FOUND, _UNKNOWN_MESSAGE, "Unknown Message")
        return channel, message

    async def _edit(self, request: web.Request, bot: Bot) -> object:
        _, message = self._find_message(request, bot)
        message.take(*await _read(request))
        return message.json()

    async def _delete(self, request: web.Request, bot: Bot) -> None:
        channel, message = self._find_message(request, bot)
        channel.messages.remove(message)

    # --- Interactions -------------------------------------------------------------------------------------------------

    def _interaction(self, request: web.Request, *, status: int, code: int) -> Interaction:
        token = request.match_info["token"]
        found = next((one for one in self.interactions if one.token == token), None)
        if found is None or found.is_expired:
            words = "Unknown interaction" if code == _UNKNOWN_INTERACTION else "Unknown Webhook"
            raise ApiError(status, code, words)
        return found

    async def _callback(self, request: web.Request) -> web.StreamResponse:
        interaction = self._interaction(request, status=HTTPStatus.NOT_FOUND, code=_UNKNOWN_INTERACTION)
        if interaction.acknowledged_s is not None:
            raise ApiError(HTTPStatus.BAD_REQUEST, _ALREADY_ACKNOWLEDGED, "Interaction has already been acknowledged.")
        body, files = await _read(request)
        message = await interaction.acknowledge(int(body["type"]), body.get("data") or {}, files)
        if request.query.get("with_response") not in ("true", "True", "1"):
            return web.Response(status=HTTPStatus.NO_CONTENT)
        about: Json = {"id": str(interaction.id), "type": 2, "response_message_loading": message is None}
        resource: Json = {"type": body["type"]}
        if message:
            about["response_message_id"] = str(message.id)
            resource["message"] = message.json()
        return _json({"interaction": about, "resource": resource})

    async def _follow_up(self, request: web.Request) -> web.StreamResponse:
        interaction = self._interaction(request, status=HTTPStatus.NOT_FOUND, code=_UNKNOWN_WEBHOOK)
        return _json((await interaction.add(*await _read(request))).json())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        interaction = self._interaction(request, status=HTTPStatus.NOT_FOUND, code=_UNKNOWN_WEBHOOK)
        named = request.match_info["message"]
        message_id = None if named == "@original" else int(named)
        if request.method == "PATCH":
            message = await interaction.edit(message_id, *await _read(request))
        else:
            message = interaction.find(message_id)
        if message is None:
            raise ApiError(HTTPStatus.NOT_FOUND, _UNKNOWN_MESSAGE, "Unknown Message")
        if request.method == "DELETE":
            interaction.messages.remove(message)
            return web.Response(status=HTTPStatus.NO_CONTENT)
        return _json(message.json())


def _guild_id(request: web.Request) -> int | None:
    named = request.match_info.get("guild")
    return int(named) if named else None


async def _read(request: web.Request) -> tuple[Json, dict[str, bytes]]:
    """Read a body, with the files that may come along."""
    if not request.content_type.startswith("multipart/"):
        return (await request.json()) if request.can_read_body else {}, {}
    body: Json = {}
    files: dict[str, bytes] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "payload_json":
            body = await part.json() or {}
        else:
            files[part.filename or part.name or "file"] = bytes(await part.read())
    return body, files


def _json(content: Any, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> web.Response:  # noqa: ANN401
    body = json.dumps(content).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _failure(fault: Fault) -> web.Response:
    words = HTTPStatus(fault.status).phrase
    body: Json = {"message": words, "code": fault.code}
    if fault.retry_after_s is None:
        return _json(body, fault.status)
    headers = {"Retry-After": str(round(fault.retry_after_s)), "Via": "1.1 parley", "X-RateLimit-Scope": "user"}
    return _json(body | {"retry_after": fault.retry_after_s, "global": False}, fault.status, headers)
