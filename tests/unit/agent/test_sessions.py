"""What outlives an agent, when it cannot be read."""

import msgspec
import pytest

from parley_agent.sessions import Records, SessionRecord
from parley_contract.messages import DeadLetter, decode
from parley_runtime.telemetry import Telemetry
from parley_testkit.memory_bus import MemoryBroker

SECRET = "my pin is 4711"
RECORD = SessionRecord(session="s1", door="web", channel="c", token_hash="hash")


@pytest.mark.parametrize(
    "value, path",
    [
        (b"", "$"),
        (SECRET.encode(), "$"),
        (msgspec.msgpack.encode(RECORD)[:-1], "$"),
        (
            msgspec.msgpack.encode({**msgspec.to_builtins(RECORD), "history": {"exchanges": [[SECRET]]}}),
            "$.history.exchanges[0]",
        ),
        (msgspec.msgpack.encode(RECORD).replace(b"\xa9exchanges\x90", b"\xa9exchanges\xdd\xff\xff\xff\xff"), "$"),
    ],
    ids=["nothing", "text", "cut", "wrong inside", "more items than there is memory"],
)
async def test_a_record_that_cannot_be_read_is_buried_and_counts_as_none(value: bytes, path: str) -> None:
    broker = MemoryBroker()
    telemetry = Telemetry("agent", broker.assistant)
    agent = broker.bus("agent", telemetry)
    store = await agent.store(broker.layout.sessions)
    await store.create("s1", value)

    loaded = await Records(store, agent).load("s1")

    [letter] = [decode(raw.data) for raw in broker.stored(broker.layout.dead, agent.subjects.dead("agent"))]
    assert loaded is None
    assert isinstance(letter, DeadLetter)
    assert (letter.subject, letter.size) == ("session record s1", len(value))
    assert letter.path == path
    assert SECRET not in repr(letter)
    assert b"parley_bus_malformed_total 1.0" in telemetry.exposition()


async def test_a_record_is_read_as_it_was_written() -> None:
    broker = MemoryBroker()
    agent = broker.bus("agent")
    records = Records(await agent.store(broker.layout.sessions), agent)
    revision = await records.create(RECORD)

    loaded = await records.load("s1")

    assert loaded == (RECORD, revision)
