"""Every way in which the transcription API says no: a status, a code, a sentence that says what to do.

Raised anywhere in `api`, written here: `{"error": sentence, "code": code}` for the guide's routes, OpenAI's nested
shape below `/v1`, so that each client finds the sentence where it looks for it.
"""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from parley_asr.engines import DecodeFailedError
from parley_asr.uploads import TooLongError
from parley_runtime.sounds import UnreadableSoundError

OPENAI_PATHS: Final = "/v1/"
_RETRY_AFTER_S: Final = 2


class Refusal(HTTPException):
    """A request that is answered with no."""

    def __init__(self, status: HTTPStatus, code: str, sentence: str, *, parameter: str | None = None) -> None:
        """Say why; `parameter` names the field that is to blame."""
        super().__init__(status, sentence)
        self.status: Final = status
        self.sentence: Final = sentence
        self.code: Final = code
        self.parameter: Final = parameter


def too_large(max_bytes: int) -> Refusal:
    """More bytes than are allowed."""
    sentence = f"The upload is larger than {max_bytes // 1024**2} MiB: send it in parts, or raise MAX_UPLOAD_MIB."
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", sentence)


def refusal_of(error: Exception) -> Refusal | None:
    """Return what the caller is told about an error of ours; None of any other."""
    match error:
        case Refusal():
            return error
        case UnreadableSoundError():
            return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unreadable", f"{error}.", parameter="file")
        case TooLongError():
            return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_long", f"{error}.", parameter="file")
        case DecodeFailedError():
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "decode_failed", f"{error}.")
        case _:
            return None


def body(refusal: Refusal, path: str) -> dict[str, Any]:
    """Return the answer's JSON in the shape that clients of this path read."""
    if not path.startswith(OPENAI_PATHS):
        return {"error": refusal.sentence, "code": refusal.code}
    kind = "invalid_request_error" if refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return {"error": {"message": refusal.sentence, "type": kind, "param": refusal.parameter, "code": refusal.code}}


def answer(refusal: Refusal, path: str) -> JSONResponse:
    """Return the whole answer."""
    headers = {}
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body(refusal, path), status_code=refusal.status, headers=headers)


_STATUSES: Final = {
    400: "A field is wrong, or the model cannot do what was asked for.",
    401: "The secret is missing or wrong.",
    413: "More bytes, or longer sound, than is allowed.",
    415: "It is no sound that can be decoded.",
    503: "It is being loaded, busy, about to end, or out of memory; the sentence says which. Try again.",
}


def documented(path: str) -> dict[int | str, dict[str, Any]]:
    """Return the refusals of a path as OpenAPI describes answers; 422 is FastAPI's own, which never comes."""
    example = body(Refusal(HTTPStatus.BAD_REQUEST, "bad_field", "language: is wrong.", parameter="language"), path)
    error: dict[str, Any] = {"type": "string"}
    required = ["error", "code"]
    if path.startswith(OPENAI_PATHS):
        error, required = {"type": "object", "required": ["message", "type", "param", "code"]}, ["error"]
    schema = {"type": "object", "properties": {"error": error}, "required": required, "example": example}
    content = {"application/json": {"schema": schema}}
    return {status: {"description": meaning, "content": content} for status, meaning in _STATUSES.items()}


def add_refusals(app: FastAPI) -> None:
    """Have `app` answer with refusals."""

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        refusal = refusal_of(error)
        if refusal is None:
            raise error
        return answer(refusal, request.url.path)

    async def refuse_fields(request: Request, error: Exception) -> JSONResponse:
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        first = problems[0] if problems else {}
        field = str(first.get("loc", ("", "?"))[-1])
        sentence = f"{field}: {first.get('msg', 'is wrong')}."
        return answer(Refusal(HTTPStatus.BAD_REQUEST, "bad_field", sentence, parameter=field), request.url.path)

    async def refuse_otherwise(request: Request, error: Exception) -> JSONResponse:
        status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
        detail = str(error.detail) if isinstance(error, HTTPException) else status.phrase
        response = answer(Refusal(status, status.name.lower(), f"{detail}."), request.url.path)
        response.headers.update((error.headers or {}) if isinstance(error, HTTPException) else {})
        return response

    for kind in (Refusal, UnreadableSoundError, TooLongError, DecodeFailedError):
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, refuse_fields)
    app.add_exception_handler(HTTPException, refuse_otherwise)
