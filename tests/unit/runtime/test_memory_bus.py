"""The bus in memory does all that the real one does, on virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from parley_contract.services import Service
from parley_contract.streams import Layout
from parley_runtime.telemetry import Telemetry
from parley_testkit.bus_suite import BusSuite
from parley_testkit.memory_bus import MemoryBroker, MemoryBus

pytestmark = pytest.mark.looptime


class _Broker:
    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    @property
    def layout(self) -> Layout:
        return self._broker.layout

    @contextlib.asynccontextmanager
    async def connect(self, service: Service, telemetry: Telemetry | None = None) -> AsyncIterator[MemoryBus]:
        yield self._broker.bus(service, telemetry)

    async def crash(self) -> None:
        # A process takes a moment to die; who was about to wait for its return waits by then.
        await asyncio.sleep(0.01)
        self._broker.crash()

    async def restart(self) -> None:
        self._broker.restart()


class TestMemoryBus(BusSuite):
    @pytest.fixture
    def broker(self) -> _Broker:
        return _Broker(MemoryBroker())

    @pytest.fixture
    def bare_broker(self) -> _Broker:
        return _Broker(MemoryBroker(streams=False))
