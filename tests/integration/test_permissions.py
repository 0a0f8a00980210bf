"""The permissions as a real nats-server enforces them: each service does what it must, and no more.

Both by the assistant's own broker, which has them in its configuration, and by a NATS that somebody else runs, where
the services have roles of an account; there the assistant has the longest name and namespace that there can be.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import pytest
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nats.errors import Error

from parley_contract.permissions import inbox_prefix
from parley_contract.services import SERVICES, Service, assistant_key
from parley_contract.streams import layout
from parley_runtime.broker import new_seed
from parley_runtime.nats_bus import are_credentials
from parley_testkit.nats_accounts import running_account
from parley_testkit.nats_server import ASSISTANT, running_nats
from parley_testkit.rights import CALLS, FORBIDDEN_TO_ALL, Right, rights
from parley_testkit.waiting import until

LONGEST = assistant_key("n" * 63, "a" * 40)

services = pytest.mark.parametrize("service", SERVICES)


class Broker(NamedTuple):
    """A nats-server with the streams of one assistant."""

    assistant: str
    url: str
    keys: Mapping[Service, str]
    """What lets each service in."""

    @property
    def rights(self) -> Mapping[str, Right]:
        return rights(self.assistant)


class Caller:
    """A service's key in the hands of somebody who tries everything."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.refused: set[tuple[str, str]] = set()
        """What the server refused, as `(publish | subscription, subject)`; nats-py tells it in lower case."""
        self.heard: list[str] = []
        self.client = Client()

    async def connect(self, broker: Broker) -> Self:
        key = broker.keys[self.service]
        await self.client.connect(
            broker.url,
            **{"user_credentials": RawCredentials(key)} if are_credentials(key) else {"nkeys_seed_str": key},
            inbox_prefix=inbox_prefix(self.service).encode(),
            error_cb=self._on_error,
        )
        return self

    async def _on_error(self, error: Exception) -> None:
        found = re.search(r'permissions violation for (publish|subscription) to "([^"]+)"', str(error))
        assert found, error
        self.refused.add((found[1], found[2]))

    async def publish(self, *subjects: str) -> set[str]:
        """Publish to each; return what was refused."""
        for subject in subjects:
            await self.client.publish(subject, b"x")
        await self._settle()
        return {subject for subject in subjects if ("publish", subject.lower()) in self.refused}

    async def subscribe(self, *subjects: str, take: Callable[[Msg], Awaitable[None]] | None = None) -> set[str]:
        """Subscribe to each; return what was refused."""
        for subject in subjects:
            await self.client.subscribe(subject, cb=take or self._take)
        await self._settle()
        return {subject for subject in subjects if ("subscription", subject.lower()) in self.refused}

    async def _settle(self) -> None:
        # nats-py sends the PING of a flush ahead of what is still buffered, so its answer may precede the refusals.
        await self.client.flush()
        await self.client.flush()

    async def _take(self, msg: Msg) -> None:
        self.heard.append(msg.subject)


