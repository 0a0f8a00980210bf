"""What strangers say on the bus, and what becomes of what people say: the whole assistant as processes, a real broker.

Only the language model is played, so that it can break as it is told to. Every process logs all it can (`debug`), and
every span and metric that is exported is kept.
"""

import asyncio
import contextlib
import hashlib
import itertools
import os
import re
import struct
import sys
import wave
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.errors import Error

from parley_contract.frames import Flag, Frame, encode_frame
from parley_contract.messages import (
    DeadLetter,
    FinalTranscript,
    SynthesizePhrase,
    TranscribeUtterance,
    TurnReport,
    encode,
)
from parley_contract.permissions import inbox_prefix
from parley_contract.services import SERVICES, Service
from parley_runtime.nats_bus import NatsBus
from parley_testkit.assistant_processes import AssistantProcesses, running_assistant
from parley_testkit.nats_server import NatsServer
from parley_testkit.otlp_receiver import OtlpReceiver, running_otlp_receiver
from parley_testkit.rights import Right, rights
from parley_testkit.scripted_ollama import MODEL, ScriptedOllama, answer, running_scripted_ollama
from parley_testkit.service_process import running_service
from parley_testkit.talker import Talker, talking
from parley_testkit.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
QUESTION = ROOT / "docs/samples/questions/capital.wav"
GOLDEN = ROOT / "tests/contract/golden/messages"
NAMES = tuple(name for name, right in rights("any").items() if right.readers)
"""Every subject that somebody listens to or claims from."""
FRAMES = ("audio", "voice")
OF_AN_UTTERANCE: Final = {"audio", "speech"}
"""What asr reads of the utterances that it follows, and no other."""
EPOCHS: Final = itertools.count(2)

CANARY = "k4n4ry"
"""What a stranger says."""
PROMPT = "Xylophonic"
"""A word of the persona's prompt."""
REPLY = "Zanzibar"
"""A word of the model's replies."""
FOREIGN = "კანარი"
"""A reply in a script that the voice does not read."""
UNSPEAKABLE = "☃☃☃"
"""A reply without a letter."""
SECRETS = (CANARY, PROMPT, REPLY, FOREIGN, UNSPEAKABLE, "capital", "France")
"""The last two are what the user says."""

GOOD_FRAME = encode_frame(Frame(sequence=0, media_samples=0, pcm=bytes(640), epoch=1))
BAD_FRAMES: Final = (
    b"",
    CANARY.encode(),
    GOOD_FRAME[:15],
    GOOD_FRAME + CANARY.encode() + b"x",
    b"\x09" + GOOD_FRAME[1:],
    struct.pack("<BBHHHII", 1, 1, 1, 0, 1, 0, 0) + CANARY.encode(),
    GOOD_FRAME + CANARY.encode() * 150_000,
)
GOOD_MESSAGE = (GOLDEN / "Heartbeat.1.msgpack").read_bytes()
BAD_MESSAGES: Final = (
    b"",
    CANARY.encode(),
    GOOD_MESSAGE[:-1],
    GOOD_MESSAGE + CANARY.encode(),
    b"\x82\xa4type\xa9Heartbeat\xa1x" + b"\x91" * 100_000,
    msgspec.msgpack.encode({"type": "Heartbeat", "session": f"{CANARY}.*", "epoch": 1}),
    msgspec.msgpack.encode({"type": "UtteranceEnded", "reason": CANARY}),
    msgspec.msgpack.encode({"type": "Heartbeat", "session": "s", "epoch": CANARY * 150_000}),
)
UNKNOWN = msgspec.msgpack.encode({"type": f"From{CANARY}", "text": CANARY})


