"""`parley models` as a process of its own: interrupted, at the same time as another, on a disk that runs full.

What is pulled is the real tiny.en, from a hub on loopback that has it from the user's store. The package client is kept
off its index and its cache, so that the hub, the catalogue's second source, is what gives the files.
"""

import asyncio
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from parley_cli import catalogue_commands
from parley_cli.places import Place, Running
from parley_cli.ports import free_port
from parley_cli.screen import Screen
from parley_contract.catalogue import find_model
from parley_runtime.models import ModelStore
from parley_runtime.pulls import OllamasModelError
from parley_testkit.local_assistant import PARLEY, are_gone
from parley_testkit.model_hub import ModelHub, model_hub
from parley_testkit.ollama_server import running_ollama
from parley_testkit.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.timeout(120)

TINY = find_model("tiny.en")
HELD_AFTER = 32_000_000
WRITTEN = 2 * 10 * 1024 * 1024
"""What is on the disk by then: the hub's client writes ten MiB at once, and the rest may still be on its way."""


@pytest.fixture
def hub() -> Iterator[ModelHub]:
    folder = ModelStore.at().locate("tiny.en", "asr")
    with model_hub({file.path: folder / file.path for file in TINY.files}) as hub:
        yield hub


@pytest.fixture
def surroundings(tmp_path: Path, hub: ModelHub) -> dict[str, str]:
    return {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


def started(store: ModelStore, surroundings: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PARLEY, "models", *arguments, "--model-store", str(store.root)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=surroundings,
        start_new_session=True,
    )


def ran(store: ModelStore, surroundings: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = started(store, surroundings, *arguments)
    said, complained = process.communicate()
    return process.returncode, said, complained


def until_written(store: ModelStore) -> None:
    """Wait until the part that is held has reached the disk."""

    def largest() -> int:
        return max((path.stat().st_size for path in store.root.rglob("*") if path.is_file()), default=0)

    wait_until("it is on the disk", lambda: largest() >= WRITTEN)


def test_ctrl_c_in_the_middle_ends_a_pull_and_the_next_goes_on(
    store: ModelStore, surroundings: dict[str, str], hub: ModelHub
) -> None:
    hub.held_after = HELD_AFTER
    pulling = started(store, surroundings, "pull", "tiny.en")
    assert hub.is_held.wait(PATIENCE_S)
    until_written(store)
    os.killpg(pulling.pid, signal.SIGINT)
    said, complained = pulling.communicate()

    assert (pulling.returncode, complained) == (130, "")
    assert said == "pulling tiny.en (78 MB, MIT)\n"
    assert store.state(TINY) == "missing"

    hub.go_on.set()
    hub.asked.clear()
    assert ran(store, surroundings, "pull", "tiny.en")[0] == 0
    assert hub.asked[0].path == "model.bin"
    assert WRITTEN <= hub.asked[0].start < HELD_AFTER
    assert store.problems(TINY) == []


def test_two_pulls_at_once_fetch_once(store: ModelStore, surroundings: dict[str, str], hub: ModelHub) -> None:
    hub.held_after = HELD_AFTER
    first = started(store, surroundings, "pull", "tiny.en")
    assert hub.is_held.wait(PATIENCE_S)
    second = started(store, surroundings, "pull", "tiny.en")
    time.sleep(2)
    assert second.poll() is None

    hub.go_on.set()

    for process in (first, second):
        assert (process.communicate()[1], process.returncode) == ("", 0)
    assert [asked.path for asked in hub.asked] == [file.path for file in TINY.files]
    assert store.problems(TINY) == []


def with_a_disk_of_its_own(script: str, surroundings: dict[str, str]) -> subprocess.Popen[str]:
    """Run a script that may mount small disks which nobody else sees; `"$@"` is `parley` there."""
    apart = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    return subprocess.Popen(
        [*apart, "bash", "-euc", script, "bash", *PARLEY],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=surroundings,
    )


def test_a_disk_that_runs_full_is_one_sentence_and_with_room_the_next_pull_goes_on(
    store: ModelStore, surroundings: dict[str, str], hub: ModelHub, tmp_path: Path
) -> None:
    store.root.mkdir()
    held, full = tmp_path / "held", tmp_path / "full"
    hub.held_after = HELD_AFTER
    script = f"""
        mount -t tmpfs -o size=240m none {store.root}
        pull() {{ "$@" models pull tiny.en --model-store {store.root}; }}
        pull "$@" > {tmp_path}/said 2> {tmp_path}/complained & pulling=$!
        until test -e {held} && find {store.root} -type f -size +{WRITTEN - 1}c | grep -q .; do sleep 0.1; done
        dd if=/dev/zero of={store.root}/filler bs=1M 2> {tmp_path}/dd || true
        touch {full}
        wait $pulling && exit 7 || test $? = 1
        find {store.root} -name model.bin
        rm {store.root}/filler
        pull "$@"
        find {store.root} -name model.bin
        "$@" models verify --model-store {store.root}
    """

    process = with_a_disk_of_its_own(script, surroundings)
    assert hub.is_held.wait(PATIENCE_S)
    held.touch()
    while not full.exists() and process.poll() is None:
        time.sleep(0.1)
    hub.go_on.set()
    said, _ = process.communicate()

    assert process.returncode == 0, said
    complained = (tmp_path / "complained").read_text()
    assert complained.startswith(f"parley: the disk of {store.root}/asr ran full while tiny.en was pulled. ")
    assert complained.count("\n") == 1
    partial, whole = f"{store.root}/asr/.tiny.en.partial/", f"{store.root}/asr/tiny.en/model.bin\n"
    assert said.startswith(partial)
    assert whole in said
    assert said.endswith("tiny.en: as the catalogue says\n")
    assert hub.asked[-4].start >= WRITTEN


def test_a_full_cache_of_the_package_client_is_no_full_disk(
    store: ModelStore, surroundings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "uv").mkdir()
    script = f"""
        mount -t tmpfs -o size=1m none {tmp_path}/uv
        "$@" models pull silero-vad --model-store {store.root}
    """

    said, _ = with_a_disk_of_its_own(script, {**surroundings, "UV_OFFLINE": "0"}).communicate()

    assert "parley: no source gave silero-vad:\n  wheels: the package client ended with " in said
    assert "No space left on device" in said


def test_ctrl_c_ends_the_package_client_too(store: ModelStore, surroundings: dict[str, str]) -> None:
    pulling = started(store, {**surroundings, "UV_OFFLINE": "0"}, "pull", "base")
    clients: list[str] = []
    while not clients and pulling.poll() is None:
        clients = subprocess.run(
            ["pgrep", "--parent", str(pulling.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        time.sleep(0.05)
    os.kill(pulling.pid, signal.SIGINT)

    assert pulling.wait(PATIENCE_S) == 130
    pulling.communicate()
    assert clients
    assert are_gone([int(client) for client in clients], within_s=PATIENCE_S)


def test_offline_is_a_sentence_that_says_what_to_copy(store: ModelStore, surroundings: dict[str, str]) -> None:
    code, _, complained = ran(store, {**surroundings, "HF_HUB_OFFLINE": "1"}, "pull", "large-v3")

    assert code == 1
    assert complained == (
        f"parley: large-v3 is not here, and HF_HUB_OFFLINE forbids to fetch it: copy {store.root}/asr/large-v3 from a "
        "machine that has it, or unset HF_HUB_OFFLINE\n"
    )


def test_a_removed_model_says_how_much_that_frees(store: ModelStore, surroundings: dict[str, str]) -> None:
    ran(store, surroundings, "pull", "tiny.en")

    unasked = ran(store, surroundings, "rm", "tiny.en")
    removed = ran(store, surroundings, "rm", "tiny.en", "--yes")
    again = ran(store, surroundings, "rm", "tiny.en", "--yes")

    assert unasked == (
        2,
        "",
        "parley: there is no terminal to ask on: say --yes to remove without being asked\n",
    )
    assert removed == (0, "removed tiny.en: 78 MB freed\n", "")
    assert again == (0, "tiny.en is not here\n", "")


def test_a_model_that_a_running_assistant_uses_is_not_removed(
    store: ModelStore, surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", surroundings["XDG_STATE_HOME"])
    place, folder = Place("default_libra"), store.folder(TINY)
    folder.mkdir(parents=True)
    with place.held():
        running = Running(
            assistant="default_libra", pid=os.getpid(), started_at=0, door="", logs="", parts=(), models=(str(folder),)
        )
        place.write(running)

        code, _, complained = ran(store, surroundings, "rm", "tiny.en", "--yes")

    assert code == 1
    assert complained == (
        f"parley: tiny.en is in use by default_libra (process {os.getpid()}): stop that assistant first\n"
    )
    assert folder.is_dir()


def test_the_list_is_json_for_scripts(store: ModelStore, surroundings: dict[str, str]) -> None:
    code, said, _ = ran(store, surroundings, "list", "--json")

    entries = {entry["name"]: entry for entry in json.loads(said)}
    assert code == 0
    assert entries["large-v3"]["vram_mib"]["float16"] == 4521
    assert entries["tiny.en"]["here"] == "missing"
    assert entries["tiny.en"]["folder"] == str(store.folder(TINY))


def shown_by(ollama: str) -> dict[str, str]:
    """Return what the list says of where models are, asking this Ollama."""
    screen = Screen(Console(file=io.StringIO(), width=200))
    asyncio.run(catalogue_commands.show_all(ModelStore.at(), screen, json=True, ollama=ollama))
    assert isinstance(screen.console.file, io.StringIO)
    return {entry["name"]: entry["here"] for entry in json.loads(screen.console.file.getvalue())}


class TestModelsOfOllama:
    def test_it_is_asked_what_it_has(self, tmp_path: Path) -> None:
        with running_ollama(tmp_path / "ollama.log") as ollama:
            here = shown_by(ollama.url)

        assert here["qwen2.5:7b-instruct"] == "missing"

    def test_where_none_answers_nobody_knows_what_it_has(self) -> None:
        assert shown_by(f"http://127.0.0.1:{free_port()}")["qwen2.5:7b-instruct"] == "ask Ollama"

    def test_where_none_answers_none_can_pull(self, store: ModelStore) -> None:
        pulling = catalogue_commands.pull(
            store, ["qwen2.5:7b-instruct"], Screen(), again=False, ollama=f"http://127.0.0.1:{free_port()}"
        )

        with pytest.raises(
            OllamasModelError, match=r"is Ollama's, and none answers at .* start one with `ollama serve`"
        ):
            asyncio.run(pulling)
