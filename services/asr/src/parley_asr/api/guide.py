"""The guide's own routes: `POST /transcribe`, and `/transcribe-stream` for those who want to see it grow.

curl http://localhost:5005/transcribe -F audio_file=@hello.wav -F language=ko
"""

import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse

from parley_asr.api.desk import Desk, Wish, streamed, while_there
from parley_asr.api.refusals import Refusal, body, documented
from parley_asr.engines import Segment
from parley_asr.uploads import Piece, Transcript

STILL_HERE: Final = b": still at it\n\n"
"""A comment: clients of server-sent events pass over it, and what lies between knows that somebody is there."""
_DIGITS: Final = 3
_PARTIAL_CHARACTERS: Final = 1000
"""Of the text so far, its end: all of it after each window would be 170 MB for four hours of speech."""
_TRANSCRIPT: Final = {
    "type": "object",
    "required": ["text", "language", "duration_s", "segments"],
    "properties": {
        "text": {"type": "string"},
        "language": {"type": "string", "description": "ISO 639-1; empty where nobody spoke and none was given."},
        "duration_s": {"type": "number"},
        "segments": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["start_s", "end_s", "text"],
                "properties": {
                    "start_s": {"type": "number"},
                    "end_s": {"type": "number"},
                    "text": {"type": "string"},
                },
            },
        },
    },
    "example": {
        "text": "안녕하세요. 오늘 날씨 어때요?",
        "language": "ko",
        "duration_s": 2.9,
        "segments": [
            {"start_s": 0.0, "end_s": 1.2, "text": "안녕하세요."},
            {"start_s": 1.3, "end_s": 2.8, "text": "오늘 날씨 어때요?"},
        ],
    },
}
_STREAM: Final = {
    "type": "object",
    "description": "One event: `segment`, `partial` (the text so far and how far it reaches), `final` or `error`.",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string", "enum": ["segment", "partial", "final", "error"]},
        "data": {"type": "string", "description": "JSON."},
    },
    "example": {"event": "segment", "data": '{"start_s":0.0,"end_s":1.2,"text":"안녕하세요."}'},
}

AudioFile = Annotated[UploadFile, File(description="Sound in any container that FFmpeg reads.")]
Language = Annotated[
    str, Form(description="ISO 639-1, such as `ko`; empty detects it, which errs on short sound.", examples=["ko"])
]


def add_routes(app: FastAPI, desk: Desk) -> None:
    """Open the routes."""

    @app.post(
        "/transcribe",
        response_class=JSONResponse,
        responses={
            200: {"description": "What was said.", "content": {"application/json": {"schema": _TRANSCRIPT}}},
            **documented("/transcribe"),
        },
    )
    async def whole(request: Request, audio_file: AudioFile, language: Language = "") -> JSONResponse:
        """Transcribe a file, and answer when all of it is done."""
        work = desk.transcribe("transcribe", audio_file, Wish(language=language))
        return JSONResponse(transcript_json(await while_there(request, work)))

    @app.post(
        "/transcribe-stream",
        response_class=StreamingResponse,
        responses={
            200: {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": _STREAM}}},
            **documented("/transcribe-stream"),
        },
    )
    async def stream(audio_file: AudioFile, language: Language = "") -> StreamingResponse:
        """Transcribe a file, and send every window as soon as it is done."""
        wish = Wish(language=language)
        desk.decoding(wish)
        return StreamingResponse(_events(desk, audio_file, wish), media_type="text/event-stream")


async def _events(desk: Desk, file: UploadFile, wish: Wish) -> AsyncGenerator[bytes]:
    transcript = Transcript()
    async with contextlib.aclosing(streamed(desk, "transcribe-stream", file, wish)) as results:
        async for result in results:
            match result:
                case Piece():
                    transcript = transcript.joined(result)
                    for segment in result.segments:
                        yield event("segment", segment_json(segment))
                    latest = transcript.text[-_PARTIAL_CHARACTERS:]
                    yield event("partial", {"text": latest, "until_s": round(result.until_s, _DIGITS)})
                case Transcript():
                    yield event("final", transcript_json(result))
                case Refusal():
                    yield event("error", body(result, "/transcribe-stream"))
                case None:
                    yield STILL_HERE


def event(name: str, data: dict[str, Any]) -> bytes:
    """Write one server-sent event."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))


def transcript_json(transcript: Transcript) -> dict[str, Any]:
    """Return a transcript as the guide's clients read it."""
    return {
        "text": transcript.text,
        "language": transcript.language,
        "duration_s": round(transcript.duration_s, _DIGITS),
        "segments": [segment_json(segment) for segment in transcript.segments],
    }


def segment_json(segment: Segment) -> dict[str, Any]:
    """Return a segment as the guide's clients read it."""
    return {"start_s": round(segment.start_s, _DIGITS), "end_s": round(segment.end_s, _DIGITS), "text": segment.text}
