"""What commands do when whoever reads them goes, the disk is full, a terminal hangs up, or an address is not ours."""

import contextlib
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from parley_testkit.local_assistant import HEEDFUL, PARLEY, environment

pytestmark = pytest.mark.timeout(60)

_TALKER: Final = """
import asyncio, sys
from parley_cli.interrupts import run_until_interrupted
from parley_cli.screen import Screen

async def talk(hurry):
    screen = Screen()
    try:
        while True:
            screen.say("a line")
            await asyncio.sleep(0.01)
    finally:
        screen.say("one line more")
        sys.stderr.write("ended in order")

sys.exit(run_until_interrupted(talk))
"""
"""A command that goes on for ever, as `up` and `talk` may."""
_HUNG_UP: Final = 128 + signal.SIGHUP


def parley(home: Path, *arguments: str, stdout: int, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PARLEY, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=environment(home) | more,
        cwd=home,
        timeout=30,
    )


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def full() -> Iterator[int]:
    """A file on a disk without space."""
    with open("/dev/full", "wb") as file:  # noqa: PTH123
        yield file.fileno()


@pytest.mark.parametrize("command", [["models", "list"], ["models", "list", "--json"], ["nats-roles"]])
def test_a_reader_who_has_gone_is_no_reason_to_complain(tmp_path: Path, unread: int, command: list[str]) -> None:
    ended = parley(tmp_path, *command, stdout=unread)

    assert ended.stderr == ""


@pytest.mark.parametrize("command", [["models", "list"], ["nats-roles"]])
def test_a_full_disk_is_one_sentence(tmp_path: Path, full: int, command: list[str]) -> None:
    ended = parley(tmp_path, *command, stdout=full)

    assert ended.returncode == 1
    assert ended.stderr == "parley: No space left on device\n"


@pytest.mark.parametrize("option", [[], ["--any-port"]])
def test_an_address_that_this_machine_does_not_have_is_refused_by_name(tmp_path: Path, option: list[str]) -> None:
    ended = parley(tmp_path, "up", "--host", "203.0.113.1", *option, stdout=subprocess.DEVNULL)

    assert ended.returncode == 2
    assert "--host 203.0.113.1: nobody can listen there" in ended.stderr
    assert "is taken" not in ended.stderr


def test_a_removal_that_is_answered_with_the_end_of_input_removes_nothing(tmp_path: Path) -> None:
    keyboard, theirs = os.openpty()
    with subprocess.Popen(
        [*PARLEY, "models", "rm", "tiny"], stdin=theirs, stdout=subprocess.PIPE, env=environment(tmp_path), cwd=tmp_path
    ) as command:
        os.write(keyboard, b"\x04")

        said, _ = command.communicate(timeout=30)

    os.close(keyboard)
    os.close(theirs)
    assert command.returncode == 1
    assert said.endswith(b"\nnothing was removed\n")


def test_without_standard_input_nobody_is_asked(tmp_path: Path) -> None:
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *PARLEY, "models", "rm", "tiny"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(tmp_path),
        cwd=tmp_path,
        timeout=30,
    )

    assert ended.returncode == 2
    assert "there is no terminal to ask on" in ended.stderr


def test_what_an_old_encoding_cannot_show_is_shown_otherwise(tmp_path: Path) -> None:
    ended = parley(tmp_path, "models", "show", "tiny", stdout=subprocess.PIPE, PYTHONIOENCODING="latin-1")

    assert ended.returncode == 0, ended.stderr


@contextlib.contextmanager
def talker(stdout: int, *wrapper: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [*HEEDFUL, *wrapper, sys.executable, "-c", _TALKER]
    with subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def said_at_the_end(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Return exit code and standard error of a process that is about to end."""
    assert process.stderr is not None
    return process.wait(50), process.stderr.read()


def test_a_command_whose_reader_goes_ends_in_order() -> None:
    with talker(subprocess.PIPE) as command:
        assert command.stdout is not None
        command.stdout.readline()

        command.stdout.close()

        assert said_at_the_end(command) == (_HUNG_UP, b"ended in order")


def test_a_command_whose_terminal_is_closed_ends_in_order() -> None:
    terminal, ours = os.openpty()
    with talker(ours) as command:
        os.close(ours)
        os.read(terminal, 10)

        os.close(terminal)

        assert said_at_the_end(command) == (_HUNG_UP, b"ended in order")


def test_a_command_that_hangups_are_ignored_for_ignores_them() -> None:
    with talker(subprocess.PIPE, "nohup") as command:
        assert command.stdout is not None
        command.stdout.readline()

        command.send_signal(signal.SIGHUP)
        for _ in range(20):
            assert command.stdout.readline() == b"a line\n"
        command.terminate()

        assert command.wait(10) == 128 + signal.SIGTERM


@pytest.fixture
def kubectl(tmp_path: Path) -> str:
    """A PATH whose kubectl answers everything with an empty list."""
    program = tmp_path / "bin/kubectl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '{\"items\": []}'\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def test_a_report_is_written_whole(tmp_path: Path, kubectl: str) -> None:
    ended = parley(tmp_path, "report", "libra", stdout=subprocess.DEVNULL, PATH=kubectl)

    assert ended.returncode == 0, ended.stderr
    with zipfile.ZipFile(tmp_path / "libra-report.zip") as bundle:
        assert "assistant.json" in bundle.namelist()


def test_of_a_report_that_cannot_be_written_nothing_is_left(tmp_path: Path, kubectl: str) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()

    ended = parley(tmp_path, "report", "libra", "--out", str(folder), stdout=subprocess.DEVNULL, PATH=kubectl)

    assert ended.returncode == 2
    assert ended.stderr == f"parley: cannot write {folder}: Is a directory\n"
    assert [path.name for path in tmp_path.iterdir() if "reports" in path.name] == ["reports"]
