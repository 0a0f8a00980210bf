"""Whole conversations on an emulated Discord through all real processes: spoken questions, and answers that are heard.

With one person and with three, and two at once; what they hear is transcribed again and compared with what was
written.
"""

import asyncio
import contextlib
import difflib
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from parley_contract.components import components
from parley_contract.frames import RATE_HZ
from parley_contract.messages import FinalTranscript, Message, PhraseReady, TurnReport, UtteranceStarted
from parley_contract.resource import load_manifest
from parley_contract.subjects import ANY
from parley_runtime.nats_bus import NatsBus
from parley_testkit.asr_process import plain
from parley_testkit.assistant_processes import AssistantProcesses, running_assistant
from parley_testkit.discord import BUSY, DiscordEmulator, EmulatedHuman
from parley_testkit.discord.world import Channel, Guild
from parley_testkit.ollama_server import running_ollama
from parley_testkit.service_process import running_service

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
QUESTIONS = ROOT / "docs/samples/questions"


class Home(NamedTuple):
    """An emulated Discord with an assistant on it, and all that is said on its bus."""

    discord: DiscordEmulator
    guild: Guild
    assistant: AssistantProcesses
    settings: dict[str, str]
    """Of its gateway."""
    said: list[Message]

    def reports(self) -> list[TurnReport]:
        return [message for message in self.said if isinstance(message, TurnReport)]

    def transcripts(self) -> dict[str, str]:
        """What was understood of each speaker."""
        finals = [message for message in self.said if isinstance(message, FinalTranscript) and message.text]
        return {final.speaker: plain(final.text) for final in finals}

    def written(self, turn: int) -> str:
        phrases = [message for message in self.said if isinstance(message, PhraseReady) and message.turn == turn]
        return " ".join(phrase.text for phrase in phrases)


@pytest.fixture(scope="module")
def ollama_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_ollama(tmp_path_factory.mktemp("ollama") / "ollama.log") as server:
        yield server.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory, ollama_url: str) -> AsyncIterator[Home]:
    manifest = (ROOT / "docs/samples/discord-laptop.yaml").read_text()
    async with DiscordEmulator(BUSY) as discord:
        guild = discord.guild("Home")
        settings = {
            "OLLAMA_URL": ollama_url,
            # What is heard is the reply, the same each time, however long a busy machine takes.
            "TEMPERATURE": "0",
            "HOLD_AFTER_S": "30",
            "FAIL_AFTER_S": "40",
            "DISCORD_TOKEN": discord.bot.token,
            "DISCORD_API_BASE": discord.api_base,
            "DISCORD_GATEWAY_URL": discord.gateway_url,
            "DISCORD_CA_FILE": str(discord.ca_file),
        }
        async with running_assistant(tmp_path_factory.mktemp("assistant"), manifest, settings) as assistant:
            said: list[Message] = []

            async def follow(bus: NatsBus, *subjects: str) -> None:
                async with bus.messages(*subjects) as messages:
                    async for received in messages:
                        said.append(received.message)  # noqa: PERF401  # it never ends

            async with (
                assistant.nats.bus("agent") as agent,
                assistant.nats.bus("gateway") as gateway,
                asyncio.TaskGroup() as tasks,
            ):
                named = agent.subjects
                following = [
                    tasks.create_task(follow(agent, named.speech(ANY, ANY), named.turn(ANY, ANY))),
                    tasks.create_task(follow(gateway, named.transcript(ANY, ANY), named.reply(ANY, ANY))),
                ]
                [part] = [part for part in components(load_manifest(manifest)) if part.name == "gateway"]
                yield Home(discord, guild, assistant, {**part.environment, **settings}, said)
                for task in following:
                    task.cancel()


@contextlib.asynccontextmanager
async def together(home: Home, *names: str) -> AsyncIterator[list[EmulatedHuman]]:
    """Let people be in a channel with the bot while the block lasts."""
    home.said.clear()
    home.discord.violations.all.clear()
    room: Channel = home.discord.voice_channel(home.guild, " and ".join(names))
    people = [await home.discord.human(name, room) for name in names]
    joined = (await (await people[0].invoke("join")).reply()).content
    assert "listening" in joined
    await home.discord.connected()
    yield people
    with contextlib.suppress(LookupError):  # where the bot is gone
        await (await people[0].invoke("leave")).reply()
    for human in people:
        await human.leave()


