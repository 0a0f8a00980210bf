"""A phrase becomes sound: claims phrases from the work queue and gives each exactly one outcome.

The main loop of the tts service, run by `app`. Phrases are synthesized one after another, in the order of the queue,
which the agent fills at most two ahead of playback. A claim is renewed while its worker lives, so that a dead one's
phrase comes to another within `ack_wait`; the outcome is recorded under one id before the claim is acknowledged. Not
here: what happens to a single phrase (`synthesis`).
"""

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator
from typing import Final

import structlog

from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError, RetryableError
from parley_contract.messages import SynthesizePhrase, TurnMessage
from parley_contract.subjects import ANY
from parley_runtime.bus import Received, Work
from parley_runtime.claims import Claims, hand_back, held
from parley_runtime.http import Health
from parley_tts.fences import Fences
from parley_tts.synthesis import Outcome, Surroundings, Synthesis

log: Final = structlog.get_logger()

_RETRY_DELAY_S: Final = 0.1
"""Before a phrase that broke off is tried again: somebody is waiting for it."""


class BrokeOffError(RetryableError):
    """An attempt at a phrase ended before the phrase did."""


class Worker:
    """Claims phrases while it runs."""

    def __init__(self, surroundings: Surroundings, health: Health) -> None:
        """Wire up; nothing is claimed before `run`."""
        self._around = surroundings
        self._claims = Claims(surroundings.bus, surroundings.layout.phrases, SynthesizePhrase, health)
        self._fences = Fences()
        self.is_speaking = False
        """Whether a phrase is being synthesized now."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Claim and synthesize until `stopping`; the phrase that is being spoken then is spoken to its end."""
        bus = self._around.bus
        async with asyncio.TaskGroup() as tasks, bus.messages(bus.subjects.reply(ANY, ANY)) as replies:
            listening = tasks.create_task(self._learn(replies))
            while not stopping.is_set():
                work = await self._claims.next()
                if work is not None:
                    await self._hold(work)
            listening.cancel()

    async def _learn(self, replies: AsyncIterator[Received]) -> None:
        async for received in replies:
            if isinstance(received.message, TurnMessage):
                self._fences.learn(received.message)

    async def _hold(self, work: Work[SynthesizePhrase]) -> None:
        """Keep a claim while it is worked on."""
        self.is_speaking = True
        try:
            async with held(work):
                await self._attempt(work)
        finally:
            self.is_speaking = False

    async def _attempt(self, work: Work[SynthesizePhrase]) -> None:
        """Bring one claim to its end: an outcome recorded and acknowledged, or the claim dropped or handed back."""
        try:
            if self._fences.is_stale(work.message):
                self._around.telemetry.record(words.TTS_PHRASES, engine="none", outcome="stale")
                await work.drop()
            else:
                await self._settle(work, await self._outcome(work))
        except asyncio.CancelledError:
            await hand_back(work, delay_s=0)
            raise
        except (BrokeOffError, BusUnavailableError) as error:
            log.warning("will be tried again", phrase=work.message.phrase, attempt=work.attempt, why=str(error))
            await hand_back(work, delay_s=_RETRY_DELAY_S)

    async def _outcome(self, work: Work[SynthesizePhrase]) -> Outcome | None:
        """Make the attempt under its span.

        Raises:
            BrokeOffError: it did not come to an end, and there is another attempt.
        """
        asked, around = work.message, self._around
        # A wall clock may jump, and the broker keeps no phrase longer than its life.
        waited_s = min(asked.life_s, max(0.0, around.wall_clock() - asked.sent_at))
        claimed_at = around.clock()
        around.telemetry.record(words.TTS_QUEUE, waited_s)
        with around.telemetry.span(
            words.SYNTHESIS,
            parent=work.headers,
            kind="consumer",
            attributes={
                words.SESSION: asked.session,
                words.TURN_NUMBER: asked.turn,
                words.TURN_REVISION: asked.revision,
                words.PHRASE: asked.phrase,
                words.ATTEMPT: work.attempt,
            },
        ) as span:
            around.telemetry.past(words.SYNTHESIS_QUEUE, claimed_at - waited_s, claimed_at)
            synthesis = Synthesis(work, self._fences, around)
            try:
                return await synthesis.run(span)
            except BusUnavailableError:
                raise
            except RetryableError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001 - one phrase must not end the others
                reason = f"a defect: {type(error).__name__}"
                # Where it happened, not what: an exception's message may hold what is to be said.
                where = traceback.format_tb(error.__traceback__)[-1]
                log.error("a synthesis broke", phrase=asked.phrase, error=type(error).__name__, where=where)
            if work.last:
                return synthesis.given_up(reason)
            raise BrokeOffError(reason)

    async def _settle(self, work: Work[SynthesizePhrase], outcome: Outcome | None) -> None:
        """Record what came of it, then acknowledge; unacknowledged it comes again, and is stored already."""
        asked = work.message
        if outcome is not None:
            subject = self._around.bus.subjects.phrase_outcome(asked.session, asked.turn, asked.phrase)
            message_id = f"{asked.session}-{asked.epoch}-{asked.turn}-{asked.revision}-phrase-{asked.phrase}"
            await self._around.bus.record(subject, outcome, message_id=message_id)
        with contextlib.suppress(BusUnavailableError):
            await work.done()
