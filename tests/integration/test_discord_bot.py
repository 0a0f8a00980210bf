"""The bot on an emulated Discord: the gateway as a process, its commands, and everything that can keep it from coming.

The other services are played by `parley_testkit.neighbours`; whole conversations are `test_discord_conversation`'s.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from parley_contract.frames import FRAME_MS
from parley_contract.messages import (
    CloseSession,
    DoorReported,
    TurnReport,
    UtteranceStarted,
)
from parley_testkit.discord import BUSY, DiscordEmulator, EmulatedHuman, Fault
from parley_testkit.discord.ops import Permission
from parley_testkit.discord.world import Channel, Guild
from parley_testkit.nats_server import NatsServer
from parley_testkit.neighbours import Neighbours
from parley_testkit.service_process import ServiceProcess, running_service
from parley_testkit.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


class Home(NamedTuple):
    """An emulated Discord with a server and a channel, and a gateway that is on it."""

    discord: DiscordEmulator
    guild: Guild
    lounge: Channel
    gateway: ServiceProcess
    others: Neighbours

    async def until(self, what: str, condition: Callable[[], object]) -> None:
        await self.discord.until(what, condition)

    def speech(self) -> list[UtteranceStarted]:
        return [message for message in self.others.agent.heard if isinstance(message, UtteranceStarted)]

    def reports(self) -> list[TurnReport]:
        return [message for message in self.others.agent.heard if isinstance(message, TurnReport)]


def environment(discord: DiscordEmulator, **more: str) -> dict[str, str]:
    return {
        "WEB_ENABLED": "false",
        "DISCORD_ENABLED": "true",
        "DISCORD_TOKEN": discord.bot.token,
        "DISCORD_API_BASE": discord.api_base,
        "DISCORD_GATEWAY_URL": discord.gateway_url,
        "DISCORD_CA_FILE": str(discord.ca_file),
        # On a busy machine a reply may come late.
        "HOLD_AFTER_S": "30",
        "FAIL_AFTER_S": "40",
        **more,
    }


@contextlib.asynccontextmanager
async def at_home(nats: NatsServer, others: Neighbours, folder: Path, **more: str) -> AsyncIterator[Home]:
    """Run a Discord and a gateway on it while the block lasts; `more` is put into the gateway's environment."""
    others.begin_anew()
    async with DiscordEmulator(BUSY) as discord:
        guild = discord.guild("Home")
        lounge = discord.voice_channel(guild, "Lounge")
        more = {name: value.format(lounge=lounge.id) for name, value in more.items()}
        async with running_service("gateway", nats, folder, environment(discord, **more)) as gateway:
            yield Home(discord, guild, lounge, gateway, others)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    nats: NatsServer, others: Neighbours, hello: bytes, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Home]:
    async with at_home(nats, others, tmp_path_factory.mktemp("gateway"), MAX_SESSIONS="1") as home:
        yield home


@pytest_asyncio.fixture(loop_scope="module")
async def home(shared: Home) -> AsyncIterator[Home]:
    """A Discord on which the bot is in no channel; what was said before is forgotten."""
    shared.others.begin_anew()
    shared.discord.violations.all.clear()
    yield shared
    for guild in shared.discord.world.guilds.values():
        if shared.discord.bot.id in guild.voice_states:
            leaver = await shared.discord.human("Leaver", guild)
            await (await leaver.invoke("leave")).reply()


async def told(human: EmulatedHuman, command: str) -> str:
    """Give a command and return what is answered."""
    return (await (await human.invoke(command)).reply()).content


async def brought(home: Home, name: str = "Mina", where: Channel | None = None) -> EmulatedHuman:
    """Let somebody come into the channel and call the bot there."""
    human = await home.discord.human(name, where or home.lounge)
    assert "listening" in await told(human, "join")
    await home.discord.connected()
    return human


