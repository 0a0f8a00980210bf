"""The agent as a process: keeps the streams, warms the model, grants sessions and routes messages to their workers."""

import asyncio
import contextlib
import itertools
import secrets
import time
from typing import Final, Literal

import structlog

from parley_agent.engines import LanguageModel, ModelMissingError, Residency
from parley_agent.engines.ollama import OllamaModel
from parley_agent.history import History, prompt
from parley_agent.orphans import REMEMBERED_S, OpenTurns
from parley_agent.places import Places
from parley_agent.reports import Reports
from parley_agent.sessions import ABANDONED_AFTER_S, Lease, Records, SessionRecord
from parley_agent.settings import AgentSettings
from parley_agent.worker import Ending, SessionWorker, Tools
from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError, ParleyError
from parley_contract.messages import (
    CloseSession,
    DoorReported,
    FindSessions,
    FoundSession,
    Heartbeat,
    Message,
    OpenSession,
    ResumeSession,
    SessionMessage,
    SessionOpened,
    SessionRefused,
    SessionsFound,
    TurnReport,
)
from parley_contract.streams import layout
from parley_contract.subjects import ANY
from parley_runtime.bus import Received, Store
from parley_runtime.http import service_app
from parley_runtime.lifecycle import Runtime

log: Final = structlog.get_logger()

_ENSURE_EVERY_S: Final = 15.0
_RETRY_S: Final = 0.5
_WATCH_MODEL_EVERY_S: Final = 15.0
_ADOPT_EVERY_S: Final = 5.0
_DOOR_SILENT_S: Final = 30.0
"""What a gateway said of its door so long ago may hold no more."""


async def main(runtime: Runtime[AgentSettings]) -> None:
    """Serve until told to stop; called by the lifecycle."""
    async with contextlib.aclosing(OllamaModel(runtime.settings)) as model:
        await Agent(runtime, model).run()


