"""`make bench NAME=operator`: how fast, how large and how quiet the operator is, at one assistant and at two hundred.

On a real Kubernetes control plane on which kwok plays the kubelets (docs/decisions/0014), all on this machine: the API
server, etcd, the controllers and the scheduler compute beside the operator, and take more than it does; what each of
them computes for one assistant is among the figures. Controllers and scheduler may ask 500 times a second where 20 and
50 are Kubernetes' defaults, of which two hundred assistants at once would see little else. The operator is a process of
its own, with its ServiceAccount and rights. Every assistant has the laptop's profile. A quarter of an hour on two quiet
cores.

(The page is not called operator.py: on the path, that would take the place of a module of the standard library.)
"""

import contextlib
import functools
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import _part_tables
import _performance
from cyclopts import App, Parameter

from parley_operator.plan import LOOK_AGAIN_S
from parley_testkit.control_plane.assistants import ASSISTANTS, assistant, define, is_all_ready
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import Node
from parley_testkit.control_plane.operators import NAME, USER, OperatorProcess, install_account, running_operator
from parley_testkit.control_plane.plane import ControlPlane, running_control_plane
from parley_testkit.control_plane.waiting import until

ROOT: Final = Path(__file__).parents[1]
RIGHTS: Final = ROOT / "tests/cluster/operator-rights.yaml"
_NAMESPACES: Final = 10
_DEPLOYMENTS: Final = 5
"""Of an assistant; they are applied after everything that they need, so when the last one is there all children are."""
_PODS_OF_ONE: Final = 12
"""Six that serve, five that pull models, and room."""
_LONG_S: Final = 60.0
"""For one assistant, also on a busy machine."""
_LONG_FOR_ALL_S: Final = 420.0
_TOLD_S: Final = 10.0
_POLL_S: Final = 0.5
"""Between two questions to the operator how many are ready. To list all of them would cost the API server as much each
time as the operator costs it for one."""
_WRITES: Final = frozenset({"create", "update", "patch", "delete"})

app = App(help=__doc__)