class TestComingAndGoing:
    async def test_somebody_calls_it_asks_hears_the_answer_and_sends_it_away(self, home: Home, hello: bytes) -> None:
        mina = await brought(home)

        await mina.say(hello)
        await home.until("the turn is over", home.reports)

        report = home.reports()[0]
        assert (report.outcome, report.speaker) == ("answered", str(mina.account.id))
        assert [(each.speaker, each.name) for each in home.speech()] == [(str(mina.account.id), "")]
        # Two phrases of half a second, but for what Opus adds and jitter takes.
        await home.until("all is heard", lambda: len(mina.heard().voiced) >= 45)
        assert await told(mina, "leave") == f"I have left <#{home.lounge.id}>."
        assert len(mina.heard().voiced) <= 60
        await home.until("it is gone", lambda: home.discord.bot.id not in home.guild.voice_states)
        assert home.discord.violations.but() == []
        await mina.leave()

    async def test_status_says_how_it_fares(self, home: Home, hello: bytes) -> None:
        stranger = await home.discord.human("Stranger", home.guild)
        nowhere = await (await stranger.invoke("status")).reply()
        mina = await brought(home)
        await mina.say(hello)
        await home.until("the turn is over", home.reports)

        reply = await (await mina.invoke("status")).reply()

        lines = reply.content.splitlines()
        assert (nowhere.content, reply.is_ephemeral) == ("In no voice channel.", True)
        assert lines[0] == f"In <#{home.lounge.id}>, connected."
        assert mina.privacy_code in lines[1].replace(" ", "")
        assert lines[2].startswith("Latency: ")
        assert lines[3] == "Heard so far: Mina."
        assert lines[4].startswith("From your last word to my first thought (E2FT), latest turns: ")
        status = (await home.gateway.get("/status"))["discord"]
        assert (status["connected"], len(status["stays"])) == (True, 1)
        packets = status["stays"][0]["packets"]["speakers"][str(mina.account.id)]
        assert packets["decoded"] >= 50
        assert home.discord.bot.token not in str(status)
        await mina.leave()

    async def test_it_answers_in_the_language_of_whoever_asks(self, home: Home) -> None:
        korea = home.discord.guild("서울", locale="ko")
        mina = await home.discord.human("민아", korea)

        assert await told(mina, "join") == "음성 채널에 계시지 않아요. 먼저 음성 채널에 들어간 다음 다시 불러 주세요."

    async def test_it_leaves_and_comes_again_within_a_second(self, home: Home, hello: bytes) -> None:
        mina = await brought(home)

        leaving, joining = await asyncio.gather(mina.invoke("leave"), mina.invoke("join"))
        left = (await leaving.reply()).content
        again = (await joining.reply()).content
        if "already" in again:  # the second command overtook the first
            again = await told(mina, "join")

        assert "left" in left
        assert "listening" in again
        await home.discord.connected()
        await mina.say(hello)
        await home.until("the turn is over", home.reports)
        assert home.reports()[0].outcome == "answered"
        assert len([message for message in home.others.agent.heard if isinstance(message, CloseSession)]) == 1
        await mina.leave()

    async def test_muted_it_hears_nothing_and_shows_it(self, home: Home, hello: bytes) -> None:
        mina = await brought(home)

        muted = await told(mina, "mute")
        state = home.guild.voice_states[home.discord.bot.id]
        await home.until("it is deafened", lambda: state.deafens_self)
        await mina.say(hello)
        await asyncio.sleep(0.7)
        nothing = home.speech()
        unmuted = await told(mina, "mute")
        await home.until("it is not deafened", lambda: not state.deafens_self)
        await mina.say(hello)
        await home.until("it hears", home.speech)

        assert (muted, unmuted) == (
            "I am not listening any more. `/mute` again, and I do.",
            "I am listening again.",
        )
        assert nothing == []
        await mina.leave()

    async def test_a_voice_server_that_takes_longer_than_discord_waits_for_an_answer_makes_no_silence(
        self, home: Home
    ) -> None:
        mina = await home.discord.human("Mina", home.lounge)
        home.discord.switchboard.gives_server = False

        calling = await mina.invoke("join")
        await asyncio.sleep(home.discord.settings.interaction_s + 0.2)
        home.discord.switchboard.gives_server = True
        home.discord.switchboard.give_server(home.discord.bot)

        assert "listening" in (await calling.reply()).content
        assert not calling.is_expired
        assert home.discord.violations.but() == []
        await mina.leave()

    async def test_deafened_by_a_moderator_it_says_so_once(self, home: Home) -> None:
        mina = await brought(home)
        messages = home.guild.channels[0].messages
        messages.clear()

        home.discord.switchboard.silence(home.discord.bot, deaf=True)
        await home.until("it says so", lambda: messages)
        status = await told(mina, "status")
        home.discord.switchboard.silence(home.discord.bot)
        await home.until("it says so", lambda: len(messages) == 2)

        said = "A moderator has deafened me: I hear nobody until that is undone."
        assert [message.content for message in messages] == [
            said,
            "I am not deafened any more, and hear you again.",
        ]
        assert said in status
        await mina.leave()

    async def test_on_a_stage_it_steps_forward_where_it_may(self, home: Home) -> None:
        theatre = home.discord.guild("Theatre")
        stage = home.discord.voice_channel(theatre, "Stage", is_stage=True)
        mina = await home.discord.human("Mina", stage)
        refused = await told(mina, "join")

        theatre.everyone |= Permission.MUTE_MEMBERS
        home.discord.gateway.dispatch(theatre, "GUILD_UPDATE", theatre.json())
        home.discord.gateway.dispatch(
            theatre, "GUILD_ROLE_UPDATE", {"guild_id": str(theatre.id), "role": theatre.role()}
        )
        said = await told(mina, "join")

        assert refused.startswith(f"In <#{stage.id}>, a stage, I may only listen.")
        assert "listening" in said
        await home.until("it speaks", lambda: not theatre.voice_states[home.discord.bot.id].is_suppressed)
        await told(mina, "leave")
        await mina.leave()


