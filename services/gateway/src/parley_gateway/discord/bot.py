"""The Discord door of one gateway: keeps a connection to Discord, and says everywhere how it fares.

Run by `app` where `doors.discord` is described. How it fares reaches `/readyz` and `/status` here, and by the bus the
agent's `/status`, which is what the operator reads: a gateway that is not ready is not to be asked. The token is read
from the environment or a file, given to the library, and kept nowhere else.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog

from parley_contract.errors import BusUnavailableError, PermanentError
from parley_contract.messages import DoorReported
from parley_gateway.admissions import Admissions
from parley_gateway.discord.client import Client, Problem, problem_of
from parley_gateway.discord.hosting import LinkMaker
from parley_gateway.discord.links import VoiceLink
from parley_gateway.discord.pacing import Pacer
from parley_gateway.settings import GatewaySettings
from parley_runtime.lifecycle import Runtime

log: Final = structlog.get_logger()

_REPORT_S: Final = 5.0
_RETRY_S: Final = 1.0
_RETRY_MOST_S: Final = 60.0
_PATIENCE_S: Final = 15.0
"""A connection that is made anew within this makes nothing unready: it happens every few hours."""
_LOOK_S: Final = 1.0
"""How often a token that was refused is read again."""


class TokenMissingError(PermanentError):
    """There is no token where the settings say."""


class Bot:
    """The door."""

    def __init__(self, runtime: Runtime[GatewaySettings], admissions: Admissions) -> None:
        """Begin outside; `run` connects."""
        self._runtime = runtime
        self._settings = runtime.settings
        self._admissions = admissions
        self._client: Client | None = None
        self._problem: Problem | None = Problem("DiscordUnreachable", "not connected to Discord yet")
        self._lost_at = float("-inf")
        self._changed = asyncio.Event()
        self._show()

    async def run(self) -> None:
        """Be on Discord until cancelled."""
        with Pacer() as pacer:
            await self._run(lambda listener: VoiceLink(listener, pacer, self._runtime.telemetry))

    async def _run(self, make_link: LinkMaker) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report())
            wait_s = _RETRY_S
            while True:
                began_at = time.monotonic()
                refused = await self._connect_once(make_link)
                if refused is not None:
                    await self._until_changed(refused)
                    continue
                wait_s = _RETRY_S if time.monotonic() - began_at > _RETRY_MOST_S else min(2 * wait_s, _RETRY_MOST_S)
                await asyncio.sleep(wait_s)

    async def _connect_once(self, make_link: LinkMaker) -> str | None:
        """Connect, and return when that is over; with the token, if it is the token that is refused."""
        token = ""
        try:
            token = self._token()
            async with Client(self._settings, self._admissions, make_link, self._tell, token) as client:
                self._client = client
                async with client.hosting:
                    await client.start(token)
        except TokenMissingError as error:
            self._tell(Problem("TokenRefused", str(error)))
            return token
        except Exception as error:  # noqa: BLE001  # the library raises whatever it meets
            problem = problem_of(error)
            self._tell(problem)
            log.error("not on Discord", reason=problem.reason, detail=problem.sentence)
            if problem.reason == "TokenRefused":
                return token
        finally:
            self._client = None
        return None

    def _token(self) -> str:
        """Return the token.

        Raises:
            TokenMissingError: it is not where the settings say.
        """
        if self._settings.discord_token:
            return self._settings.discord_token.strip()
        path = self._settings.discord_token_file
        try:
            token = path.read_text().strip() if path is not None else ""
        except OSError as error:
            raise TokenMissingError(f"DISCORD_TOKEN_FILE {path} cannot be read: {error.strerror}") from error
        if not token:
            raise TokenMissingError(f"DISCORD_TOKEN_FILE {path} is empty: put the bot's token into it")
        return token

    async def _until_changed(self, refused: str) -> None:
        """Wait for another token: asking again with this one only makes Discord angry."""
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(TokenMissingError):
                if self._token() != refused:
                    return

    # How it fares.

    def _tell(self, problem: Problem | None) -> None:
        if problem is not None and self._problem is None:
            self._lost_at = time.monotonic()
        self._problem = problem
        self._show()
        self._changed.set()

    def _reason_to_wait(self) -> Problem | None:
        """Return what makes the gateway not ready; a connection that was lost just now does not."""
        if self._problem is None or time.monotonic() - self._lost_at < _PATIENCE_S:
            return None
        return self._problem

    def _show(self) -> None:
        if self._problem is not None:
            self._runtime.health.needs("discord", lambda: not self._reason_to_wait(), self._problem.sentence)

    async def _report(self) -> None:
        bus = self._runtime.bus
        while True:
            self._changed.clear()
            problem = self._reason_to_wait()
            report = DoorReported(
                door="discord",
                is_connected=problem is None,
                reason=problem.reason if problem else "",
                sentence=problem.sentence if problem else "",
            )
            with contextlib.suppress(BusUnavailableError):
                await bus.publish(bus.subjects.door(), report, headers={})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_S):
                    await self._changed.wait()

    def status(self) -> Mapping[str, Any]:
        """Return what `/status` shows."""
        client = self._client
        latency_s = client.latency if client is not None else float("nan")
        return {
            "connected": self._problem is None,
            "reason": self._problem.reason if self._problem else "",
            "sentence": self._problem.sentence if self._problem else "",
            "servers": len(client.guilds) if client is not None else 0,
            "latency_ms": round(latency_s * 1000, 1) if 0 <= latency_s < float("inf") else None,
            **(client.shown() if client is not None else {"stays": [], "hindered": {}}),
        }
