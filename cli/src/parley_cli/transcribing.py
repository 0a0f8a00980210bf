"""A client of the asr service's `POST /transcribe`: one file, one answer, and every no as a sentence.

`eval_command` asks it file by file. Not here: which service, or what the answers are worth.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from parley_cli.errors import BadRequestError
from parley_cli.reports import legible
from parley_contract.errors import PermanentError, RetryableError

_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 3600.0
"""A long file on a slow machine; the service sends nothing until it is done."""
_BUSY_S: Final = 60.0
"""How long a service that says it is busy or loading is asked again."""
_AGAIN_S: Final = 2.0
_ABOUT_THE_FILE: Final = frozenset({"unreadable", "too_large", "too_long", "decode_failed"})


class NoAddressError(BadRequestError):
    """What was given as an address is none."""


class UnreachableError(RetryableError):
    """Nobody answers."""


class TurnedAwayError(PermanentError):
    """The service does not answer us at all: a wrong secret, a language that its model does not know."""


class NotTranscribedError(PermanentError):
    """This file got no transcript; others may."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What the service answers."""

    text: str
    duration_s: float
    language: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    error: str
    code: str = ""


class _Status(msgspec.Struct, frozen=True):
    model: str
    window_s: float


class Service:
    """One asr service; `connected` is the way in."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        """Talk to `url` through `client`."""
        self._client = client
        self._url = url

    async def name(self) -> str:
        """Return its model and encoder window; its address, if it does not say.

        Raises:
            UnreachableError: nobody answers there.
        """
        try:
            status = msgspec.json.decode((await self._client.get("/status")).content, type=_Status)
        except httpx.HTTPError as error:
            raise self._gone(error) from error
        except msgspec.DecodeError:
            return self._url
        return f"{status.model}, {status.window_s:g} s window"

    async def transcribe(self, sound: Path, language: str) -> Heard:
        """Return what is said in a file.

        Args:
            sound: in any container that FFmpeg reads.
            language: ISO 639-1; empty leaves it to the service.

        Raises:
            UnreachableError: nobody answers, or the answer broke off.
            TurnedAwayError: it would refuse every other file too.
            NotTranscribedError: something is wrong with this one.
        """
        until = time.monotonic() + _BUSY_S
        while True:
            response = await self._post(sound, language)
            if response.status_code == HTTPStatus.OK:
                break
            refusal = _refusal(response)
            is_busy = response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and refusal.code != "decode_failed"
            if not is_busy or time.monotonic() > until:
                kind = NotTranscribedError if refusal.code in _ABOUT_THE_FILE else TurnedAwayError
                raise kind(refusal.error)
            await asyncio.sleep(_AGAIN_S)
        try:
            return msgspec.json.decode(response.content, type=Heard)
        except msgspec.DecodeError as error:
            raise TurnedAwayError(f"{self._url} answers, but not as the asr service of Parley does: {error}") from error

    async def _post(self, sound: Path, language: str) -> httpx.Response:
        try:
            with sound.open("rb") as file:
                return await self._client.post(
                    "/transcribe", files={"audio_file": (legible(sound.name), file)}, data={"language": language}
                )
        except OSError as error:
            raise NotTranscribedError(f"{sound} cannot be read: {error.strerror}") from error
        except httpx.HTTPError as error:
            raise self._gone(error) from error

    def _gone(self, error: httpx.HTTPError) -> UnreachableError:
        why = "no connection" if isinstance(error, httpx.ConnectError) else str(error) or type(error).__name__
        return UnreachableError(f"no asr service answers at {self._url} ({why})")


@contextlib.asynccontextmanager
async def connected(url: str, secret: str) -> AsyncIterator[Service]:
    """Talk to the service at an address while the block lasts.

    Args:
        url: as `http://host:5005`.
        secret: its WORKER_SHARED_SECRET; empty for none.

    Raises:
        NoAddressError: it cannot be one.
    """
    headers = {b"Authorization": f"Bearer {secret}".encode()} if secret else {}
    timeout = httpx.Timeout(_ANSWER_S, connect=_CONNECT_S)
    # Proxies of the environment are for the world outside; an asr service is near.
    try:
        _ = urlsplit(url).port  # which httpx would not look at before it connects
        client = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, trust_env=False)
    except (httpx.InvalidURL, ValueError) as error:
        raise NoAddressError(f"{url} is no address of a service: {error}") from error
    async with client:
        yield Service(client, url)


def _refusal(response: httpx.Response) -> _Refusal:
    try:
        return msgspec.json.decode(response.content, type=_Refusal)
    except msgspec.DecodeError:
        return _Refusal(f"{response.url} answers {response.status_code}: is that an asr service of Parley?")
