"""Speech to text over HTTP, with real Whispers and the clients that people have: curl, an HTTP client, a WebSocket."""

import asyncio
import contextlib
import io
import json
import re
import signal
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
import httpx
import numpy as np
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley_asr.engines import Samples
from parley_contract.frames import RATE_HZ
from parley_testkit.asr_process import LAPTOP, asr_alone, sample, speaking, wav_of
from parley_testkit.nats_server import running_nats
from parley_testkit.service_process import ServiceProcess, running_service
from parley_testkit.toy_speech import frames_of
from parley_testkit.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOX: Final = "The quick brown fox jumps over the lazy dog."
LONG_S: Final = 1800.0


def as_(container: str, codec: str, samples: Samples, rate_hz: int) -> bytes:
    """Write sound as phones and browsers do."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.rate = RATE_HZ
        fitting = av.AudioResampler(stream.format, "mono", rate_hz, stream.frame_size or None)
        for part in [*fitting.resample(frame), *fitting.resample(None), None]:
            output.mux(stream.encode(part))
    return file.getvalue()


@pytest.fixture(scope="module")
def fox() -> bytes:
    """Three seconds of speech."""
    return wav_of(sample("en/quick_brown_fox"))


@pytest.fixture(scope="module")
def speech() -> Samples:
    """Six seconds, with a pause in the middle of its two sentences and at the end."""
    pause = np.zeros(RATE_HZ, dtype=np.float32)
    return np.concatenate((sample("en/quick_brown_fox"), pause, sample("en/hello_world"), pause))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asr(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    async with asr_alone(tmp_path_factory.mktemp("asr"), MAX_UPLOAD_MIB="60", LANGUAGE="", MAX_UPLOADS="2") as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def http(asr: ServiceProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=asr.url, trust_env=False, timeout=60) as client:
        yield client


async def curl(*arguments: str, folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--noproxy", "*", *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


def events_of(stream: str) -> list[tuple[str, dict[str, Any]]]:
    """Read server-sent events, passing over comments."""
    return [
        (name, json.loads(data)) for name, data in re.findall(r"^event: (.*)\ndata: (.*)\n\n", stream, re.MULTILINE)
    ]


async def until_uploads(
    service: ServiceProcess, count: int, *, or_done: asyncio.Future[httpx.Response] | None = None
) -> None:
    """Wait until so many are transcribed at once; or until one is answered already."""

    async def are_there() -> bool:
        return bool((await service.get("/status"))["uploads"] == count or (or_done and or_done.done()))

    await until(f"{count} uploads are transcribed", are_there)


@contextlib.asynccontextmanager
async def begun(client: httpx.AsyncClient, files: Mapping[str, bytes]) -> AsyncIterator[None]:
    """Have an upload transcribed, of which something has come back already; at the block's end the caller leaves."""
    async with client.stream("POST", "/transcribe-stream", files=files) as answer:
        body = answer.aiter_bytes()
        await anext(body)
        # What reads the body must live as long: it closes the connection when it goes.
        yield


async def test_the_guides_curl_commands_work_as_written(asr: ServiceProcess, fox: bytes, tmp_path: Path) -> None:
    (tmp_path / "test_audio.wav").write_bytes(fox)
    form = ("-F", "audio_file=@test_audio.wav", "-F", "language=en")

    health = json.loads(await curl(f"{asr.url}/health", folder=tmp_path))
    whole = json.loads(await curl("-X", "POST", f"{asr.url}/transcribe", *form, folder=tmp_path))
    stream = events_of(await curl("-X", "POST", f"{asr.url}/transcribe-stream", *form, folder=tmp_path))

    assert health == {"status": "ok", "service": "asr"}
    assert (whole["text"], whole["language"]) == (FOX, "en")
    assert whole["duration_s"] == pytest.approx(2.9, abs=0.1)
    assert [segment["text"] for segment in whole["segments"]] == [FOX]
    assert 0 <= whole["segments"][0]["start_s"] < whole["segments"][0]["end_s"] <= whole["duration_s"]
    assert [name for name, _ in stream] == ["segment", "partial", "final"]
    assert stream[-1][1] == whole


