"""How a service begins and ends, with the smallest one there is as a real process on a real broker."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parley_testkit.nats_server import NatsServer, running_nats
from parley_testkit.waiting import PATIENCE_S, until

PROGRAM = Path(__file__).parent / "programs" / "tiny_service.py"


class Tiny:
    """One running tiny service."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, **environment: str) -> AsyncIterator["Tiny"]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAM, env={**os.environ, **environment}, stderr=asyncio.subprocess.PIPE
        )
        tiny = cls(process)
        reading = asyncio.create_task(tiny._read())
        try:
            yield tiny
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await reading

    async def _read(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            self.lines.append(line.decode().rstrip())

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.logged]

    async def until(self, event: str) -> dict[str, Any]:
        """Wait for a log line."""
        await until(f"it logs {event!r}", lambda: event in self.events)
        return next(line for line in self.logged if line["event"] == event)

    async def ready(self) -> httpx.Response:
        """Ask whether it is ready."""
        return await self.page("/readyz")

    async def page(self, path: str) -> httpx.Response:
        """Ask for a page."""
        port = (await self.until("listening"))["port"]
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{port}{path}")

    async def until_reasons(self, reasons: dict[str, str]) -> httpx.Response:
        """Wait until it lacks exactly these things."""

        async def answer() -> httpx.Response | None:
            said = await self.ready()
            return said if said.json()["reasons"] == reasons else None

        answered = await until(f"it lacks {reasons}", answer)
        assert answered
        return answered

    async def end(self) -> int:
        """Wait for its end and return its status."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with running_nats(tmp_path, streams=False) as running:
        yield running


def settings(nats: NatsServer, **more: str) -> dict[str, str]:
    common = {"ASSISTANT": nats.assistant, "NATS_URL": nats.url, "NATS_SEED_FILE": str(nats.seeds["tts"]), "PORT": "0"}
    return common | more


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_that_is_asked_to_end_finishes_what_it_does(
    nats: NatsServer, tmp_path: Path, number: signal.Signals
) -> None:
    done = tmp_path / "done"
    async with Tiny.running(**settings(nats, FINISH_FILE=str(done))) as tiny:
        ready = await tiny.until_reasons({})
        tiny.process.send_signal(number)
        draining = await tiny.until_reasons({"service": "draining"})
        done.touch()
        code = await tiny.end()

    assert (ready.status_code, draining.status_code) == (200, 503)
    assert code == 0
    assert tiny.events == ["listening", "inside of a span", "draining", "finished", "drained"]


async def test_a_service_that_does_not_finish_in_time_is_cut_and_says_so(nats: NatsServer, tmp_path: Path) -> None:
    async with Tiny.running(**settings(nats, FINISH_FILE=str(tmp_path / "never"))) as tiny:
        await tiny.until_reasons({})
        tiny.process.terminate()
        code = await tiny.end()

    assert code == 1
    assert tiny.events[-2:] == ["draining", "did not drain in time"]


async def test_a_receiver_of_traces_that_does_not_answer_does_not_hold_up_the_end(nats: NatsServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with Tiny.running(**settings(nats, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)) as tiny:
            await tiny.until_reasons({})
            tiny.process.terminate()
            code = await tiny.end()

    assert code == 0


async def test_bad_settings_are_all_reported_and_nothing_is_begun() -> None:
    async with Tiny.running(
        ASSISTANT="", NATS_URL="", NATS_SEED_FILE="/x", PORT="high", TRACE_SAMPLE_RATIO="half"
    ) as tiny:
        code = await tiny.end()

    assert code == 2
    assert tiny.lines == [
        "parley-tts cannot start, the environment has problems:",
        "  ASSISTANT: is required",
        "  NATS_URL: is required",
        "  PORT: expected `int`, got `str`",
        "  TRACE_SAMPLE_RATIO: expected `float`, got `str`",
    ]


async def test_a_port_that_is_taken_is_one_sentence(nats: NatsServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with Tiny.running(**settings(nats, PORT=str(port))) as tiny:
            code = await tiny.end()

    assert code == 3
    [line] = tiny.logged
    assert line["detail"] == (
        f"cannot listen on 127.0.0.1:{port}, Address already in use: does something else run there?"
    )
    assert len(tiny.lines) == 1


async def test_a_seed_that_cannot_be_read_is_one_sentence(nats: NatsServer, tmp_path: Path) -> None:
    async with Tiny.running(**settings(nats, NATS_SEED_FILE=str(tmp_path / "none.nk"))) as tiny:
        code = await tiny.end()

    assert code == 1
    assert [line["detail"] for line in tiny.logged] == [
        f"NATS_SEED_FILE {tmp_path / 'none.nk'} cannot be read: No such file or directory"
    ]


async def test_a_seed_that_is_none_is_one_sentence_that_does_not_repeat_it(nats: NatsServer, tmp_path: Path) -> None:
    (tmp_path / "bad.nk").write_text("a secret that is no seed")

    async with Tiny.running(**settings(nats, NATS_SEED_FILE=str(tmp_path / "bad.nk"))) as tiny:
        code = await tiny.end()

    assert code == 1
    assert [line["event"] for line in tiny.logged] == ["cannot go on"]
    assert "a secret" not in "\n".join(tiny.lines)


async def test_a_service_without_its_broker_waits_says_so_and_ends_when_asked(tmp_path: Path) -> None:
    nats = NatsServer(tmp_path)

    async with Tiny.running(**settings(nats)) as tiny:
        await tiny.until("waiting for the broker")
        ready, alive = await tiny.ready(), await tiny.page("/healthz")
        tiny.process.terminate()
        code = await tiny.end()

    assert (ready.status_code, ready.json()["reasons"]) == (503, {"broker": "the broker cannot be reached"})
    assert (alive.status_code, alive.json()) == (200, {"status": "ok", "service": "tts"})
    assert code == 0
    assert tiny.events == ["listening", "waiting for the broker", "drained"]


async def test_a_broker_that_comes_late_makes_a_service_ready(tmp_path: Path) -> None:
    nats = NatsServer(tmp_path)
    async with Tiny.running(**settings(nats)) as tiny:
        await tiny.until_reasons({"broker": "the broker cannot be reached"})
        await nats.start()
        try:
            ready = await tiny.until_reasons({})
        finally:
            await nats.kill()

    assert ready.status_code == 200


async def test_a_service_that_loses_its_broker_is_not_ready_until_it_is_back(nats: NatsServer) -> None:
    async with Tiny.running(**settings(nats)) as tiny:
        await tiny.until_reasons({})
        await nats.kill()
        away = await tiny.until_reasons({"broker": "the broker cannot be reached"})
        await nats.start()
        back = await tiny.until_reasons({})
        tiny.process.terminate()
        code = await tiny.end()

    assert (away.status_code, back.status_code, code) == (503, 200, 0)


async def test_a_service_whose_key_was_rotated_ends_so_that_it_comes_back_with_the_new_one(nats: NatsServer) -> None:
    async with Tiny.running(**settings(nats)) as tiny:
        await tiny.until_reasons({})
        nats.rotate("tts")
        code = await tiny.end()
    async with Tiny.running(**settings(nats)) as again:
        ready = await again.until_reasons({})

    assert code == 1
    assert "it was rotated" in tiny.logged[-1]["detail"]
    assert ready.status_code == 200


async def test_an_error_of_ours_ends_the_service_with_its_sentence(nats: NatsServer) -> None:
    async with Tiny.running(**settings(nats, FAIL="ours")) as tiny:
        code = await tiny.end()

    assert code == 1
    assert tiny.logged[-1]["detail"] == "the model is missing: run parley models pull"
    assert not any("Traceback" in line for line in tiny.lines)


async def test_a_bug_ends_the_service_and_is_logged_with_its_place_and_not_its_words(nats: NatsServer) -> None:
    async with Tiny.running(**settings(nats, FAIL="bug")) as tiny:
        code = await tiny.end()

    assert code == 1
    assert re.search(r"tiny_service\.py\", line \d+, in main(.|\n)*RuntimeError", tiny.logged[-1]["exception"])
    assert "nobody thought" not in "\n".join(tiny.lines)


async def test_log_lines_name_the_service_and_inside_of_a_span_the_trace(nats: NatsServer) -> None:
    async with Tiny.running(**settings(nats)) as tiny:
        inside = await tiny.until("inside of a span")

    outside = tiny.logged[0]
    assert len(inside["trace_id"]) == 32
    assert "trace_id" not in outside
    assert {line["service"] for line in tiny.logged} == {"tts"}
    assert (outside["level"], outside["event"]) == ("info", "listening")
