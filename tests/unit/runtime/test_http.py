"""The HTTP surface that every service has, asked without a socket."""

import os
from collections.abc import AsyncIterator

import httpx
import pytest

from parley_contract import telemetry as words
from parley_runtime.http import Health, service_app
from parley_runtime.telemetry import Telemetry


class Surface:
    """A service's surface and what it is made from."""

    def __init__(self) -> None:
        self.health = Health(service="starting", model="not loaded")
        self.telemetry = Telemetry("asr", "a_b")
        self.status: dict[str, object] = {"sessions": 2}
        app = service_app("asr", health=self.health, telemetry=self.telemetry, status=lambda: self.status)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://asr")


@pytest.fixture
async def surface() -> AsyncIterator[Surface]:
    made = Surface()
    async with made.client:
        yield made


@pytest.mark.parametrize("path", ["/health", "/healthz"])
async def test_a_service_is_alive_before_it_is_ready_and_while_it_drains(surface: Surface, path: str) -> None:
    before = await surface.client.get(path)
    surface.health.draining = True
    draining = await surface.client.get(path)

    assert [answer.status_code for answer in (before, draining)] == [200, 200]
    assert before.json() == {"status": "ok", "service": "asr"}


async def test_a_service_that_lacks_something_is_not_ready_and_says_what(surface: Surface) -> None:
    surface.health.ready("service")

    answer = await surface.client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "service": "asr", "pid": os.getpid(), "reasons": {"model": "not loaded"}}


async def test_a_service_that_lacks_nothing_is_ready(surface: Surface) -> None:
    surface.health.ready("service")
    surface.health.ready("model")

    answer = await surface.client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "service": "asr", "pid": os.getpid(), "reasons": {}}


async def test_a_service_may_lose_its_readiness(surface: Surface) -> None:
    surface.health.ready("service")
    surface.health.ready("model")
    surface.health.lacking("broker", "it is away")

    answer = await surface.client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["reasons"] == {"broker": "it is away"}


async def test_what_a_service_needs_is_asked_for_anew_each_time(surface: Surface) -> None:
    connected = True
    surface.health.ready("service")
    surface.health.ready("model")
    surface.health.needs("broker", lambda: connected, "it cannot be reached")

    with_it = await surface.client.get("/readyz")
    connected = False
    without_it = await surface.client.get("/readyz")

    assert (with_it.status_code, without_it.status_code) == (200, 503)
    assert without_it.json()["reasons"] == {"broker": "it cannot be reached"}


async def test_a_service_that_drains_is_not_ready(surface: Surface) -> None:
    surface.health.ready("service")
    surface.health.ready("model")
    surface.health.draining = True

    answer = await surface.client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["reasons"] == {"service": "draining"}


async def test_metrics_are_shown_as_prometheus_reads_them(surface: Surface) -> None:
    surface.telemetry.record(words.ASR_UTTERANCES, outcome="speech")

    answer = await surface.client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'parley_asr_utterances_total{outcome="speech"} 1.0' in answer.text


async def test_status_is_asked_anew_each_time(surface: Surface) -> None:
    first = (await surface.client.get("/status")).json()
    surface.status["sessions"] = 3
    second = (await surface.client.get("/status")).json()

    assert first == {"service": "asr", "ready": False, "sessions": 2}
    assert second["sessions"] == 3


async def test_every_page_is_described(surface: Surface) -> None:
    described = (await surface.client.get("/openapi.json")).json()["paths"]

    assert set(described) == {"/health", "/healthz", "/readyz", "/metrics", "/status"}
    assert set(described["/readyz"]["get"]["responses"]) == {"200", "503"}


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_nothing_else_is_served(surface: Surface, path: str) -> None:
    assert (await surface.client.get(path)).status_code == 404