async def over(home: Home, turns: int) -> None:
    await home.discord.until("the turns are over", lambda: len(home.reports()) >= turns)


def pcm_of(name: str) -> bytes:
    with wave.open(str(QUESTIONS / name)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE_HZ, 1, 2)
        return bytes(sound.readframes(sound.getnframes()))


async def test_a_person_asks_and_hears_an_answer_that_says_what_was_written(
    home: Home, by_ear: Callable[[bytes], str]
) -> None:
    async with together(home, "Mina") as [mina]:
        await mina.say(pcm_of("capital.wav"))
        await over(home, 1)

        [report] = home.reports()
        heard = mina.heard().pcm
        status = (await (await mina.invoke("status")).reply()).content

    written = home.written(report.turn)
    assert (report.outcome, report.speaker) == ("answered", str(mina.account.id))
    assert home.transcripts() == {str(mina.account.id): plain("What is the capital of France?")}
    assert "Paris" in written
    spoken = await asyncio.to_thread(by_ear, heard)
    assert difflib.SequenceMatcher(None, plain(written), plain(spoken)).ratio() > 0.8
    assert f"latest turns: {(report.e2ft_ms or 0) / 1000:.2f} s" in status
    assert home.discord.violations.but() == []


async def test_three_people_are_told_apart_named_and_all_hear_the_answers(home: Home) -> None:
    async with together(home, "Mina", "Jun", "Ada") as people:
        for number, name in enumerate(("capital.wav", "bees.wav", "sky.wav")):
            await people[number].say(pcm_of(name))
            await over(home, number + 1)
        heard = [len(human.heard().voiced) for human in people]

    ids = [str(human.account.id) for human in people]
    assert [report.speaker for report in home.reports()] == ids
    assert {report.outcome for report in home.reports()} == {"answered"}
    assert list(home.transcripts()) == ids
    started = {message.speaker: message.name for message in home.said if isinstance(message, UtteranceStarted)}
    assert started == dict(zip(ids, ("Mina", "Jun", "Ada"), strict=True))
    assert min(heard) > 50
    assert max(heard) - min(heard) <= 10


async def test_two_who_speak_at_once_are_both_understood_and_the_one_who_finishes_last_is_answered(home: Home) -> None:
    async with together(home, "Mina", "Jun") as [mina, jun]:
        await asyncio.gather(mina.say(pcm_of("capital.wav")), jun.say(pcm_of("playwright.wav")))
        await over(home, 2)
        heard = mina.heard().pcm

    said = {
        str(mina.account.id): plain("What is the capital of France?"),
        str(jun.account.id): plain("Who wrote Romeo and Juliet?"),
    }
    understood = home.transcripts()
    assert set(understood) == set(said)
    for speaker, words in said.items():
        assert difflib.SequenceMatcher(None, understood[speaker], words).ratio() > 0.9
    assert "answered" in {report.outcome for report in home.reports()}, home.reports()
    assert len(heard) > RATE_HZ


async def test_a_gateway_that_is_killed_is_back_in_the_same_conversation(home: Home, tmp_path: Path) -> None:
    # The last test of this page: the gateway of the others is gone after it.
    async with together(home, "Mina") as [mina]:
        await mina.say(pcm_of("capital.wav"))
        await over(home, 1)

        await home.assistant.services["gateway"].kill()
        settings = {name: value for name, value in home.settings.items() if name != "ASSISTANT"}
        async with running_service("gateway", home.assistant.nats, tmp_path, settings, wait=False) as again:
            link = home.discord.link()
            await home.discord.until("it is back", lambda: home.discord.link() is not link)
            await home.discord.connected()
            room = mina.channel
            assert room is not None
            await home.discord.until("it says so", lambda: room.messages)
            before = len(mina.heard().voiced)
            await mina.say(pcm_of("bees.wav"))
            await over(home, 2)

            first, second = home.reports()
            assert room.messages[-1].content == "I was restarted, and am back. Our conversation goes on."
            assert home.discord.bot.token not in again.log()
            assert (second.session, second.outcome) == (first.session, "answered")
            assert (second.epoch, second.turn) == (first.epoch + 1, first.turn + 1)
            assert len(mina.heard().voiced) > before
            await (await mina.invoke("leave")).reply()
