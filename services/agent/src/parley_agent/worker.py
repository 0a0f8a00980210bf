"""One session's worker: feeds the reducer of `turns` and carries out what it decides. Made by `app`, one per session.

It holds the lease, the record and the running generations. It decides nothing about turns.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NamedTuple, TypeVar

import structlog
from msgspec.structs import replace

from parley_agent import takeover, turn_events, turn_state, turns
from parley_agent.announcements import Speaker, announce
from parley_agent.engines import LanguageModel, Usage
from parley_agent.generations import Generations, Surroundings
from parley_agent.history import History
from parley_agent.places import Places
from parley_agent.sessions import ABANDONED_AFTER_S, RENEW_EVERY_S, Lease, Records, SessionRecord
from parley_agent.settings import AgentSettings
from parley_agent.turn_events import Said
from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError, LeaseLostError
from parley_contract.messages import CloseSession, Heartbeat, Message, TurnMessage
from parley_contract.streams import Layout
from parley_contract.subjects import session_events
from parley_runtime.bus import Bus, Received
from parley_runtime.tails import read_tail, tails_after_reconnects
from parley_runtime.telemetry import Carrier, Telemetry

log: Final = structlog.get_logger()

T = TypeVar("T")

Ending = Literal["ended", "abandoned", "handed on", "lost"]
_RETRY_S: Final = 0.25


class Tools(NamedTuple):
    """What every session's worker uses."""

    bus: Bus
    model: LanguageModel
    settings: AgentSettings
    telemetry: Telemetry
    layout: Layout
    records: Records
    places: Places


class _Move(NamedTuple):
    """Somebody waits for the session to go on in the next epoch."""

    moved: "asyncio.Future[SessionRecord]"


def account(telemetry: Telemetry, effect: turn_events.AccountFor, session: str) -> None:
    """Count a turn whose gateway cannot, and leave its log line."""
    telemetry.record(words.TURNS, outcome="failed", reason=effect.reason)
    log.info("turn over", session=session, turn=effect.turn, outcome="failed", reason=effect.reason)


