"""A NATS of the owner's lets the services in by the credentials that its admin made, with the same rights."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parley_contract.errors import BusUnavailableError
from parley_contract.streams import layout
from parley_contract.subjects import ANY
from parley_testkit.bus_suite.samples import heartbeat
from parley_testkit.nats_accounts import Account, running_account, write_account
from parley_testkit.nats_server import ASSISTANT
from parley_testkit.waiting import PATIENCE_S


@pytest.fixture
async def account(tmp_path: Path) -> AsyncIterator[Account]:
    async with running_account(tmp_path, ASSISTANT) as account:
        yield account


async def test_services_meet_there_with_their_credentials(account: Account) -> None:
    async with account.bus("agent") as agent, account.bus("gateway") as gateway:
        await agent.ensure(layout(ASSISTANT))
        async with agent.messages(agent.subjects.heartbeat(ANY)) as heard:
            await gateway.publish(gateway.subjects.heartbeat("s1"), heartbeat())
            async with asyncio.timeout(PATIENCE_S):
                received = await anext(heard)

    assert received.message == heartbeat()


async def test_the_rights_are_those_of_the_service_whose_credentials_they_are(account: Account) -> None:
    async with account.bus("asr") as asr:
        with pytest.raises(BusUnavailableError):
            await asr.ensure(layout(ASSISTANT))


async def test_credentials_that_are_not_known_any_more_end_the_service_with_a_sentence(
    account: Account, tmp_path: Path
) -> None:
    write_account(tmp_path / "another", ASSISTANT, port=1)
    (tmp_path / "asr.creds").write_text((tmp_path / "another/asr.creds").read_text())

    with pytest.raises(BusUnavailableError, match="does not know this service's key"):
        async with asyncio.timeout(PATIENCE_S), account.bus("asr") as asr:
            await asr.ensure(layout(ASSISTANT))
