"""What a session says on the bus, in order and without holding up anybody who listens to it.

Run by `sessions`, filled by `turn_keeping` and `ears`. Two lanes: frames and control go out at once; recorded messages
wait for the broker one after the other, and are tried again until it has them (their ids make that harmless).
`subject_of` says where what belongs.
"""

import asyncio
from typing import Final, NamedTuple

import structlog

from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError
from parley_contract.frames import Frame
from parley_contract.messages import (
    InterruptTurn,
    Message,
    SpeechMessage,
    TranscribeUtterance,
    TurnMessage,
    TurnReport,
)
from parley_contract.subjects import Subjects
from parley_runtime.bus import Bus
from parley_runtime.telemetry import Carrier, Telemetry

log: Final = structlog.get_logger()

_RETRY_S: Final = 0.25
_LIVE_LIMIT: Final = 2048
"""Frames that may wait for the connection, half a minute of one speaker; those that do not fit are asked for again."""
_RECORD_LIMIT: Final = 4096
"""Recorded messages that may wait for a broker that is away; more would be a broker that never comes back."""


class _Live(NamedTuple):
    subject: str
    what: Frame | Message
    headers: Carrier


class _Recorded(NamedTuple):
    subject: str
    message: Message
    message_id: str
    headers: Carrier


class Outbox:
    """One session's way out; `run` does the sending."""

    def __init__(self, bus: Bus, telemetry: Telemetry) -> None:
        """Send on `bus`."""
        self._bus = bus
        self._telemetry = telemetry
        self._live: asyncio.Queue[_Live] = asyncio.Queue(_LIVE_LIMIT)
        self._records: asyncio.Queue[_Recorded] = asyncio.Queue(_RECORD_LIMIT)

    def frame(self, subject: str, frame: Frame) -> None:
        """Send a frame; it is lost while the broker is away."""
        self._put_live(_Live(subject, frame, {}))

    def say(self, subject: str, message: Message, headers: Carrier) -> None:
        """Say it once to whoever listens now."""
        self._put_live(_Live(subject, message, headers))

    def record(self, subject: str, message: Message, message_id: str, headers: Carrier) -> None:
        """Say it until the stream has it, after all that was recorded before."""
        try:
            self._records.put_nowait(_Recorded(subject, message, message_id, headers))
        except asyncio.QueueFull:
            log.error("gave up recording: the broker has been away for too long", subject=subject)

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_live())
            tasks.create_task(self._send_records())

    async def flush(self) -> None:
        """Wait until all is sent."""
        await self._live.join()
        await self._records.join()

    def _put_live(self, item: _Live) -> None:
        try:
            self._live.put_nowait(item)
        except asyncio.QueueFull:
            self._telemetry.record(words.FRAMES_DROPPED, reason="outbox full")

    async def _send_live(self) -> None:
        while True:
            subject, what, headers = await self._live.get()
            try:
                if isinstance(what, Frame):
                    await self._bus.publish_frame(subject, what)
                else:
                    await self._bus.publish(subject, what, headers=headers)
            except BusUnavailableError as error:
                log.warning("could not send", subject=subject, detail=str(error))
            finally:
                self._live.task_done()

    async def _send_records(self) -> None:
        while True:
            await self._insist(await self._records.get())
            self._records.task_done()

    async def _insist(self, item: _Recorded) -> None:
        while True:
            try:
                await self._bus.record(item.subject, item.message, message_id=item.message_id, headers=item.headers)
            except BusUnavailableError as error:
                log.warning("will be recorded later", subject=item.subject, detail=str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                return


def subject_of(subjects: Subjects, message: TurnMessage) -> str:
    """Return where a message of the gateway belongs."""
    match message:
        case TranscribeUtterance():
            return subjects.utterance_work(message.session, message.utterance)
        case SpeechMessage():
            return subjects.speech(message.session, message.utterance)
        case InterruptTurn():
            return subjects.interrupt(message.session)
        case TurnReport():
            return subjects.turn(message.session, message.turn)
        case _:
            return subjects.playback(message.session, message.turn)
