"""The desk of the transcription API: takes what is uploaded, bounds it, has it transcribed, and accounts for it.

Used by the routes, which know the shapes of questions and answers and nothing else. What a person said is in the answer
and nowhere else: the log has seconds.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
import structlog
from fastapi import Request, UploadFile

from parley_asr.api.refusals import Refusal, refusal_of
from parley_asr.decoder import Decoder, Priority
from parley_asr.engines import Decoded, Decoding, Engine, Samples, Task, Timing
from parley_asr.hearing import Decode, Listening
from parley_asr.settings import AsrSettings
from parley_asr.uploads import Piece, Transcript, samples_of, transcribe
from parley_contract import telemetry as words
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

_SILENCE_S: Final = 10.0
"""A large model on a CPU takes longer than some proxies wait: so often a stream shows that it lives."""

Take = Callable[[Piece], Awaitable[None]]
"""Given each piece as soon as it is made."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a caller wants sound to be transcribed."""

    language: str = ""
    """ISO 639-1; empty: the service's, and if it has none it is detected."""
    task: Task = "transcribe"
    prompt: str = ""
    temperature: float = 0.0
    timing: Timing = "segments"


class Opened(NamedTuple):
    """A desk that has a model."""

    decoder: Decoder
    listening: Listening


class Account:
    """What became of one request."""

    def __init__(self) -> None:
        """Begin with nothing done."""
        self.audio_s = 0.0
        self.decode_s = 0.0
        self.limit: Final = asyncio.timeout(None)
        """Ends it when the process cannot wait for it any longer."""

    @property
    def rtf(self) -> float:
        """Decode seconds per second of sound."""
        return self.decode_s / self.audio_s if self.audio_s else 0.0


class Desk:
    """All requests of this process."""

    def __init__(self, settings: AsrSettings, telemetry: Telemetry) -> None:
        """Take nothing before `open`."""
        self.settings: Final = settings
        self._telemetry = telemetry
        self._opened: Opened | None = None
        self._accounts: set[Account] = set()
        self._is_draining = False
        self._left = asyncio.Event()

    def open(self, decoder: Decoder, listening: Listening) -> None:
        """Have what is taken decoded from now on."""
        self._opened = Opened(decoder, listening)

    @property
    def busy(self) -> int:
        """How many requests are worked on."""
        return len(self._accounts)

    async def drain(self, within_s: float) -> None:
        """Take nothing new, and wait until what was taken is answered; in the end with the advice to come back."""
        self._is_draining = True
        ends_at = asyncio.get_running_loop().time() + within_s
        for account in self._accounts:
            account.limit.reschedule(ends_at)
        while self._accounts:
            self._left.clear()
            await self._left.wait()

    def opened(self) -> Opened:
        """Return what there is to decode with.

        Raises:
            Refusal: nothing yet, or not any more.
        """
        if self._is_draining:
            raise _draining()
        if self._opened is None:
            sentence = f"{self.settings.model_name} is being loaded. Try again soon."
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "loading", sentence)
        return self._opened

    def decoding(self, wish: Wish) -> Decoding:
        """Say how to decode what is wished for.

        Raises:
            Refusal: the model cannot do that, or there is none.
        """
        decoder, how = self.opened()
        _check(wish, decoder.engine)
        return Decoding(
            beam_size=self.settings.beam_size,
            language=wish.language or how.language,
            task=wish.task,
            prompt=wish.prompt,
            temperature=wish.temperature,
            timing=wish.timing,
        )

    async def transcribe(self, route: str, file: UploadFile, wish: Wish, take: Take | None = None) -> Transcript:
        """Transcribe an upload, giving each piece away as it comes.

        Raises:
            Refusal: it cannot be taken, is no sound, or is too long.
        """
        decoding, how = self.decoding(wish), self.opened().listening
        transcript = Transcript()
        async with self.accounted(route) as account:
            sound = samples_of(file.file, file.filename or "The upload", longest_s=self.settings.max_audio_s)
            pieces = transcribe(sound, how, decoding, self.decode_for(account, Priority.UPLOAD))
            async with contextlib.aclosing(sound), contextlib.aclosing(pieces):
                async for piece in pieces:
                    account.audio_s = piece.until_s
                    transcript = transcript.joined(piece)
                    if take is not None:
                        await take(piece)
        return transcript

    def decode_for(self, account: Account, priority: Priority) -> Decode:
        """Return the way to decode a window on somebody's account."""
        decoder = self.opened().decoder

        async def decode(samples: Samples, decoding: Decoding) -> Decoded:
            timed = await decoder.decode(samples, decoding, priority=priority)
            account.decode_s += timed.ended_at - timed.started_at
            return timed.decoded

        return decode

    @contextlib.asynccontextmanager
    async def accounted(self, route: str) -> AsyncIterator[Account]:
        """Give a request its place while the block lasts, and leave a span, metrics and a log line.

        Raises:
            Refusal: all places are taken; or what the block raised, as the caller is to be told.
        """
        if self.busy >= self.settings.max_uploads:
            sentence = f"{self.busy} uploads are being transcribed, which is as many as MAX_UPLOADS allows. Try again."
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "busy", sentence)
        account, outcome = Account(), "failed"
        self._accounts.add(account)
        try:
            with self._telemetry.span(words.TRANSCRIPTION_REQUEST) as span:
                try:
                    async with account.limit:
                        yield account
                    outcome = "done"
                finally:
                    span.set_attribute(words.AUDIO_S, account.audio_s)
                    span.set_attribute(words.RTF, account.rtf)
        except asyncio.CancelledError:
            outcome = "client_gone"
            raise
        except Exception as error:
            if (refusal := _draining() if account.limit.expired() else refusal_of(error)) is None:
                raise
            outcome = refusal.code
            raise refusal from error
        finally:
            self._accounts.discard(account)
            self._left.set()
            self._settle(route, account, outcome)

    def _settle(self, route: str, account: Account, outcome: str) -> None:
        self._telemetry.record(words.ASR_REQUESTS, route=route, outcome=outcome)
        self._telemetry.record(words.ASR_AUDIO, account.audio_s)
        log.info(
            "transcribed",
            route=route,
            outcome=outcome,
            audio_s=round(account.audio_s, 3),
            decode_s=round(account.decode_s, 3),
            rtf=round(account.rtf, 3),
        )