@pytest.mark.parametrize(
    "container,codec,rate_hz",
    [("mp3", "libmp3lame", 44_100), ("ipod", "aac", 44_100), ("ogg", "libopus", 48_000), ("webm", "libopus", 48_000)],
)
async def test_what_phones_and_browsers_record_is_understood(
    http: httpx.AsyncClient, container: str, codec: str, rate_hz: int
) -> None:
    sound = as_(container, codec, sample("en/quick_brown_fox"), rate_hz)

    answer = await http.post("/transcribe", files={"audio_file": ("recording", sound)})

    assert answer.json()["text"] == FOX


async def test_a_stream_grows_and_ends_with_the_whole(http: httpx.AsyncClient, speech: Samples) -> None:
    names, texts = list[str](), list[str]()
    sound = wav_of(np.tile(speech, 6))

    async with http.stream("POST", "/transcribe-stream", files={"audio_file": sound}) as answer:
        body = (await answer.aread()).decode()
    for name, data in events_of(body):
        names.append(name)
        texts += [data["text"]] if name == "partial" else []
    final = events_of(body)[-1][1]

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert names.count("partial") >= 4
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert (names[-1], final["text"]) == ("final", texts[-1])
    assert [final["text"].lower().count(part) for part in ("brown fox", "lazy dog", "hello world")] == [6] * 3
    starts = [segment["start_s"] for segment in final["segments"]]
    assert starts == sorted(starts)


