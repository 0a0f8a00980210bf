"""`parley eval asr` with real services and a real Whisper: started for it, or running somewhere already."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from parley_cli.ports import free_port
from parley_contract.catalogue import find_model
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.asr_process import LAPTOP
from parley_testkit.local_assistant import PARLEY
from parley_testkit.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.timeout(180)

QUESTIONS = Path(__file__).parents[2] / "docs/samples/questions"
SECRET = "for tests"
ALONE = {"NATS_URL": "", "COMPUTE_TYPE": "int8", "DEVICE": "cpu", "CPU_THREADS": "1"}


def evaluate(*arguments: str | Path, secret: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ALONE, "WORKER_SHARED_SECRET": secret}
    command = [*PARLEY, "eval", "asr", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def is_ready(service: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):  # it does not listen yet
        return httpx.get(f"{service}/readyz", trust_env=False).is_success
    return False


def answered(service: str) -> float:
    """How many files a service has transcribed."""
    lines = httpx.get(f"{service}/metrics", trust_env=False, timeout=PATIENCE_S).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("parley_asr_requests_total{"))


@pytest.fixture(scope="module", autouse=True)
def _models() -> None:
    pull(ModelStore.at(), find_model("tiny.en"))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two questions, whose words lie beside them."""
    for name, words in (("bees", "What do bees make?"), ("water", "WHAT IS WATER MADE OF")):
        shutil.copy(QUESTIONS / f"{name}.wav", tmp_path)
        (tmp_path / f"{name}.txt").write_text(words)
    return tmp_path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that runs alone and asks for its secret."""
    port = free_port()
    environment = {**os.environ, **LAPTOP, "NATS_URL": "", "PORT": str(port), "WORKER_SHARED_SECRET": SECRET}
    log = tmp_path_factory.mktemp("asr") / "asr.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "parley_asr"], env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until("asr is ready", lambda: is_ready(url))
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def test_models_and_windows_are_compared(recordings: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"

    done = evaluate(
        recordings, "--model", "tiny.en", "--encoder-window-s", "8", "--encoder-window-s", "12", "--json", record
    )

    assert done.returncode == 0, done.stderr
    systems = json.loads(record.read_bytes())["systems"]
    assert [system["name"] for system in systems] == ["tiny.en, 8 s window", "tiny.en, 12 s window"]
    for system in systems:
        assert [file["file"] for file in system["files"]] == ["bees.wav", "water.wav"]
        assert 1 < system["files"][0]["audio_s"] < 3
        assert system["totals"]["wer"] < 0.3
        assert system["totals"]["rtf"] > 0
    assert "all models, the best first" in done.stdout


def test_a_service_elsewhere_is_asked_with_its_secret(recordings: Path, service: str) -> None:
    (recordings / "bees.txt").write_text("What do ants make?")

    done = evaluate(recordings, "--url", service, "--show", secret=SECRET)

    assert done.returncode == 0, done.stderr
    assert "said  What do ants make?\n  heard What do bees make?" in done.stdout
    assert "tiny.en, 10 s window" in done.stdout


def test_a_wrong_secret_is_a_sentence(recordings: Path, service: str) -> None:
    done = evaluate(recordings, "--url", service, secret="wrong")

    assert done.returncode == 1
    assert done.stderr.startswith("parley: Send the service's secret (WORKER_SHARED_SECRET)")


def test_a_file_that_is_no_sound_fails_alone(recordings: Path, service: str) -> None:
    (recordings / "noise.wav").write_text("no sound")
    (recordings / "noise.txt").write_text("nothing")

    done = evaluate(recordings, "--url", service, secret=SECRET)

    assert done.returncode == 1
    assert "noise.wav: " in done.stdout
    assert "all 2 " in done.stdout


def test_ctrl_c_tells_of_what_was_done(tmp_path: Path, service: str) -> None:
    for number in range(200):
        shutil.copy(QUESTIONS / "bees.wav", tmp_path / f"{number:03}.wav")
        (tmp_path / f"{number:03}.txt").write_text("What do bees make?")
    environment = {**os.environ, "WORKER_SHARED_SECRET": SECRET}
    command = [*PARLEY, "eval", "asr", str(tmp_path), "--url", service]
    before = answered(service)

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        wait_until("two are answered", lambda: answered(service) >= before + 2)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert "000.wav" in said
    assert "199.wav" not in said


def test_without_a_service_a_sentence_says_so(recordings: Path) -> None:
    done = evaluate(recordings, "--url", f"http://127.0.0.1:{free_port()}")

    assert done.returncode == 1
    assert "no asr service answers at http://127.0.0.1:" in done.stderr


def test_a_model_that_does_not_know_the_language_is_a_sentence(recordings: Path, service: str) -> None:
    done = evaluate(recordings, "--url", service, "--language", "ko", secret=SECRET)

    assert done.returncode == 1
    assert "tiny.en" in done.stderr


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--model", "tiny.en", "--url", "http://x"], "--model and --url exclude each other"),
        (["--encoder-window-s", "10"], "--encoder-window-s needs --model"),
        (["--model", "huge"], "huge"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_begins(
    recordings: Path, arguments: list[str], sentence: str
) -> None:
    done = evaluate(recordings, *arguments)

    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    shutil.copy(QUESTIONS / "bees.wav", tmp_path)

    done = evaluate(tmp_path, "--url", "http://127.0.0.1:1")

    assert done.returncode == 2
    assert "bees.wav is left out: bees.txt, which should have its words, is missing" in done.stdout
    assert "has no sound whose words are known" in done.stderr


def test_a_window_that_the_service_refuses_ends_with_its_last_words(recordings: Path) -> None:
    done = evaluate(recordings, "--model", "tiny.en", "--encoder-window-s", "40")

    assert done.returncode == 1
    assert "ended by itself" in done.stderr
    assert "ENCODER_WINDOW_S" in done.stderr
