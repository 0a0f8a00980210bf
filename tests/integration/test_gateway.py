"""The gateway as a process with a real broker, the real voice detector and a real WebSocket client.

The other services are played by `parley_testkit.neighbours`.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from parley_contract.catalogue import find_model
from parley_contract.frames import Frame
from parley_contract.messages import (
    CloseSession,
    Heartbeat,
    InterruptTurn,
    SegmentEnded,
    SegmentStarted,
    SessionMessage,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.nats_server import NatsServer
from parley_testkit.neighbours import Neighbours, tone
from parley_testkit.otlp_receiver import running_otlp_receiver
from parley_testkit.service_process import ServiceProcess, running_service
from parley_testkit.talker import Talker, talking
from parley_testkit.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENT: Final = {"STALL_MS": "3000", "HOLD_AFTER_S": "30", "FAIL_AFTER_S": "40"}
"""On a busy machine a speaker may fall behind in the middle of a word, and a reply come late."""
GatewayOf = Callable[[dict[str, str]], contextlib.AbstractAsyncContextManager[ServiceProcess]]
Between = tuple[float, float]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    nats: NatsServer, others: Neighbours, hello: bytes, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    async with running_service("gateway", nats, folder, {"MAX_SESSIONS": "100", **PATIENT}) as process:
        yield process


@pytest.fixture(autouse=True)
def begin_anew(others: Neighbours) -> None:
    """Every test finds the other services as if they had just started."""
    others.begin_anew()


M = TypeVar("M", bound=SessionMessage)


async def heard(others: Neighbours, talker: Talker, kind: type[M], count: int = 1) -> list[M]:
    """Wait until the agent has heard so many messages of a kind about a session, and return them."""
    await until(f"{count} {kind.__name__}", lambda: len(heard_so_far(others, talker, kind)) >= count)
    return heard_so_far(others, talker, kind)


def heard_so_far(others: Neighbours, talker: Talker, kind: type[M]) -> list[M]:
    messages = [message for message in others.agent.heard if isinstance(message, kind)]
    return [message for message in messages if message.session == talker.session["session"]]


async def until_lacking(process: ServiceProcess, *wanted: str) -> None:
    """Wait until a process that just started, and may not answer yet, lacks these things and no others."""

    async def is_so() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return list((await process.get("/readyz"))["reasons"]) == list(wanted)
        return False

    await until(f"it lacks {wanted}", is_so)


def frames_of(others: Neighbours, talker: Talker) -> dict[int, Frame]:
    """What asr got of the first utterance of a session."""
    return others.asr.frames[f"{talker.session['session']}.1-0"]


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


async def refusal(url: str, *, query: str = "", headers: dict[str, str] | None = None) -> tuple[str, int]:
    """Return the error's code and the close code that a connection ends with."""
    async with talking(url, query=query, headers=headers, wait=False) as talker:
        error = await talker.until("error")
        await talker.closed()
        assert talker.socket.close_code is not None
        return error["code"], talker.socket.close_code