class Agent:
    """One agent process; any number of them may share an assistant's sessions."""

    def __init__(self, runtime: Runtime[AgentSettings], model: LanguageModel) -> None:
        """Prepare; `run` does the work."""
        self._runtime = runtime
        self._settings = runtime.settings
        self._bus = runtime.bus
        self._model = model
        self._layout = layout(runtime.settings.assistant, keep_events_s=runtime.settings.keep_events_s)
        self._name = secrets.token_hex(6)
        self._workers: dict[str, SessionWorker] = {}
        self._taking = asyncio.Lock()
        """Of two who want the same session at once, the second finds the first one's worker."""
        self._heard_from_at: dict[str, float] = {}
        self._reports = Reports()
        self._doors: dict[str, tuple[float, DoorReported]] = {}
        self._open_turns = OpenTurns()
        self._residency: Residency | None = None
        self._streams_problem = "not made yet"
        self._probes = itertools.count()
        self._leases: Store
        self._tools: Tools
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Make the streams, warm the model, then serve sessions until told to stop."""
        health = self._runtime.health
        health.lacking("streams", "not made yet")
        health.lacking("model", f"{self._model.name} is not loaded yet")
        health.ready("service")
        app = service_app("agent", health=health, telemetry=self._runtime.telemetry, status=self._status)
        async with self._runtime.http(app), self._tasks:
            await self._until_made()
            self._leases = await self._bus.store(self._layout.leases)
            self._tools = Tools(
                self._bus,
                self._model,
                self._settings,
                self._runtime.telemetry,
                self._layout,
                Records(await self._bus.store(self._layout.sessions), self._bus),
                Places(self._settings.num_parallel),
            )
            serving = [
                self._tasks.create_task(self._keep_streams()),
                self._tasks.create_task(self._keep_model()),
                self._tasks.create_task(self._grant_sessions()),
                self._tasks.create_task(self._route()),
                self._tasks.create_task(self._adopt_orphans()),
            ]
            await self._runtime.stopping.wait()
            await self._drain()
            for task in serving:
                task.cancel()

    async def _drain(self) -> None:
        """Let running replies end; the lifecycle bounds how long. The sessions themselves go to another agent."""
        while any(worker.is_busy for worker in self._workers.values()):  # noqa: ASYNC110  # changes with every event
            await asyncio.sleep(0.05)
        for worker in list(self._workers.values()):
            worker.stop()

    # Streams.

    async def _until_made(self) -> None:
        while True:
            if await self._ensure():
                return
            await asyncio.sleep(_RETRY_S)

    async def _keep_streams(self) -> None:
        """Mend the streams on a timer and at once after a reconnect: those in memory die with the broker."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ENSURE_EVERY_S):
                    await self._bus.reconnected()
            await self._until_made()

    async def _ensure(self) -> bool:
        try:
            changed = await self._bus.ensure(self._layout)
            await self._try_to_keep()
        except BusUnavailableError as error:
            self._streams_problem = str(error)
            self._runtime.health.lacking("streams", self._streams_problem)
            return False
        if changed:
            log.info("streams made", names=changed)
        self._streams_problem = ""
        self._runtime.health.ready("streams")
        return True

    async def _try_to_keep(self) -> None:
        """Write something: a broker whose volume is full still answers all questions about its streams.

        Raises:
            BusUnavailableError: it keeps nothing.
        """
        leases = await self._bus.store(self._layout.leases)
        try:
            # Another key every time: one that could not be written may count as there from then on.
            await leases.create(f"probe-{self._name}-{next(self._probes)}", b"")
        except BusUnavailableError as error:
            if not self._bus.connected:
                raise
            raise BusUnavailableError(
                "the broker keeps nothing of what it is told: is its volume full? Make room, then restart nats-server"
            ) from error

    # The model.

    async def _keep_model(self) -> None:
        """Load the model before anybody asks, and watch that it stays loaded."""
        while True:
            try:
                self._residency = await self._model.residency()
                if self._residency is None:
                    began_at = time.monotonic()
                    await self._model.warm(prompt(self._settings.system_prompt, History()))
                    self._residency = await self._model.residency()
                    log.info("model warm", model=self._model.name, seconds=round(time.monotonic() - began_at, 2))
                self._runtime.health.ready("model")
                await asyncio.sleep(_WATCH_MODEL_EVERY_S)
            except ParleyError as error:
                self._residency = None
                self._runtime.health.lacking("model", str(error))
                level = log.error if isinstance(error, ModelMissingError) else log.warning
                level("the model is not ready", detail=str(error))
                await asyncio.sleep(_RETRY_S * 4)

    # Sessions.

    async def _grant_sessions(self) -> None:
        async with self._bus.messages(self._bus.subjects.open_session(), queue="agent") as requests:
            async for request in requests:
                try:
                    answer = await self._grant(request.message)
                except ParleyError as error:
                    log.warning("could not open a session", error=type(error).__name__, detail=str(error))
                    answer = SessionRefused(
                        code="not_ready", sentence="The assistant is not ready yet. Try again soon."
                    )
                # Whoever asked asks again; one who cannot be answered must not end this process.
                with contextlib.suppress(BusUnavailableError):
                    await self._bus.answer(request, answer)

    async def _grant(self, request: Message) -> Message:
        match request:
            case OpenSession():
                record = SessionRecord(
                    session=secrets.token_hex(6),
                    door=request.door,
                    channel=request.channel,
                    token_hash=request.token_hash,
                )
                if await self._tools.records.create(record) is None or await self._own(record.session) is None:
                    return SessionRefused(code="not_ready", sentence="The session could not be made. Try again.")
                return SessionOpened(session=record.session, epoch=record.epoch, next_turn=record.next_turn)
            case ResumeSession():
                return await self._resume(request)
            case FindSessions():
                return SessionsFound(sessions=await self._found(request))
            case _:
                return SessionRefused(code="not_ready", sentence="This request is not one that opens a session.")

    async def _resume(self, request: ResumeSession) -> Message:
        found = await self._tools.records.load(request.session)
        if found is None:
            return SessionRefused(code="unknown_session", sentence="This session has ended. Start a new one.")
        if not secrets.compare_digest(found[0].token_hash.encode(), request.token_hash.encode()):
            return SessionRefused(code="wrong_token", sentence="This token does not belong to the session.")
        worker = await self._own(request.session)
        if worker is None:
            return SessionRefused(code="not_ready", sentence="Another agent owns this session. Try again.")
        record = await worker.move()
        return SessionOpened(session=record.session, epoch=record.epoch, next_turn=record.next_turn)

    async def _found(self, request: FindSessions) -> tuple[FoundSession, ...]:
        """Look among the sessions whose gateway was heard from not long ago: every agent knows those."""
        found = []
        for session in sorted(self._living()):
            loaded = await self._tools.records.load(session)
            if loaded is None or loaded[0].door != request.door:
                continue
            if secrets.compare_digest(loaded[0].token_hash.encode(), request.token_hash.encode()):
                found.append(FoundSession(session=session, channel=loaded[0].channel))
        return tuple(found)

    async def _own(self, session: str) -> SessionWorker | None:
        """Take the lease and start a worker; None if somebody holds it, or if there is no such session."""
        async with self._taking:
            if worker := self._workers.get(session):
                return worker
            lease = await Lease.take(self._leases, session, self._name, time.monotonic)
            if lease is None:
                return None
            found = await self._tools.records.load(session)
            if found is None:
                await lease.release()
                return None
            worker = self._workers[session] = SessionWorker(self._tools, lease, *found)
            self._tasks.create_task(self._work(session, worker))
            return worker

    async def _work(self, session: str, worker: SessionWorker) -> None:
        telemetry = self._runtime.telemetry
        telemetry.record(words.SESSIONS, 1)
        log.info("session taken", session=session)
        ending: Ending | Literal["broke"] = "broke"
        try:
            ending = await worker.run()
        except* Exception as errors:
            # One session must not end the others. Its lease runs out, and the next heartbeat gives it to a new worker.
            log.error("a session broke", session=session, exc_info=errors)
        finally:
            telemetry.record(words.SESSIONS, -1)
            del self._workers[session]
        log.info("session left", session=session, why=ending)

    # Messages.

    async def _route(self) -> None:
        subjects = self._bus.subjects
        async with self._bus.messages(
            subjects.speech(ANY, ANY),
            subjects.transcript(ANY, ANY),
            subjects.phrase_outcome(ANY, ANY, ANY),
            subjects.playback(ANY, ANY),
            subjects.turn(ANY, ANY),
            subjects.heartbeat(ANY),
            subjects.interrupt(ANY),
            subjects.door(),
        ) as messages:
            await self._remember_turns()
            async for received in messages:
                await self._take(received)

    async def _take(self, received: Received) -> None:
        message = received.message
        self._note_turn(message)
        if isinstance(message, DoorReported):
            self._doors[message.door] = time.monotonic(), message
        if not isinstance(message, SessionMessage):
            return
        match message:
            case Heartbeat():
                self._heard_from_at[message.session] = time.monotonic()
            case CloseSession():
                self._heard_from_at.pop(message.session, None)
        if worker := self._workers.get(message.session):
            worker.receive(received)
        elif isinstance(message, Heartbeat):
            await self._adopt(message.session)

    async def _adopt(self, session: str) -> None:
        """A session whose agent may be dead: take it over if its lease has run out."""
        if self._runtime.stopping.is_set():
            return
        try:
            await self._own(session)
        except BusUnavailableError as error:
            log.warning("could not take a session over", session=session, detail=str(error))

    async def _adopt_orphans(self) -> None:
        """Sessions with an open turn, and neither a gateway that is heard nor an agent: nobody else will end it."""
        while True:
            await asyncio.sleep(_ADOPT_EVERY_S)
            for session in self._open_turns.sessions(time.monotonic()) - self._living() - self._workers.keys():
                await self._adopt(session)

    def _living(self) -> set[str]:
        """Return the sessions whose gateway was heard from."""
        oldest = time.monotonic() - ABANDONED_AFTER_S
        self._heard_from_at = {session: at for session, at in self._heard_from_at.items() if at > oldest}
        return set(self._heard_from_at)

    def _note_turn(self, message: Message) -> None:
        self._open_turns.take(message, time.monotonic())
        if isinstance(message, TurnReport):
            self._reports.add(message)

    async def _remember_turns(self) -> None:
        """Take in what is on record of turns: the latest reports, and what may still be open."""
        with contextlib.suppress(BusUnavailableError):
            subjects, events = self._bus.subjects, self._layout.events
            begun = await self._bus.stored_messages(events, subjects.speech(ANY, ANY), within_s=REMEMBERED_S)
            ended = await self._bus.stored_messages(events, subjects.turn(ANY, ANY))
            for received in (*begun, *ended):
                self._note_turn(received.message)

    def _told_of_doors(self) -> dict[str, object]:
        oldest = time.monotonic() - _DOOR_SILENT_S
        return {
            door: {"connected": told.is_connected, "reason": told.reason, "sentence": told.sentence}
            for door, (at, told) in self._doors.items()
            if at > oldest
        }

    def _status(self) -> dict[str, object]:
        return {
            "assistant": self._settings.assistant,
            "sessions": len(self._living()),
            "owned_sessions": len(self._workers),
            "doors": self._told_of_doors(),
            "streams": {"healthy": not self._streams_problem, "problem": self._streams_problem},
            "model": {
                "name": self._model.name,
                "loaded": self._residency is not None,
                "size_bytes": self._residency.size_bytes if self._residency else 0,
                "vram_bytes": self._residency.vram_bytes if self._residency else 0,
                "context_length": self._residency.context_length if self._residency else 0,
            },
            **self._reports.status(),
        }