@app.default
def main(
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    assistants: Annotated[int, Parameter(help="How many are many.")] = 200,
    rounds: Annotated[int, Parameter(help="How often one is applied, alone and among many.")] = 20,
    idle_s: Annotated[
        float, Parameter(help="How long idleness is measured; every assistant is looked at once in 300 s.")
    ] = LOOK_AGAIN_S,
) -> int:
    """Measure, print the figures, and bring docs/performance.md up to date."""
    with running_control_plane() as plane, contextlib.ExitStack() as stack:
        define(plane, ROOT / "crds")
        install_account(plane, RIGHTS)
        for number in range(max(2, assistants * _PODS_OF_ONE // 250)):
            stack.enter_context(plane.node(Node(name=f"plain-{number}", cpu="512", memory="2Ti", pods=500)))
        namespaces = [stack.enter_context(plane.namespace(f"voices-{number}")) for number in range(_NAMESPACES)]
        operator = stack.enter_context(running_operator(plane))
        figures: dict[str, float | int | str | None] = {"assistants": assistants, "rounds": rounds}
        _tell(f"{rounds} assistants, one after the other")
        figures |= _percentiles("1", list(applied(plane, namespaces[0], rounds)))
        _tell(f"{assistants} assistants at once")
        processes = {**plane.pids, "operator": operator.pid}
        before = {name: cpu_s(pid) for name, pid in processes.items()}
        took_s, there = ready(plane, operator, namespaces, assistants)
        figures["ready_200_s"], figures["ready_count"] = round(took_s, 1), there
        figures |= {
            f"cpu_s_each_{name}": round((cpu_s(pid) - before[name]) / assistants, 3) for name, pid in processes.items()
        }
        figures["operator_rss_mib_200"] = round(operator.rss_mib(), 1)
        _tell(f"{rounds} more, one after the other")
        figures |= _percentiles("200", list(applied(plane, namespaces[0], rounds)))
        _tell(f"nothing, for {idle_s:g} s")
        figures["operator_idle_core"] = round(idle(operator, idle_s), 4)
        _tell("a restart of the operator")
        figures |= restart(plane, operator, assistants)
        figures["operator_rss_mib_200_at_most"] = round(
            max(operator.rss_mib(), float(figures["operator_rss_mib_200"] or 0)), 1
        )
        figures |= _performance.describe_machine()
    print(_performance.write(figures, json_file))
    _performance.regenerate("operator", _part_tables.operator_table(figures))
    return 0


def applied(plane: ControlPlane, namespace: Namespace, rounds: int) -> Iterator[float]:
    """Apply assistants, each when the one before is gone; return how many seconds it took to apply all its children."""
    for number in range(rounds):
        name = f"one-{number}"
        begin = time.monotonic()
        _create(plane, namespace, name)
        labels = f"app.kubernetes.io/instance={name}"
        until(
            functools.partial(namespace.find, "apps/v1/deployments", labels=labels),
            lambda found: len(found) >= _DEPLOYMENTS,
            within_s=_LONG_S,
        )
        yield time.monotonic() - begin
        namespace.until(ASSISTANTS, name, is_all_ready, within_s=_LONG_S)
        namespace.kubectl("delete", "va", name)
        # Or the garbage collector would compute beside the next one.
        for kind in ("apps/v1/deployments", "v1/services", "v1/pods"):
            until(functools.partial(namespace.find, kind, labels=labels), lambda found: not found, within_s=_LONG_S)


def ready(plane: ControlPlane, operator: OperatorProcess, namespaces: list[Namespace], count: int) -> tuple[float, int]:
    """Apply many at once; return after how many seconds all were ready, or it was given up, and how many then were."""
    begin = told = time.monotonic()
    for number in range(count):
        _create(plane, namespaces[number % len(namespaces)], f"voice-{number}")
    while True:
        said = operator.metric("parley_operator_assistants", phase="Ready")
        now = time.monotonic()
        is_late = now - begin > _LONG_FOR_ALL_S
        if said >= count or is_late:
            there = sum(is_all_ready(each) for each in plane.admin.find(ASSISTANTS))
            if there >= count or is_late:
                return now - begin, there
        if now - told > _TOLD_S:
            told = now
            _tell(f"  {said:.0f} of {count} are ready after {now - begin:.0f} s")
        time.sleep(_POLL_S)


def cpu_s(pid: int) -> float:
    """Return how long a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(operator: OperatorProcess, seconds: float) -> float:
    """Return which share of a core the operator takes when nothing happens."""
    time.sleep(10)
    before = cpu_s(operator.pid)
    time.sleep(seconds)
    return (cpu_s(operator.pid) - before) / seconds


def restart(plane: ControlPlane, operator: OperatorProcess, count: int) -> dict[str, float | int]:
    """Kill the operator and start it; return how long it took until it had looked at all, and what it wrote."""
    versions = _versions(plane)
    begin, at = plane.audit.position(), time.monotonic()
    operator.kill()
    operator.start_again()
    until(
        lambda: sum(
            operator.metric("parley_operator_reconciles_total", result=each) for each in ("unchanged", "changed")
        ),
        lambda looks: looks >= count,
        within_s=_LONG_FOR_ALL_S,
    )
    took_s = time.monotonic() - at
    events = plane.audit.events(begin, user=USER.format(NAME))
    changed = sum(versions[key] != version for key, version in _versions(plane).items())
    return {
        "restart_s_200": round(took_s, 1),
        "restart_writes_200": sum(event.verb in _WRITES for event in events),
        "restart_versions_changed_200": changed,
    }


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _create(plane: ControlPlane, namespace: Namespace, name: str) -> None:
    path = f"/apis/parley.dev/v1alpha1/namespaces/{namespace.name}/voiceassistants"
    plane.admin.http.post(path, json=assistant(name)).raise_for_status()


def _versions(plane: ControlPlane) -> dict[str, str]:
    return {
        each["metadata"]["uid"]: each["metadata"]["resourceVersion"]
        for kind in (ASSISTANTS, "v1/services", "v1/configmaps", "networking.k8s.io/v1/networkpolicies")
        for each in plane.admin.find(kind)
    }


def _percentiles(of: str, took_s: list[float]) -> dict[str, float | int | str | None]:
    marks = statistics.quantiles(took_s, n=20, method="inclusive")
    return {
        f"apply_p50_ms_{of}": round(statistics.median(took_s) * 1000),
        f"apply_p95_ms_{of}": round(marks[-1] * 1000),
    }


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
