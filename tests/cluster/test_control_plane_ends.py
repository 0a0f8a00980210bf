"""A control plane leaves nothing behind, however it ends, and says what was wrong when it cannot begin."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley_runtime.tools import ToolMissingError
from parley_testkit.control_plane.children import ChildDiedError, children
from parley_testkit.control_plane.plane import ControlPlane, running_control_plane
from parley_testkit.control_plane.programs import ASSETS, find_program
from parley_testkit.control_plane.waiting import until
from parley_testkit.local_assistant import are_gone

PLANE = """
import json, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started with it ignored
from parley_testkit.control_plane.plane import running_control_plane
with running_control_plane() as plane:
    print(json.dumps([str(plane.folder), list(plane.pids.values()), plane.url]), flush=True)
    time.sleep(60)
"""
PROCESSES = """
import json, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from parley_testkit.control_plane.children import children
with children() as running:
    for name in ("one", "two"):
        running.start(name, "/bin/sleep", "60")
    print(json.dumps([str(running.folder), list(running.pids.values()), ""]), flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def ended(script: str, end: signal.Signals) -> Iterator[str]:
    """Let a test run start something, and end that run after the block: nothing is left then. What comes is its URL."""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout
        folder, pids, url = json.loads(run.stdout.readline())
        assert not are_gone(pids[:1])
        yield url
        run.send_signal(end)

    assert are_gone(pids, within_s=20)
    until(lambda: Path(folder).exists(), lambda there: not there)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
def test_nothing_is_left_of_what_a_test_run_started_however_it_ends(end: signal.Signals) -> None:
    with ended(PROCESSES, end) as url:
        assert url == ""


def test_two_control_planes_do_not_meet_and_one_of_a_test_run_that_is_killed_leaves_nothing(
    plane: ControlPlane,
) -> None:
    with ended(PLANE, signal.SIGKILL) as url:
        assert url != plane.url

    plane.check()
    assert plane.admin.http.get("/readyz").is_success


def test_an_api_server_that_does_not_start_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ASSETS:
        (tmp_path / program).symlink_to(find_program(program))
    api_server = tmp_path / "kube-apiserver"
    api_server.unlink()
    api_server.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo Kubernetes v1.34.0 || { echo no space left; exit 7; }\n'
    )
    api_server.chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

    # Not in tmp_path: etcd listens on a socket in it, whose path may have 107 characters.
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)

        last_words = "kube-apiserver ended with status 7; the end of its log:\nno space left"
        with pytest.raises(ChildDiedError, match=last_words), running_control_plane():
            pass

        assert not list(Path(folder).iterdir())


def test_a_part_that_dies_later_is_named(tmp_path: Path) -> None:
    with children() as running:
        running.start("scheduler", "/bin/sh", "-c", "echo leader lost; exit 1")

        with pytest.raises(ChildDiedError, match="scheduler ended with status 1; the end of its log:\nleader lost"):
            until(running.check, lambda _: False)


def test_a_missing_program_is_an_error_that_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    with (
        pytest.raises(ToolMissingError, match=r"etcd-[0-9.]+ was not found in .*: run tools/setup cluster"),
        running_control_plane(),
    ):
        pass
