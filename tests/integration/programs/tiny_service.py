"""The smallest service there can be, for test_lifecycle: it serves HTTP, gets ready, waits, and ends as it is told."""

import asyncio
from pathlib import Path

import structlog

from parley_contract.errors import PermanentError
from parley_runtime.http import service_app
from parley_runtime.lifecycle import Runtime, run_service
from parley_runtime.settings import ServiceSettings

THOUGHT = "nobody thought of this"


class TinySettings(ServiceSettings, frozen=True, kw_only=True, rename="upper"):
    """What the test tells it."""

    finish_file: str = ""
    """Asked to end, it still has to do until this file is there; empty for nothing to do."""
    fail: str = ""
    """Once ready, it fails with this: `ours` with an error of the tree, `bug` with any other."""


async def main(runtime: Runtime[TinySettings]) -> None:
    """Live."""
    log = structlog.get_logger()
    app = service_app("tts", health=runtime.health, telemetry=runtime.telemetry, status=dict)
    async with runtime.http(app):
        with runtime.telemetry.span("turn"):
            log.info("inside of a span")
        runtime.health.ready("service")
        match runtime.settings.fail:
            case "ours":
                raise PermanentError("the model is missing: run parley models pull")
            case "bug":
                raise RuntimeError(THOUGHT)
        await runtime.stopping.wait()
        while (file := runtime.settings.finish_file) and not Path(file).exists():  # noqa: ASYNC110, ASYNC240  # a test
            await asyncio.sleep(0.01)
        log.info("finished")


if __name__ == "__main__":
    run_service("tts", TinySettings, main)
