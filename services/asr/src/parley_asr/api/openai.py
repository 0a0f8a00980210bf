"""Transcriptions and translations as OpenAI's clients ask for them, so that they work here with another base URL.

    OpenAI(base_url="http://localhost:5005/v1", api_key=secret).audio.transcriptions.create(model="whisper-1", file=…)

The shapes are those of the API reference of OpenAI and of its Python client's types (`openai.types.audio`). What only
their newer models have (log-probabilities, speakers) is refused by name rather than ignored.
"""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import FastAPI, File, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from parley_asr import subtitles
from parley_asr.api.desk import Desk, Wish, streamed, while_there
from parley_asr.api.guide import STILL_HERE
from parley_asr.api.refusals import Refusal, body, documented
from parley_asr.engines import Segment
from parley_asr.loops import compression_ratio
from parley_asr.uploads import Piece, Transcript

_TRANSCRIPTIONS: Final = "/v1/audio/transcriptions"
_TRANSLATIONS: Final = "/v1/audio/translations"
_USUAL_MODEL: Final = "whisper-1"
"""OpenAI's name for Whisper, which many clients send whatever they talk to."""

Format = Literal["json", "text", "srt", "verbose_json", "vtt"]
AudioFile = Annotated[UploadFile, File(description="Sound in any container that FFmpeg reads.")]
Model = Annotated[str, Form(description="The loaded model's name (`GET /v1/models`), or `whisper-1`.")]
Prompt = Annotated[str, Form(description="Text as if it had been said before: spelling and style follow it.")]
Temperature = Annotated[float, Form(ge=0, le=1)]
ResponseFormat = Annotated[Format, Form()]

_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "What was said, in the format asked for; with `stream`, server-sent events.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
                "example": {"text": "안녕하세요.", "usage": {"type": "duration", "seconds": 3}},
            },
            "text/plain": {"schema": {"type": "string"}},
            "text/vtt": {"schema": {"type": "string"}},
            "text/event-stream": {
                "schema": {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}},
                "example": {"data": '{"type":"transcript.text.delta","delta":"안녕하세요."}'},
            },
        },
    }
}


def add_routes(app: FastAPI, desk: Desk) -> None:
    """Open the routes."""

    @app.get("/v1/models", responses={**documented("/v1/")})
    async def models() -> JSONResponse:
        """List the one model that is loaded."""
        return JSONResponse({"object": "list", "data": [_model(desk)]})

    @app.get("/v1/models/{name}", responses={404: _NO_SUCH_MODEL, **documented("/v1/")})
    async def model(name: str) -> JSONResponse:
        """Show a model, if it is loaded."""
        _check_model(desk, name)
        return JSONResponse(_model(desk))

    @app.post(_TRANSCRIPTIONS, responses={**_ANSWER, 404: _NO_SUCH_MODEL, **documented(_TRANSCRIPTIONS)})
    async def transcriptions(  # noqa: PLR0913, PLR0917  # one for each field of the form
        request: Request,
        file: AudioFile,
        model: Model,
        language: Annotated[str, Form(description="ISO 639-1; empty detects it.")] = "",
        prompt: Prompt = "",
        response_format: ResponseFormat = "json",
        temperature: Temperature = 0,
        granularities: Annotated[
            list[Literal["word", "segment"]] | None, Form(alias="timestamp_granularities[]")
        ] = None,
        stream: Annotated[bool, Form()] = False,  # noqa: FBT002  # a field of the form
    ) -> Response:
        """Transcribe a file in the language that is spoken in it."""
        _check_model(desk, model)
        await _refuse_unknown(request)
        timing: Literal["words", "segments"] = "words" if "word" in (granularities or ()) else "segments"
        wish = Wish(language=language, prompt=prompt, temperature=temperature, timing=timing)
        if stream:
            desk.decoding(wish)
            return StreamingResponse(_events(desk, file, wish), media_type="text/event-stream")
        transcript = await while_there(request, desk.transcribe("transcriptions", file, wish))
        return _answer(transcript, response_format, wish, granularities or ("segment",))

    @app.post(_TRANSLATIONS, responses={**_ANSWER, 404: _NO_SUCH_MODEL, **documented(_TRANSLATIONS)})
    async def translations(
        request: Request,
        file: AudioFile,
        model: Model,
        prompt: Prompt = "",
        response_format: ResponseFormat = "json",
        temperature: Temperature = 0,
    ) -> Response:
        """Transcribe a file into English, whatever is spoken in it."""
        _check_model(desk, model)
        wish = Wish(task="translate", prompt=prompt, temperature=temperature)
        transcript = await while_there(request, desk.transcribe("translations", file, wish))
        return _answer(transcript, response_format, wish, ("segment",))


