"""The sample for another language than English, started and spoken to; the laptop sample is `test_cli_up`'s."""

import difflib
import re
import subprocess
from pathlib import Path

import pytest

from parley_contract.catalogue import find_model
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.local_assistant import PARLEY, environment, local_assistant

pytestmark = pytest.mark.timeout(300)

SAMPLE = Path(__file__).parents[2] / "docs/samples/laptop-multilingual.yaml"


@pytest.fixture(scope="module")
def whisper() -> Path:
    return pull(ModelStore.at(), find_model("base"))


@pytest.fixture(scope="module")
def recordings() -> Path:
    return pull(ModelStore.at(), find_model("audioeval")) / "es"


def talk(home: Path, sound: Path) -> str:
    spoken = subprocess.run(
        [*PARLEY, "talk", str(sound)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(home),
        cwd=home,
        timeout=120,
    )
    assert spoken.returncode == 0, spoken.stdout + spoken.stderr
    return spoken.stdout


def test_the_multilingual_sample_understands_spanish(tmp_path: Path, whisper: Path, recordings: Path) -> None:
    with local_assistant(tmp_path, "-f", str(SAMPLE)) as up:
        up.until_said("ready after")
        heard = talk(tmp_path, recordings / "pangrama.wav")
        models = up.state.models

    understood = re.search(r"^  you +(.*)$", heard, re.MULTILINE)
    said = (recordings / "pangrama.txt").read_text().strip()
    assert understood
    # Which words of a pangram are taken for which others changes with some ms of silence.
    assert difflib.SequenceMatcher(None, understood[1].lower(), said.lower()).ratio() > 0.8
    assert str(whisper.resolve()) in models


def test_a_folder_of_ones_own_is_a_model_too(tmp_path: Path, whisper: Path, recordings: Path) -> None:
    (tmp_path / "my-whisper").symlink_to(whisper)
    manifest = tmp_path / "assistant.yaml"
    manifest.write_text(SAMPLE.read_text().replace("model: base", f"model: {tmp_path}/my-whisper"))

    with local_assistant(tmp_path, "-f", str(manifest)) as up:
        up.until_said("ready after")
        heard = talk(tmp_path, recordings / "conteo.wav")

    # The numbers from one to ten, in digits or in words.
    assert re.search(r"^  you +.*(8|ocho)", heard, re.MULTILINE), heard


def test_a_folder_that_holds_no_model_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    manifest = tmp_path / "assistant.yaml"
    manifest.write_text(SAMPLE.read_text().replace("model: base", f"model: {tmp_path}/empty"))

    up = subprocess.run(
        [*PARLEY, "up", "--any-port", "-f", str(manifest)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(tmp_path),
        timeout=60,
    )

    assert (up.returncode, up.stdout) == (2, "")
    assert f"{tmp_path}/empty was given as the asr model and lacks model.bin, config.json, tokenizer.json" in up.stderr