class World(NamedTuple):
    """The assistant and all that surrounds it."""

    assistant: AssistantProcesses
    model: ScriptedOllama
    exported: OtlpReceiver
    strangers: Mapping[Service, Client]
    """Somebody with the key of each service, who says what he likes."""
    agent: NatsBus

    @property
    def nats(self) -> NatsServer:
        return self.assistant.nats

    async def counted(self, service: Service, metric: str) -> int:
        text = await self.assistant.services[service].text("/metrics")
        found = re.search(rf"^{metric}_total (\d+)", text, re.MULTILINE)
        return int(found[1]) if found else 0

    async def letters(self, subject: str) -> list[DeadLetter]:
        dead = self.nats.layout.dead
        messages = [each.message for each in await self.agent.stored_messages(dead, dead.subjects[0])]
        return [letter for letter in messages if isinstance(letter, DeadLetter) and letter.subject == subject]

    async def until_letters(self, subject: str, count: int) -> list[DeadLetter]:
        """Wait until there are so many: they are counted before they are written."""
        found: list[DeadLetter] = []

        async def are_there() -> bool:
            found[:] = await self.letters(subject)
            return len(found) >= count

        await until(f"{count} letters about {subject}", are_there)
        return found

    async def leaks(self) -> list[str]:
        """Where anything that was said, or written into the prompt, is to be found and should not be."""
        places = {f"log of {name}": service.log().encode() for name, service in self.assistant.services.items()}
        for name, service in self.assistant.services.items():
            places[f"metrics of {name}"] = (await service.text("/metrics")).encode()
            places[f"status of {name}"] = (await service.text("/status")).encode()
            places[f"readiness of {name}"] = (await service.text("/readyz")).encode()
        places["spans and metrics"] = b"".join(self.exported.bodies)
        dead = self.nats.layout.dead
        letters = await self.agent.stored_messages(dead, dead.subjects[0])
        places["dead letters"] = b"".join(encode(each.message) for each in letters)
        return [
            f"{secret} in the {place}"
            for place, content in places.items()
            for secret in SECRETS
            if secret.lower().encode() in content.lower()
        ]

    async def all_are_well(self) -> bool:
        pages = [await service.get("/readyz") for service in self.assistant.services.values()]
        return all(page["ready"] for page in pages)


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedOllama]:
    with running_scripted_ollama() as server:
        yield server


@pytest.fixture(scope="module")
def exported() -> Iterator[OtlpReceiver]:
    with running_otlp_receiver() as receiver:
        yield receiver


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, model: ScriptedOllama, exported: OtlpReceiver
) -> AsyncIterator[World]:
    manifest = (ROOT / "docs/samples/laptop.yaml").read_text()
    # A busy machine may take long to work off all that strangers say, and is not to be given up on.
    patient = {"HOLD_AFTER_S": "40", "FAIL_AFTER_S": "50"}
    settings = agent_settings(model) | {"LOG_LEVEL": "debug", "OTEL_EXPORTER_OTLP_ENDPOINT": exported.url} | patient
    async with (
        running_assistant(tmp_path_factory.mktemp("assistant"), manifest, settings) as assistant,
        contextlib.AsyncExitStack() as stack,
    ):
        strangers = {service: await stack.enter_async_context(stranger(assistant, service)) for service in SERVICES}
        agent = await stack.enter_async_context(assistant.nats.bus("agent"))
        yield World(assistant, model, exported, strangers, agent)


def agent_settings(model: ScriptedOllama) -> dict[str, str]:
    return {"OLLAMA_URL": model.url, "LLM_MODEL": MODEL, "SYSTEM_PROMPT": f"You are {PROMPT}."}


@contextlib.asynccontextmanager
async def stranger(assistant: AssistantProcesses, service: Service) -> AsyncIterator[Client]:
    client = Client()

    async def hung_up(_: Exception) -> None:
        """What the broker says to a stranger is not what is tested."""

    await client.connect(
        assistant.nats.url,
        nkeys_seed_str=assistant.nats.seeds[service].read_text(),
        inbox_prefix=inbox_prefix(service).encode(),
        error_cb=hung_up,
    )
    yield client
    await client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(world: World) -> AsyncIterator[str]:
    """A session that is open, so that the gateway listens to all that concerns it."""
    async with talking(world.assistant.door) as talker:
        yield talker.session["session"]