class TestATurn:
    async def test_a_question_is_heard_understood_and_answered(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            report = (await talker.until("turn"))["report"]

        kinds = [event["event"] for event in talker.events]
        assert kinds[:5] == ["session", "speech_started", "transcript", "delta", "phrase"]
        assert sorted(kinds[5:-1]) == ["delta", "mark", "mark", "mark", "mark", "phrase"]
        assert kinds[-1] == "turn"
        assert [(mark["phrase"], mark["edge"], mark["at_ms"]) for mark in talker.of("mark")] == [
            (0, "begin", 0),
            (1, "begin", 500),
            (0, "end", 500),
            (1, "end", 1000),
        ]
        assert [pcm for _, pcm in talker.sound] == [*tone(25), *tone(25)]
        assert (report["outcome"], report["turn"], report["phrases"], report["played_ms"]) == ("answered", 1, 2, 1000)

    async def test_what_asr_gets_is_what_was_said(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        async with talking(gateway.url) as talker:
            await talker.say(bytes(32_000) + hello, then_silence_s=1.0)
            await talker.until("turn")

        got = frames_of(others, talker)
        audio = b"".join(got[sequence].pcm for sequence in range(len(got) - 1))
        spoken = b"".join(talker.spoken)
        start = spoken.index(audio[-640 * 40 :]) + 640 * 40 - len(audio)
        assert spoken[start : start + len(audio)] == audio
        assert start < 32_000 - 640 * 5
        assert start + len(audio) > 32_000 + len(hello)

    async def test_that_speech_goes_on_after_a_pause_is_said_while_it_does(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        async with talking(gateway.url) as talker:
            # Its voice ends after 0.8 s: the pause is shorter than the endpoint delay.
            await talker.say(hello[: 32_000 * 9 // 10] + bytes(3200) + hello, then_silence_s=1.0)
            await talker.until("turn")

        paused, *_ = await heard(others, talker, SegmentEnded)
        resumed, *_ = await heard(others, talker, SegmentStarted)
        [ended] = await heard(others, talker, UtteranceEnded)
        assert resumed.utterance == paused.utterance == ended.utterance
        assert paused.last_seq < resumed.latest_seq < (ended.voiced_seq or 0)

    async def test_the_stages_add_up_and_the_endpoint_takes_what_was_configured(
        self, nats: NatsServer, others: Neighbours, hello: bytes, tmp_path: Path
    ) -> None:
        settings = {"ENDPOINT_MS": "2000", **PATIENT}
        async with running_service("gateway", nats, tmp_path, settings) as gateway, talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=2.5)
            report = (await talker.until("turn"))["report"]

        stages = report["stages"]
        first_three = stages["endpoint_ms"] + stages["asr_ms"] + stages["llm_ttft_ms"]
        rest = stages["first_phrase_ms"] + stages["tts_first_audio_ms"] + stages["playback_wait_ms"]
        # To the millisecond by tests/unit/gateway/test_utterances.py; here a busy machine has both ends late.
        assert stages["endpoint_ms"] > 1000
        assert first_three == pytest.approx(report["e2ft_ms"], abs=0.5)
        assert first_three + rest == pytest.approx(report["e2fa_ms"], abs=0.5)

    async def test_a_client_that_falls_silent_reaches_the_endpoint_on_the_wall_clock(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=0.2)
            report = (await talker.until("turn"))["report"]

        assert report["outcome"] == "answered"
        assert report["stages"]["endpoint_ms"] > 250

    async def test_sound_comes_in_real_time(self, gateway: ServiceProcess, others: Neighbours, hello: bytes) -> None:
        others.tts.frames = 50
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            await talker.until("turn")

        # Two seconds, and not at once. How far ahead a frame may be is what tests/unit/gateway/test_playback.py says:
        # here arrival is seen through two event loops on a busy machine.
        assert len(talker.sound) == 100
        assert talker.sound[-1][0] - talker.sound[0][0] > 1

    async def test_two_turns_are_one_session(self, gateway: ServiceProcess, others: Neighbours, hello: bytes) -> None:
        async with talking(gateway.url) as talker:
            for turn in (1, 2):
                await talker.say(hello, then_silence_s=1.0)
                await talker.until("turn", count=turn)

        started = await heard(others, talker, UtteranceStarted, 2)
        assert [(message.turn, message.utterance) for message in started] == [(1, "1-0"), (2, "1-1")]

    async def test_frames_that_got_lost_are_sent_again(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        others.asr.lose = {3, 4, 20}

        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            transcript = await talker.until("transcript")

        got = frames_of(others, talker)
        assert transcript["text"] == f"{len(got) - 1} frames"
        assert {3, 4, 20} <= set(got)


class TestInterrupting:
    async def test_after_an_interrupt_nothing_more_is_heard_and_the_agent_knows_how_much_was(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        others.tts.frames = 200
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=0.6)
            await talker.until("mark")
            await asyncio.sleep(0.5)
            await talker.send(event="interrupt")
            cut = await talker.until("cut")
            report = (await talker.until("turn"))["report"]
            await asyncio.sleep(0.3)

        [interrupt] = await heard(others, talker, InterruptTurn)
        assert len(talker.sound) == cut["_frames"]
        assert 400 < cut["at_ms"] < 4000
        assert cut["next_ms"] - cut["at_ms"] <= 100
        assert (report["outcome"], report["reason"], report["played_ms"]) == ("interrupted", "client", cut["at_ms"])
        assert (interrupt.phrase, interrupt.played_ms, interrupt.phrase_ms) == (0, cut["at_ms"], 4000)

    async def test_a_client_that_is_behind_has_heard_less(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        others.tts.frames = 200
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=0.6)
            await talker.until("mark")
            await asyncio.sleep(0.5)
            await talker.send(event="position", at_ms=200)
            await talker.send(event="interrupt")
            await talker.until("turn")

        [interrupt] = await heard(others, talker, InterruptTurn)
        assert 180 <= interrupt.played_ms < 400

    async def test_a_new_question_ends_the_old_answer(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        others.tts.frames = 200
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=2.0)  # Beyond the endpoint and the reopen window.
            await talker.say(hello, then_silence_s=1.0)
            report = (await talker.until("turn"))["report"]

        assert (report["turn"], report["outcome"], report["reason"]) == (1, "interrupted", "speech")


class TestComingBack:
    async def test_a_client_that_comes_back_goes_on_with_its_session(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            await talker.until("turn")
        async with talking(gateway.url, query=f"resume={talker.session['resume']}") as again:
            await again.say(hello, then_silence_s=1.0)
            report = (await again.until("turn"))["report"]

        assert again.session["resumed"] is True
        assert again.session["session"] == talker.session["session"]
        assert report["turn"] == 2

    async def test_a_reply_goes_on_where_the_connection_was_lost(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        others.tts.frames = 60
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=0.6)
            await talker.until("mark")
            await asyncio.sleep(0.4)
        await asyncio.sleep(0.5)
        async with talking(gateway.url, query=f"resume={talker.session['resume']}") as again:
            report = (await again.until("turn"))["report"]

        assert (report["outcome"], report["played_ms"]) == ("answered", 2400)
        assert 120 <= len(talker.sound) + len(again.sound) <= 120 + 10
        assert again.sound[-1][1] == tone(60)[-1]

    async def test_words_said_before_the_connection_was_lost_are_answered_after_it(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        async with talking(gateway.url) as talker:
            await talker.say(hello)
        async with talking(gateway.url, query=f"resume={talker.session['resume']}") as again:
            report = (await again.until("turn"))["report"]

        [ended] = await heard(others, talker, UtteranceEnded)
        assert ended.reason == "closed"
        assert report["outcome"] == "answered"

    async def test_a_second_connection_takes_the_session_over(
        self, gateway: ServiceProcess, others: Neighbours
    ) -> None:
        async with talking(gateway.url) as talker, talking(gateway.url, query=f"resume={talker.session['resume']}"):
            error = await talker.until("error")
            await talker.closed()

        assert error["code"] == "replaced"

    async def test_a_session_outlives_its_gateway(
        self, nats: NatsServer, others: Neighbours, tmp_path: Path, hello: bytes
    ) -> None:
        async with running_service("gateway", nats, tmp_path, {}) as first, talking(first.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            await talker.until("turn")
            await first.kill()
        async with (
            running_service("gateway", nats, tmp_path, {}) as second,
            talking(second.url, query=f"resume={talker.session['resume']}") as again,
        ):
            await again.say(hello, then_silence_s=1.0)
            report = (await again.until("turn"))["report"]

        assert again.session["resumed"] is True
        assert (report["session"], report["epoch"], report["turn"]) == (talker.session["session"], 2, 2)

    @pytest.mark.parametrize("token", ["", "nonsense", "000000000000.secret", "a.b.c", "%00.x", "*.x"])
    async def test_a_token_that_leads_nowhere_gets_a_new_session(self, gateway: ServiceProcess, token: str) -> None:
        async with talking(gateway.url, query=f"resume={token}") as talker:
            pass

        assert talker.session["resumed"] is False

    async def test_somebody_elses_session_cannot_be_resumed(self, gateway: ServiceProcess) -> None:
        async with talking(gateway.url) as talker:
            guess = f"resume={talker.session['session']}.guess"
            async with talking(gateway.url, query=guess) as thief:
                pass

        assert thief.session["session"] != talker.session["session"]

    async def test_a_session_nobody_comes_back_to_is_closed(
        self, nats: NatsServer, others: Neighbours, tmp_path: Path
    ) -> None:
        settings = {"RESUME_GRACE_S": "0.1"}
        async with running_service("gateway", nats, tmp_path, settings) as gateway:
            async with talking(gateway.url) as talker:
                await heard(others, talker, Heartbeat)
            [closed] = await heard(others, talker, CloseSession)

        assert closed.epoch == 1


class TestRefusing:
    @pytest.mark.parametrize("frame", [b"", bytes(639), bytes(641), bytes(1280), bytes(100_000)])
    async def test_a_frame_of_another_size(self, gateway: ServiceProcess, frame: bytes) -> None:
        async with talking(gateway.url) as talker:
            await talker.socket.send(frame)
            error = await talker.until("error")
            await talker.closed()

        assert (error["code"], talker.socket.close_code) == ("bad_frame", 1003)
        assert "640 bytes" in error["sentence"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "hello",
            "{}",
            "[]",
            "1",
            '{"event": "dance"}',
            '{"event": "position"}',
            '{"event":"position","at_ms":-1}',
        ],
    )
    async def test_text_that_is_no_event(self, gateway: ServiceProcess, text: str) -> None:
        async with talking(gateway.url) as talker:
            await talker.socket.send(text)
            error = await talker.until("error")
            await talker.closed()

        assert (error["code"], talker.socket.close_code) == ("bad_event", 1007)

    async def test_more_sessions_than_allowed(self, nats: NatsServer, others: Neighbours, tmp_path: Path) -> None:
        async with (
            running_service("gateway", nats, tmp_path, {"MAX_SESSIONS": "2"}) as gateway,
            talking(gateway.url),
            talking(gateway.url),
        ):
            refused = await refusal(gateway.url)
            status = await gateway.get("/status")

        assert (status["sessions"], status["max_sessions"], status["ready"]) == (2, 2, True)
        assert refused == ("too_many_sessions", 1013)

    async def test_who_finds_no_place_is_told_so_aloud(
        self, nats: NatsServer, others: Neighbours, tmp_path: Path
    ) -> None:
        async with running_service("gateway", nats, tmp_path, {"MAX_SESSIONS": "1"}) as gateway:
            await gateway.until_logged("canned phrases spoken")
            async with talking(gateway.url), talking(gateway.url, wait=False) as refused:
                await refused.until("error")
                await refused.closed()

        assert [pcm for _, pcm in refused.sound] == tone(25)
        assert refused.sound[-1][0] - refused.sound[0][0] > 0.2

    async def test_a_page_of_another_site(self, gateway: ServiceProcess) -> None:
        assert await refusal(gateway.url, headers={"Origin": "https://evil.example"}) == ("forbidden_origin", 1008)

    async def test_our_own_page_is_let_in(self, gateway: ServiceProcess) -> None:
        async with talking(gateway.url, headers={"Origin": gateway.url}) as talker:
            pass

        assert talker.session["frame_bytes"] == 640

    async def test_an_agent_that_is_not_ready(self, gateway: ServiceProcess, others: Neighbours) -> None:
        others.agent.refuses = True

        assert await refusal(gateway.url) == ("agent_unavailable", 1013)

    async def test_who_does_not_know_the_secret(self, nats: NatsServer, others: Neighbours, tmp_path: Path) -> None:
        settings = {"WORKER_SHARED_SECRET": "열려라 참깨"}
        async with running_service("gateway", nats, tmp_path, settings) as gateway:
            without = await refusal(gateway.url)
            wrong = await refusal(gateway.url, query="token=open")
            async with talking(gateway.url, query=f"token={quote('열려라 참깨')}") as by_query:
                pass
            async with talking(
                gateway.url, headers={"Authorization": "Bearer 열려라 참깨".encode().decode("latin-1")}
            ) as by_header:
                pass

        assert without == wrong == ("unauthorized", 1008)
        assert by_query.session["event"] == by_header.session["event"] == "session"


class TestLeaving:
    async def test_bye_closes_the_session_with_the_agent_and_ends_its_turn(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        others.tts.frames = 200
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=0.6)
            await talker.until("mark")
            await talker.send(event="bye")
            report = (await talker.until("turn"))["report"]
            await talker.closed()

        [closed] = await heard(others, talker, CloseSession)
        assert talker.socket.close_code == 1000
        assert (report["outcome"], report["reason"]) == ("interrupted", "closed")
        assert closed.epoch == 1

    async def test_a_gateway_told_to_stop_finishes_its_turns_first(
        self, nats: NatsServer, others: Neighbours, hello: bytes, tmp_path: Path
    ) -> None:
        async with running_service("gateway", nats, tmp_path, {}) as gateway, talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=0.6)
            await talker.until("mark")
            status = await gateway.stop()
            report = (await talker.until("turn"))["report"]
            error = await talker.until("error")

        assert status == 0
        assert report["outcome"] == "answered"
        assert (error["code"], talker.socket.close_code) == ("draining", 1012)
        assert heard_so_far(others, talker, CloseSession) == []


class TestBeingWatched:
    async def test_ready_means_that_an_agent_answers(
        self, nats: NatsServer, others: Neighbours, tmp_path: Path
    ) -> None:
        others.agent.refuses = True
        async with running_service("gateway", nats, tmp_path, {}, wait=False) as gateway:
            await until_lacking(gateway, "agent")
            others.agent.refuses = False
            await gateway.until_ready()

    async def test_a_turn_is_one_trace_that_all_messages_and_the_report_share(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            told = (await talker.until("turn"))["report"]

        [recorded] = await heard(others, talker, TurnReport)
        work = others.asr.headers[f"{talker.session['session']}.1-0"]
        assert len(recorded.trace_id) == 32
        assert recorded.trace_id == told["trace_id"] == work["traceparent"].split("-")[1]

    async def test_the_trace_shows_what_the_gateway_did_and_waited_for(
        self, nats: NatsServer, others: Neighbours, hello: bytes, tmp_path: Path
    ) -> None:
        with running_otlp_receiver() as receiver:
            settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
            async with running_service("gateway", nats, tmp_path, settings) as gateway, talking(gateway.url) as talker:
                await talker.say(hello, then_silence_s=1.0)
                report = (await talker.until("turn"))["report"]
            spans = receiver.trace(report["trace_id"])

        [root] = [span for span in spans if not span.parent_id]
        stages = [span for span in spans if span.parent_id]
        length_ms = {span.name: (span.end_ns - span.start_ns) / 1e6 for span in stages}
        assert root.name == "turn"
        assert {span.parent_id for span in stages} == {root.span_id}
        assert set(length_ms) == {"user_speaking", "endpointing", "e2ft", "playback.wait", "playback"}
        assert length_ms["endpointing"] == pytest.approx(report["stages"]["endpoint_ms"], abs=1)
        assert length_ms["e2ft"] == pytest.approx(report["e2ft_ms"], abs=1)
        assert root.start_ns / 1e9 == pytest.approx(report["started_at"], abs=1)
        assert root.end_ns == max(span.end_ns for span in stages)

    async def test_the_log_has_a_line_per_turn_with_e2ft_and_without_text(
        self, gateway: ServiceProcess, others: Neighbours, hello: bytes
    ) -> None:
        others.asr.text = "the secret word is canary"
        others.agent.phrases = ("Canary, understood.",)
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            report = (await talker.until("turn"))["report"]
        lines = [json.loads(line) for line in gateway.log().splitlines() if "E2FT" in line]

        [line] = [line for line in lines if line["session"] == report["session"]]
        assert line["E2FT_ms"] == report["e2ft_ms"]
        assert "anary" not in gateway.log()

    async def test_metrics_count_turns_and_sessions(
        self, nats: NatsServer, others: Neighbours, hello: bytes, tmp_path: Path
    ) -> None:
        async with running_service("gateway", nats, tmp_path, {}) as gateway, talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            await talker.until("turn")
            metrics = await gateway.text("/metrics")

        assert "parley_turn_e2ft_seconds_count 1.0" in metrics
        assert "parley_turn_e2fa_seconds_count 1.0" in metrics
        assert 'parley_turns_total{outcome="answered",reason=""} 1.0' in metrics
        assert 'parley_turn_stage_seconds_count{stage="endpoint"} 1.0' in metrics
        assert "parley_sessions 1.0" in metrics

    async def test_it_stays_below_180_mib(self, gateway: ServiceProcess, others: Neighbours, hello: bytes) -> None:
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            await talker.until("turn")
            resident_mib = resident_kib(gateway.process.pid) / 1024

        assert resident_mib < 180

    async def test_a_wrong_setting_is_named_with_all_others(self, nats: NatsServer, tmp_path: Path) -> None:
        settings = {"ENDPOINT_MS": "20", "MAX_SESSIONS": "none"}
        async with running_service("gateway", nats, tmp_path, settings, wait=False) as gateway:
            status = await gateway.ended()

        assert status == 2
        assert "ENDPOINT_MS" in gateway.log()
        assert "MAX_SESSIONS" in gateway.log()


class TestListeningForTheEnd:
    """With `endpointing: smart`; speech stops, asr supposes what was said, and the gateway decides."""

    @pytest.fixture
    def gateway_of(self, nats: NatsServer, tmp_path: Path) -> GatewayOf:
        pull(ModelStore.at(), find_model("smart-turn-v3.2"))
        return lambda settings: running_service("gateway", nats, tmp_path, {"ENDPOINTING": "smart", **settings})

    # Words come in time where the endpoint gives them three seconds, on a machine as busy as can be.
    UNHURRIED: Final = {"ENDPOINT_MS": "3000", **PATIENT}

    @pytest.mark.parametrize(
        "text, ending, between_ms",
        [
            ("Hello, world.", "unclear", (300, 2500)),
            ("What is it like?", "complete", (240, 2500)),
            ("I went to", "open", (2900, 5000)),
        ],
    )
    async def test_the_words_of_a_pause_decide_how_long_it_has_to_be(
        self, gateway_of: GatewayOf, others: Neighbours, hello: bytes, text: str, ending: str, between_ms: Between
    ) -> None:
        async with gateway_of(self.UNHURRIED) as gateway, talking(gateway.url) as talker, asyncio.TaskGroup() as tasks:
            saying = tasks.create_task(talker.say(hello, then_silence_s=10))
            [paused] = await heard(others, talker, SegmentEnded)
            await others.asr.suppose(paused, text)
            report = (await talker.until("turn"))["report"]
            saying.cancel()

        shortest_ms, longest_ms = between_ms
        assert report["endpoint"]["ending"] == ending
        # A slow machine's turn model answers after the decision: no evidence, then. An open sentence waits for it.
        if ending == "open" or report["endpoint"]["audio"] is not None:
            assert 0 <= report["endpoint"]["audio"] <= 1
        assert shortest_ms <= report["endpoint"]["wait_ms"] <= longest_ms
        assert report["stages"]["endpoint_ms"] == pytest.approx(report["endpoint"]["wait_ms"], abs=1000)

    async def test_the_wait_in_the_trace_has_its_reasons(
        self, gateway_of: GatewayOf, others: Neighbours, hello: bytes
    ) -> None:
        with running_otlp_receiver() as receiver:
            settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **self.UNHURRIED}
            async with gateway_of(settings) as gateway, talking(gateway.url) as talker, asyncio.TaskGroup() as tasks:
                # An open sentence waits longest, so that a slow machine's turn model has answered by then.
                saying = tasks.create_task(talker.say(hello, then_silence_s=10))
                [paused] = await heard(others, talker, SegmentEnded)
                await others.asr.suppose(paused, "I went to")
                report = (await talker.until("turn"))["report"]
                saying.cancel()
            [wait] = [span for span in receiver.trace(report["trace_id"]) if span.name == "endpointing"]

        assert "open" in wait.attributes["parley.endpoint.ending"]
        assert str(report["endpoint"]["audio"]) in wait.attributes["parley.endpoint.audio"]
        assert "3000" in wait.attributes["parley.configured_ms"]

    async def test_without_words_in_time_the_endpoint_holds_and_the_turn_model_has_room(
        self, gateway_of: GatewayOf, others: Neighbours, hello: bytes
    ) -> None:
        async with gateway_of({}) as gateway, talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=1.0)
            report = (await talker.until("turn"))["report"]

            resident_mib = resident_kib(gateway.process.pid) / 1024

        assert report["endpoint"]["ending"] == ""
        assert 300 <= report["endpoint"]["wait_ms"] < 2000
        assert resident_mib < 180

    async def test_a_gateway_without_the_turn_model_says_how_to_get_it(self, nats: NatsServer, tmp_path: Path) -> None:
        store = tmp_path / "models"
        (store / "vad").mkdir(parents=True)
        (store / "vad" / "silero-vad").symlink_to(ModelStore.at().root / "vad" / "silero-vad")
        settings = {"ENDPOINTING": "smart", "MODEL_STORE": str(store)}
        async with running_service("gateway", nats, tmp_path, settings, wait=False) as gateway:
            await gateway.ended()

        assert "parley models pull smart-turn-v3.2" in gateway.log()


class TestWaiting:
    async def test_who_waits_is_told_that_it_takes_a_moment_and_then_that_it_went_wrong(
        self, nats: NatsServer, others: Neighbours, hello: bytes, tmp_path: Path
    ) -> None:
        others.agent.phrases = None
        settings = {"HOLD_AFTER_S": "0.5", "FAIL_AFTER_S": "2.5"}
        async with running_service("gateway", nats, tmp_path, settings) as gateway, talking(gateway.url) as talker:
            await gateway.until_logged("canned phrases spoken")
            await talker.say(hello, then_silence_s=4.5)
            report = (await talker.until("turn"))["report"]
            metrics = await gateway.text("/metrics")

        assert [(event["kind"], event["turn"]) for event in talker.of("canned")] == [("hold", 1), ("apology", 1)]
        assert "moment" in talker.of("canned")[0]["text"]
        assert [pcm for _, pcm in talker.sound] == [*tone(25), *tone(25)]
        assert (report["outcome"], report["reason"], report["played_ms"]) == ("failed", "no_reply", 0)
        assert 'parley_turns_total{outcome="failed",reason="no_reply"} 1.0' in metrics


async def test_a_broker_that_dies_while_somebody_speaks_loses_no_word(
    nats: NatsServer, gateway: ServiceProcess, others: Neighbours, hello: bytes
) -> None:
    async with talking(gateway.url) as talker:
        await talker.say(hello[: 640 * 25])
        await nats.kill()
        await nats.start()
        async with nats.bus("agent") as agent:
            await agent.ensure(nats.layout)
        await talker.say(hello[640 * 25 :], then_silence_s=1.0)
        report = (await talker.until("turn"))["report"]

    assert report["outcome"] == "answered"
