"""Buckets: compare-and-set by revision, and values that age."""

import asyncio

import pytest

from parley_contract.errors import BusUnavailableError
from parley_testkit.bus_suite.samples import Broker
from parley_testkit.waiting import until


class BucketSuite:
    """Inherited by `BusSuite`."""

    async def test_a_key_is_made_by_one_and_read_by_all(self, broker: Broker) -> None:
        async with broker.connect("agent") as one, broker.connect("agent") as two:
            ones, twos = await one.store(broker.layout.leases), await two.store(broker.layout.leases)

            made, refused = await ones.create("s1", b"one"), await twos.create("s1", b"two")
            entry = await twos.get("s1")

        assert refused is None
        assert entry is not None
        assert (entry.value, entry.revision) == (b"one", made)

    async def test_of_two_updates_of_one_revision_the_first_wins(self, broker: Broker) -> None:
        async with broker.connect("agent") as agent:
            store = await agent.store(broker.layout.sessions)
            made = await store.create("s1", b"first")
            assert made is not None

            won = await store.update("s1", b"second", revision=made)
            lost = await store.update("s1", b"third", revision=made)
            entry = await store.get("s1")

        assert lost is None
        assert entry is not None
        assert (entry.value, entry.revision) == (b"second", won)

    async def test_a_key_that_was_deleted_can_be_made_again(self, broker: Broker) -> None:
        async with broker.connect("agent") as agent:
            store = await agent.store(broker.layout.sessions)
            first = await store.create("s1", b"first")
            assert first is not None
            await store.delete("s1")
            gone = await store.get("s1")

            stale = await store.update("s1", b"stale", revision=first)
            again = await store.create("s1", b"again")

        assert gone is None
        assert stale is None
        assert again is not None
        assert again > first

    async def test_of_a_revision_only_what_is_still_of_it_is_deleted(self, broker: Broker) -> None:
        async with broker.connect("agent") as agent:
            store = await agent.store(broker.layout.sessions)
            first = await store.create("s1", b"first")
            assert first is not None
            second = await store.update("s1", b"second", revision=first)
            assert second is not None

            await store.delete("s1", revision=first)
            kept = await store.get("s1")
            await store.delete("s1", revision=second)
            gone = await store.get("s1")
            await store.delete("s1", revision=second)

        assert kept is not None
        assert kept.value == b"second"
        assert gone is None

    async def test_deleting_what_is_not_there_is_no_error(self, broker: Broker) -> None:
        async with broker.connect("agent") as agent:
            store = await agent.store(broker.layout.sessions)

            await store.delete("s1")

            assert await store.get("s1") is None

    async def test_a_lease_that_is_not_renewed_runs_out_and_can_be_taken(self, broker: Broker) -> None:
        async with broker.connect("agent") as agent:
            store = await agent.store(broker.layout.leases)
            first = await store.create("s1", b"one")
            assert first is not None

            async def is_gone() -> bool:
                return await store.get("s1") is None

            await asyncio.sleep(broker.layout.leases.ttl_s)
            await until("the lease has run out", is_gone)
            stale = await store.update("s1", b"one", revision=first)
            taken = await store.create("s1", b"two")

        assert stale is None
        assert taken is not None
        assert taken > first

    async def test_a_lease_that_is_renewed_lives_on(self, broker: Broker) -> None:
        async with broker.connect("agent") as agent:
            store = await agent.store(broker.layout.leases)
            revision = await store.create("s1", b"one")
            for _ in range(5):
                await asyncio.sleep(broker.layout.leases.ttl_s * 0.3)
                assert revision is not None
                revision = await store.update("s1", b"one", revision=revision)

            entry = await store.get("s1")

        assert entry is not None
        assert entry.revision == revision

    async def test_a_bucket_that_is_not_there_is_an_error(self, bare_broker: Broker) -> None:
        async with bare_broker.connect("agent") as agent:
            with pytest.raises(BusUnavailableError):
                await agent.store(bare_broker.layout.leases)

    async def test_only_the_agent_may_open_a_bucket(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway:
            with pytest.raises(BusUnavailableError):
                await gateway.store(broker.layout.sessions)
