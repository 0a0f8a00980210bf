"""One asr service alone on a loopback port, without a broker: started, waited for, ended. For `eval_command`."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx

from parley_cli.children import Child, guard
from parley_cli.launches import LOOPBACK, READYZ, SERVICE_STOP_S, Launch
from parley_cli.ports import free_port
from parley_cli.probes import lacks
from parley_contract.errors import PermanentError

_POLL_S: Final = 0.1
_LAST_LINES: Final = 5


class AsrEndedError(PermanentError):
    """The service ended while it was needed."""


@contextlib.asynccontextmanager
async def lone_asr(model: str, window_s: float | None, store: Path, hurry: asyncio.Event) -> AsyncIterator[str]:
    """Run the service while the block lasts, which gets its address once it is ready.

    Settings that are not given here (`COMPUTE_TYPE`, `BEAM_SIZE`, `DEVICE`) come from the environment of `parley`.

    Args:
        model: of the catalogue, or the path of a folder; in the store.
        window_s: what one pass of the encoder sees; None for the service's own.
        store: folder of models.
        hurry: set to have it killed instead of asked.

    Raises:
        AsrEndedError: it ended by itself, with what it said last; the block is cancelled then.
    """
    launch = _launch(model, window_s, store)
    with tempfile.TemporaryDirectory(prefix="parley-eval-") as folder:
        log = Path(folder) / "asr.log"
        async with guard() as guardian:
            child = await Child.start(launch, log, guardian)
            try:
                async with asyncio.TaskGroup() as tasks:
                    watching = tasks.create_task(_watch(child, model, log))
                    await _ready(launch, child)
                    yield launch.url
                    watching.cancel()
            finally:
                await child.stop(within_s=launch.stop_s, hurry=hurry)


def _launch(model: str, window_s: float | None, store: Path) -> Launch:
    port = free_port()
    environment = {
        "MODEL_NAME": model,
        "MODEL_STORE": str(store),
        "HOST": LOOPBACK,
        "PORT": str(port),
        # Whatever the environment says of an assistant's own is not meant for this one.
        "NATS_URL": "",
        "WORKER_SHARED_SECRET": "",
    }
    return Launch(
        name="asr",
        command=(sys.executable, "-m", "parley_asr"),
        environment=environment | ({} if window_s is None else {"ENCODER_WINDOW_S": f"{window_s:g}"}),
        url=f"http://{LOOPBACK}:{port}",
        ready_path=READYZ,
        stop_s=SERVICE_STOP_S,
    )


async def _ready(launch: Launch, child: Child) -> None:
    """Wait as long as it lives: a large model loads for minutes."""
    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        while True:
            if await lacks(launch, child.pid, client) == {}:
                return
            await asyncio.sleep(_POLL_S)


async def _watch(child: Child, model: str, log: Path) -> None:
    code = await child.ended()
    raise AsrEndedError(
        f"the asr service with {model} ended by itself (exit code {code}). Its last words:{_end_of(log)}"
    )


def _end_of(log: Path) -> str:
    return "".join(f"\n    {line}" for line in log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
