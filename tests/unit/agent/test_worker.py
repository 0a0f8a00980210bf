"""A session's worker on a fake bus, a scripted model and virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parley_agent.history import Exchange, History
from parley_agent.places import Places
from parley_agent.sessions import Lease, Records, SessionRecord
from parley_agent.settings import AgentSettings
from parley_agent.worker import Ending, SessionWorker, Tools
from parley_contract.errors import LeaseLostError
from parley_contract.messages import (
    CandidateTranscript,
    CloseSession,
    FinalTranscript,
    Heartbeat,
    InterruptTurn,
    Message,
    PartialTranscript,
    PhrasePlayed,
    PhraseReady,
    PlaybackStarted,
    ReplyDelta,
    ReplyEnded,
    SegmentStarted,
    SynthesizePhrase,
    TurnInterrupted,
    TurnReport,
    UtteranceEnded,
    decode,
    encode,
)
from parley_contract.resource import Speculation
from parley_runtime.bus import Raw, Received, Store
from parley_runtime.telemetry import Telemetry
from parley_testkit.memory_bus import MemoryBroker, MemoryBus
from parley_testkit.scripted_model import ScriptedModel

pytestmark = pytest.mark.looptime

SESSION = "s1"


class Scene:
    """A worker at work, and what it says."""

    def __init__(
        self, broker: MemoryBroker, bus: MemoryBus, model: ScriptedModel, leases: Store, records: Records
    ) -> None:
        self.broker = broker
        self.bus = bus
        self.model = model
        self.leases = leases
        self.records = records
        self.worker: SessionWorker
        self.running: asyncio.Task[Ending]

    def tell(self, *messages: Message) -> None:
        for message in messages:
            self.worker.receive(Received("", message, {}))

    def said(self, kind: type[Message]) -> list[Any]:
        messages = [decode(raw.data) for raw in self.broker.sent if raw.subject.startswith("parley.")]
        return [message for message in messages if isinstance(message, kind)]

    async def history(self) -> tuple[Exchange, ...]:
        found = await self.records.load(SESSION)
        return found[0].history.exchanges if found else ()


@contextlib.asynccontextmanager
async def scene(
    model: ScriptedModel, *, keep_events_s: float = 86_400, speculation: Speculation = "off"
) -> AsyncIterator[Scene]:
    broker = MemoryBroker()
    bus = broker.bus("agent")
    settings = AgentSettings(
        assistant=broker.assistant,
        nats_url="",
        nats_seed_file=Path("unused"),
        ollama_url="",
        llm_model="scripted",
        system_prompt="Be kind.",
        keep_events_s=keep_events_s,
        speculation=speculation,
    )
    leases = await bus.store(broker.layout.leases)
    records = Records(await bus.store(broker.layout.sessions), bus)
    record = SessionRecord(session=SESSION, door="web", channel="c", token_hash="t")
    revision = await records.create(record)
    lease = await Lease.take(leases, SESSION, "me", asyncio.get_running_loop().time)
    assert lease is not None
    assert revision is not None
    tools = Tools(bus, model, settings, Telemetry("agent", broker.assistant), broker.layout, records, Places(1))
    stage = Scene(broker, bus, model, leases, records)
    stage.worker = SessionWorker(tools, lease, record, revision)
    async with asyncio.TaskGroup() as tasks:
        stage.running = tasks.create_task(stage.worker.run())
        yield stage
        stage.worker.stop()


def speech(turn: int) -> dict[str, Any]:
    return {"session": SESSION, "epoch": 1, "turn": turn, "utterance": f"1-{turn}", "speaker": "me"}


def question(text: str, turn: int = 1) -> list[Message]:
    return [
        UtteranceEnded(**speech(turn), last_seq=9, reason="endpoint"),
        FinalTranscript(**speech(turn), last_seq=9, outcome="speech", text=text),
    ]


def partials(*texts: str, turn: int = 1) -> list[Message]:
    return [
        PartialTranscript(**speech(turn), number=number, text=text, covers_seq=50 * number)
        for number, text in enumerate(texts, 1)
    ]


def played(phrase: int, turn: int = 1) -> list[Message]:
    of_turn: dict[str, Any] = {"session": SESSION, "epoch": 1, "turn": turn, "phrase": phrase}
    return [PlaybackStarted(**of_turn), PhrasePlayed(**of_turn, played_ms=900, whole=True)]


async def test_a_question_becomes_deltas_phrases_and_work_and_then_history() -> None:
    async with scene(ScriptedModel("It is sunny. Take a hat.")) as stage:
        stage.tell(*question("what about the weather"))
        await asyncio.sleep(1)
        stage.tell(*played(0), *played(1))
        await asyncio.sleep(1)

        assert "".join(delta.text for delta in stage.said(ReplyDelta)) == "It is sunny. Take a hat."
        assert [phrase.text for phrase in stage.said(PhraseReady)] == ["It is sunny.", "Take a hat."]
        assert [work.phrase for work in stage.said(SynthesizePhrase)] == [0, 1]
        assert [ended.outcome for ended in stage.said(ReplyEnded)] == ["complete"]
        assert await stage.history() == (Exchange("what about the weather", "It is sunny. Take a hat."),)


async def test_the_second_prompt_begins_with_the_first() -> None:
    async with scene(ScriptedModel("Sure.")) as stage:
        stage.tell(*question("first"))
        await asyncio.sleep(1)
        stage.tell(*played(0), *question("second", turn=2))
        await asyncio.sleep(1)

        first, second = stage.model.prompts
        assert second[: len(first)] == first


async def test_once_a_reply_was_heard_the_model_is_warmed_with_all_that_the_next_prompt_shares() -> None:
    async with scene(ScriptedModel("Sure.")) as stage:
        stage.tell(*question("first"))
        await asyncio.sleep(1)
        stage.tell(*played(0))
        await asyncio.sleep(0.1)
        stage.tell(*question("second", turn=2))
        await asyncio.sleep(1)

        [warmed], [_, second] = stage.model.warmed, stage.model.prompts
        assert warmed[:-1] == second[:-1]
        assert warmed[-1].content == ""


async def test_a_long_utterance_fills_the_prefix_cache_with_what_it_begins_with() -> None:
    async with scene(ScriptedModel("Sure."), speculation="llm") as stage:
        stage.tell(*partials("Tell me about the rain", "Tell me about the rain in Spain"))
        await asyncio.sleep(0.1)

        [warmed] = stage.model.warmed
        assert [message.content for message in warmed] == ["Be kind.", "Tell me about the rain"]
        assert stage.model.prompts == []


async def test_while_the_model_replies_to_somebody_nothing_is_warmed() -> None:
    async with scene(ScriptedModel("One two three. " * 30), speculation="llm") as stage:
        stage.tell(*question("count"))
        await asyncio.sleep(0.1)

        stage.tell(*partials("Tell me about the rain", "Tell me about the rain in Spain", turn=2))
        await asyncio.sleep(0.1)

        assert stage.model.warmed == []


async def test_speech_that_goes_on_closes_the_stream_of_a_guess_at_once() -> None:
    async with scene(ScriptedModel("One two three. " * 30), speculation="llm") as stage:
        stage.tell(CandidateTranscript(**speech(1), text="What is it?", covers_seq=10))
        await asyncio.sleep(0.105)
        written = len(stage.said(ReplyDelta))

        stage.tell(SegmentStarted(**speech(1), latest_seq=20))
        await asyncio.sleep(0.1)

        assert (written, len(stage.said(ReplyDelta))) == (10, 10)
        assert stage.model.cancelled == 1


async def test_an_interrupt_closes_the_models_stream_and_purges_the_work() -> None:
    async with scene(ScriptedModel("One two three. " * 30)) as stage:
        stage.tell(*question("count"))
        await asyncio.sleep(0.2)
        stage.tell(
            InterruptTurn(session=SESSION, epoch=1, turn=1, reason="client", phrase=-1, played_ms=0, phrase_ms=0)
        )
        await asyncio.sleep(0.2)

        assert stage.model.cancelled == 1
        assert [interrupted.revision for interrupted in stage.said(TurnInterrupted)] == [1]
        assert stage.broker.stored(stage.broker.layout.work, stage.bus.subjects.phrase_work(SESSION, 1)) == []


async def test_a_model_that_goes_away_in_the_middle_ends_the_reply_and_the_next_turn_works() -> None:
    model = ScriptedModel("Half of it. And", "Back again.")
    model.fails_after = 3
    async with scene(model) as stage:
        stage.tell(*question("are you there"))
        await asyncio.sleep(1)
        model.fails_after = None
        stage.tell(*question("and now", turn=2))
        await asyncio.sleep(1)

        failed, complete = stage.said(ReplyEnded)
        assert (failed.outcome, failed.reason, failed.phrases) == ("failed", "model_failed", 1)
        assert "went away" in failed.detail
        assert complete.outcome == "complete"


async def test_a_model_that_goes_away_before_its_first_word_is_asked_again() -> None:
    model = ScriptedModel("Here I am.")
    model.fails_after = 0
    async with scene(model) as stage:
        stage.tell(*question("are you there"))
        await asyncio.sleep(2)
        model.fails_after = None
        await asyncio.sleep(2)

        assert [phrase.text for phrase in stage.said(PhraseReady)] == ["Here I am."]
        assert [ended.outcome for ended in stage.said(ReplyEnded)] == ["complete"]


async def test_a_model_that_stays_away_fails_the_turn() -> None:
    model = ScriptedModel("Never heard.")
    model.fails_after = 0
    async with scene(model) as stage:
        stage.tell(*question("are you there"))
        await asyncio.sleep(12)

        assert [(ended.outcome, ended.phrases) for ended in stage.said(ReplyEnded)] == [("failed", 0)]


async def test_a_reply_that_is_written_while_the_broker_is_away_is_said_when_it_is_back() -> None:
    async with scene(ScriptedModel("It is sunny. Take a hat. Or two.")) as stage:
        stage.tell(*question("what about the weather"))
        await asyncio.sleep(0.02)
        stage.broker.crash()
        await asyncio.sleep(5)
        stage.broker.restart()
        stage.broker.make_streams()
        await asyncio.sleep(1)

        assert [phrase.text for phrase in stage.said(PhraseReady)] == ["It is sunny.", "Take a hat.", "Or two."]
        assert [ended.phrases for ended in stage.said(ReplyEnded)] == [3]
        assert not stage.running.done()


async def test_what_was_recorded_before_it_listened_again_is_answered_once() -> None:
    async with scene(ScriptedModel("It is sunny.")) as stage:
        ended, final = question("what about the weather")
        stage.tell(ended)
        await asyncio.sleep(0.02)
        stage.broker.crash()
        stage.broker.restart(Raw(stage.bus.subjects.transcript(SESSION, "1-1"), encode(final), {}))
        await asyncio.sleep(1)
        said = stage.said(PhraseReady)
        stage.tell(final)
        await asyncio.sleep(1)

        assert [phrase.text for phrase in said] == ["It is sunny."]
        assert stage.said(PhraseReady) == said


async def test_another_gateway_goes_on_in_the_next_epoch_and_what_was_open_is_accounted_for() -> None:
    async with scene(ScriptedModel("One two three. " * 30)) as stage:
        stage.tell(*question("count"))
        await asyncio.sleep(0.2)

        record = await stage.worker.move()

        [report] = stage.said(TurnReport)
        assert (record.epoch, record.next_turn) == (2, 2)
        assert (report.epoch, report.turn, report.outcome, report.reason) == (1, 1, "failed", "gateway_died")
        assert stage.model.cancelled == 1


async def test_the_model_writes_nothing_more_for_a_turn_that_only_the_record_knows_to_be_over() -> None:
    async with scene(ScriptedModel("One two three. " * 30)) as stage:
        stage.tell(*question("count"))
        await asyncio.sleep(0.2)
        report = TurnReport(
            session=SESSION, epoch=1, turn=1, speaker="me", outcome="interrupted", started_at=0, speech_ms=0
        )
        subject = stage.bus.subjects.turn(SESSION, 1)
        await stage.bus.record(subject, report, message_id="report")

        await stage.worker.move()

        assert stage.model.cancelled == 1


async def test_a_session_that_is_not_led_here_any_more_cannot_be_moved() -> None:
    async with scene(ScriptedModel()) as stage:
        stage.worker.stop()
        await stage.running

        with pytest.raises(LeaseLostError):
            await stage.worker.move()


async def test_thirty_seconds_without_a_heartbeat_end_the_session_and_free_its_lease() -> None:
    async with scene(ScriptedModel()) as stage:
        await asyncio.sleep(20)
        stage.tell(Heartbeat(session=SESSION, epoch=1))
        await asyncio.sleep(25)
        assert not stage.running.done()

        assert await stage.running == "abandoned"

        assert await stage.leases.get(SESSION) is None


async def test_a_gateway_that_was_cut_off_finds_its_session_again_though_nothing_was_said_in_it() -> None:
    async with scene(ScriptedModel()) as stage:
        assert await stage.running == "abandoned"

        assert await stage.records.load(SESSION) is not None


async def test_with_nothing_to_keep_an_abandoned_session_leaves_a_record_without_words() -> None:
    async with scene(ScriptedModel("Bye."), keep_events_s=0) as stage:
        stage.tell(*question("bye"))
        await asyncio.sleep(1)
        stage.tell(*played(0))

        assert await stage.running == "abandoned"

        found = await stage.records.load(SESSION)
        assert found is not None
        assert (found[0].history, found[0].latest_replies, found[0].next_turn) == (History(), (), 2)
        assert stage.broker.stored(stage.broker.layout.events, stage.bus.subjects.reply(SESSION, "*")) == []


@pytest.mark.parametrize("keep_events_s", [0, 86_400])
async def test_a_broker_that_was_away_for_long_ends_no_session_of_a_gateway_that_lives(keep_events_s: float) -> None:
    async with scene(ScriptedModel("Still here."), keep_events_s=keep_events_s) as stage:
        stage.broker.crash()
        await asyncio.sleep(90)
        stage.broker.restart()
        stage.broker.make_streams()
        await asyncio.sleep(1)

        stage.tell(*question("are you there"))
        await asyncio.sleep(2)

        assert not stage.running.done()
        assert [phrase.text for phrase in stage.said(PhraseReady)] == ["Still here."]
        assert await stage.records.load(SESSION) is not None


async def test_a_session_that_is_handed_on_waits_for_no_model_that_hangs() -> None:
    model = ScriptedModel("Sure.")
    async with scene(model) as stage:
        stage.tell(*question("hello"))
        await asyncio.sleep(1)
        model.hangs = True
        stage.tell(*played(0))
        await asyncio.sleep(0.5)

        stage.worker.stop()
        async with asyncio.timeout(1):
            assert await stage.running == "handed on"


async def test_a_lease_that_another_agent_took_is_given_up() -> None:
    async with scene(ScriptedModel()) as stage:
        await stage.leases.delete(SESSION)
        await stage.leases.create(SESSION, b"another")

        assert await stage.running == "lost"

        entry = await stage.leases.get(SESSION)
        assert entry is not None
        assert entry.value == b"another"


async def test_with_nothing_to_keep_a_closed_session_leaves_nothing() -> None:
    async with scene(ScriptedModel("Bye."), keep_events_s=0) as stage:
        stage.tell(*question("bye"))
        await asyncio.sleep(1)
        stage.tell(*played(0), CloseSession(session=SESSION, epoch=1, reason="left"))
        await stage.running

        assert await stage.records.load(SESSION) is None
        assert stage.broker.stored(stage.broker.layout.events, stage.bus.subjects.reply(SESSION, "*")) == []


async def test_of_a_session_in_which_nothing_was_said_no_record_stays() -> None:
    async with scene(ScriptedModel()) as stage:
        stage.tell(CloseSession(session=SESSION, epoch=1, reason="left"))

        assert await stage.running == "ended"

        assert await stage.records.load(SESSION) is None


async def test_the_record_of_a_conversation_outlives_its_session() -> None:
    async with scene(ScriptedModel("Bye.")) as stage:
        stage.tell(*question("bye"))
        await asyncio.sleep(1)
        stage.tell(*played(0), CloseSession(session=SESSION, epoch=1, reason="left"))
        await stage.running

        assert await stage.history() == (Exchange("bye", "Bye."),)


async def test_a_session_handed_on_keeps_its_record_and_frees_its_lease() -> None:
    async with scene(ScriptedModel("Yes.")) as stage:
        stage.tell(*question("hello"))
        await asyncio.sleep(1)
        stage.tell(*played(0))
        await asyncio.sleep(0.1)
        stage.worker.stop()

        assert await stage.running == "handed on"

        assert await stage.history() == (Exchange("hello", "Yes."),)
        assert await stage.leases.get(SESSION) is None
