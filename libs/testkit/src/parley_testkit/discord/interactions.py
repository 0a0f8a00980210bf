"""A slash command, from the user's side: it is sent, has three seconds, and is answered.

`rest` brings what the bot answers; `EmulatedHuman.invoke` makes one.
"""

import asyncio
import secrets
from typing import Any, Final, NamedTuple

from parley_testkit.discord.messages import Message
from parley_testkit.discord.users import Bot, Json, User, snowflake
from parley_testkit.discord.violations import Violations
from parley_testkit.discord.world import Channel, Guild
from parley_testkit.waiting import PATIENCE_S

_COMMAND = 2
_MESSAGE, _DEFERRED = 4, 5
_OPTION_TYPES: Final = {bool: 5, int: 4, float: 10, str: 3, User: 6, Channel: 7}


class Reply(NamedTuple):
    """What the user sees."""

    content: str
    is_ephemeral: bool
    """Whether only he sees it."""
    embeds: list[Json]
    components: list[Json]
    files: dict[str, bytes]


class Interaction:
    """One of them."""

    def __init__(self, user: User, bot: Bot, channel: Channel, name: str) -> None:
        """Be ready to be sent."""
        self.id: Final = snowflake()
        self.token: Final = secrets.token_hex(32)
        self.user: Final = user
        self.bot: Final = bot
        self.channel: Final = channel
        self.name: Final = name
        """The command's."""
        self.messages: Final[list[Message]] = []
        """All answers, the first one first; a deferred one is here when it has content."""
        self.acknowledged_s: float | None = None
        """How long it took to answer or to defer."""
        self.was_deferred = False
        self.is_expired = False
        self._flags = 0
        self._changed = asyncio.Condition()
        self._sent_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, limit_s: float, violations: Violations) -> None:
        """Begin to count the seconds in which the bot has to answer."""
        loop = asyncio.get_running_loop()
        self._sent_s = loop.time()
        self._timer = loop.call_later(limit_s, self._expire, limit_s, violations)

    def _expire(self, limit_s: float, violations: Violations) -> None:
        self.is_expired = True
        violations.add("interaction_deadline", f"{self.bot.name} did not answer {self.name} within {limit_s:.0f} s")

    def forget(self) -> None:
        """Wait for no answer any more."""
        if self._timer:
            self._timer.cancel()

    async def acknowledge(self, kind: int, data: Json, files: dict[str, bytes]) -> Message | None:
        """Take the first answer; None for one without a message."""
        self.forget()
        self.acknowledged_s = asyncio.get_running_loop().time() - self._sent_s
        self._flags = int(data.get("flags", 0))
        self.was_deferred = kind == _DEFERRED
        if kind != _MESSAGE:
            await self._tell()
            return None
        return await self.add(data, files)

    async def add(self, data: Json, files: dict[str, bytes]) -> Message:
        """Take one more message."""
        flags = int(data.get("flags", 0)) | (self._flags & 64 if not self.messages else 0)
        message = Message(author=self.bot, channel_id=self.channel.id, content="", flags=flags)
        message.take(data, files)
        self.messages.append(message)
        await self._tell()
        return message

    async def edit(self, message_id: int | None, data: Json, files: dict[str, bytes]) -> Message | None:
        """Take a change of a message, of the first one without an id; what was deferred is made by it."""
        if message_id is None and not self.messages:
            return await self.add(data, files)
        message = self.find(message_id)
        if message:
            message.take(data, files)
            await self._tell()
        return message

    def find(self, message_id: int | None) -> Message | None:
        """Find one of the answers."""
        return next((m for m in self.messages if message_id in (None, m.id)), None)

    async def reply(self, timeout_s: float = PATIENCE_S, *, number: int = 0) -> Reply:
        """Wait for an answer with something in it.

        Args:
            timeout_s: how long to wait.
            number: which one; 0 is the first, others are follow-ups.

        Raises:
            TimeoutError: none came.
        """
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: len(self.messages) > number)
        message = self.messages[number]
        return Reply(message.content, message.is_ephemeral, message.embeds, message.components, message.files)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def json(self, data: Json) -> Json:
        """Write it as INTERACTION_CREATE has it."""
        guild = self.channel.guild
        allowed = str(int(self.channel.everyone))
        return {
            "id": str(self.id),
            "application_id": str(self.bot.id),
            "type": _COMMAND,
            "token": self.token,
            "version": 1,
            "data": data,
            "guild_id": str(guild.id),
            "guild": {"id": str(guild.id), "locale": guild.locale, "features": []},
            "guild_locale": guild.locale,
            "locale": guild.locale,
            "channel_id": str(self.channel.id),
            "channel": self.channel.json(),
            "member": guild.member(self.user) | {"permissions": allowed},
            "app_permissions": allowed,
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(guild.id)},
            "context": 0,
            "attachment_size_limit": 10_485_760,
        }


def command_data(bot: Bot, guild: Guild, path: str, options: dict[str, Any]) -> Json:
    """Write a command as Discord's client sends it.

    Args:
        bot: whose command.
        guild: where.
        path: its name, with those of group and subcommand after it.
        options: values by name.

    Raises:
        LookupError: the bot registered no such command.
    """
    name, *below = path.split()
    known = bot.commands.get(guild.id, []) + bot.commands.get(None, [])
    command = next((command for command in known if command["name"] == name), None)
    if command is None:
        names = ", ".join(sorted(command["name"] for command in known)) or "none"
        raise LookupError(f"{bot.name} has no command {name}; it has registered {names}")
    data = {"id": str(command["id"]), "name": name, "type": command.get("type", 1)}
    chosen = [_option(key, value) for key, value in options.items()]
    for depth, part in reversed(list(enumerate(below))):
        chosen = [{"name": part, "type": 1 if depth == len(below) - 1 else 2, "options": chosen}]
    users = {str(value.id): value for value in options.values() if isinstance(value, User)}
    channels = {str(value.id): value for value in options.values() if isinstance(value, Channel)}
    resolved = {
        "users": {key: user.json() for key, user in users.items()},
        "members": {key: guild.member(user) | {"permissions": "0"} for key, user in users.items()},
        "channels": {key: channel.json() | {"permissions": "0"} for key, channel in channels.items()},
    }
    return data | {"options": chosen, "resolved": resolved, "guild_id": str(guild.id)}


def _option(name: str, value: Any) -> Json:  # noqa: ANN401 # any of the kinds that an option has
    kind = next(number for python, number in _OPTION_TYPES.items() if isinstance(value, python))
    return {"name": name, "type": kind, "value": str(value.id) if isinstance(value, (User, Channel)) else value}
