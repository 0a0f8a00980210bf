"""The transcription API: speech to text over HTTP. `docs/reference/asr-http.md` is its contract.

    desk      takes an upload, bounds it, has it transcribed, accounts for it
    guide     POST /transcribe and /transcribe-stream, the guide's own
    openai    POST /v1/audio/transcriptions and /translations, GET /v1/models, as OpenAI's clients ask for them
    live      WebSocket /v1/listen: sound as it is said
    guard     who may call, and how much they may send
    refusals  every way to say no, in the shape that the caller's client reads

`app` adds all of it by `add_api`.
"""

from fastapi import FastAPI

from parley_asr.api import guide, live, openai
from parley_asr.api.desk import Desk
from parley_asr.api.guard import Guard
from parley_asr.api.refusals import add_refusals
from parley_asr.settings import AsrSettings


def add_api(app: FastAPI, desk: Desk, settings: AsrSettings) -> None:
    """Open the API on `app`; until a model is at the desk it answers 503."""
    add_refusals(app)
    guide.add_routes(app, desk)
    openai.add_routes(app, desk)
    live.add_route(app, desk)
    app.add_middleware(Guard, secret=settings.worker_shared_secret, max_bytes=settings.max_upload_mib * 1024 * 1024)
