"""The gateway as a process: loads the models that hear, opens the doors, watches what it needs, and drains.

Called by `__main__` through the lifecycle. Ready means that the detector is loaded, the broker is there and an agent
answers. Not here: anything within a session.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from parley_gateway.admissions import Admissions
from parley_gateway.canned_voice import CannedVoice
from parley_gateway.doors.web import add_web_door
from parley_gateway.gathering import Gathering
from parley_gateway.settings import GatewaySettings
from parley_gateway.surroundings import Surroundings
from parley_gateway.turn_judges import TurnJudge
from parley_gateway.turn_model import SmartTurnModel
from parley_gateway.vad import SileroModel
from parley_runtime.http import service_app
from parley_runtime.lifecycle import Runtime
from parley_runtime.models import ModelStore

if TYPE_CHECKING:
    from parley_gateway.discord.bot import Bot

_VAD: Final = "silero-vad"
_VAD_FILE: Final = "silero_vad_16k_op15.onnx"
_TURN: Final = "smart-turn-v3.2"
_TURN_FILE: Final = "smart-turn-v3.2-cpu.onnx"
_WATCH_S: Final = 0.25
"""How often a gateway that is not ready looks again; a restart is over as soon as its slowest neighbour is there."""
_WATCH_READY_S: Final = 5.0
_DRAIN_S: Final = 8.0
"""How long open turns may go on after SIGTERM, below the lifecycle's 10 s."""


class App:
    """The running service."""

    def __init__(self, runtime: Runtime[GatewaySettings]) -> None:
        """Prepare; `run` does the work."""
        self._runtime = runtime
        self._settings = runtime.settings

    async def run(self) -> None:
        """Serve until told to stop."""
        store = ModelStore.at(self._settings.model_store)
        model = await asyncio.to_thread(SileroModel, store.locate(_VAD, "vad") / _VAD_FILE)
        if self._settings.endpointing == "silence":
            await self._serve(model, None)
            return
        path = store.locate(_TURN, "turn") / _TURN_FILE
        with TurnJudge(await asyncio.to_thread(SmartTurnModel, path)) as judge:
            await self._serve(model, judge)

    async def _serve(self, model: SileroModel, judge: TurnJudge | None) -> None:
        runtime, settings = self._runtime, self._settings
        canned = CannedVoice(runtime.bus, settings.language)
        around = Surroundings(runtime.bus, runtime.telemetry, settings, Gathering(model), canned, judge)
        runtime.health.lacking("agent", "has not answered yet")
        runtime.health.ready("service")
        async with Admissions(around) as admissions:
            bot = self._bot(admissions)
            http = service_app(
                "gateway",
                health=runtime.health,
                telemetry=runtime.telemetry,
                status=lambda: {
                    "sessions": admissions.open,
                    "busy": admissions.busy,
                    "max_sessions": settings.max_sessions,
                    **({"discord": bot.status()} if bot is not None else {}),
                },
            )
            if settings.web_enabled:
                add_web_door(http, admissions, settings, runtime.telemetry)
            async with runtime.http(http), asyncio.TaskGroup() as tasks:
                serving = [tasks.create_task(self._watch(admissions)), tasks.create_task(canned.run())]
                if bot is not None:
                    serving.append(tasks.create_task(bot.run()))
                await runtime.stopping.wait()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_S):
                        await admissions.drained()
                admissions.drain(at_once=True)
                await admissions.drained()
                for task in serving:
                    task.cancel()

    def _bot(self, admissions: Admissions) -> "Bot | None":
        """Make the Discord door, where there is one; who has none does not pay for its libraries."""
        if not self._settings.discord_enabled:
            return None
        from parley_gateway.discord.bot import Bot  # noqa: PLC0415  # as above: 40 MB

        return Bot(self._runtime, admissions)

    async def _watch(self, admissions: Admissions) -> None:
        """Keep `/readyz` true: the broker first, then an agent behind it."""
        health = self._runtime.health
        while True:
            if not self._runtime.bus.connected:
                health.lacking("broker", "not connected; trying again")
            else:
                health.ready("broker")
                if await admissions.agent_answers():
                    health.ready("agent")
                else:
                    health.lacking("agent", "does not answer: is its process running, and its model loaded?")
            await asyncio.sleep(_WATCH_S if health.reasons else _WATCH_READY_S)