class SessionWorker:
    """Everything that happens in one session while this agent owns it."""

    def __init__(self, tools: Tools, lease: Lease, record: SessionRecord, record_revision: int) -> None:
        """Take over a session; `run` does the work."""
        self._tools = tools
        self._lease = lease
        self._record = record
        self._record_revision = record_revision
        self._clock = asyncio.get_running_loop().time
        # Another process's monotonic clock says nothing here.
        unaccounted = tuple(replace(each, began_at=self._clock()) for each in record.unaccounted)
        self._state = turn_state.Conversation(
            rules=tools.settings.rules,
            epoch=record.epoch,
            history=record.history,
            over=record.over,
            behind=record.behind,
            unaccounted=unaccounted,
            latest_replies=record.latest_replies,
        )
        self._tasks = asyncio.TaskGroup()
        self._events: asyncio.Queue[turn_events.Event | _Move] = asyncio.Queue()
        self._ending: asyncio.Queue[Ending] = asyncio.Queue()
        self._is_over = False
        self._parents: dict[int, Carrier] = {}
        self._generations = Generations(
            Surroundings(tools.model, tools.places, tools.telemetry, tools.settings),
            self._tasks,
            self._events.put_nowait,
        )
        self._silent_s = 0.0
        """How long the gateway was silent, as far as it could be heard: see `_hold_lease`."""

    @property
    def is_busy(self) -> bool:
        """Whether a reply is being made or heard."""
        return any(turn.is_replied_to for turn in self._state.turns)

    def receive(self, received: Received) -> None:
        """Take a message of this session; never blocks."""
        match received.message:
            case Heartbeat(epoch=self._record.epoch):
                self._silent_s = 0.0
            case CloseSession(epoch=self._record.epoch):
                self._events.put_nowait(turn_events.SessionEnded())
            case TurnMessage() as message:
                # The turn's trace begins in the gateway, so whatever it says about a turn leads there.
                self._parents.setdefault(message.turn, received.headers)
                self._events.put_nowait(message)

    async def move(self) -> SessionRecord:
        """Go on in the next epoch, because the session's gateway was replaced: what was open there is over.

        Raises:
            LeaseLostError: the session was lost or has ended meanwhile.
        """
        move = _Move(asyncio.get_running_loop().create_future())
        self._events.put_nowait(move)
        if self._is_over:
            self._refuse_moves()
        return await move.moved

    def stop(self) -> None:
        """Hand the session on: `run` ends, the session does not."""
        self._ending.put_nowait("handed on")

    async def run(self) -> Ending:
        """Work until the session ends, is handed on, or its lease is lost; say which."""
        try:
            ending = await self._work()
        finally:
            self._generations.end_all()
            self._refuse_moves()
        await self._leave(ending)
        return ending

    async def _work(self) -> Ending:
        async with self._tasks:
            helpers = [
                self._tasks.create_task(work) for work in (self._hold_lease(), self._follow_events(), self._catch_up())
            ]
            ending = await self._ending.get()
            for helper in helpers:
                helper.cancel()
            self._generations.end_all()
        return ending

    async def _follow_events(self) -> None:
        try:
            await self._take_over()
            while True:
                event = await self._events.get()
                if isinstance(event, _Move):
                    await self._move(event)
                    continue
                await self._decide(event)
                match event:
                    case turn_events.SessionEnded():
                        self._ending.put_nowait("ended")
                    case turn_events.GatewayLost():
                        self._ending.put_nowait("abandoned")
                    case _:
                        pass
        except LeaseLostError:
            self._ending.put_nowait("lost")

    async def _take_over(self) -> None:
        """Go on where another agent may have died: in the middle of a turn."""
        tail = await self._until_back(self._read_tail)
        self._state, effects = takeover.take_over(self._state, tail, self._clock())
        for effect in effects:
            await self._insist(effect)

    async def _read_tail(self) -> list[Message]:
        tail = await read_tail(self._tools.bus, self._tools.layout.events, self._record.session)
        for received in tail:
            if isinstance(received.message, TurnMessage):
                self._parents.setdefault(received.message.turn, received.headers)
        return [received.message for received in tail]

    async def _catch_up(self) -> None:
        """Take in what others recorded before this process listened again."""
        async for tail in tails_after_reconnects(self._tools.bus, self._tools.layout.events, self._record.session):
            for received in tail:
                self.receive(received)

    async def _move(self, move: "_Move") -> None:
        # The dead gateway's last words may be on record and still on their way here; they are for an epoch that ends.
        self._state = takeover.recall(self._state, await self._until_back(self._read_tail), self._clock())
        for turn in [turn for turn in self._generations.turns if self._state.find(turn) is None]:
            self._forget(turn)
        await self._decide(turn_events.GatewayLost())
        epoch = self._record.epoch + 1
        self._record = replace(self._record, epoch=epoch)
        self._state = replace(self._state, epoch=epoch)
        self._parents.clear()
        self._silent_s = 0.0
        await self._until_back(self._save)
        if not move.moved.done():
            move.moved.set_result(self._record)

    def _refuse_moves(self) -> None:
        self._is_over = True
        while not self._events.empty():
            event = self._events.get_nowait()
            if isinstance(event, _Move) and not event.moved.done():
                event.moved.set_exception(LeaseLostError("the session is not led here any more"))

    async def _decide(self, event: turn_events.Event) -> None:
        self._state, effects = turns.step(self._state, event, self._clock())
        for effect in effects:
            await self._insist(effect)

    async def _hold_lease(self) -> None:
        """Renew it each second; so many with the broker there, and without a word of the gateway, end the session.

        While the broker is away, or this process stopped, nobody could be heard: that says nothing of the gateway.
        """
        while self._silent_s < ABANDONED_AFTER_S:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                await self._lease.renew()
            except BusUnavailableError:
                continue
            except LeaseLostError:
                self._ending.put_nowait("lost")
                return
            self._silent_s += RENEW_EVERY_S
        self._events.put_nowait(turn_events.GatewayLost())

    # Carrying out what the reducer decided.

    async def _insist(self, effect: turn_events.Effect) -> None:
        """Carry out an effect as soon as the broker is there, and only while the session is certainly ours."""

        async def carry_out() -> None:
            await self._lease.assure()
            await self._carry_out(effect)

        await self._until_back(carry_out)

    async def _until_back(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the broker takes it; all that is called so may be called twice."""
        is_waiting = False
        while True:
            try:
                return await call()
            except BusUnavailableError as error:
                if not is_waiting:
                    log.warning("waits for the broker", session=self._record.session, detail=str(error))
                is_waiting = True
                await asyncio.sleep(_RETRY_S)

    async def _carry_out(self, effect: turn_events.Effect) -> None:
        match effect:
            case turn_events.Generate():
                self._generations.start(effect, self._record.session, self._parents.get(effect.turn, {}))
            case turn_events.Commit():
                self._generations.keep(effect.turn)
            case turn_events.CancelGeneration():
                self._generations.cancel(effect.turn)
            case turn_events.Warm():
                self._generations.warm(effect.history, effect.user)
            case turn_events.DropPhrases():
                await self._purge_phrases(effect.turn)
            case turn_events.KeepHistory():
                await self._keep_history()
            case _:
                await self._say(effect)

    async def _keep_history(self) -> None:
        await self._save()
        for turn in [turn for turn in self._parents if self._state.is_over(turn)]:
            self._forget(turn)
        if not self.is_busy:
            self._generations.warm(self._state.history, "")

    async def _say(self, effect: Said) -> None:
        generation = self._generations.of(effect.turn)
        headers = generation.headers if generation else self._parents.get(effect.turn, {})
        bus, settings = self._tools.bus, self._tools.settings
        speaker = Speaker(
            bus.subjects, self._record.session, self._record.epoch, settings.language, self._tools.model.name
        )
        usage = generation.usage if generation else Usage()
        said = announce(effect, speaker, usage=usage, at=time.time())
        if said.message_id is None:
            await bus.publish(said.subject, said.message, headers=headers)
        else:
            await bus.record(said.subject, said.message, message_id=said.message_id, headers=headers)
        match effect:
            case turn_events.AccountFor():
                account(self._tools.telemetry, effect, speaker.session)
            case turn_events.SayPhrase() if generation:
                generation.note_phrase(effect.phrase)
            case turn_events.Synthesize() if generation:
                generation.note_synthesis(effect.phrase)
            case turn_events.SayInterrupted():
                await self._purge_phrases(effect.turn)
            case _:
                pass

    async def _purge_phrases(self, turn: int) -> None:
        bus = self._tools.bus
        await bus.purge(self._tools.layout.work, bus.subjects.phrase_work(self._record.session, turn))

    def _forget(self, turn: int) -> None:
        self._parents.pop(turn, None)
        self._generations.end(turn)

    # What outlives it.

    async def _save(self) -> None:
        self._record = replace(
            self._record,
            history=self._state.history,
            next_turn=self._state.latest + 1,
            over=self._state.over,
            behind=self._state.still_open,
            unaccounted=self._state.unaccounted,
            latest_replies=self._state.latest_replies,
        )
        self._record_revision = await self._tools.records.replace(self._record, self._record_revision)

    async def _leave(self, ending: Ending) -> None:
        """Let go of the lease; of a session that is over, leave nothing that `keepEventsS` does not allow.

        Nor the record of one in which nothing was said: clients that come and go all day would fill the bucket. Of one
        that was abandoned a record stays, without words if need be: its gateway may have been cut off, and come back.
        """
        keeps_nothing = self._tools.settings.keep_events_s == 0
        with contextlib.suppress(BusUnavailableError, LeaseLostError):
            if ending in {"ended", "abandoned"} and keeps_nothing:
                await self._purge_events()
            if ending == "ended" and (keeps_nothing or not self._state.history.exchanges):
                await self._tools.records.forget(self._record.session)
            if ending == "abandoned" and keeps_nothing:
                self._state = replace(self._state, history=History(), latest_replies=())
                await self._save()
            if ending != "lost":
                await self._lease.release()

    async def _purge_events(self) -> None:
        bus, session = self._tools.bus, self._record.session
        await bus.purge(self._tools.layout.events, session_events(bus.subjects.assistant, session))