REFUSALS: Final[dict[str, tuple[dict[str, Any], int, str]]] = {
    "nothing": ({}, 400, "audio_file"),
    "no file": ({"data": {"audio_file": "words"}}, 400, "audio_file"),
    "an empty file": ({"files": {"audio_file": ("a.wav", b"")}}, 415, "a.wav cannot be read as sound"),
    "a text": ({"files": {"audio_file": ("a.wav", b"these are words")}}, 415, "a.wav cannot be read as sound"),
    "another language": (
        {"files": {"audio_file": ("a.wav", b"RIFF")}, "data": {"language": "ko"}},
        400,
        "tiny.en does not know the language 'ko'. It understands English only.",
    ),
    "not even a form": ({"content": b"\x00\xff", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
}


@pytest.mark.parametrize("what", REFUSALS)
async def test_what_cannot_be_transcribed_is_refused_with_a_sentence(http: httpx.AsyncClient, what: str) -> None:
    request, status, sentence = REFUSALS[what]

    answer = await http.post("/transcribe", **request)

    assert (answer.status_code, set(answer.json())) == (status, {"error", "code"})
    assert sentence in answer.json()["error"]


async def test_too_much_is_refused_whether_its_size_is_told_or_not(asr: ServiceProcess, tmp_path: Path) -> None:
    with (tmp_path / "big.wav").open("wb") as file:
        file.truncate(61 * 1024 * 1024)

    answers = [
        await curl(
            f"{asr.url}/transcribe", "-F", "audio_file=@big.wav", *header, "-w", " %{http_code}", folder=tmp_path
        )
        for header in ((), ("-H", "Transfer-Encoding: chunked"))
    ]

    assert ["larger than 60 MiB" in answer and answer.endswith(" 413") for answer in answers] == [True] * 2


async def test_a_caller_who_leaves_is_worked_for_no_longer(
    asr: ServiceProcess, http: httpx.AsyncClient, speech: Samples
) -> None:
    files = {"audio_file": wav_of(np.tile(speech, 60))}

    leaving = asyncio.ensure_future(http.post("/transcribe", files=files))
    await until_uploads(asr, 1)
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    await until_uploads(asr, 0)
    async with begun(http, files):
        pass
    await until_uploads(asr, 0)
    gone = [line for line in map(json.loads, asr.log().splitlines()) if line.get("outcome") == "client_gone"]

    assert [line["route"] for line in gone] == ["transcribe", "transcribe-stream"]
    assert all(line["audio_s"] < 60 * len(speech) / RATE_HZ for line in gone)


async def test_more_uploads_than_there_are_places_for_are_told_to_come_back(
    asr: ServiceProcess, http: httpx.AsyncClient, fox: bytes, speech: Samples
) -> None:
    long = {"audio_file": wav_of(np.tile(speech, 60))}
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(begun(http, long))
        refused = await http.post("/transcribe", files={"audio_file": fox})
    await until_uploads(asr, 0)
    served = await http.post("/transcribe", files={"audio_file": fox})

    assert (refused.status_code, refused.headers["retry-after"], refused.json()["code"]) == (503, "2", "busy")
    assert served.status_code == 200


async def test_what_is_said_live_comes_as_partials_and_a_final_for_each_sentence(
    asr: ServiceProcess, speech: Samples
) -> None:
    pcm = np.round(speech * 32767).astype("<i2").tobytes()
    async with connect(f"{asr.url.replace('http', 'ws', 1)}/v1/listen?language=en", proxy=None) as socket:
        for start in range(0, len(pcm), 6400):
            await socket.send(pcm[start : start + 6400])
            await asyncio.sleep(0.1)
        await socket.send('{"event": "end"}')
        events = [json.loads(message) async for message in socket]

    finals = [event for event in events if event["event"] == "final"]
    assert "partial" in {event["event"] for event in events}
    assert [final["text"].strip(".!").lower() for final in finals] == [FOX.strip(".").lower(), "hello world"]
    assert finals[1]["start_s"] > finals[0]["start_s"]
    assert events[-1] == {"event": "done", "duration_s": pytest.approx(len(speech) / RATE_HZ, abs=0.01)}
    assert socket.close_code == 1000


@pytest.mark.parametrize(
    "query,said,code,close_code",
    [("?language=ko", b"", "unknown_language", 1007), ("", "what is this?", "bad_event", 1007)],
)
async def test_a_live_connection_that_cannot_work_is_told_why(
    asr: ServiceProcess, query: str, said: str | bytes, code: str, close_code: int
) -> None:
    async with connect(f"{asr.url.replace('http', 'ws', 1)}/v1/listen{query}", proxy=None) as socket:
        with contextlib.suppress(ConnectionClosed):
            await socket.send(said)
        error = json.loads(await socket.recv())
        with pytest.raises(ConnectionClosed):
            await socket.recv()

    assert (error["event"], error["code"]) == ("error", code)
    assert socket.close_code == close_code


async def test_the_secret_is_asked_for_and_health_is_not_guarded(fox: bytes, tmp_path: Path) -> None:
    async with asr_alone(tmp_path, WORKER_SHARED_SECRET="열려라 참깨") as asr:
        async with httpx.AsyncClient(base_url=asr.url, trust_env=False, timeout=30) as nobody:
            bearers = [
                await nobody.post(
                    "/transcribe", files={"audio_file": fox}, headers={b"Authorization": f"Bearer {secret}".encode()}
                )
                for secret in ("열려라 참깨", "wrong", "öpen")
            ]
            refused = await nobody.post("/transcribe", files={"audio_file": fox})
            statuses = [(await nobody.get(path)).status_code for path in ("/health", "/readyz", "/metrics")]
        with pytest.raises(InvalidStatus, match="403"):
            await connect(f"{asr.url.replace('http', 'ws', 1)}/v1/listen", proxy=None)
        log = asr.log()

    assert [answer.status_code for answer in bearers] == [200, 401, 401]
    assert bearers[0].json()["text"] == FOX
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert statuses == [200, 200, 200]
    assert "sesame" not in log


async def test_sound_that_is_too_long_is_refused_without_reading_on(tmp_path: Path) -> None:
    silence = wav_of(np.zeros(400 * 8000, dtype=np.float32), 8000)
    async with (
        asr_alone(tmp_path, MAX_AUDIO_S="60") as asr,
        httpx.AsyncClient(base_url=asr.url, trust_env=False, timeout=30) as client,
    ):
        whole = await client.post("/transcribe", files={"audio_file": ("talk.wav", silence)})
        stream = await client.post("/transcribe-stream", files={"audio_file": ("talk.wav", silence)})

    assert (whole.status_code, whole.json()["code"]) == (413, "too_long")
    assert "talk.wav is longer than 60 s" in whole.json()["error"]
    assert events_of(stream.text)[-1] == ("error", whole.json())


async def test_a_service_that_ends_answers_every_upload_first(fox: bytes, speech: Samples, tmp_path: Path) -> None:
    long = {"audio_file": wav_of(np.tile(speech, 100))}
    async with (
        asr_alone(tmp_path, DRAIN_S="5") as asr,
        httpx.AsyncClient(base_url=asr.url, trust_env=False, timeout=60) as client,
        asyncio.TaskGroup() as tasks,
    ):
        whole = tasks.create_task(client.post("/transcribe", files=long))
        stream = tasks.create_task(client.post("/transcribe-stream", files=long))
        await until_uploads(asr, 2)
        short = tasks.create_task(client.post("/transcribe", files={"audio_file": fox}))
        await until_uploads(asr, 3, or_done=short)
        asr.process.send_signal(signal.SIGTERM)
        await asr.until_draining()
        late = await client.post("/transcribe", files={"audio_file": fox})
        status = await asr.ended()

    assert status == 0
    assert short.result().status_code == 200
    assert [(answer.status_code, answer.json()["code"]) for answer in (late, whole.result())] == [(503, "draining")] * 2
    assert whole.result().headers["retry-after"] == "2"
    assert events_of(stream.result().text)[-1][0] == "error"


async def test_a_final_does_not_wait_for_the_end_of_a_long_upload(tmp_path: Path, speech: Samples) -> None:
    half_an_hour = wav_of(np.tile(speech, round(LONG_S * RATE_HZ / len(speech))))
    pause = np.zeros(RATE_HZ // 2, dtype=np.float32)
    fox = frames_of(np.concatenate((sample("en/quick_brown_fox"), pause)))
    async with (
        running_nats(tmp_path) as nats,
        running_service("asr", nats, tmp_path, LAPTOP) as asr,
        httpx.AsyncClient(base_url=asr.url, trust_env=False, timeout=60) as client,
        speaking(nats) as session,
    ):
        async with begun(client, {"audio_file": half_an_hour}):
            await session.microphone.say("1-0", fox)
            final = await session.final()
            is_uploading = (await asr.get("/status"))["uploads"]
        await until_uploads(asr, 0)

    # For how much of it at most is what tests/unit/asr/test_decoder.py says.
    assert (final.text, is_uploading) == (FOX, 1)


async def test_every_request_leaves_a_line_and_metrics_and_no_word_of_what_was_said(
    asr: ServiceProcess, http: httpx.AsyncClient, fox: bytes
) -> None:
    before = len(asr.log().splitlines())
    await http.post("/transcribe", files={"audio_file": ("secret plans.wav", fox)}, data={"language": "en"})
    lines = [json.loads(line) for line in asr.log().splitlines()[before:]]
    [line] = [line for line in lines if line.get("route") == "transcribe"]
    metrics = await asr.text("/metrics")

    assert (line["event"], line["outcome"]) == ("transcribed", "done")
    assert line["audio_s"] == pytest.approx(2.9, abs=0.1)
    assert line["rtf"] == pytest.approx(line["decode_s"] / line["audio_s"], abs=0.01)
    assert re.search(r'^parley_asr_requests_total\{outcome="done",route="transcribe"\} \d', metrics, re.MULTILINE)
    assert not re.search(r"quick|brown|secret plans", asr.log() + metrics)
