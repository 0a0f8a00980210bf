"""Processes are kept running and leave nothing behind, whatever they and their keeper do."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from parley_cli.launches import Launch
from parley_cli.narration import BecameReady, BecameUnready, Died, Happened, Stopped
from parley_cli.places import Place
from parley_cli.ports import free_port
from parley_cli.supervisor import Prepare, StartError, Supervisor, supervised
from parley_contract.components import ComponentName
from parley_testkit.local_assistant import are_gone
from parley_testkit.waiting import PATIENCE_S, until

SERVER = """
    import http.server, json, os, signal, subprocess, sys, threading
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            reasons = {"model": "is being loaded"} if os.path.exists("not-ready") else {}
            self.send_response(503 if reasons else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"pid": os.getpid(), "reasons": reasons}).encode())
        def log_message(self, *_): pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
WITH_CHILD = """
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open("child", "w").write(str(child.pid))
"""
SERVE = "server.serve_forever()"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def launch(
    *parts: str, name: ComponentName = "asr", after: tuple[ComponentName, ...] = (), stop_s: float = 5
) -> Launch:
    port = free_port()
    return Launch(
        name=name,
        command=(sys.executable, "-c", "\n".join(textwrap.dedent(part) for part in parts)),
        environment={"PORT": str(port)},
        url=f"http://127.0.0.1:{port}",
        ready_path="/readyz",
        after=after,
        stop_s=stop_s,
    )


class Told(list[Happened]):
    """What happened, and a way to wait for it."""

    async def until(self, found: Callable[[Happened], bool], *, times: int = 1) -> None:
        await until(f"it happens {times} times", lambda: sum(map(found, self)) >= times)


@contextlib.asynccontextmanager
async def keeping(
    *launches: Launch, hurry: asyncio.Event | None = None, prepare: Prepare | None = None
) -> AsyncIterator[tuple[Supervisor, Told]]:
    told, place = Told(), Place("default_libra")
    preparations = {launches[0].name: prepare} if prepare else {}
    with place.held():
        async with supervised(
            launches, place, prepare=preparations, tell=told.append, hurry=hurry or asyncio.Event()
        ) as supervisor:
            yield supervisor, told


async def test_the_ready_end_in_the_reverse_of_their_order() -> None:
    first, second = launch(SERVER, SERVE, name="asr"), launch(SERVER, SERVE, name="agent", after=("asr",))

    async with keeping(first, second) as (supervisor, told):
        await supervisor.ready()

    assert [event.name for event in told if isinstance(event, BecameReady)] == ["asr", "agent"]
    assert [event.name for event in told if isinstance(event, Stopped)] == ["agent", "asr"]


async def test_the_dead_come_back() -> None:
    async with keeping(launch(SERVER, SERVE)) as (supervisor, told):
        await supervisor.ready()
        first = supervisor.pids["asr"]
        os.kill(first, signal.SIGKILL)
        await told.until(lambda event: isinstance(event, BecameReady), times=2)

        assert supervisor.pids["asr"] != first
        (death,) = [event for event in told if isinstance(event, Died)]
        assert death.exit_code == -signal.SIGKILL


async def test_what_a_dead_process_had_started_is_swept_up(home: Path) -> None:
    async with keeping(launch(SERVER, WITH_CHILD, SERVE)) as (supervisor, told):
        await supervisor.ready()
        grandchild = int((home / "child").read_text())
        os.kill(supervisor.pids["asr"], signal.SIGKILL)
        await told.until(lambda event: isinstance(event, Died))

        await until("it is swept up", lambda: are_gone([grandchild]))


async def test_what_is_missing_is_told_while_a_process_lives(home: Path) -> None:
    async with keeping(launch(SERVER, SERVE)) as (supervisor, told):
        (home / "not-ready").touch()
        await told.until(lambda event: isinstance(event, BecameUnready))
        (home / "not-ready").unlink()
        await supervisor.ready()

        (unready,) = [event for event in told if isinstance(event, BecameUnready)]
        assert unready.reasons == {"model": "is being loaded"}


async def test_who_does_not_end_when_asked_is_killed_after_a_bound() -> None:
    async with keeping(launch(SERVER, STUBBORN, SERVE, stop_s=0.5)) as (supervisor, told):
        await supervisor.ready()
        pid = supervisor.pids["asr"]

    (stopped,) = [event for event in told if isinstance(event, Stopped)]
    assert stopped.was_killed
    assert stopped.after_s >= 0.5
    assert are_gone([pid])


async def test_in_a_hurry_nobody_is_waited_for() -> None:
    hurry = asyncio.Event()
    stubborn = launch(SERVER, STUBBORN, SERVE, stop_s=PATIENCE_S)

    async with keeping(stubborn, hurry=hurry) as (supervisor, told):
        await supervisor.ready()
        asyncio.get_running_loop().call_later(0.2, hurry.set)

    (stopped,) = [event for event in told if isinstance(event, Stopped)]
    assert stopped.was_killed
    assert stopped.after_s < stubborn.stop_s


