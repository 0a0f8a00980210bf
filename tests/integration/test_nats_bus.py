"""The bus on a real nats-server does all that a bus must, and outlives what happens to the broker."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parley_contract.services import Service
from parley_contract.streams import Layout
from parley_runtime.nats_bus import NatsBus
from parley_runtime.telemetry import Telemetry
from parley_testkit.bus_suite import BusSuite
from parley_testkit.nats_server import NatsServer, running_nats


class _Broker:
    def __init__(self, server: NatsServer) -> None:
        self._server = server

    @property
    def layout(self) -> Layout:
        return self._server.layout

    def connect(
        self, service: Service, telemetry: Telemetry | None = None
    ) -> contextlib.AbstractAsyncContextManager[NatsBus]:
        return self._server.bus(service, telemetry)

    async def crash(self) -> None:
        await self._server.kill()

    async def restart(self) -> None:
        await self._server.start()


class TestNatsBus(BusSuite):
    @pytest.fixture
    async def broker(self, tmp_path: Path) -> AsyncIterator[_Broker]:
        async with running_nats(tmp_path) as server:
            yield _Broker(server)

    @pytest.fixture
    async def bare_broker(self, tmp_path: Path) -> AsyncIterator[_Broker]:
        async with running_nats(tmp_path, streams=False) as server:
            yield _Broker(server)
