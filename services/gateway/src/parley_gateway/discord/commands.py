"""The slash commands: `/join`, `/leave`, `/status`, `/mute`. Each looks, asks `hosting`, and answers in three seconds.

What takes longer is deferred first: Discord shows "thinking", and the answer takes its place. What concerns everybody
in the channel is for everybody to see, a refusal only for whoever asked. Answers are in the locale of whoever asked.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import discord
import structlog
from discord import app_commands

from parley_gateway.admissions import AdmissionError
from parley_gateway.discord.errands import raised_at
from parley_gateway.discord.hosting import JOIN_ERRORS, Hosting, is_deafened
from parley_gateway.discord.listeners import Channel
from parley_gateway.discord.manners import failure, grouped, hindrance, latest, may_command
from parley_gateway.discord.notices import Notices
from parley_gateway.discord.stays import Stay
from parley_gateway.discord.words import Word, say
from parley_gateway.settings import GatewaySettings

log: Final = structlog.get_logger()

Interaction = discord.Interaction[Any]
Answer = Callable[[Interaction], Awaitable[None]]


class Commands:
    """The commands of one connection to Discord."""

    def __init__(self, client: discord.Client, hosting: Hosting, notices: Notices, settings: GatewaySettings) -> None:
        """Answer for this host; `add_to` puts the commands into a tree."""
        self._client = client
        self._hosting = hosting
        self._notices = notices
        self._roles = frozenset(map(int, settings.discord_roles))
        self._guilds = frozenset(map(int, settings.discord_guild_ids))

    def add_to(self, tree: app_commands.CommandTree[Any]) -> None:
        """Offer the commands."""
        offered: tuple[tuple[str, str, Answer], ...] = (
            ("join", "Come into my voice channel and talk with us", self.join),
            ("leave", "Leave the voice channel", self.leave),
            ("status", "Say how you fare: connection, encryption, latency, whom you hear", self.status),
            ("mute", "Stop listening, or listen again", self.mute),
        )
        for name, description, answer in offered:
            command = app_commands.Command[Any, Any, Any](
                name=name, description=description, callback=self._guarded(name, answer)
            )
            command.guild_only = True
            tree.add_command(command)

    def _guarded(self, name: str, answer: Answer) -> Callable[[Interaction], Any]:
        """Let in who may, and say so when something breaks."""

        async def run(interaction: Interaction) -> None:
            try:
                if name != "status" and not self._may(interaction):
                    await _refuse(interaction, "not_allowed")
                    return
                await answer(interaction)
            except discord.NotFound:
                # 10062: the three seconds were over, or it was answered elsewhere. Nobody can be told.
                log.warning("a command could not be answered in time", command=name)
            except discord.HTTPException as error:
                log.warning("a command could not be answered", command=name, status=error.status, code=error.code)
            except Exception as error:  # noqa: BLE001  # what somebody is called may stand in its message
                log.error("a command broke", command=name, error=type(error).__name__, where=raised_at(error))
                with contextlib.suppress(discord.HTTPException):
                    await _refuse(interaction, "broken")

        return run

    def _may(self, interaction: Interaction) -> bool:
        if self._guilds and interaction.guild_id not in self._guilds:
            return False
        member = interaction.user
        roles = [role.id for role in member.roles] if isinstance(member, discord.Member) else []
        return may_command(roles, self._roles, manages=interaction.permissions.manage_guild)

    async def join(self, interaction: Interaction) -> None:
        """Come to where whoever asks is."""
        member = interaction.user
        if not isinstance(member, discord.Member) or interaction.channel_id is None:
            await _refuse(interaction, "not_in_voice")
            return
        channel = member.voice.channel if member.voice else None
        stay = self._hosting.stays.get(member.guild.id)
        word = hindrance(self._hosting.wish(member))
        if word is not None or channel is None:
            meant = stay.channel if word in {"busy", "here_already"} and stay else channel
            await _refuse(interaction, word or "not_in_voice", channel=_mention(meant))
            return
        await interaction.response.defer(thinking=True)
        try:
            await self._hosting.come(channel, language=_language(interaction), writes_to=interaction.channel_id)
        except JOIN_ERRORS as error:
            code = error.code if isinstance(error, AdmissionError) else error.reason
            log.warning("could not join", guild=member.guild.id, channel=channel.id, reason=code, detail=str(error))
            await _answer(interaction, failure(code))
            return
        except Exception:
            await _answer(interaction, "broken")
            raise
        await _answer(interaction, "joined", channel=_mention(channel))

    async def leave(self, interaction: Interaction) -> None:
        """Go, whoever brought the bot."""
        await interaction.response.defer(thinking=True)
        channel = await self._hosting.go(interaction.guild_id or 0, is_dismissed=True)
        if channel is None:
            await _answer(interaction, "not_here")
        else:
            await _answer(interaction, "left", channel=_mention(channel))

    async def mute(self, interaction: Interaction) -> None:
        """Stop listening, or begin again; it shows in the channel as a deafened bot."""
        stay = self._hosting.stays.get(interaction.guild_id or 0)
        if stay is None or interaction.guild is None:
            await _refuse(interaction, "not_here")
            return
        is_muted = stay.mute()
        await interaction.response.send_message(say(_language(interaction), "muted" if is_muted else "unmuted"))
        if stay.channel is not None:
            await interaction.guild.change_voice_state(channel=stay.channel, self_deaf=is_muted)

    async def status(self, interaction: Interaction) -> None:
        """Say how the bot fares here."""
        stay = self._hosting.stays.get(interaction.guild_id or 0)
        language = _language(interaction)
        lines = [say(language, "status_nowhere")] if stay is None else self._lines(stay, language)
        await interaction.response.send_message("\n".join(lines), ephemeral=True)

    def _lines(self, stay: Stay, language: str) -> list[str]:
        link = stay.link
        is_connected = link is not None and link.is_connected
        code = link.privacy_code if link else None
        voice_s = link.latency_s if link else None
        heard = frozenset(map(int, stay.session.heard)) if stay.session else frozenset[int]()
        names = self._notices.names
        lines = [
            say(language, "status_here" if is_connected else "status_reconnecting", channel=_mention(stay.channel)),
            say(language, "status_private", code=grouped(code)) if code else say(language, "status_not_private"),
            say(language, "status_latency", gateway=_ms(self._client.latency), voice=_ms(voice_s)),
            say(language, "status_hears", people=names(stay, heard)) if heard else say(language, "status_hears_nobody"),
        ]
        if stay.deaf_to:
            lines.append(say(language, "status_deaf", people=names(stay, stay.deaf_to)))
        if stay.channel is not None and is_deafened(stay.channel.guild):
            lines.append(say(language, "deafened"))
        if stay.is_muted:
            lines.append(say(language, "status_muted"))
        times = latest(stay.e2ft_ms)
        lines.append(say(language, "status_e2ft", times=times) if times else say(language, "status_no_turns"))
        return lines


def _language(interaction: Interaction) -> str:
    return str(interaction.locale)


def _mention(channel: Channel | discord.abc.GuildChannel | None) -> str:
    return channel.mention if channel is not None else "–"


def _ms(value_s: float | None) -> str:
    # Discord's own latency is NaN, or infinite, before the first heartbeat was acknowledged.
    return "–" if value_s is None or not 0 <= value_s < float("inf") else f"{value_s * 1000:.0f} ms"


async def _answer(interaction: Interaction, word: Word, **values: str) -> None:
    """Put the answer into the place of "thinking"."""
    await interaction.edit_original_response(
        content=say(_language(interaction), word, **values), allowed_mentions=discord.AllowedMentions.none()
    )


async def _refuse(interaction: Interaction, word: Word, **values: str) -> None:
    """Say, to whoever asked alone, why not."""
    text = say(_language(interaction), word, **values)
    if interaction.response.is_done():
        await interaction.edit_original_response(content=text)
    else:
        await interaction.response.send_message(text, ephemeral=True)
