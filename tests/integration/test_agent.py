"""The agent as a process, with a real broker and a real Ollama; the test plays the other services."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from parley_agent.sessions import Records
from parley_contract.messages import (
    CloseSession,
    DoorReported,
    FinalTranscript,
    FindSessions,
    FoundSession,
    Heartbeat,
    InterruptTurn,
    Message,
    OpenSession,
    PhrasePlayed,
    PlaybackStarted,
    ReplyDelta,
    ReplyEnded,
    ResumeSession,
    SessionOpened,
    SessionRefused,
    SessionsFound,
    SynthesizePhrase,
    TurnInterrupted,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_contract.subjects import ANY
from parley_runtime.nats_bus import NatsBus
from parley_testkit.nats_server import NatsServer, running_nats
from parley_testkit.ollama_server import MODEL, OllamaServer, running_ollama
from parley_testkit.service_process import ServiceProcess, running_service
from parley_testkit.waiting import PATIENCE_S, until

WAIT_S = PATIENCE_S


@pytest.fixture(scope="module")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OllamaServer]:
    with running_ollama(tmp_path_factory.mktemp("ollama") / "ollama.log") as server:
        yield server


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with running_nats(tmp_path, streams=False) as server:
        yield server


def settings(ollama: OllamaServer) -> dict[str, str]:
    return {
        "OLLAMA_URL": ollama.url,
        "LLM_MODEL": MODEL,
        "SYSTEM_PROMPT": "You are a helpful AI assistant named Libra, who answers in short sentences.",
        "TEMPERATURE": "0",
        "NUM_CTX": "2048",
        "NUM_THREAD": "1",
    }


@pytest.fixture
async def agent(nats: NatsServer, ollama: OllamaServer, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    async with running_service("agent", nats, tmp_path, settings(ollama)) as process:
        yield process


@pytest.fixture
async def gateway(nats: NatsServer) -> AsyncIterator[NatsBus]:
    async with nats.bus("gateway") as bus:
        yield bus


@pytest.fixture
async def tts(nats: NatsServer) -> AsyncIterator[NatsBus]:
    async with nats.bus("tts") as bus:
        yield bus


async def opened(gateway: NatsBus) -> SessionOpened:
    request = OpenSession(door="web", channel="c", token_hash="hash")
    answer = await gateway.request(gateway.subjects.open_session(), request, timeout_s=WAIT_S)
    assert isinstance(answer, SessionOpened)
    return answer


async def ask(nats: NatsServer, gateway: NatsBus, session: SessionOpened, text: str, turn: int = 1) -> None:
    speech: dict[str, Any] = {"session": session.session, "epoch": session.epoch, "turn": turn}
    speech |= {"utterance": f"{session.epoch}-{turn}", "speaker": "me"}
    subjects = gateway.subjects
    ended = UtteranceEnded(**speech, last_seq=9, reason="endpoint")
    await gateway.record(subjects.speech(session.session, speech["utterance"]), ended, message_id=f"e{turn}")
    async with nats.bus("asr") as asr:
        final = FinalTranscript(**speech, last_seq=9, outcome="speech", text=text)
        await asr.record(subjects.transcript(session.session, speech["utterance"]), final, message_id=f"f{turn}")


@contextlib.asynccontextmanager
async def replies(gateway: NatsBus, session: SessionOpened) -> AsyncIterator[AsyncIterator[Message]]:
    async with gateway.messages(gateway.subjects.reply(session.session, "*")) as received:
        yield (each.message async for each in received)


async def until_said(messages: AsyncIterator[Message], kind: type[Message]) -> tuple[list[Message], Any]:
    seen: list[Message] = []
    async with asyncio.timeout(WAIT_S):
        async for message in messages:
            if isinstance(message, kind):
                return seen, message
            seen.append(message)
    raise AssertionError("the subscription ended")


async def until_shown(agent: ServiceProcess, **wanted: object) -> dict[str, Any]:
    """Wait until the status page says these things, and return all of it."""

    async def shown() -> dict[str, Any]:
        status: dict[str, Any] = await agent.get("/status")
        return status if status.items() >= wanted.items() else {}

    return await until(f"the status shows {wanted}", shown)


async def until_remembered(nats: NatsServer, session: str) -> None:
    """Wait until the record of a session has an exchange."""
    async with nats.bus("agent") as bus:
        records = Records(await bus.store(nats.layout.sessions), bus)

        async def are_there() -> bool:
            found = await records.load(session)
            return bool(found and found[0].history.exchanges)

        await until("the exchange is on record", are_there)


async def test_who_comes_back_finds_the_sessions_that_live_by_the_hash_of_the_token(
    agent: ServiceProcess, gateway: NatsBus
) -> None:
    async def begun(door: Literal["web", "discord"], channel: str, token_hash: str) -> SessionOpened:
        request = OpenSession(door=door, channel=channel, token_hash=token_hash)
        answer = await gateway.request(gateway.subjects.open_session(), request, timeout_s=WAIT_S)
        assert isinstance(answer, SessionOpened)
        lives = Heartbeat(session=answer.session, epoch=answer.epoch)
        await gateway.publish(gateway.subjects.heartbeat(answer.session), lives, headers={})
        return answer

    async def found() -> Message:
        request = FindSessions(door="discord", token_hash="mine")
        return await gateway.request(gateway.subjects.open_session(), request, timeout_s=WAIT_S)

    mine, ended = await begun("discord", "1/2", "mine"), await begun("discord", "1/3", "mine")
    await begun("discord", "4/5", "another bot's")
    await begun("web", "6", "mine")
    goodbye = CloseSession(session=ended.session, epoch=ended.epoch, reason="the client left")
    await gateway.publish(gateway.subjects.heartbeat(ended.session), goodbye, headers={})

    await until_shown(agent, sessions=3)
    assert await found() == SessionsFound(sessions=(FoundSession(session=mine.session, channel="1/2"),))


async def test_it_passes_on_how_a_door_fares(agent: ServiceProcess, gateway: NatsBus) -> None:
    said = DoorReported(door="discord", is_connected=False, reason="TokenRefused", sentence="make a new one")

    await gateway.publish(gateway.subjects.door(), said, headers={})

    doors = {"discord": {"connected": False, "reason": "TokenRefused", "sentence": "make a new one"}}
    await until_shown(agent, doors=doors)


async def test_a_question_is_answered_phrase_by_phrase(
    nats: NatsServer, agent: ServiceProcess, gateway: NatsBus, tts: NatsBus
) -> None:
    session = await opened(gateway)
    async with replies(gateway, session) as messages:
        await ask(nats, gateway, session, "What is the capital of France?")
        said, ended = await until_said(messages, ReplyEnded)

    text = "".join(message.text for message in said if isinstance(message, ReplyDelta))
    work = await tts.claim(nats.layout.phrases, SynthesizePhrase, timeout_s=WAIT_S)
    assert "Paris" in text
    assert ended.outcome == "complete"
    assert ended.output_tokens > 0
    assert work is not None
    assert work.message.text in text


async def test_status_tells_what_is_there(agent: ServiceProcess, gateway: NatsBus) -> None:
    session = await opened(gateway)
    await gateway.publish(
        gateway.subjects.heartbeat(session.session), Heartbeat(session=session.session, epoch=session.epoch)
    )

    status = await until_shown(agent, sessions=1)

    assert status["ready"] is True
    assert status["streams"]["healthy"] is True
    assert status["model"]["loaded"] is True
    assert status["model"]["context_length"] == 2048


async def test_an_interrupt_stops_the_model_and_raises_the_revision(
    nats: NatsServer, ollama: OllamaServer, gateway: NatsBus, tmp_path: Path
) -> None:
    # It goes on for half a minute.
    talkative = {**settings(ollama), "LLM_NUM_PREDICT": "1000"}
    async with running_service("agent", nats, tmp_path, talkative):
        session = await opened(gateway)
        of_turn: dict[str, Any] = {"session": session.session, "epoch": session.epoch, "turn": 1}
        async with replies(gateway, session) as messages:
            await ask(nats, gateway, session, "Write a long story about a dog.")
            await until_said(messages, ReplyDelta)
            interrupt = InterruptTurn(**of_turn, reason="client", phrase=-1, played_ms=0, phrase_ms=0)
            await gateway.publish(gateway.subjects.interrupt(session.session), interrupt)
            said, interrupted = await until_said(messages, TurnInterrupted)

    assert interrupted.revision == 1
    assert not any(isinstance(message, ReplyEnded) for message in said)


async def test_a_session_is_resumed_by_its_token_alone_and_with_the_next_epoch(
    agent: ServiceProcess, gateway: NatsBus
) -> None:
    session = await opened(gateway)
    subject = gateway.subjects.open_session()

    wrong = await gateway.request(subject, ResumeSession(session=session.session, token_hash="x"), timeout_s=WAIT_S)
    right = await gateway.request(subject, ResumeSession(session=session.session, token_hash="hash"), timeout_s=WAIT_S)
    unknown = await gateway.request(subject, ResumeSession(session="none", token_hash="hash"), timeout_s=WAIT_S)

    assert isinstance(wrong, SessionRefused)
    assert wrong.code == "wrong_token"
    assert isinstance(right, SessionOpened)
    assert right.epoch == session.epoch + 1
    assert isinstance(unknown, SessionRefused)
    assert unknown.code == "unknown_session"


async def test_another_agent_goes_on_with_the_same_history_when_the_first_is_killed(
    nats: NatsServer, ollama: OllamaServer, agent: ServiceProcess, gateway: NatsBus, tmp_path: Path
) -> None:
    session = await opened(gateway)
    of_turn: dict[str, Any] = {"session": session.session, "epoch": session.epoch, "turn": 1}
    async with replies(gateway, session) as messages:
        await ask(nats, gateway, session, "What is the capital of France?")
        _, ended = await until_said(messages, ReplyEnded)
        for phrase in range(ended.phrases):
            subject = gateway.subjects.playback(session.session, 1)
            await gateway.publish(subject, PlaybackStarted(**of_turn, phrase=phrase))
            await gateway.publish(subject, PhrasePlayed(**of_turn, phrase=phrase, played_ms=900, whole=True))
    await until_remembered(nats, session.session)

    async with running_service("agent", nats, tmp_path, settings(ollama)) as second:
        await agent.kill()
        heartbeat = Heartbeat(session=session.session, epoch=session.epoch)

        async def is_taken_over() -> bool:
            await gateway.publish(gateway.subjects.heartbeat(session.session), heartbeat)
            await asyncio.sleep(0.5)  # A gateway says so once a second, and each time the lease is asked for.
            return bool((await second.get("/status"))["owned_sessions"])

        await until("the session is taken over", is_taken_over)
        async with replies(gateway, session) as messages:
            await ask(nats, gateway, session, "And what country is it in?", turn=2)
            said, ended = await until_said(messages, ReplyEnded)

    prompt_of_one_question = 60
    assert any(isinstance(message, ReplyDelta) for message in said)
    assert ended.input_tokens > prompt_of_one_question


async def test_a_turn_whose_gateway_and_agent_died_together_gets_its_outcome_from_the_next_agent(
    nats: NatsServer, ollama: OllamaServer, agent: ServiceProcess, gateway: NatsBus, tmp_path: Path
) -> None:
    session = await opened(gateway)
    speech: dict[str, Any] = {"session": session.session, "epoch": session.epoch, "turn": 1, "utterance": "1-0"}
    started = UtteranceStarted(**speech, speaker="me")
    await gateway.record(gateway.subjects.speech(session.session, "1-0"), started, message_id="s1")
    await agent.kill()

    async with (
        nats.bus("agent") as observer,
        observer.messages(observer.subjects.turn(ANY, ANY)) as reports,
        running_service("agent", nats, tmp_path, settings(ollama)),
        asyncio.timeout(2 * PATIENCE_S),
    ):
        report = (await anext(reports)).message

    assert isinstance(report, TurnReport)
    assert (report.session, report.turn, report.outcome, report.reason) == (
        session.session,
        1,
        "failed",
        "gateway_died",
    )


async def test_sigterm_drains_and_a_missing_model_says_what_to_do(
    nats: NatsServer, ollama: OllamaServer, tmp_path: Path
) -> None:
    environment = {**settings(ollama), "LLM_MODEL": "none:1b"}
    async with running_service("agent", nats, tmp_path, environment, wait=False) as process:
        await process.until_logged("the model is not ready")
        reasons = (await process.get("/readyz"))["reasons"]

        assert await process.stop() == 0

    assert "parley models pull none:1b" in reasons["model"]
    assert all(json.loads(line)["service"] == "agent" for line in process.log().splitlines())