async def until_counted(world: World, service: Service, metric: str, wanted: int) -> None:
    """Wait until a service has counted so many.

    Raises:
        TimeoutError: it never did.
        AssertionError: it counted more.
    """

    async def is_counted() -> bool:
        return await world.counted(service, metric) >= wanted

    await until(f"{service} has counted {wanted} of {metric}", is_counted)
    assert (service, await world.counted(service, metric)) == (service, wanted)


async def followed(world: World, session: str) -> None:
    """Let asr follow the session's utterance `1-0` anew, and no other; in an epoch of its own, for frames are kept."""
    gateway, subjects, epoch = world.strangers["gateway"], world.agent.subjects, next(EPOCHS)
    closing = Frame(sequence=0, media_samples=0, pcm=b"", epoch=epoch - 1, flags=Flag.END)
    await gateway.publish(subjects.audio(session, "1-0"), encode_frame(closing))
    await following(world, utterances=0)
    asked = TranscribeUtterance(session=session, epoch=epoch, turn=1, utterance="1-0", speaker="user")
    await gateway.publish(subjects.utterance_work(session, "1-0"), encode(asked))
    await following(world, utterances=1)


async def following(world: World, *, utterances: int) -> None:
    async def are_followed() -> bool:
        return bool((await world.assistant.services["asr"].get("/status"))["utterances"] == utterances)

    await until(f"{utterances} utterances are followed", are_followed)


async def asked(world: World, talker: Talker) -> TurnReport:
    """Ask the sample question and return the report of its turn."""
    before = len(talker.of("turn"))
    with wave.open(str(QUESTION)) as sound:
        pcm = sound.readframes(sound.getnframes())
    async with asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(talker.say(pcm, then_silence_s=60))
        turn = await talker.until("turn", count=before + 1, timeout_s=60)
        speaking.cancel()
    return msgspec.convert(turn["report"], TurnReport)


async def outcome(world: World) -> str:
    """Ask the assistant and return what becomes of the turn: `answered` if it still does what it is there for."""
    world.model.status, world.model.lines = 200, answer(f"The {REPLY} answer.")
    async with talking(world.assistant.door) as talker:
        report = await asked(world, talker)
        await talker.send(event="bye")
    await until("all are well", world.all_are_well)
    return report.outcome


@pytest.mark.parametrize("name", NAMES)
async def test_what_cannot_be_read_is_buried_by_whoever_reads_it_and_counted(
    world: World, session: str, name: str
) -> None:
    right: Right = rights(world.nats.assistant, session=session)[name]
    readers = set(right.readers)
    bad = BAD_FRAMES if name in FRAMES else BAD_MESSAGES
    if name in OF_AN_UTTERANCE:
        await followed(world, session)
    before = {reader: await world.counted(reader, "parley_bus_malformed") for reader in readers}
    buried = Counter(letter.sha256 for letter in await world.letters(right.subject))

    for data in bad:
        await world.strangers[min(right.speakers)].publish(right.subject, data)
    for reader in readers:
        await until_counted(world, reader, "parley_bus_malformed", before[reader] + len(bad))
    hashes = Counter(hashlib.sha256(data).hexdigest() for data in bad for _ in readers)
    letters = await world.until_letters(right.subject, buried.total() + hashes.total())

    assert Counter(letter.sha256 for letter in letters) - buried == hashes
    assert {letter.service for letter in letters} == readers
    assert all(letter.path.startswith("$") for letter in letters)
    assert {letter.size for letter in letters} == {len(data) for data in bad}
    await until("all are well", world.all_are_well)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FRAMES])
