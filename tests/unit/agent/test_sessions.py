"""What outlives an agent: a record that cannot be read, and a lease that may have run out."""

import msgspec
import pytest

from parley_agent.sessions import Lease, Records, SessionRecord
from parley_contract.errors import LeaseLostError
from parley_contract.messages import DeadLetter, decode
from parley_contract.streams import layout
from parley_runtime.telemetry import Telemetry
from parley_testkit.memory_bus import MemoryBroker
from parley_testkit.memory_streams import MemoryStore

BUCKET = layout("test_libra").leases
PATH = "$.history.exchanges[0]"
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
            PATH,
        ),
        (msgspec.msgpack.encode(RECORD).replace(b"\xa9exchanges\x90", b"\xa9exchanges\xdd\xff\xff\xff\xff"), PATH),
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


class TestALease:
    """On a clock of its own: a process that is stopped has no other way to know how much time has passed."""

    async def test_one_that_may_have_run_out_is_renewed_before_anything_is_done(self) -> None:
        store, clock = MemoryStore(BUCKET, lambda: True), [100.0]
        lease = await Lease.take(store, "s1", "me", lambda: clock[0])
        assert lease is not None
        before = await store.get("s1")

        await lease.assure()
        held = await store.get("s1")
        clock[0] += 3
        await lease.assure()
        renewed = await store.get("s1")

        assert held == before
        assert renewed != before

    async def test_one_that_another_took_meanwhile_is_lost(self) -> None:
        store, clock = MemoryStore(BUCKET, lambda: True), [100.0]
        lease = await Lease.take(store, "s1", "me", lambda: clock[0])
        assert lease is not None
        clock[0] += 5
        await store.delete("s1")
        await store.create("s1", b"another")

        with pytest.raises(LeaseLostError):
            await lease.assure()

    async def test_one_whose_renewal_was_not_answered_is_still_ours(self) -> None:
        store, clock = MemoryStore(BUCKET, lambda: True), [100.0]
        lease = await Lease.take(store, "s1", "me", lambda: clock[0])
        entry = await store.get("s1")
        assert lease is not None
        assert entry is not None
        await store.update("s1", b"me", revision=entry.revision)

        await lease.renew()
        await lease.renew()

        assert (await Lease.take(store, "s1", "another", lambda: clock[0])) is None

    async def test_one_that_is_anothers_by_now_is_not_released(self) -> None:
        store, clock = MemoryStore(BUCKET, lambda: True), [100.0]
        lease = await Lease.take(store, "s1", "me", lambda: clock[0])
        assert lease is not None
        await store.delete("s1")
        await store.create("s1", b"another")

        await lease.release()

        entry = await store.get("s1")
        assert entry is not None
        assert entry.value == b"another"
