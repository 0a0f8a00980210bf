"""All stays of the bot: comes into channels and goes, one stay in a server and one coming or going at a time there.

Used by `commands` and `arrivals`; owns what happens by itself meanwhile. Not here: why it comes, and what it says.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Final, Self

import discord
import structlog
from msgspec.structs import replace

from parley_gateway.admissions import AdmissionError, Admissions, Entrance
from parley_gateway.discord.errands import Errands, Work
from parley_gateway.discord.errors import VoiceRefusedError, VoiceUnavailableError
from parley_gateway.discord.links import VoiceLink
from parley_gateway.discord.listeners import Channel, Gone, Listener
from parley_gateway.discord.manners import PERMISSIONS, Wish
from parley_gateway.discord.notices import Notices, names_in
from parley_gateway.discord.stays import Stay
from parley_gateway.sessions import Session

log: Final = structlog.get_logger()

LinkMaker = Callable[[Listener], VoiceLink]
JOIN_ERRORS: Final = (AdmissionError, VoiceRefusedError, VoiceUnavailableError)
"""What `come` fails with; each has a reason that `manners.failure` knows."""


class Hosting:
    """All stays, as long as one connection to Discord lasts: an async context manager, which leaves every channel."""

    def __init__(
        self, admissions: Admissions, make_link: LinkMaker, notices: Notices, *, secret: str, idle_s: float
    ) -> None:
        """Begin without any; what happens by itself happens within the context.

        Args:
            admissions: where sessions come from.
            make_link: makes a voice link.
            notices: writes what nobody asked for.
            secret: what resumes sessions of this bot.
            idle_s: the owner's `leaveAfterIdleS`.
        """
        self.stays: Final[dict[int, Stay]] = {}
        """By server."""
        self.secret: Final = secret
        self._admissions = admissions
        self._make_link = make_link
        self._notices = notices
        self._idle_s = idle_s
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._joining: set[int] = set()
        self._dismissed: set[int] = set()
        """Servers where the bot was sent away, or had nobody to listen to."""
        self._watching: dict[Stay, asyncio.Task[None]] = {}
        self._errands = Errands()

    async def __aenter__(self) -> Self:
        await self._errands.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._errands.cancel()
        for stay in list(self.stays.values()):
            await stay.end(is_over=False)
        self.stays.clear()
        await self._errands.__aexit__()

    # Coming.

    def wish(self, member: discord.Member) -> Wish:
        """Look at what matters for coming to where somebody is."""
        channel = member.voice.channel if member.voice else None
        if not isinstance(channel, Channel):
            return Wish(channel=None)
        stay = self.stays.get(member.guild.id)
        here = stay.channel if stay else None
        is_joining = member.guild.id in self._joining
        return replace(wish_for(channel), here=here.id if here else None, is_joining=is_joining)

    async def come(self, channel: Channel, *, language: str, writes_to: int, resume: str = "") -> Stay:
        """Join a channel and begin a conversation there, or go on with one.

        Raises:
            AdmissionError, VoiceRefusedError, VoiceUnavailableError: it cannot; nothing is left over.
        """
        guild = channel.guild
        self._joining.add(guild.id)
        try:
            async with self._locks[guild.id]:
                if guild.id in self.stays:
                    raise VoiceUnavailableError("busy", "Somebody else has called the bot to this server meanwhile.")
                stay = Stay(self, names_in(guild), guild=guild.id, writes_to=writes_to)
                stay.language = language
                at = Entrance("discord", f"{guild.id}/{channel.id}", self.secret)
                session, stay.is_resumed = await self._admissions.admit(resume, at)
                try:
                    await self._connect(stay, session, channel)
                except BaseException:
                    stay.decline(session, is_over=not resume)
                    raise
                if not self._errands.is_open:
                    # All stays were ended meanwhile, and nobody would end this one.
                    await stay.end(is_over=False)
                    raise VoiceUnavailableError("server", "The connection to Discord ended meanwhile. Try again.")
                self.stays[guild.id] = stay
                self._dismissed.discard(guild.id)
                self._watching[stay] = self._errands.begin(self._watch(stay))
                if is_deafened(guild):
                    self.deafened(guild, is_deaf=True)
                log.info("joined a voice channel", session=session.id, guild=guild.id, channel=channel.id)
                return stay
        finally:
            self._joining.discard(guild.id)

    async def _connect(self, stay: Stay, session: Session, channel: Channel) -> None:
        link = self._make_link(stay)
        await link.connect(channel)
        if isinstance(channel, discord.StageChannel):
            try:
                await _step_forward(channel)
            except BaseException:
                await link.disconnect()
                raise
        if link.channel is None:
            raise VoiceUnavailableError("server", "The connection ended as soon as it was made. Try again.")
        stay.begin(link, session)

    def expect(self, guild: int, coming: Work) -> None:
        """Come to a server in a while, unless the bot is there or on its way."""
        if guild in self.stays or guild in self._joining or not self._errands.is_open:
            coming.close()
            return
        self._joining.add(guild)
        self._errands.begin(coming).add_done_callback(lambda _: self._joining.discard(guild))

    def is_unwelcome(self, guild: int) -> bool:
        """Whether the bot is not to come to a server by itself."""
        return guild in self._dismissed

    def forgive(self, guild: int) -> None:
        """Let it come by itself again: those who sent it away have gone."""
        self._dismissed.discard(guild)

    # Going.

    async def go(self, guild: int, *, is_dismissed: bool = False) -> Channel | None:
        """Leave a server's channel and return which; None if the bot was in none."""
        async with self._locks[guild]:
            stay = self.stays.get(guild)
            if stay is None:
                return None
            channel = stay.channel
            if is_dismissed:
                self._dismissed.add(guild)
            await self._part(stay, is_over=True)
            log.info("left a voice channel", guild=guild)
            return channel

    async def _part(self, stay: Stay, *, is_over: bool) -> None:
        del self.stays[stay.guild]
        if (task := self._watching.pop(stay, None)) is not None:
            task.cancel()
        await stay.end(is_over=is_over)

    async def _watch(self, stay: Stay) -> None:
        await stay.until_time_to_leave(self._idle_s)
        # Not within this task: going ends it.
        self._errands.start(self._leave_for_good(stay, was_alone=not stay.people))

    async def _leave_for_good(self, stay: Stay, *, was_alone: bool) -> None:
        if self.stays.get(stay.guild) is stay:
            await self.go(stay.guild, is_dismissed=not was_alone)
            if not was_alone:
                await self._notices.write(stay, "idle", minutes=f"{max(1.0, self._idle_s / 60):.0f}")

    def deafened(self, guild: discord.Guild, *, is_deaf: bool) -> None:
        """A moderator has deafened the bot on a server, or does not any more: tell those who talk to it."""
        if (stay := self.stays.get(guild.id)) is not None:
            self._errands.start(self._notices.write(stay, "deafened" if is_deaf else "undeafened"))

    # Host of the stays.

    def ended(self, stay: Stay, why: Gone | None, sentence: str) -> None:
        """See Host."""
        if self.stays.get(stay.guild) is stay:
            self._errands.start(self._see_off(stay, why, sentence))

    async def _see_off(self, stay: Stay, why: Gone | None, sentence: str) -> None:
        async with self._locks[stay.guild]:
            if self.stays.get(stay.guild) is not stay:
                return
            await self._part(stay, is_over=why is not None)
        log.info("a stay has ended", guild=stay.guild, why=why or "session", detail=sentence)
        if why in {"lost", "refused", "rate_limited"}:
            await self._notices.write(stay, "lost")
        elif why is not None:
            self._dismissed.add(stay.guild)  # Somebody has removed it: it does not come back by itself.

    def deaf(self, stay: Stay, people: frozenset[int]) -> None:
        """See Host."""
        if people:
            self._errands.start(self._notices.write(stay, "deaf", people=self._notices.names(stay, people)))
        else:
            self._errands.start(self._notices.write(stay, "deaf_to_somebody"))

    def recovered(self, stay: Stay, people: frozenset[int]) -> None:
        """See Host."""
        self._errands.start(self._notices.write(stay, "recovered", people=self._notices.names(stay, people)))


def wish_for(channel: Channel) -> Wish:
    """Look at what matters for joining a channel."""
    may = channel.permissions_for(channel.guild.me)
    return Wish(
        channel=channel.id,
        is_stage=isinstance(channel, discord.StageChannel),
        is_full=0 < channel.user_limit <= len(channel.members),
        may=frozenset(name for name in PERMISSIONS if getattr(may, name)),
    )


def is_deafened(guild: discord.Guild) -> bool:
    """Whether a moderator has deafened the bot."""
    return guild.me.voice is not None and guild.me.voice.deaf


async def _step_forward(stage: discord.StageChannel) -> None:
    """Leave the audience: who comes to a stage is muted there until then."""
    try:
        await stage.guild.me.edit(suppress=False)
    except discord.HTTPException as error:
        log.warning("cannot speak on a stage", channel=stage.id, status=error.status, code=error.code)