async def test_what_never_comes_up_is_given_up_with_its_last_words() -> None:
    broken = launch("raise SystemExit('the model is made of cheese')")

    with pytest.RaisesGroup(pytest.RaisesExc(StartError, match=r"(?s)died 3 times.*exit code 1.*made of cheese")):
        async with keeping(broken) as (supervisor, _):
            await supervisor.ready()


async def test_a_service_that_refuses_its_settings_is_given_up_at_once() -> None:
    refusing = launch("import sys; print('PORT: is required', file=sys.stderr); sys.exit(2)")

    with pytest.RaisesGroup(pytest.RaisesExc(StartError, match=r"(?s)refuses its settings.*PORT: is required")):
        async with keeping(refusing) as (supervisor, _):
            await supervisor.ready()


async def test_a_command_that_does_not_exist_is_given_up_by_name() -> None:
    missing = msgspec.structs.replace(launch(SERVE), command=("/nowhere/nats-server",))

    with pytest.RaisesGroup(pytest.RaisesExc(Exception, match="cannot run /nowhere/nats-server: No such file")):
        async with keeping(missing) as (supervisor, _):
            await supervisor.ready()


async def test_a_service_is_not_ready_because_another_answers_at_its_port() -> None:
    winner = launch(SERVER, SERVE, name="gateway")
    # Like a gateway that is still importing while the other one listens already.
    loser = msgspec.structs.replace(winner, name="asr", command=(sys.executable, "-c", "import time; time.sleep(600)"))

    async with keeping(winner, loser) as (supervisor, told):
        await told.until(lambda event: isinstance(event, BecameUnready))

        (unready,) = [event for event in told if isinstance(event, BecameUnready)]
        assert (unready.name, unready.reasons) == (
            "asr",
            {"its own port": f"process {supervisor.pids['gateway']} answers there"},
        )
        assert [event.name for event in told if isinstance(event, BecameReady)] == ["gateway"]


async def test_a_service_that_lost_the_race_for_its_port_is_given_up_with_what_to_do() -> None:
    winner = launch(SERVER, SERVE, name="gateway")
    environment = {**winner.environment, "MODEL_NAME": "tiny.en", "NATS_URL": "", "HOST": "127.0.0.1"}
    loser = msgspec.structs.replace(
        winner, name="asr", command=(sys.executable, "-m", "parley_asr"), environment=environment, after=("gateway",)
    )

    said = r"(?s)asr cannot be started: another process took its port.*--any-port.*cannot listen on 127\.0\.0\.1"
    with pytest.RaisesGroup(pytest.RaisesExc(StartError, match=said)):
        async with keeping(winner, loser) as (supervisor, _):
            await supervisor.ready()


async def test_ending_during_the_start_leaves_nothing_behind(home: Path) -> None:
    slow = launch("import time, os; open('pid', 'w').write(str(os.getpid())); time.sleep(600)")
    waiting = launch(SERVER, SERVE, name="agent", after=("asr",))

    async with keeping(slow, waiting):
        await until("it runs", lambda: (home / "pid").exists() and (home / "pid").read_text())

    assert are_gone([int((home / "pid").read_text())])


KEEPER = """
    import asyncio, sys
    from pathlib import Path
    from test_cli_supervision import SERVE, SERVER, STUBBORN, WITH_CHILD, keeping, launch
    async def main():
        parts = (launch(SERVER, WITH_CHILD, SERVE), launch(SERVER, STUBBORN, SERVE, name="tts"))
        async with keeping(*parts) as (supervisor, _):
            await supervisor.ready()
            print(*supervisor.pids.values(), Path("child").read_text(), flush=True)
            await asyncio.Event().wait()
    asyncio.run(main())
"""


async def test_ending_during_a_preparation_is_no_failure_of_that() -> None:
    server, begun = launch(SERVER, SERVE), asyncio.Event()

    async def prepare() -> None:
        begun.set()
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:  # until the process is gone, as with a model that is just being copied
                await client.get(server.url)

    async with keeping(server, prepare=prepare) as (_, told):
        await begun.wait()

    assert [event.was_killed for event in told if isinstance(event, Stopped)] == [False]


async def test_who_died_during_its_preparation_is_prepared_again() -> None:
    preparations: list[int] = []

    async def prepare() -> None:
        preparations.append(supervisor.pids["asr"])
        if len(preparations) == 1:
            os.kill(preparations[0], signal.SIGKILL)
            await asyncio.Event().wait()

    async with keeping(launch(SERVER, SERVE), prepare=prepare) as (supervisor, _):
        await supervisor.ready()

    assert len(set(preparations)) == 2  # the dead one and its successor


async def test_a_keeper_that_is_killed_takes_everything_with_it() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    keeper = subprocess.Popen(  # noqa: ASYNC220  # it is there within a moment
        [sys.executable, "-c", textwrap.dedent(KEEPER)], env=environment, stdout=subprocess.PIPE, text=True
    )
    with keeper:
        assert keeper.stdout is not None
        pids = [int(pid) for pid in keeper.stdout.readline().split()]

        keeper.kill()

    assert len(pids) == 3
    await until("all are gone", lambda: are_gone(pids))
