"""What a bot asks and changes by REST: itself, its commands, its servers and channels, and messages in them.

Paths, codes and bodies are those of discord-api-docs, resources/. A handler returns what is to be written as JSON, or
None for "204 No Content".
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from parley_testkit.discord.answers import ApiError, read_body
from parley_testkit.discord.gateway import Gateway
from parley_testkit.discord.messages import Message
from parley_testkit.discord.ops import Permission
from parley_testkit.discord.users import Bot, snowflake
from parley_testkit.discord.world import Channel, Guild, World

Handler = Callable[[web.Request, Bot], Awaitable[object]]
_UNKNOWN_CHANNEL, _UNKNOWN_GUILD, _UNKNOWN_MEMBER, _UNKNOWN_MESSAGE = 10003, 10004, 10007, 10008
_UNKNOWN_VOICE_STATE, _MISSING_ACCESS, _MISSING_PERMISSIONS = 10065, 50001, 50013


class Resources:
    """Those of one world."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        """Tell of changes by this gateway."""
        self._world = world
        self._gateway = gateway

    @property
    def routes(self) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        return [
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
            raise ApiError(HTTPStatus.NOT_FOUND, _UNKNOWN_MEMBER, "Unknown Member")
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
            raise ApiError(HTTPStatus.NOT_FOUND, _UNKNOWN_VOICE_STATE, "Unknown Voice State")
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
        body, files = await read_body(request)
        message = Message(author=bot, channel_id=channel.id, content="", flags=int(body.get("flags", 0)))
        message.take(body, files)
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
        message.take(*await read_body(request))
        return message.json()

    async def _delete(self, request: web.Request, bot: Bot) -> None:
        channel, message = self._find_message(request, bot)
        channel.messages.remove(message)


def _guild_id(request: web.Request) -> int | None:
    named = request.match_info.get("guild")
    return int(named) if named else None
