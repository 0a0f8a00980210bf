"""What befalls an assistant beside deaths: a model that hangs or is gone, a full volume, a clock that jumps.

One assistant whose broker has a small volume (a tmpfs in a mount namespace of its own), whose processes have a wall
clock that the test sets (`programs/shifted_clock`), and whose model may be deleted (a second name of the small one).
"""

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio

from parley_testkit.blows import Blow, stopped
from parley_testkit.local_assistant import LocalAssistant, local_assistant, terse_manifest
from parley_testkit.ollama_server import MODEL, running_ollama
from parley_testkit.persons import Deed, Person, judge, meeting

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SEED: Final = int(os.environ["PARLEY_SEED"])
FORGETTABLE: Final = "forgettable:135m"
VOLUME: Final = "16m"
SHIFTED_CLOCK: Final = Path(__file__).parent / "programs/shifted_clock"
FAIL_AFTER_S: Final = 7
"""Sooner than usual: these tests wait for it."""


class Misfortunes:
    """What the test can do to the assistant."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._clock = home / "clock"
        self.volume = home / "parley/default_libra/nats/jetstream"
        self.volume.mkdir(parents=True)
        self.shift_clock(0)

    @property
    def within(self) -> tuple[str, ...]:
        """What `parley up` is to be run by."""
        return (
            *("unshare", "--map-root-user", "--mount", "sh", "-c"),
            'mount -t tmpfs -o "size=$0" tmpfs "$1" && shift && exec "$@"',
            *(VOLUME, str(self.volume)),
            *("env", f"PYTHONPATH={SHIFTED_CLOCK}", f"SHIFTED_CLOCK={self._clock}"),
        )

    def shift_clock(self, hours: int) -> None:
        """Have the wall clock of all processes of ours say another time."""
        self._clock.with_suffix(".new").write_text(str(3600 * hours))
        self._clock.with_suffix(".new").replace(self._clock)

    def fill_volume(self, assistant: LocalAssistant) -> Path:
        """Leave not a byte free where the broker writes; return the file that takes the place."""
        ballast = Path(f"/proc/{assistant.pids['nats']}/root{self.volume}/ballast")
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        return ballast


def copy_model(url: str, source: str, destination: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        client.post("/api/copy", json={"source": source, "destination": destination}).raise_for_status()


def delete_model(url: str, name: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        client.request("DELETE", "/api/delete", json={"model": name}).raise_for_status()


@pytest.fixture(scope="module")
def forgettable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    log = tmp_path_factory.mktemp("ollama") / "ollama.log"
    with running_ollama(log) as ollama:
        copy_model(ollama.url, MODEL, FORGETTABLE)
    yield
    with running_ollama(log) as ollama:
        delete_model(ollama.url, FORGETTABLE)


@pytest.fixture(scope="module")
def misfortunes(tmp_path_factory: pytest.TempPathFactory) -> Misfortunes:
    namespace = subprocess.run(["unshare", "--map-root-user", "--mount", "true"], check=False)
    assert namespace.returncode == 0, "user namespaces are needed: sysctl -w kernel.unprivileged_userns_clone=1"
    return Misfortunes(tmp_path_factory.mktemp("misfortunes"))


@pytest.fixture(scope="module")
def assistant(misfortunes: Misfortunes, forgettable: None) -> Iterator[LocalAssistant]:
    home = misfortunes.volume.parents[3]
    manifest = terse_manifest(home, model=FORGETTABLE, fail_after_s=FAIL_AFTER_S)
    with local_assistant(home, "-f", str(manifest), within=misfortunes.within) as assistant:
        assistant.until_said("ready after")
        yield assistant


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person(assistant: LocalAssistant) -> AsyncIterator[Person]:
    async with meeting(assistant, seed=SEED) as person:
        assert (await person.ask()).outcome == "answered"
        yield person


async def test_a_model_that_hangs_is_apologized_for_and_answers_when_it_is_back(
    assistant: LocalAssistant, person: Person
) -> None:
    with stopped(assistant.pids["ollama"]):
        hit = await person.ask()
    after = await person.ask()

    assert (hit.outcome, hit.reason, hit.held, hit.apologized) == ("failed", "no_reply", True, True)
    assert after.outcome == "answered", after


async def test_a_model_that_was_deleted_is_apologized_for_and_answers_when_it_is_back(
    assistant: LocalAssistant, person: Person
) -> None:
    ollama = assistant.state.url("ollama")

    await asyncio.to_thread(delete_model, ollama, FORGETTABLE)
    hit = await person.ask()
    await asyncio.to_thread(copy_model, ollama, MODEL, FORGETTABLE)
    after = await person.ask()

    assert (hit.outcome, hit.reason, hit.apologized) == ("failed", "model_missing", True)
    assert after.outcome == "answered", after


async def test_a_wall_clock_that_jumps_by_an_hour_and_back_changes_nothing_even_where_an_agent_takes_over(
    assistant: LocalAssistant, person: Person, misfortunes: Misfortunes
) -> None:
    async def jump(hours: int) -> None:
        misfortunes.shift_clock(hours)

    ahead = await person.ask(Deed("speaking", functools.partial(jump, 1)))
    struck = await person.struck(Blow("agent", "thinking"))
    latest = (await assistant.status("agent"))["turns"][-1]
    back = await person.ask(Deed("replying", functools.partial(jump, 0)))

    assert latest["started_at"] > time.time() + 3000
    assert judge(struck) == [], struck
    assert [each.outcome for each in (ahead, struck.hit, struck.after, back)] == ["answered"] * 4


async def test_a_full_volume_costs_an_apology_until_there_is_room_and_the_broker_is_restarted(
    assistant: LocalAssistant, person: Person, misfortunes: Misfortunes
) -> None:
    ballast = misfortunes.fill_volume(assistant)
    hit = await person.ask()
    reasons = await assistant.until_unready("agent")
    ballast.unlink()
    os.kill(assistant.pids["nats"], signal.SIGKILL)
    await asyncio.to_thread(assistant.until_said, "nats is ready again")
    await assistant.until_ready()
    after = await person.ask()

    assert (hit.outcome, hit.apologized) == ("failed", True), hit
    assert "is its volume full? Make room" in reasons["streams"]
    assert after.outcome == "answered", after
