"""All stays of the bot: comes into channels, goes, comes back after a restart, and joins where somebody waits.

Used by `commands` and `client`. One stay in a server, and one coming or going at a time there. What it writes of its
own accord goes to the assistant's text channel, or to where it was called.
"""

import asyncio
import hashlib
import hmac
import traceback
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Self

import discord
import structlog
from msgspec.structs import replace

from parley_contract.errors import ParleyError
from parley_contract.messages import FoundSession
from parley_gateway.admissions import AdmissionError, Admissions, Entrance
from parley_gateway.discord.errors import VoiceRefusedError, VoiceUnavailableError
from parley_gateway.discord.links import VoiceLink
from parley_gateway.discord.listeners import Channel, Gone, Listener
from parley_gateway.discord.manners import PERMISSIONS, Wish, hindrance
from parley_gateway.discord.stays import Stay
from parley_gateway.discord.words import Word, say
from parley_gateway.settings import GatewaySettings

log: Final = structlog.get_logger()

LinkMaker = Callable[[Listener], VoiceLink]
JOIN_ERRORS: Final = (AdmissionError, VoiceRefusedError, VoiceUnavailableError)
"""What `come` fails with; each has a reason that `manners.failure` knows."""
_RESUME_TRIES: Final = 3
_FIND_TRIES: Final = 20
_FIND_PAUSE_S: Final = 0.5
_SECRET_FOR: Final = b"parley: resume the sessions of this bot"


def secret_of(token: str) -> str:
    """Return what resumes this bot's sessions: a process that comes back knows it, and nobody without the token."""
    return hmac.new(token.encode(), _SECRET_FOR, hashlib.sha256).hexdigest()