class TestWhyItCannotCome:
    @pytest.mark.parametrize(
        "denied, limit, begins",
        [
            (Permission.VIEW_CHANNEL, 0, "I cannot see "),
            (Permission.CONNECT, 0, "I may not join "),
            (Permission.SPEAK, 0, "I may not speak in "),
            (Permission.NOTHING, 1, "<#{channel}> is full."),
        ],
    )
    async def test_a_channel_says_what_is_in_the_way(
        self, home: Home, denied: Permission, limit: int, begins: str
    ) -> None:
        room = home.discord.voice_channel(home.guild, f"Room {denied} {limit}", user_limit=limit, denied=denied)
        mina = await home.discord.human("Mina", room)

        reply = await (await mina.invoke("join")).reply()

        assert reply.content.startswith(begins.format(channel=room.id))
        assert reply.is_ephemeral
        await mina.leave()

    async def test_who_is_in_no_channel_is_told_to_join_one(self, home: Home) -> None:
        mina = await home.discord.human("Mina", home.guild)

        assert await told(mina, "join") == "You are in no voice channel. Join one, then call me again."
        assert await told(mina, "leave") == "I am in no voice channel."

    async def test_it_is_in_one_channel_of_a_server_at_a_time(self, home: Home) -> None:
        mina = await brought(home)
        attic = home.discord.voice_channel(home.guild, "Attic")
        jun = await home.discord.human("Jun", attic)

        assert await told(jun, "join") == (
            f"I am talking in <#{home.lounge.id}>, and there is one conversation in a server at a time. "
            "`/leave` ends it."
        )
        assert await told(mina, "join") == f"I am in <#{home.lounge.id}> already."
        await jun.leave()
        await mina.leave()

    async def test_more_conversations_than_it_may_have_are_refused(self, home: Home) -> None:
        mina = await brought(home)
        club = home.discord.guild("Club")
        bar = home.discord.voice_channel(club, "Bar")
        jun = await home.discord.human("Jun", bar)

        assert await told(jun, "join") == (
            "All my places are taken. Try again when a conversation elsewhere has ended."
        )
        assert home.discord.bot.id not in club.voice_states
        await jun.leave()
        await mina.leave()

    async def test_an_agent_that_is_not_ready_is_said_at_once(self, home: Home) -> None:
        home.others.agent.refuses = True
        mina = await home.discord.human("Mina", home.lounge)

        assert await told(mina, "join") == "I am not ready to talk yet. Try again in a few seconds."
        await mina.leave()

    async def test_a_voice_server_that_wants_another_encryption_is_said(self, home: Home) -> None:
        home.discord.voice.refusals.extend([4017] * 5)
        mina = await home.discord.human("Mina", home.lounge)

        said = await told(mina, "join")

        home.discord.voice.refusals.clear()
        assert said == "Discord's voice server and I have no encryption in common, and I do not talk without."
        await home.until("its session is closed", lambda: home.others.agent.of(CloseSession))
        await home.until("nothing is left of it", lambda: home.discord.bot.id not in home.guild.voice_states)
        await mina.leave()


async def test_it_comes_by_itself_and_leaves_when_it_has_been_alone(
    nats: NatsServer, others: Neighbours, tmp_path: Path
) -> None:
    settings = {"DISCORD_AUTO_JOIN": '["{lounge}"]', "DISCORD_LEAVE_AFTER_IDLE_S": "1"}
    async with at_home(nats, others, tmp_path, **settings) as home:
        mina = await home.discord.human("Mina", home.lounge)
        await home.discord.connected()
        await mina.leave()
        left_at = time.monotonic()

        bot = home.discord.bot.id
        await home.until("it has left", lambda: bot not in home.guild.voice_states)

        assert time.monotonic() - left_at > 0.5
        await mina.join(home.lounge)
        await home.discord.connected()


