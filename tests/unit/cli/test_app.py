"""The command line: what it teaches, and how it fails."""

from pathlib import Path
from typing import Final

import pytest

from parley_cli.app import app, models, run

QUESTION: Final = Path(__file__).parents[3] / "docs/samples/questions/capital.wav"


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "command,taught",
    [
        ([], "parley up"),
        (["up"], "--any-port"),
        (["talk"], "--assistant"),
        (["demo"], "--json"),
        (["status"], "Exits with 1"),
        (["trace"], "-n"),
        (["report"], "Secrets are not asked for"),
        (["nats-roles"], "credentialsSecretRef"),
        (["models"], "verify"),
        (["models", "pull"], "HF_ENDPOINT"),
        (["models", "rm"], "--yes"),
    ],
)
def test_every_command_teaches_with_help(command: list[str], taught: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run([*command, "--help"])

    assert code == 0
    assert taught in capsys.readouterr().out


@pytest.mark.parametrize("command", [["status"], ["trace"], ["talk", "hello.wav"]])
def test_without_a_running_assistant_one_sentence_says_how_to_start_one(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(command)

    error = capsys.readouterr().err
    assert code == 1
    assert error == "parley: no assistant runs on this machine: start one with `parley up`\n"


def test_a_manifest_with_problems_is_refused_with_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "assistant.yaml"
    manifest.write_text(
        "apiVersion: parley.dev/v1alpha1\nkind: VoiceAssistant\nmetadata: {name: libra}\n"
        "spec: {profile: laptop, languag: en, maxSessions: 0}\n"
    )

    code = run(["up", "-f", str(manifest)])

    error = capsys.readouterr().err
    assert code == 2
    assert "spec.languag: unknown field; did you mean language?" in error
    assert "spec.maxSessions" in error


def test_a_missing_manifest_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["up", "-f", "nowhere.yaml"])

    assert code == 2
    assert "cannot read the manifest nowhere.yaml" in capsys.readouterr().err


def test_what_the_services_cannot_do_yet_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "assistant.yaml"
    manifest.write_text(
        "apiVersion: parley.dev/v1alpha1\nkind: VoiceAssistant\nmetadata: {name: libra}\n"
        "spec: {profile: laptop, suspend: true, nats: {replicas: 3}}\n"
    )

    code = run(["up", "-f", str(manifest)])

    error = capsys.readouterr().err
    assert code == 2
    assert "spec.suspend" in error
    assert "spec.nats.replicas" in error


def test_a_demo_with_a_file_that_is_no_sound_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.wav").write_text("no sound")

    code = run(["demo", str(tmp_path / "notes.wav")])

    said = capsys.readouterr()
    assert code == 2
    assert "notes.wav cannot be read as sound" in said.err
    assert said.out == ""


@pytest.mark.parametrize("number", ["0", "-1", "21", "all"])
def test_a_number_of_turns_that_there_cannot_be_is_refused(number: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["trace", f"-n={number}"])

    assert ended.value.code not in {0, None}


@pytest.mark.parametrize("sound", [".", "/", ""])
def test_a_folder_is_no_question(sound: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["demo", sound])

    assert code == 2
    assert "cannot be read as sound: Is a directory" in capsys.readouterr().err


def test_a_record_that_cannot_be_written_is_said_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["demo", str(QUESTION), "--json", str(tmp_path)])

    said = capsys.readouterr()
    assert code == 2
    assert said.err == f"parley: cannot write {tmp_path}: Is a directory\n"
    assert said.out == ""


def test_replies_that_cannot_be_written_are_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file")

    code = run(["demo", str(QUESTION), "--out", str(tmp_path / "out")])

    said = capsys.readouterr()
    assert code == 2
    assert said.err == f"parley: cannot write into {tmp_path / 'out'}: File exists\n"
    assert said.out == ""


def test_a_place_for_its_state_that_is_none_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    code = run(["up"])

    assert code == 1
    assert capsys.readouterr().err == f"parley: {tmp_path}/file/parley/default_libra: Not a directory\n"


def test_the_home_of_nobody_is_no_defect(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["models", "verify", "--model-store", "~nobody-of-this-name/models"])

    assert code == 0
    assert "no model is in ~nobody-of-this-name/models yet" in capsys.readouterr().out


def test_a_manifest_is_utf_8_wherever_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "리브라.yaml"
    manifest.write_bytes(
        b"\xef\xbb\xbfapiVersion: parley.dev/v1alpha1\nkind: VoiceAssistant\nmetadata: {name: libra}\n"
        + "spec: {profile: laptop, suspend: true, persona: {systemPrompt: 너는 리브라야}}\n".encode()
    )
    monkeypatch.setattr("locale.getpreferredencoding", lambda _=True: "ascii")

    code = run(["up", "-f", str(manifest)])

    assert code == 2
    assert "spec.suspend: the assistant is suspended" in capsys.readouterr().err


def test_an_unknown_model_is_refused_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["models", "pull", "tiny.eng"])

    assert code == 2
    assert "did you mean tiny.en?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "pull", "rm"])
def test_a_command_that_needs_models_says_where_their_names_are(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["models", command])

    assert code == 2
    assert capsys.readouterr().err == "parley: name one or more models: `parley models list` shows them\n"


def test_the_reference_names_every_command() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/cli.md").read_text()

    commands = [name for name in app if not name.startswith("-")]
    commands += [f"models {name}" for name in models if not name.startswith("-")]
    assert commands
    assert [name for name in commands if f"`parley {name}" not in page] == []
