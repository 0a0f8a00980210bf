"""The permissions as a real nats-server enforces them: each service does what it must, and no more."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from parley_contract.permissions import inbox_prefix
from parley_contract.services import SERVICES, Service
from parley_runtime.broker import new_seed
from parley_testkit.nats_server import ASSISTANT, NatsServer, running_nats
from parley_testkit.rights import CALLS, FORBIDDEN_TO_ALL, rights

RIGHTS = rights(ASSISTANT)

services = pytest.mark.parametrize("service", SERVICES)


class Caller:
    """A service's key in the hands of somebody who tries everything."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.refused: set[tuple[str, str]] = set()
        """What the server refused, as `(publish | subscription, subject)`; nats-py tells it in lower case."""
        self.heard: list[str] = []
        self.client = Client()

    async def connect(self, server: NatsServer) -> Self:
        await self.client.connect(
            server.url,
            nkeys_seed_str=server.seeds[self.service].read_text(),
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


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with running_nats(tmp_path) as running:
        yield running


@pytest.fixture
async def callers(server: NatsServer) -> AsyncIterator[dict[Service, Caller]]:
    made = {service: await Caller(service).connect(server) for service in SERVICES}
    yield made
    for caller in made.values():
        await caller.client.close()


async def test_each_service_is_refused_to_say_what_is_not_its_own(callers: dict[Service, Caller]) -> None:
    refused = {
        service: await caller.publish(*(right.subject for right in RIGHTS.values()))
        for service, caller in callers.items()
    }

    assert refused == {
        service: {right.subject for right in RIGHTS.values() if service not in right.speakers} for service in SERVICES
    }


async def test_each_service_is_refused_to_hear_what_is_not_for_it(callers: dict[Service, Caller]) -> None:
    refused = {
        service: await caller.subscribe(*(right.pattern for right in RIGHTS.values()))
        for service, caller in callers.items()
    }

    assert refused == {
        service: {right.pattern for right in RIGHTS.values() if service not in right.listeners} for service in SERVICES
    }


async def test_what_is_said_reaches_those_it_is_for_and_nobody_else(callers: dict[Service, Caller]) -> None:
    for service, caller in callers.items():
        await caller.subscribe(*(right.pattern for right in RIGHTS.values() if service in right.listeners))

    for service, caller in callers.items():
        await caller.publish(*(right.subject for right in RIGHTS.values() if service in right.speakers))
    expected = {
        service: sorted(
            right.subject for right in RIGHTS.values() if service in right.listeners for _ in right.speakers
        )
        for service in SERVICES
    }
    await _until(lambda: all(len(callers[service].heard) >= len(expected[service]) for service in SERVICES))

    assert {service: sorted(caller.heard) for service, caller in callers.items()} == expected
    assert all(caller.refused == set() for caller in callers.values())


async def test_nobody_hears_anothers_inbox_or_everything(callers: dict[Service, Caller]) -> None:
    everything = (">", "*.>", "_INBOX.>", "parley.>", "$JS.>", "$SYS.>", "$KV.>")
    for service, caller in callers.items():
        foreign = {f"{inbox_prefix(other)}.>" for other in SERVICES if other != service}

        assert await caller.subscribe(*foreign, *everything) == {*foreign, *everything}
        assert await caller.subscribe(f"{inbox_prefix(service)}.>") == set()


async def test_each_makes_its_own_calls_and_nobody_deletes_or_spies(
    callers: dict[Service, Caller], server: NatsServer
) -> None:
    names = {name: getattr(server.layout, name).name for name in server.layout.__struct_fields__}
    makers = {call.format_map(names): makers for call, makers in CALLS.items()}
    forbidden = {call.format_map(names) for call in FORBIDDEN_TO_ALL}

    for service, caller in callers.items():
        expected = forbidden | {call for call, who in makers.items() if service not in who}
        assert await caller.publish(*sorted(forbidden), *makers) == expected


@services
async def test_an_answer_is_given_by_the_agent_to_who_asked_and_by_nobody_else(
    callers: dict[Service, Caller], service: Service
) -> None:
    asked = f"{inbox_prefix('gateway')}.question"

    async def answer(msg: Msg) -> None:
        await callers["agent"].client.publish(msg.reply, b"answer")

    await callers["gateway"].subscribe(asked)
    await callers["agent"].subscribe(RIGHTS["open_session"].pattern, take=answer)

    unasked = await callers[service].publish(asked)
    await callers["gateway"].client.publish(RIGHTS["open_session"].subject, b"question", reply=asked)
    await _until(lambda: bool(callers["gateway"].heard))

    assert unasked == {asked}
    assert callers["gateway"].heard == [asked]


async def test_a_key_that_nobody_gave_out_is_refused(server: NatsServer) -> None:
    stranger = Client()
    errors: list[str] = []

    async def note(error: Exception) -> None:
        errors.append(str(error))

    with pytest.raises(Error):
        await stranger.connect(server.url, nkeys_seed_str=new_seed(), allow_reconnect=False, error_cb=note)
    await stranger.close()

    # The broker may also reset the connection before the client has read why.
    assert "nats: 'Authorization Violation'" in errors


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # nothing but asking tells
            await asyncio.sleep(0.01)