@pytest.fixture(params=["own", "account"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    if request.param == "own":
        async with running_nats(tmp_path) as own:
            yield Broker(ASSISTANT, own.url, {service: path.read_text() for service, path in own.seeds.items()})
    else:
        async with running_account(tmp_path, LONGEST) as account:
            async with account.bus("agent") as agent:
                await agent.ensure(layout(LONGEST))
            yield Broker(LONGEST, account.url, {service: account.credentials(service) for service in SERVICES})


@pytest.fixture
async def callers(broker: Broker) -> AsyncIterator[dict[Service, Caller]]:
    made = {service: await Caller(service).connect(broker) for service in SERVICES}
    yield made
    for caller in made.values():
        await caller.client.close()


async def test_each_service_is_refused_to_say_what_is_not_its_own(
    callers: dict[Service, Caller], broker: Broker
) -> None:
    refused = {
        service: await caller.publish(*(right.subject for right in broker.rights.values()))
        for service, caller in callers.items()
    }

    assert refused == {
        service: {each.subject for each in broker.rights.values() if service not in each.speakers}
        for service in SERVICES
    }


async def test_each_service_is_refused_to_hear_what_is_not_for_it(
    callers: dict[Service, Caller], broker: Broker
) -> None:
    refused = {
        service: await caller.subscribe(*(right.pattern for right in broker.rights.values()))
        for service, caller in callers.items()
    }

    assert refused == {
        service: {each.pattern for each in broker.rights.values() if service not in each.listeners}
        for service in SERVICES
    }


async def test_what_is_said_reaches_those_it_is_for_and_nobody_else(
    callers: dict[Service, Caller], broker: Broker
) -> None:
    for service, caller in callers.items():
        await caller.subscribe(*(right.pattern for right in broker.rights.values() if service in right.listeners))

    for service, caller in callers.items():
        await caller.publish(*(right.subject for right in broker.rights.values() if service in right.speakers))
    expected = {
        service: sorted(
            right.subject for right in broker.rights.values() if service in right.listeners for _ in right.speakers
        )
        for service in SERVICES
    }
    await until(
        "all is heard", lambda: all(len(callers[service].heard) >= len(expected[service]) for service in SERVICES)
    )

    assert {service: sorted(caller.heard) for service, caller in callers.items()} == expected
    assert all(caller.refused == set() for caller in callers.values())


async def test_nobody_hears_anothers_inbox_or_everything(callers: dict[Service, Caller], broker: Broker) -> None:
    everything = (">", "*.>", "_INBOX.>", "parley.>", "$JS.>", "$SYS.>", "$KV.>")
    for service, caller in callers.items():
        foreign = {f"{inbox_prefix(other)}.>" for other in SERVICES if other != service}

        assert await caller.subscribe(*foreign, *everything) == {*foreign, *everything}
        assert await caller.subscribe(f"{inbox_prefix(service)}.>") == set()


async def test_each_makes_its_own_calls_and_nobody_deletes_or_spies(
    callers: dict[Service, Caller], broker: Broker
) -> None:
    streams = layout(broker.assistant)
    names = {name: getattr(streams, name).name for name in streams.__struct_fields__}
    makers = {call.format_map(names): makers for call, makers in CALLS.items()}
    forbidden = {call.format_map(names) for call in FORBIDDEN_TO_ALL}

    for service, caller in callers.items():
        expected = forbidden | {call for call, who in makers.items() if service not in who}
        assert await caller.publish(*sorted(forbidden), *makers) == expected


@services
async def test_an_answer_is_given_by_the_agent_to_who_asked_and_by_nobody_else(
    callers: dict[Service, Caller], broker: Broker, service: Service
) -> None:
    asked = f"{inbox_prefix('gateway')}.question"

    async def answer(msg: Msg) -> None:
        await callers["agent"].client.publish(msg.reply, b"answer")

    await callers["gateway"].subscribe(asked)
    await callers["agent"].subscribe(broker.rights["open_session"].pattern, take=answer)

    unasked = await callers[service].publish(asked)
    await callers["gateway"].client.publish(broker.rights["open_session"].subject, b"question", reply=asked)
    await until("the answer is heard", lambda: callers["gateway"].heard)

    assert unasked == {asked}
    assert callers["gateway"].heard == [asked]


async def test_a_key_that_nobody_gave_out_is_refused(tmp_path: Path) -> None:
    stranger = Client()
    errors: list[str] = []

    async def note(error: Exception) -> None:
        errors.append(str(error))

    async with running_nats(tmp_path) as server:
        with pytest.raises(Error):
            await stranger.connect(server.url, nkeys_seed_str=new_seed(), allow_reconnect=False, error_cb=note)
        await stranger.close()

    # The broker may also reset the connection before the client has read why.
    assert "nats: 'Authorization Violation'" in errors
