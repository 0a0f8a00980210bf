"""The client of the asr service: what it sends, and what it makes of every answer."""

import os
import re
from pathlib import Path

import httpx
import pytest

from parley_cli.transcribing import (
    Heard,
    NoAddressError,
    NotTranscribedError,
    Service,
    TurnedAwayError,
    UnreachableError,
    connected,
)

HEARD = {"text": "안녕하세요.", "language": "ko", "duration_s": 1.2, "segments": []}


class ScriptedAsr:
    """Answers with what it is given, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = list(answers)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def service_of(asr: ScriptedAsr) -> Service:
    url = "http://asr:5005"
    return Service(httpx.AsyncClient(base_url=url, transport=httpx.MockTransport(asr)), url)


def refusal(status: int, code: str, sentence: str = "So it is.") -> httpx.Response:
    return httpx.Response(status, json={"error": sentence, "code": code})


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "hello.wav"
    path.write_bytes(b"RIFF....")
    return path


async def test_a_file_and_its_language_go_to_the_guides_route(sound: Path) -> None:
    asr = ScriptedAsr(httpx.Response(200, json=HEARD))

    heard = await service_of(asr).transcribe(sound, "ko")

    [request] = asr.asked
    assert heard == Heard(text="안녕하세요.", language="ko", duration_s=1.2)
    assert (request.method, request.url.path) == ("POST", "/transcribe")
    assert b'name="audio_file"; filename="hello.wav"' in request.content
    assert b'name="language"\r\n\r\nko\r\n' in request.content


async def test_a_file_whose_name_is_no_text_is_sent_by_another_name(tmp_path: Path) -> None:
    sound = tmp_path / os.fsdecode(b"caf\xe9.wav")
    sound.write_bytes(b"RIFF....")
    asr = ScriptedAsr(httpx.Response(200, json=HEARD))

    await service_of(asr).transcribe(sound, "")

    [request] = asr.asked
    assert rb'filename="caf\\xe9.wav"' in request.content


@pytest.mark.parametrize("url", ["http://[::1", "http://asr:99999", "http://asr:port"])
async def test_what_is_no_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(NoAddressError, match=f"{re.escape(url)} is no address"):
        async with connected(url, ""):
            pass


async def test_a_secret_of_any_letters_can_be_sent() -> None:
    async with connected("http://asr:5005", "비밀") as service:
        assert isinstance(service, Service)


@pytest.mark.parametrize("code, status", [("unreadable", 415), ("too_long", 413), ("decode_failed", 503)])
async def test_what_concerns_one_file_fails_that_file(sound: Path, code: str, status: int) -> None:
    with pytest.raises(NotTranscribedError, match=r"So it is\."):
        await service_of(ScriptedAsr(refusal(status, code))).transcribe(sound, "")


@pytest.mark.parametrize("code, status", [("unauthorized", 401), ("bad_field", 400)])
async def test_what_concerns_every_file_ends_it(sound: Path, code: str, status: int) -> None:
    with pytest.raises(TurnedAwayError, match=r"So it is\."):
        await service_of(ScriptedAsr(refusal(status, code))).transcribe(sound, "")


async def test_a_busy_service_is_asked_again(sound: Path) -> None:
    asr = ScriptedAsr(refusal(503, "busy"), refusal(503, "loading"), httpx.Response(200, json=HEARD))

    heard = await service_of(asr).transcribe(sound, "")

    assert heard.text == "안녕하세요."
    assert len(asr.asked) == 3


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadError("reset")])
async def test_a_service_that_is_gone_is_named(sound: Path, error: Exception) -> None:
    with pytest.raises(UnreachableError, match="no asr service answers at http://asr:5005"):
        await service_of(ScriptedAsr(error)).transcribe(sound, "")


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(404, text="no such page")])
async def test_another_kind_of_server_is_told_apart(sound: Path, answer: httpx.Response) -> None:
    with pytest.raises(TurnedAwayError, match="asr service of Parley"):
        await service_of(ScriptedAsr(answer)).transcribe(sound, "")


async def test_a_service_is_called_by_its_model_and_window() -> None:
    status = {"model": "small", "window_s": 10.0, "busy": False}

    assert await service_of(ScriptedAsr(httpx.Response(200, json=status))).name() == "small, 10 s window"


async def test_a_service_without_a_status_is_called_by_its_address() -> None:
    assert await service_of(ScriptedAsr(httpx.Response(404, text="?"))).name() == "http://asr:5005"