async def test_speech_puts_off_that_it_leaves_and_it_says_why_it_has_left(
    nats: NatsServer, others: Neighbours, tmp_path: Path, hello: bytes
) -> None:
    async with at_home(nats, others, tmp_path, DISCORD_LEAVE_AFTER_IDLE_S="2") as home:
        mina = await brought(home)
        came_at = time.monotonic()
        await asyncio.sleep(1)
        await mina.say(hello)

        bot = home.discord.bot.id
        await home.until("it has left", lambda: bot not in home.guild.voice_states)
        await home.until("it says why", lambda: home.guild.channels[0].messages)

        assert time.monotonic() - came_at > 2.5
        assert home.guild.channels[0].messages[-1].content.startswith("Nobody has said anything for ")


async def test_who_may_not_command_is_told_so(nats: NatsServer, others: Neighbours, tmp_path: Path) -> None:
    async with at_home(nats, others, tmp_path, DISCORD_ROLES='["4711"]') as home:
        mina = await home.discord.human("Mina", home.lounge)

        reply = await (await mina.invoke("join")).reply()

        assert reply.content == "Only members of certain roles may do that here. Ask whoever runs me."
        assert await told(mina, "status") == "In no voice channel."


@pytest.mark.parametrize(
    "fault, reason, begins",
    [
        (Fault("GET", "/users/@me", 401), "TokenRefused", "Discord refuses the bot's token"),
        (4004, "TokenRefused", "Discord refuses the bot's token"),
        (4014, "IntentsRefused", "Discord refuses the intents"),
        (Fault("PUT", "/commands", 403), "PermissionsMissing", "the bot may not offer commands on the server"),
        (Fault("GET", "/users/@me", 503), "DiscordUnreachable", "Discord's API answers with status 503"),
    ],
)
async def test_what_keeps_it_from_discord_is_said_everywhere_and_the_token_nowhere(
    nats: NatsServer, others: Neighbours, tmp_path: Path, fault: Fault | int, reason: str, begins: str
) -> None:
    others.begin_anew()
    async with DiscordEmulator() as discord:
        if isinstance(fault, Fault):
            discord.rest.faults.extend([fault] * 50)
        else:
            discord.gateway.refusals.extend([fault] * 50)
        settings = environment(discord, DISCORD_GUILD_IDS=f'["{discord.guild("Home").id}"]')
        async with running_service("gateway", nats, tmp_path, settings, wait=False) as gateway:
            # "Not connected yet" is told before, with the reason of an API that does not answer.
            await discord.until("it is told", lambda: reports_of(others, reason, begins))

            async def said() -> dict[str, Any]:
                shown: dict[str, Any] = (await gateway.get("/status"))["discord"]
                return shown if shown["sentence"].startswith(begins) else {}

            status = await until("the status says it", said)
            readiness: Mapping[str, Any] = await gateway.get("/readyz")

            assert readiness["ready"] is False
            assert readiness["reasons"]["discord"].startswith(begins)
            assert (status["connected"], status["reason"]) == (False, reason)
            for text in (str(readiness), str(status), gateway.log(), await gateway.text("/metrics")):
                assert discord.bot.token not in text


def reports_of(others: Neighbours, reason: str, begins: str = "") -> list[DoorReported]:
    reports = [m for m in others.agent.heard if isinstance(m, DoorReported) and m.reason == reason]
    return [report for report in reports if report.sentence.startswith(begins)]


async def test_a_token_from_a_file_that_changes_is_read_again(
    nats: NatsServer, others: Neighbours, tmp_path: Path
) -> None:
    others.begin_anew()
    token = tmp_path / "token"
    token.write_text("not.the.one\n")
    async with DiscordEmulator() as discord:
        settings = {**environment(discord), "DISCORD_TOKEN": "", "DISCORD_TOKEN_FILE": str(token)}
        async with running_service("gateway", nats, tmp_path, settings, wait=False) as gateway:
            await discord.until("it is refused", lambda: reports_of(others, "TokenRefused"))

            token.write_text(f"{discord.bot.token}\n")
            await gateway.until_ready()

            assert (await gateway.get("/status"))["discord"]["connected"] is True


async def test_talkspurts_of_two_people_at_once_are_two_utterances_with_their_names(home: Home, hello: bytes) -> None:
    mina = await brought(home)
    jun = await home.discord.human("Jun", home.lounge)
    await home.discord.connected()

    await asyncio.gather(mina.say(hello), jun.say(hello))
    await home.until("both are heard", lambda: len(home.reports()) == 2)

    assert {(each.speaker, each.name) for each in home.speech()} == {
        (str(mina.account.id), "Mina"),
        (str(jun.account.id), "Jun"),
    }
    frames = [len(got) for got in home.others.asr.frames.values()]
    assert all(len(hello) / 640 - 10 < count < len(hello) / 640 + 1000 / FRAME_MS for count in frames)
    await jun.leave()
    await mina.leave()