_NO_SUCH_MODEL: Final[dict[str, Any]] = {
    "description": "Another model is loaded; the sentence names it.",
    **{key: value for key, value in documented("/v1/")[400].items() if key != "description"},
}


def _model(desk: Desk) -> dict[str, Any]:
    name = desk.opened().decoder.engine.model
    return {"id": name, "object": "model", "created": 0, "owned_by": "parley"}


def _check_model(desk: Desk, asked: str) -> None:
    loaded = desk.opened().decoder.engine.model
    if asked not in {loaded, _USUAL_MODEL}:
        sentence = f"The model {asked!r} is not loaded here. Ask for {loaded!r} or {_USUAL_MODEL!r}."
        raise Refusal(HTTPStatus.NOT_FOUND, "model_not_found", sentence, parameter="model")


async def _refuse_unknown(request: Request) -> None:
    """Refuse fields that would change what the answer means; `chunking_strategy` only says how to get there."""
    for field in ("include[]", "known_speaker_names[]", "known_speaker_references[]"):
        if field in await request.form():
            sentence = f"{field}: Whisper has no such thing; leave it out."
            raise Refusal(HTTPStatus.BAD_REQUEST, "unsupported_field", sentence, parameter=field)


def _answer(transcript: Transcript, wanted: Format, wish: Wish, granularities: Sequence[str]) -> Response:
    match wanted:
        case "json":
            return JSONResponse({"text": transcript.text, "usage": _usage(transcript)})
        case "text":
            return PlainTextResponse(f"{transcript.text}\n")
        case "srt":
            return PlainTextResponse(subtitles.srt(transcript.segments))
        case "vtt":
            return PlainTextResponse(subtitles.vtt(transcript.segments), media_type="text/vtt")
        case "verbose_json":
            return JSONResponse(_verbose(transcript, wish, granularities))


def _verbose(transcript: Transcript, wish: Wish, granularities: Sequence[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "task": wish.task,
        "language": transcript.language,
        "duration": round(transcript.duration_s, 3),
        "text": transcript.text,
        "usage": _usage(transcript),
    }
    if "segment" in granularities:
        answer["segments"] = [
            _segment(number, segment, wish.temperature) for number, segment in enumerate(transcript.segments)
        ]
    if "word" in granularities:
        answer["words"] = [
            {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
            for segment in transcript.segments
            for word in segment.words
        ]
    return answer


def _segment(number: int, segment: Segment, temperature: float) -> dict[str, Any]:
    return {
        "id": number,
        "seek": round(segment.start_s * 100),
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": compression_ratio(segment.text),
        "no_speech_prob": segment.no_speech_prob,
    }


def _usage(transcript: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": round(transcript.duration_s)}


async def _events(desk: Desk, file: UploadFile, wish: Wish) -> AsyncGenerator[bytes]:
    transcript = Transcript()
    async with contextlib.aclosing(streamed(desk, "transcriptions", file, wish)) as results:
        async for result in results:
            match result:
                case Piece():
                    before, transcript = transcript, transcript.joined(result)
                    if delta := transcript.text.removeprefix(before.text):
                        yield _event({"type": "transcript.text.delta", "delta": delta})
                case Transcript():
                    yield _event({"type": "transcript.text.done", "text": result.text, "usage": _usage(result)})
                case Refusal():
                    yield _event(body(result, _TRANSCRIPTIONS))
                case None:
                    yield STILL_HERE


def _event(data: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % msgspec.json.encode(data)