async def test_what_a_newer_version_says_is_counted_and_not_buried(world: World, session: str, name: str) -> None:
    right: Right = rights(world.nats.assistant, session=session)[name]
    readers = set(right.readers)
    if name in OF_AN_UTTERANCE:
        await followed(world, session)
    before = {reader: await world.counted(reader, "parley_bus_unknown") for reader in readers}

    await world.strangers[min(right.speakers)].publish(right.subject, UNKNOWN)
    for reader in readers:
        await until_counted(world, reader, "parley_bus_unknown", before[reader] + 1)

    sha256 = hashlib.sha256(UNKNOWN).hexdigest()
    assert sha256 not in {letter.sha256 for letter in await world.letters(right.subject)}


async def test_nothing_that_cannot_be_read_stays_in_the_work_queue(world: World) -> None:
    jetstream = world.strangers["agent"].jetstream()

    async def is_empty() -> bool:
        return not (await jetstream.stream_info(world.nats.layout.work.name)).state.messages

    await until("the work queue is empty", is_empty)

    for durable in world.nats.layout.durables:
        info = await jetstream.consumer_info(durable.stream, durable.name)
        assert (info.num_pending, info.num_ack_pending) == (0, 0)


async def test_every_kind_of_message_on_every_subject_breaks_nobody(world: World) -> None:
    samples = sorted(GOLDEN.glob("*.msgpack"))

    for name in NAMES:
        right = rights(world.nats.assistant)[name]
        for sample in samples:
            await world.strangers[min(right.speakers)].publish(right.subject, sample.read_bytes())

    assert await outcome(world) == "answered"
    assert not any("exception" in service.log() for service in world.assistant.services.values())


async def test_more_than_the_broker_takes_costs_its_sender_the_connection_and_nobody_else(world: World) -> None:
    async with stranger(world.assistant, "gateway") as client:
        client._max_payload = 2**30  # noqa: SLF001  # the client would refuse, a stranger's would not
        subject = rights(world.nats.assistant)["heartbeat"].subject
        with contextlib.suppress(Error, OSError):
            await client.publish(subject, CANARY.encode() * 500_000)
            await client.flush(timeout=1)

    await until("the broker says so", lambda: "maximum payload exceeded" in world.nats.log.lower())
    await until("all are well", world.all_are_well)


async def test_bad_frames_among_the_stored_ones_do_not_keep_an_utterance_from_its_outcome(world: World) -> None:
    subjects, layout = world.agent.subjects, world.nats.layout
    gateway = world.strangers["gateway"]
    subject = subjects.audio("stored", "1-0")
    for data in (*BAD_FRAMES, GOOD_FRAME):
        await gateway.publish(subject, data)
    ended = Frame(sequence=1, media_samples=320, pcm=b"", epoch=1, flags=1)  # type: ignore[arg-type]
    await gateway.publish(subject, encode_frame(ended))
    asked = TranscribeUtterance(session="stored", epoch=1, turn=1, utterance="1-0", speaker="user", life_s=600)

    await gateway.publish(subjects.utterance_work("stored", "1-0"), encode(asked))

    async def finals() -> list[FinalTranscript]:
        stored = await world.agent.stored_messages(layout.events, subjects.transcript("stored", "1-0"))
        return [each.message for each in stored if isinstance(each.message, FinalTranscript)]

    [final] = await until("there is an outcome", finals)

    assert final.outcome == "silence"
    assert len(await world.until_letters(subject, len(BAD_FRAMES))) == len(BAD_FRAMES)


async def test_an_agent_starts_on_events_that_cannot_be_read(world: World, tmp_path: Path) -> None:
    subject = world.agent.subjects.turn("stored", 1)
    for data in BAD_MESSAGES:
        await world.strangers["gateway"].publish(subject, data)

    async with running_service("agent", world.nats, tmp_path, agent_settings(world.model)) as second:
        status = await second.get("/status")

    assert status["ready"]


