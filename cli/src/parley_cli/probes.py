"""Is a process ready? One question to it, answered by what it lacks. Used by `supervisor` and `status`."""

import asyncio
import contextlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from parley_cli.launches import READYZ, Launch

_PORT: Final = "its own port"
_STRANGER: Final = {_PORT: "something else answers there"}


class _Readiness(msgspec.Struct):
    """What `/readyz` answers (parley_runtime.http)."""

    pid: int | None = None
    reasons: dict[str, str] = {}


async def lacks(launch: Launch, pid: int, client: httpx.AsyncClient) -> Mapping[str, str] | None:
    """Return what a process that was started lacks to be ready: nothing, if it is. None: it does not answer (yet)."""
    return await answers(launch.url, launch.ready_path, client, pid=pid)


async def answers(url: str, ready_path: str, client: httpx.AsyncClient, *, pid: int | None) -> Mapping[str, str] | None:
    """As `lacks`, for an address.

    Args:
        url: where somebody may answer.
        ready_path: what to ask for; empty asks only whether connections are accepted.
        client: asks.
        pid: the process that is meant, where one is. Our services say who they are: while one that found its port
            taken is about to end, whoever has the port answers in its stead.
    """
    if not ready_path:
        return {} if await _accepts(url) else None
    try:
        answer = await client.get(url + ready_path)
    except httpx.HTTPError:
        return None
    is_ready = answer.status_code == HTTPStatus.OK
    if ready_path != READYZ and is_ready:
        return {}
    try:
        readiness = msgspec.json.decode(answer.content, type=_Readiness)
    except msgspec.DecodeError:
        return _STRANGER if is_ready else {ready_path: f"{answer.status_code}"}
    if ready_path == READYZ and pid is not None and readiness.pid != pid:
        return _STRANGER if readiness.pid is None else {_PORT: f"process {readiness.pid} answers there"}
    return {} if is_ready else readiness.reasons or {ready_path: f"{answer.status_code}"}


async def _accepts(url: str) -> bool:
    at = urlsplit(url)
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(at.hostname, at.port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True
    return False
