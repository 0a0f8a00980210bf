"""A session's questions to the model, a task each: events for the reducer, and spans. Owned by `worker`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Final, NamedTuple

import structlog
from msgspec.structs import replace

from parley_agent import turn_events
from parley_agent.engines import Chunk, LanguageModel, ModelMissingError, ModelUnavailableError, Usage
from parley_agent.history import ChatMessage, History, prompt
from parley_agent.places import Place, Places
from parley_agent.settings import AgentSettings
from parley_contract import telemetry as words
from parley_contract.errors import ParleyError
from parley_runtime.telemetry import Attributes, Carrier, Span, Telemetry

log: Final = structlog.get_logger()

_PATIENCE_S: Final = 10.0
"""How long a model's server may be away before its turn has failed: as long as somebody waits for a first word."""
_RETRY_S: Final = 0.3


class Generation:
    """A running turn's call of the model, and its spans."""

    def __init__(self, model: LanguageModel, telemetry: Telemetry, effect: turn_events.Generate, span: Span) -> None:
        """Prepare; `run` asks the model. `span` is the agent's part of the turn, ended by `close`."""
        self._model = model
        self._telemetry = telemetry
        self._effect = effect
        self._span = span
        self.headers: Final[Carrier] = telemetry.carrier(span)
        """Makes whatever is said about this turn a child of its span."""
        self.usage = Usage()
        self._first_token_at: float | None = None
        self._ready_at: dict[int, float] = {}

    async def run(self, system_prompt: str, put: Callable[[turn_events.Event], None], *, capture_text: bool) -> None:
        """Stream the answer; however it goes, `put` gets exactly one GenerationEnded at the end, unless cancelled."""
        effect, name = self._effect, self._model.name
        ended = turn_events.GenerationEnded(turn=effect.turn, revision=effect.revision, outcome="stop")
        attributes = {words.OPERATION: "chat", words.PROVIDER: "ollama", words.REQUEST_MODEL: name}
        began_at = time.monotonic()
        with self._telemetry.span(
            f"{words.CHAT} {name}", parent=self.headers, attributes=attributes, kind="client"
        ) as span:
            if capture_text:
                span.set_attribute(f"{words.PRIVATE}user", effect.user)
            try:
                async with contextlib.aclosing(
                    self._chunks(prompt(system_prompt, effect.history, effect.user))
                ) as chunks:
                    async for chunk in chunks:
                        if chunk.text:
                            self._note_first_token(span, began_at)
                            put(turn_events.Tokens(turn=effect.turn, revision=effect.revision, text=chunk.text))
                        if chunk.ended:
                            self._note_usage(span, chunk)
                            ended = replace(ended, outcome=chunk.ended)
            except ParleyError as error:
                log.error("the model failed", error=type(error).__name__, detail=str(error))
                reason = "model_missing" if isinstance(error, ModelMissingError) else "model_failed"
                ended = replace(ended, outcome="failed", reason=reason, detail=str(error))
        self._telemetry.record(words.LLM_REQUESTS, outcome=ended.outcome)
        put(ended)

    async def _chunks(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; a server that goes away before its first word is asked again when it is back."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + _PATIENCE_S
        while True:
            try:
                async with contextlib.aclosing(self._model.reply(messages)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except ModelUnavailableError as error:
                if self._first_token_at is not None or clock() > deadline:
                    raise
                log.warning("the model is asked again", detail=str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _note_first_token(self, span: Span, began_at: float) -> None:
        if self._first_token_at is None:
            self._first_token_at = time.monotonic()
            span.set_attribute(words.TIME_TO_FIRST_CHUNK, self._first_token_at - began_at)
            self._telemetry.record(words.LLM_FIRST_TOKEN, self._first_token_at - began_at, model=self._model.name)

    def _note_usage(self, span: Span, chunk: Chunk) -> None:
        self.usage = chunk.usage
        span.set_attribute(words.INPUT_TOKENS, chunk.usage.input_tokens)
        span.set_attribute(words.OUTPUT_TOKENS, chunk.usage.output_tokens)
        self._telemetry.record(words.LLM_TOKENS, chunk.usage.input_tokens, type="input")
        self._telemetry.record(words.LLM_TOKENS, chunk.usage.output_tokens, type="output")

    def note_phrase(self, phrase: int) -> None:
        """A phrase is ready: the first one ends a wait, every one begins the wait for playback's credit."""
        now = time.monotonic()
        self._ready_at[phrase] = now
        if phrase == 0 and self._first_token_at is not None:
            self._telemetry.past(words.FIRST_PHRASE, self._first_token_at, now, parent=self.headers)

    def note_synthesis(self, phrase: int) -> None:
        """A phrase goes to the tts workers: its wait for credit is over."""
        ready_at, attributes = self._ready_at.get(phrase), {words.PHRASE: phrase}
        if ready_at is not None:
            now = time.monotonic()
            self._telemetry.past(words.PHRASE_CREDIT, ready_at, now, parent=self.headers, attributes=attributes)

    def close(self) -> None:
        """End the agent's part of the turn."""
        self._span.end()


class Surroundings(NamedTuple):
    """What every session's questions use."""

    model: LanguageModel
    places: Places
    telemetry: Telemetry
    settings: AgentSettings


class _Asking(NamedTuple):
    generation: Generation
    task: "asyncio.Task[None]"
    place: Place


class Generations:
    """The questions of one session, one for each turn, running or answered."""

    def __init__(
        self, around: Surroundings, tasks: asyncio.TaskGroup, put: Callable[[turn_events.Event], None]
    ) -> None:
        """Ask nothing yet; answers go to `put`, and the tasks belong to `tasks`."""
        self._around = around
        self._tasks = tasks
        self._put = put
        self._asking: dict[int, _Asking] = {}
        self._warming: asyncio.Task[None] | None = None

    @property
    def turns(self) -> tuple[int, ...]:
        """The turns that have a question."""
        return tuple(self._asking)

    def of(self, turn: int) -> Generation | None:
        """Return the turn's question."""
        asking = self._asking.get(turn)
        return asking.generation if asking else None

    def start(self, effect: turn_events.Generate, session: str, parent: Carrier) -> None:
        """Ask, in place of what the turn asked before; a guess that finds no place, or loses it, is refused."""
        self.end(effect.turn)
        refused = turn_events.GenerationEnded(turn=effect.turn, revision=effect.revision, outcome="refused")

        def break_off() -> None:
            self.end(effect.turn)
            self._put(refused)

        place = self._around.places.take(break_off if effect.is_speculative else None)
        if place is None:
            self._put(refused)
            return
        self._stop_warming()
        attributes: Attributes = {
            words.SESSION: session,
            words.TURN_NUMBER: effect.turn,
            words.TURN_REVISION: effect.revision,
            words.SPECULATIVE: effect.is_speculative,
        }
        span = self._around.telemetry.start(words.AGENT_TURN, parent=parent, attributes=attributes)
        generation = Generation(self._around.model, self._around.telemetry, effect, span)
        settings = self._around.settings
        running = generation.run(settings.system_prompt, self._put, capture_text=settings.capture_text)
        self._asking[effect.turn] = _Asking(generation, self._task(running, place), place)

    def _task(self, running: Coroutine[None, None, None], place: Place) -> "asyncio.Task[None]":
        """Run something at a place, which is left at the end, also of what is cancelled before it began."""
        task = self._tasks.create_task(running)
        task.add_done_callback(lambda _: place.leave())
        return task

    def keep(self, turn: int) -> None:
        """The turn's guess was right."""
        if asking := self._asking.get(turn):
            asking.place.keep()

    def cancel(self, turn: int) -> None:
        """Stop the model; what it wrote stays known."""
        if asking := self._asking.get(turn):
            asking.task.cancel()

    def end(self, turn: int) -> None:
        """Nothing more will be said in this turn."""
        if asking := self._asking.pop(turn, None):
            asking.task.cancel()
            asking.place.leave()
            asking.generation.close()

    def end_all(self) -> None:
        """Nothing more will be said at all."""
        for turn in self.turns:
            self.end(turn)
        self._stop_warming()

    def warm(self, history: History, user: str) -> None:
        """Fill the model's prefix cache while nobody waits for it, in this session or another."""
        place = self._around.places.take(self._stop_warming, is_warming=True)
        if place is not None:
            messages = prompt(self._around.settings.system_prompt, history, user)
            self._warming = self._task(self._warm(messages), place)

    def _stop_warming(self) -> None:
        if self._warming is not None:
            self._warming.cancel()

    async def _warm(self, messages: Sequence[ChatMessage]) -> None:
        with contextlib.suppress(ParleyError):
            await self._around.model.warm(messages)