def _draining() -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "draining", "The service is about to end. Try again soon.")


def _check(wish: Wish, engine: Engine) -> None:
    if wish.language and wish.language not in engine.languages:
        known = ", ".join(engine.languages) if engine.is_multilingual else "English only"
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            "unknown_language",
            f"{engine.model} does not know the language {wish.language!r}. It understands {known}.",
            parameter="language",
        )
    if wish.task == "translate" and not engine.is_multilingual:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            "cannot_translate",
            f"{engine.model} understands English only and translates nothing: take a multilingual model.",
            parameter="model",
        )


async def while_there(request: Request, work: Awaitable[Transcript]) -> Transcript:
    """Do something for a caller, and give it up when the caller is gone.

    Raises:
        Refusal: from the work; or nobody is there to read it.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})
    if working.cancelled():
        raise Refusal(HTTPStatus.BAD_REQUEST, "client_gone", "The caller has left.")
    return working.result()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


Result = Piece | Transcript | Refusal | None


async def streamed(desk: Desk, route: str, file: UploadFile, wish: Wish) -> AsyncGenerator[Result]:
    """Yield each piece as it comes, and at last the whole, or why there is none; None while it takes long."""
    ready: asyncio.Queue[Result] = asyncio.Queue(1)

    async def work() -> None:
        try:
            whole = await desk.transcribe(route, file, wish, ready.put)
        except Refusal as refusal:
            await ready.put(refusal)
        else:
            await ready.put(whole)

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        try:
            result: Result = None
            while result is None or isinstance(result, Piece):
                try:
                    async with asyncio.timeout(_SILENCE_S):
                        result = await ready.get()
                except TimeoutError:
                    result = None
                yield result
        finally:
            working.cancel()
