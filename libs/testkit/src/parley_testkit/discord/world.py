"""What exists on the emulated Discord: servers, channels, who is in them; and how Discord writes them as JSON.

Values and their JSON alone: nothing is sent from here. The shapes are those of discord-api-docs, resources/.
"""

import dataclasses
import secrets
from typing import Final

from parley_testkit.discord.messages import Message
from parley_testkit.discord.ops import EVERYONE, Permission
from parley_testkit.discord.users import Bot, Json, User, snowflake

TEXT, VOICE, STAGE = 0, 2, 13
_JOINED_AT: Final = "2026-01-01T00:00:00.000000+00:00"


@dataclasses.dataclass(kw_only=True, eq=False)
class Channel:
    """A channel of a server."""

    name: str
    guild: "Guild"
    kind: int
    user_limit: int = 0
    """Who may be in it at once; 0 for everybody."""
    denied: Permission = Permission.NOTHING
    """What nobody may do here."""
    messages: list[Message] = dataclasses.field(default_factory=list)
    status: str = ""
    """What is written beneath a voice channel's name."""
    id: int = dataclasses.field(default_factory=snowflake)

    @property
    def everyone(self) -> Permission:
        """What everyone may do here."""
        return self.guild.everyone & ~self.denied

    def json(self) -> Json:
        """Write it."""
        return {
            "id": str(self.id),
            "guild_id": str(self.guild.id),
            "type": self.kind,
            "name": self.name,
            "position": self.guild.channels.index(self),
            "permission_overwrites": [
                {"id": str(self.guild.id), "type": 0, "allow": "0", "deny": str(int(self.denied))}
            ],
            "nsfw": False,
            "parent_id": None,
            "rate_limit_per_user": 0,
            "topic": None,
            "last_message_id": None,
            "bitrate": 64000,
            "user_limit": self.user_limit,
            "rtc_region": None,
            "flags": 0,
        }


@dataclasses.dataclass(kw_only=True, eq=False)
class VoiceState:
    """Where somebody is, and whether he may hear and speak."""

    user: User
    guild: "Guild"
    channel: Channel | None
    session_id: str
    is_muted: bool = False
    """By the server."""
    is_deafened: bool = False
    """By the server."""
    mutes_self: bool = False
    deafens_self: bool = False
    is_suppressed: bool = False
    """In the audience of a stage."""

    def json(self) -> Json:
        """Write it."""
        return {
            "guild_id": str(self.guild.id),
            "channel_id": str(self.channel.id) if self.channel else None,
            "user_id": str(self.user.id),
            "member": self.guild.member(self.user),
            "session_id": self.session_id,
            "mute": self.is_muted,
            "deaf": self.is_deafened,
            "self_mute": self.mutes_self,
            "self_deaf": self.deafens_self,
            "self_video": False,
            "suppress": self.is_suppressed,
            "request_to_speak_timestamp": None,
        }


@dataclasses.dataclass(kw_only=True, eq=False)
class Guild:
    """A server."""

    name: str
    locale: str = "en-US"
    everyone: Permission = EVERYONE
    id: int = dataclasses.field(default_factory=snowflake)
    channels: list[Channel] = dataclasses.field(default_factory=list)
    users: dict[int, User] = dataclasses.field(default_factory=dict)
    nicknames: dict[int, str] = dataclasses.field(default_factory=dict)
    voice_states: dict[int, VoiceState] = dataclasses.field(default_factory=dict)

    def member(self, user: User) -> Json:
        """Write somebody as a member."""
        return {
            "user": user.json(),
            "nick": self.nicknames.get(user.id),
            "avatar": None,
            "roles": [],
            "joined_at": _JOINED_AT,
            "premium_since": None,
            "deaf": False,
            "mute": False,
            "flags": 0,
            "pending": False,
        }

    def role(self) -> Json:
        """Write the role that everyone has."""
        return {
            "id": str(self.id),
            "name": "@everyone",
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "position": 0,
            "permissions": str(int(self.everyone)),
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }

    def json(self) -> Json:
        """Write it as GUILD_CREATE has it."""
        return {
            "id": str(self.id),
            "name": self.name,
            "icon": None,
            "splash": None,
            "discovery_splash": None,
            "banner": None,
            "description": None,
            "owner_id": "1",
            "afk_channel_id": None,
            "afk_timeout": 300,
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "roles": [self.role()],
            "emojis": [],
            "stickers": [],
            "features": [],
            "mfa_level": 0,
            "application_id": None,
            "system_channel_id": None,
            "system_channel_flags": 0,
            "rules_channel_id": None,
            "public_updates_channel_id": None,
            "vanity_url_code": None,
            "premium_tier": 0,
            "premium_subscription_count": 0,
            "premium_progress_bar_enabled": False,
            "preferred_locale": self.locale,
            "nsfw_level": 0,
            "joined_at": _JOINED_AT,
            "large": False,
            "unavailable": False,
            "member_count": len(self.users),
            "members": [self.member(user) for user in self.users.values()],
            "voice_states": [state.json() for state in self.voice_states.values() if state.channel],
            "channels": [channel.json() for channel in self.channels],
            "threads": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }


class World:
    """All of it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.bots: Final[list[Bot]] = []
        self.guilds: Final[dict[int, Guild]] = {}

    def bot_of(self, token: str) -> Bot | None:
        """Find a bot by what it shows."""
        return next((bot for bot in self.bots if secrets.compare_digest(bot.token.encode(), token.encode())), None)

    def channel(self, channel_id: int) -> Channel | None:
        """Find a channel."""
        return next((c for guild in self.guilds.values() for c in guild.channels if c.id == channel_id), None)