async def test_a_session_whose_record_cannot_be_read_is_one_that_has_ended(world: World) -> None:
    async with talking(world.assistant.door) as talker:
        name, resume = talker.session["session"], talker.session["resume"]
        await talker.send(event="bye")
        await talker.closed()
    bucket = await world.strangers["agent"].jetstream().key_value(world.nats.layout.sessions.name)
    await bucket.put(name, CANARY.encode())

    async with talking(world.assistant.door, query=f"resume={resume}") as again:
        resumed = again.session["resumed"]
        await again.send(event="bye")

    assert resumed is False
    assert await world.until_letters(f"session record {name}", 1)


async def test_a_token_that_is_no_ascii_breaks_nobody(world: World) -> None:
    async with talking(world.assistant.door) as talker:
        name = talker.session["session"]
        question = {"type": "ResumeSession", "session": name, "token_hash": "é"}
        answered = await world.strangers["gateway"].request(
            world.agent.subjects.open_session(), msgspec.msgpack.encode(question)
        )
        await talker.send(event="bye")

    assert msgspec.msgpack.decode(answered.data)["code"] == "wrong_token"


BREAKDOWNS: Final = {
    "an error": (500, [CANARY.encode()], "failed"),
    "an error in the middle": (200, [*answer(f"{REPLY} is")[:2], msgspec.json.encode({"error": CANARY})], "failed"),
    "no JSON": (200, [*answer(f"{REPLY} is")[:2], CANARY.encode()], "failed"),
    "no end": (200, answer(f"{REPLY} is")[:2], "answered"),
    "another script": (200, answer(FOREIGN), "answered"),
    "nothing that can be spoken": (200, answer(UNSPEAKABLE), "failed"),
}
"""How the model may break: status, lines, and what becomes of the turn."""


async def test_what_was_said_stands_in_no_log_metric_span_or_dead_letter_however_the_model_breaks(
    world: World, session: str
) -> None:
    phrase = SynthesizePhrase(session=session, epoch=1, turn=9, phrase=0, text=FOREIGN, language="ka", sent_at=0)
    await world.strangers["agent"].publish(world.agent.subjects.phrase_work(session, 9), encode(phrase))
    for data in BAD_MESSAGES:
        await world.strangers["agent"].publish(world.agent.subjects.reply(session, 9), data)
    reports: dict[str, TurnReport] = {}
    async with talking(world.assistant.door) as talker:
        for breakdown, (world.model.status, world.model.lines, _) in BREAKDOWNS.items():
            reports[breakdown] = await asked(world, talker)
        await talker.send(event="bye")

    afterwards = await outcome(world)
    trace_id = reports["nothing that can be spoken"].trace_id
    await until("its spans are exported", lambda: world.exported.trace(trace_id))

    assert {breakdown: report.outcome for breakdown, report in reports.items()} == {
        breakdown: outcome for breakdown, (_, _, outcome) in BREAKDOWNS.items()
    }
    assert not any(secret in f"{report}" for report in reports.values() for secret in SECRETS)
    assert afterwards == "answered"
    assert PROMPT in f"{world.model.questions}"
    assert "capital" in f"{world.model.questions}"
    assert await world.leaks() == []


@pytest.mark.parametrize("service", SERVICES)
async def test_every_page_is_as_the_service_describes_it_whatever_is_asked(
    world: World, service: Service, tmp_path: Path
) -> None:
    schemathesis = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "run",
        f"{world.assistant.services[service].url}/openapi.json",
        "--max-examples=20",
        "--seed=4711",
        "--generation-database=none",
        # No schema can say which bytes are sound.
        *(["--exclude-checks=positive_data_acceptance"] if service == "asr" else []),
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        stdout=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    said, _ = await schemathesis.communicate()

    assert schemathesis.returncode == 0, said.decode()
    assert f"Tested: {11 if service == 'asr' else 5}" in said.decode()
