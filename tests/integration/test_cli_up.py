"""The whole assistant from the command line, with real parts: it comes up, is talked to, survives, and goes."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from parley_cli.places import Place, Running
from parley_cli.ports import free_port
from parley_contract.services import SERVICES
from parley_testkit.local_assistant import (
    PARLEY,
    LocalAssistant,
    are_gone,
    environment,
    local_assistant,
    terse_manifest,
)
from parley_testkit.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
QUESTION = ROOT / "docs/samples/questions/capital.wav"
LAST_WORDS = "Ctrl-C"
"""In the last of the lines that `up` prints once all is ready."""


def parley(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PARLEY, *arguments], capture_output=True, text=True, check=False, env=environment(home), cwd=home, timeout=120
    )


def transcribed(assistant: LocalAssistant, token: str = "") -> httpx.Response:
    url = f"{assistant.state.url('asr')}/transcribe"
    files, headers = {"audio_file": QUESTION.read_bytes()}, {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.post(url, files=files, headers=headers, timeout=PATIENCE_S, trust_env=False)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[LocalAssistant]:
    with local_assistant(tmp_path) as up:
        yield up


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAssistant]:
    with local_assistant(tmp_path_factory.mktemp("up")) as up:
        up.until_said(LAST_WORDS)
        yield up


def test_what_is_ready_and_what_to_do_next_is_said_in_a_few_lines(lasting: LocalAssistant) -> None:
    said = lasting.said.read_text()

    assert re.search(r"libra: ready after \d+(\.\d)? s", said)
    assert lasting.state.door in said
    assert lasting.state.logs in said
    assert len(said.splitlines()) < 20


def test_status_shows_every_part_ready(lasting: LocalAssistant) -> None:
    # Whoever is too busy to answer at once is not shown as ready.
    wait_until("all is ready", lambda: parley(lasting.home, "status").returncode == 0)

    status = parley(lasting.home, "status")
    for part in ("nats", "asr", "tts", "agent", "gateway"):
        assert re.search(rf"^{part} .* ready ", status.stdout, re.MULTILINE)


def test_a_spoken_question_gets_a_spoken_answer_with_its_timings(lasting: LocalAssistant) -> None:
    talk = parley(lasting.home, "talk", str(QUESTION), "--assistant", "libra", "--out", "replies")

    assert talk.returncode == 0, talk.stdout + talk.stderr
    assert "capital of France" in talk.stdout
    assert "E2FT" in talk.stdout
    with wave.open(str(lasting.home / "replies/capital.reply.wav")) as reply:
        assert reply.getnframes() > reply.getframerate() / 2


def test_a_file_that_is_spoken_twice_gets_two_answers(lasting: LocalAssistant) -> None:
    talk = parley(lasting.home, "talk", str(QUESTION), str(QUESTION), "--out", "twice")

    assert talk.returncode == 0, talk.stdout + talk.stderr
    assert {path.name for path in (lasting.home / "twice").iterdir()} == {"capital.reply.wav", "capital.reply-2.wav"}


def test_several_turns_in_one_file_are_all_heard(lasting: LocalAssistant, tmp_path: Path) -> None:
    with wave.open(str(QUESTION)) as question, wave.open(str(tmp_path / "two.wav"), "wb") as both:
        both.setparams(question.getparams())
        spoken = question.readframes(question.getnframes())
        both.writeframes(spoken + bytes(5 * 2 * question.getframerate()) + spoken)

    talk = parley(lasting.home, "talk", str(tmp_path / "two.wav"))

    assert talk.returncode == 0, talk.stdout + talk.stderr
    assert talk.stdout.count("capital of France?") == 2


def test_sound_on_standard_input_is_spoken_too(lasting: LocalAssistant) -> None:
    with QUESTION.open("rb") as sound:
        talk = subprocess.run(
            [*PARLEY, "talk", "-"],
            stdin=sound,
            capture_output=True,
            text=True,
            check=False,
            env=environment(lasting.home),
            cwd=lasting.home,
            timeout=120,
        )

    assert talk.returncode == 0, talk.stdout + talk.stderr
    assert "capital of France" in talk.stdout
    assert (lasting.home / "out/stdin.reply.wav").is_file()


def test_the_latest_turn_can_be_drawn(lasting: LocalAssistant) -> None:
    parley(lasting.home, "talk", str(QUESTION))

    trace = parley(lasting.home, "trace", "-n", "1")

    assert trace.returncode == 0, trace.stderr
    assert re.search(r"turn 1 of session [0-9a-f]{12}: .* answered", trace.stdout)
    assert "first token" in trace.stdout


def test_a_second_run_of_the_same_assistant_is_refused_in_one_sentence(lasting: LocalAssistant) -> None:
    second = parley(lasting.home, "up", "--any-port")

    assert second.returncode == 1
    assert second.stderr.startswith(f"parley: default_libra is running already (process {lasting.process.pid})")
    assert "Traceback" not in second.stderr


def test_a_part_that_dies_comes_back_and_answers(lasting: LocalAssistant) -> None:
    os.kill(lasting.pids["asr"], signal.SIGKILL)
    lasting.until_said("asr died (signal 9)")
    lasting.until_said("asr is ready again")

    talk = parley(lasting.home, "talk", str(QUESTION))

    assert "capital of France" in talk.stdout, talk.stdout + talk.stderr


def test_where_its_own_state_cannot_be_written_an_assistant_goes_on(lasting: LocalAssistant) -> None:
    draft = Path(lasting.state.logs).parent / "state.json.new"
    draft.mkdir()

    os.kill(lasting.pids["tts"], signal.SIGKILL)
    lasting.until_said("cannot write down where everything is")
    lasting.until_said("tts is ready again")

    draft.rmdir()
    assert lasting.process.poll() is None


def test_ctrl_c_ends_everything_in_order(up: LocalAssistant) -> None:
    up.until_said("ready after")
    pids = list(up.pids.values())

    code = up.interrupt()

    assert code == 0
    assert are_gone(pids)
    assert "was killed" not in up.said.read_text()
    assert parley(up.home, "status").returncode == 1


@pytest.mark.parametrize("moment", ["", "libra: starting", "ollama is ready", "gateway is ready"])
def test_ctrl_c_during_the_start_leaves_nothing_behind(up: LocalAssistant, moment: str) -> None:
    if moment:
        up.until_said(moment)
    else:
        # Python begins, and leaves Ctrl-C to us: what it prints of one before that is not ours.
        maps = Path(f"/proc/{up.process.pid}/maps")
        wait_until("it imports the command", lambda: "msgspec" in maps.read_text())
    pids = list(up.pids.values()) if moment.endswith("ready") else []

    code = up.interrupt()

    assert code in {0, -signal.SIGINT}
    assert "Traceback" not in up.said.read_text()
    assert are_gone(pids)


def test_after_kill_9_nothing_is_left_and_it_can_be_started_again(up: LocalAssistant) -> None:
    up.until_said("ready after")
    pids = list(up.pids.values())

    up.process.kill()
    up.process.wait()

    assert are_gone(pids, within_s=PATIENCE_S)
    with local_assistant(up.home) as again:
        again.until_said("ready after")


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody listens there already: all the better
            other.bind(("127.0.0.1", 8001))
            other.listen()

        up = parley(tmp_path, "up")

    assert up.returncode == 2
    assert "port 8001 (gateway) is taken" in up.stderr
    assert "starting" not in up.stdout


def test_two_assistants_that_start_at_the_same_moment_get_ports_of_their_own(tmp_path: Path) -> None:
    homes = [tmp_path / name for name in ("first", "second")]
    for home in homes:
        home.mkdir()

    with local_assistant(homes[0]) as first, local_assistant(homes[1]) as second:
        assistants = (first, second)
        for assistant in assistants:
            assistant.until_said("ready after")
        urls = [part.url for assistant in assistants for part in assistant.state.parts]
        answering = [
            httpx.get(f"{assistant.state.url(name)}/readyz", trust_env=False, timeout=PATIENCE_S).json()["pid"]
            for assistant in assistants
            for name in SERVICES
        ]

        assert len(urls) == len(set(urls))
        assert answering == [assistant.pids[name] for assistant in assistants for name in SERVICES]


def test_a_door_beyond_this_machine_asks_for_its_token(tmp_path: Path) -> None:
    with local_assistant(tmp_path, "--host", "0.0.0.0") as up:  # noqa: S104
        up.until_said("ready after")
        token = Path(up.state.token_file)

        with_token = parley(tmp_path, "talk", str(QUESTION))
        token.write_text("another")
        without = parley(tmp_path, "talk", str(QUESTION))

    assert token.stat().st_mode & 0o077 == 0
    assert with_token.returncode == 0, with_token.stderr
    assert without.returncode == 1
    assert "token" in without.stderr


def test_files_are_transcribed_by_the_asr_service_of_an_assistant(lasting: LocalAssistant) -> None:
    answer = transcribed(lasting)

    assert answer.status_code == 200
    assert "capital of France" in answer.json()["text"]
    assert f"{lasting.state.url('asr')}/transcribe" in lasting.said.read_text()


def test_the_secret_of_asr_is_asked_for_by_asr_and_by_nobody_else(tmp_path: Path) -> None:
    manifest = terse_manifest(tmp_path)
    manifest.write_text(f"{manifest.read_text()}  asr: {{authSecretRef: {{name: asr, key: token}}}}\n")

    with local_assistant(tmp_path, "-f", str(manifest)) as up:
        up.until_said("ready after")
        token = Path(up.state.token_file).read_text().strip()
        without, with_token = transcribed(up), transcribed(up, token)
        gateway = Path(f"/proc/{up.pids['gateway']}/environ").read_text()

    assert (without.status_code, with_token.status_code) == (401, 200)
    assert token not in gateway


def test_the_demo_asks_answers_and_writes_its_record(tmp_path: Path) -> None:
    demo = parley(tmp_path, "demo", str(QUESTION), "--json", "record/turns.json", "--out", "replies")

    assert demo.returncode == 0, demo.stdout + demo.stderr
    record = json.loads((tmp_path / "record/turns.json").read_text())
    (turn,) = record["turns"]
    assert turn["expected"] == "What is the capital of France?"
    assert "capital of France" in turn["transcript"]
    assert turn["reply"]
    assert (tmp_path / turn["reply_wav"]).is_file()
    assert turn["e2ft_ms"] == pytest.approx(
        sum(turn["stages"][stage] for stage in ("endpoint_ms", "asr_ms", "llm_ttft_ms")), abs=2
    )
    assert record["summary"]["answered"] == 1
    assert parley(tmp_path, "status").returncode == 1


def test_a_file_in_which_nobody_speaks_is_said_to_be_silent(tmp_path: Path, lasting: LocalAssistant) -> None:
    with wave.open(str(tmp_path / "silence.wav"), "wb") as silence:
        silence.setparams((1, 2, 16_000, 0, "NONE", ""))
        silence.writeframes(bytes(32_000))

    talk = parley(lasting.home, "talk", str(tmp_path / "silence.wav"))

    assert talk.returncode == 1
    assert "nobody was heard to speak" in talk.stdout


def test_nobody_answers_at_the_door_of_a_gateway_that_died_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    place = Place("default_libra")
    with place.held():
        place.write(
            Running(
                assistant="default_libra",
                pid=os.getpid(),
                started_at=0,
                door=f"ws://127.0.0.1:{free_port()}/v1/talk",
                logs="",
                parts=(),
            )
        )

        talk = parley(tmp_path, "talk", str(QUESTION))

    assert talk.returncode == 1
    assert "nobody answers at ws://127.0.0.1" in talk.stderr
