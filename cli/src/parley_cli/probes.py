"""Is a process ready? One question to it, answered by what it lacks. Used by `supervisor` and `status`."""

import asyncio
import contextlib
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx
import msgspec

from parley_cli.launches import Launch


class _Readiness(msgspec.Struct):
    """What `/readyz` answers (parley_runtime.http)."""

    reasons: dict[str, str] = {}


async def lacks(launch: Launch, client: httpx.AsyncClient) -> Mapping[str, str] | None:
    """Return what a process lacks to be ready: nothing, if it is. None: it does not answer (yet)."""
    return await answers(launch.url, launch.ready_path, client)


async def answers(url: str, ready_path: str, client: httpx.AsyncClient) -> Mapping[str, str] | None:
    """As `lacks`, for an address; an empty path asks only whether it accepts connections."""
    if not ready_path:
        return {} if await _accepts(url) else None
    try:
        answer = await client.get(url + ready_path)
    except httpx.HTTPError:
        return None
    if answer.status_code == HTTPStatus.OK:
        return {}
    try:
        return msgspec.json.decode(answer.content, type=_Readiness).reasons or {ready_path: f"{answer.status_code}"}
    except msgspec.DecodeError:
        return {ready_path: f"{answer.status_code}"}


async def _accepts(url: str) -> bool:
    at = urlsplit(url)
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(at.hostname, at.port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True
    return False