class Hosting:
    """All stays, as long as one connection to Discord lasts: an async context manager, which leaves every channel."""

    def __init__(
        self,
        client: discord.Client,
        admissions: Admissions,
        settings: GatewaySettings,
        make_link: LinkMaker,
        *,
        secret: str,
    ) -> None:
        """Begin without any; what happens by itself happens within the context.

        Args:
            client: who the bot is.
            admissions: where sessions come from.
            settings: where it joins, and when it leaves.
            make_link: makes a voice link.
            secret: as `secret_of` makes it.
        """
        self.stays: Final[dict[int, Stay]] = {}
        self._client = client
        self._admissions = admissions
        self._settings = settings
        self._make_link = make_link
        self._secret = secret
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._joining: set[int] = set()
        self._dismissed: set[int] = set()
        """Servers where the bot was sent away, until nobody is in the channel any more that it joins by itself."""
        self._watching: dict[Stay, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._is_open = False
        self.hindered: Final[dict[int, str]] = {}
        """Channels that it wanted to join by itself and could not, and why, for the owner."""

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        for task in self._running:
            task.cancel()
        for stay in list(self.stays.values()):
            await stay.end(is_over=False)
        self.stays.clear()
        # What ended the block is its own business; what was begun here never fails (`_alone`).
        await self._tasks.__aexit__(None, None, None)

    # Coming and going.

    def wish(self, member: discord.Member) -> Wish:
        """Look at what matters for coming to where somebody is."""
        guild = member.guild
        channel = member.voice.channel if member.voice else None
        stay = self.stays.get(guild.id)
        here = stay.channel if stay else None
        if channel is None:
            return Wish(channel=None)
        is_joining = guild.id in self._joining
        return replace(_wish_for(channel), here=here.id if here else None, is_joining=is_joining)

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
                stay = Stay(self, _names_in(guild), guild=guild.id, writes_to=writes_to)
                stay.language = language
                at = Entrance("discord", f"{guild.id}/{channel.id}", self._secret)
                session, stay.is_resumed = await self._admissions.admit(resume, at)
                link = self._make_link(stay)
                try:
                    await link.connect(channel)
                except BaseException:
                    stay.decline(session, is_over=not resume)
                    raise
                if isinstance(channel, discord.StageChannel):
                    await _step_forward(channel)
                stay.begin(link, session)
                self.stays[guild.id] = stay
                self._dismissed.discard(guild.id)
                self._watching[stay] = self._task(self._watch(stay))
                log.info("joined a voice channel", session=session.id, guild=guild.id, channel=channel.id)
                return stay
        finally:
            self._joining.discard(guild.id)

    async def go(self, guild: int, *, is_dismissed: bool = False) -> Channel | None:
        """Leave a server's channel and return which; None if the bot was in none."""
        async with self._locks[guild]:
            stay = self.stays.pop(guild, None)
            if stay is None:
                return None
            channel = stay.channel
            if is_dismissed:
                self._dismissed.add(guild)
            self._unwatch(stay)
            await stay.end(is_over=True)
            log.info("left a voice channel", guild=guild)
            return channel

    def _unwatch(self, stay: Stay) -> None:
        if (task := self._watching.pop(stay, None)) is not None:
            task.cancel()

    async def _watch(self, stay: Stay) -> None:
        idle_s = self._settings.discord_leave_after_idle_s
        await stay.until_time_to_leave(idle_s)
        was_alone = not stay.people
        # Not within this task: going ends it.
        self._start(self._leave_for_good(stay, was_alone=was_alone, minutes=max(1, idle_s // 60)))

    async def _leave_for_good(self, stay: Stay, *, was_alone: bool, minutes: int) -> None:
        if self.stays.get(stay.guild) is stay:
            await self.go(stay.guild, is_dismissed=not was_alone)
            if not was_alone:
                await self.write(stay, "idle", minutes=str(minutes))

    # Of its own accord.

    async def come_back(self) -> None:
        """Go on with the conversations of a process that is gone, then join where somebody waits."""
        for each in await self._left_behind():
            guild_id, _, channel_id = each.channel.partition("/")
            guild = self._client.get_guild(int(guild_id))
            here = guild.me.voice.channel if guild and guild.me.voice else None
            channel = here or (guild.get_channel(int(channel_id)) if guild else None)
            if isinstance(channel, Channel) and _people_in(channel) and channel.guild.id not in self.stays:
                self._joining.add(channel.guild.id)
                self._start(self._resume(channel, f"{each.session}.{self._secret}"))
        for server in self._client.guilds:
            self.look_around(server)

    async def _left_behind(self) -> tuple[FoundSession, ...]:
        """Return the conversations of a process that is gone; an agent that restarts with it takes a moment."""
        for _ in range(_FIND_TRIES):
            try:
                return await self._admissions.find(Entrance("discord", secret=self._secret))
            except AdmissionError:
                await asyncio.sleep(_FIND_PAUSE_S)
        log.warning("no agent could be asked for conversations to go on with")
        return ()

    async def _resume(self, channel: Channel, resume: str) -> None:
        for is_last in (*[False] * (_RESUME_TRIES - 1), True):
            try:
                stay = await self.come(
                    channel, language=str(channel.guild.preferred_locale), writes_to=channel.id, resume=resume
                )
            except (AdmissionError, VoiceUnavailableError) as error:
                log.warning("could not come back", channel=channel.id, reason=str(error), gives_up=is_last)
            except VoiceRefusedError as error:
                log.error("could not come back", channel=channel.id, reason=str(error), gives_up=True)
                return
            else:
                if stay.is_resumed:
                    await self.write(stay, "restarted")
                return

    def look_around(self, guild: discord.Guild) -> None:
        """Look at every voice channel of a server."""
        for channel in guild.channels:
            if isinstance(channel, Channel):
                self.look_at(channel)

    def look_at(self, channel: Channel) -> None:
        """Join a channel if it is one that the bot joins by itself, and somebody is there."""
        guild = channel.guild.id
        if str(channel.id) not in self._settings.discord_auto_join:
            return
        if not _people_in(channel):
            self._dismissed.discard(guild)
        elif guild not in self.stays and guild not in self._joining and guild not in self._dismissed:
            self._joining.add(guild)
            self._start(self._join_by_itself(channel))

    async def _join_by_itself(self, channel: Channel) -> None:
        wish = _wish_for(channel)
        self.hindered.pop(channel.id, None)
        if word := hindrance(wish):
            self._joining.discard(channel.guild.id)
            self.hindered[channel.id] = say("en", word, channel=f"#{channel.name}")
            log.warning("cannot join by itself", channel=channel.id, reason=word)
            return
        try:
            await self.come(channel, language=str(channel.guild.preferred_locale), writes_to=channel.id)
        except JOIN_ERRORS as error:
            log.warning("could not join by itself", channel=channel.id, reason=str(error))

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        self._task(work)  # type: ignore[unused-awaitable]  # the group waits for it

    def _task(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        if not self._is_open:
            work.close()
            raise AdmissionError("draining", "The gateway is about to restart. Try again in a few seconds.")
        task = self._tasks.create_task(_alone(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    # Host of the stays.

    def ended(self, stay: Stay, why: Gone | None, sentence: str) -> None:
        """See Host."""
        if self._is_open and self.stays.get(stay.guild) is stay:
            self._start(self._see_off(stay, why, sentence))

    async def _see_off(self, stay: Stay, why: Gone | None, sentence: str) -> None:
        async with self._locks[stay.guild]:
            if self.stays.get(stay.guild) is not stay:
                return
            del self.stays[stay.guild]
            self._unwatch(stay)
            await stay.end(is_over=why is not None)
        log.info("a stay has ended", guild=stay.guild, why=why or "session", detail=sentence)
        if why in {"lost", "refused", "rate_limited"}:
            await self.write(stay, "lost")
        elif why is not None:
            self._dismissed.add(stay.guild)  # Somebody has removed it: it does not come back by itself.

    def deaf(self, stay: Stay, people: frozenset[int]) -> None:
        """See Host."""
        if self._is_open:
            word: Word = "deaf" if people else "deaf_to_somebody"
            self._start(self.write(stay, word, people=self.names(stay, people)))

    def recovered(self, stay: Stay, people: frozenset[int]) -> None:
        """See Host."""
        if self._is_open:
            self._start(self.write(stay, "recovered", people=self.names(stay, people)))

    # Writing.

    def names(self, stay: Stay, people: frozenset[int]) -> str:
        """Return how people are called, in one line."""
        guild = self._client.get_guild(stay.guild)
        name_of = _names_in(guild) if guild else str
        return ", ".join(sorted(name_of(person) or str(person) for person in people))

    async def write(self, stay: Stay, word: Word, **values: str) -> None:
        """Write a sentence where the owner wants it, or where the bot was called; who may not is silent."""
        channel = int(self._settings.discord_text_channel or stay.writes_to)
        try:
            await self._client.get_partial_messageable(channel).send(
                say(stay.language, word, **values), allowed_mentions=discord.AllowedMentions.none()
            )
        except (discord.HTTPException, OSError) as error:
            log.warning("could not write into a channel", channel=channel, word=word, error=type(error).__name__)

    def status(self) -> Mapping[str, Any]:
        """Return what `/status` of the gateway shows."""
        return {
            "stays": [stay.status() for stay in self.stays.values()],
            "hindered": {str(channel): why for channel, why in self.hindered.items()},
        }


def _names_in(guild: discord.Guild) -> Callable[[int], str | None]:
    """Return a look-up of how somebody is called; None for a bot."""

    def name_of(user_id: int) -> str | None:
        member = guild.get_member(user_id)
        if member is None:
            return ""
        return None if member.bot else member.display_name

    return name_of


async def _step_forward(stage: discord.StageChannel) -> None:
    """Leave the audience: who comes to a stage is muted there until then."""
    try:
        await stage.guild.me.edit(suppress=False)
    except discord.HTTPException as error:
        log.warning("cannot speak on a stage", channel=stage.id, status=error.status, code=error.code)


def _wish_for(channel: Channel) -> Wish:
    may = channel.permissions_for(channel.guild.me)
    return Wish(
        channel=channel.id,
        is_stage=isinstance(channel, discord.StageChannel),
        is_full=0 < channel.user_limit <= len(channel.members),
        may=frozenset(name for name in PERMISSIONS if getattr(may, name)),
    )


def _people_in(channel: Channel) -> list[discord.Member]:
    return [member for member in channel.members if not member.bot]


async def _alone(work: Coroutine[Any, Any, object]) -> None:
    """Let one piece of work fail without the others."""
    try:
        await work
    except ParleyError as error:
        log.warning("something in the Discord door did not work", reason=str(error))
    except Exception as error:  # noqa: BLE001  # what a person is called may stand in its message
        log.error("something in the Discord door broke", error=type(error).__name__, where=where(error))


def where(error: BaseException) -> str:
    """Say where something was raised: what was raised may hold a name, or what somebody said."""
    return traceback.format_tb(error.__traceback__)[-1]
