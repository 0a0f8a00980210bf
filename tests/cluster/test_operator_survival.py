"""The operator dies, the API server fails, watches break, assistants are deleted: all converges, nothing hangs."""

import contextlib
import datetime as dt
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from parley_contract.resource import KIND
from parley_operator.actions import Delete
from parley_operator.agents import Agents
from parley_operator.cluster import Cluster, ConflictError, connected
from parley_operator.kinds import WATCHED
from parley_operator.metrics import Metrics
from parley_operator.posts import Posts
from parley_operator.reconciling import Reconciler
from parley_operator.resources.objects import Installation, Object
from parley_operator.secret_values import Secrets
from parley_operator.surroundings import Surroundings
from parley_operator.sweeping import sweep
from parley_operator.world import World
from parley_testkit.control_plane.assistants import (
    ASSISTANTS,
    assistant,
    children,
    until_quiet,
    until_ready,
    versions,
)
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.observing import is_gone
from parley_testkit.control_plane.operators import NAME, USER, OperatorProcess, account, running_operator
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.proxies import ApiProxy, running_proxy
from parley_testkit.control_plane.waiting import until

pytestmark = pytest.mark.usefixtures("operator_account")

ALL_DEATHS = os.environ.get("PARLEY_DEATHS") == "all"
"""Whether every place in a plan is died at, and not a few of them: `make chaos`."""
GARBAGE_S = 45.0
"""Kubernetes' garbage collector looks every 30 s whether there are kinds that it does not know yet."""
WRITES = frozenset({"create", "update", "patch", "delete"})


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[ApiProxy]:
    with running_proxy(plane) as proxy:
        yield proxy


@contextlib.contextmanager
def operator_behind(plane: ControlPlane, proxy: ApiProxy, namespace: Namespace) -> Iterator[OperatorProcess]:
    with running_operator(plane, namespaces=namespace.name, through=proxy.url) as operator:
        yield operator


# --- Killed -----------------------------------------------------------------------------------------------------------


class KilledError(BaseException):
    """The end of a process, as far as one process can play another's."""


class MortalCluster(Cluster):
    """Dies instead of a write."""

    def __init__(self, cluster: Cluster, after: int) -> None:
        super().__init__(cluster._client)  # noqa: SLF001  # the same connection, for a shorter life
        self.written: list[str] = []
        self.before_status: Callable[[], None] = lambda: None
        self.before_write: Callable[[str], None] = lambda _: None
        self._after = after

    async def apply(self, manifest: Object) -> Object:
        self._count(f"apply {manifest['kind']}")
        return await super().apply(manifest)

    async def apply_status(self, resource: Object, status: Object) -> Object:
        self._count("status")
        self.before_status()
        return await super().apply_status(resource, status)

    async def create(self, manifest: Object) -> Object:
        self._count(f"create {manifest['kind']}")
        return await super().create(manifest)

    async def delete(self, gone: Delete) -> None:
        self._count(f"delete {gone.kind}")
        await super().delete(gone)

    async def post_event(self, event: Object, times: int) -> None:
        self._count("event")
        await super().post_event(event, times)

    def _count(self, what: str) -> None:
        if len(self.written) >= self._after:
            raise KilledError
        self.written.append(what)
        self.before_write(what)


def world_of(plane: ControlPlane, namespace: Namespace) -> World:
    """Return what an operator that has just started knows."""
    world = World()
    for kind in WATCHED:
        found = plane.admin.find(f"{kind.api_version}/{kind.plural}", namespace.name, labels=kind.labels)
        for each in found:
            world.put({**each, "kind": kind.name, "apiVersion": kind.api_version})
    return world


@contextlib.asynccontextmanager
async def life(
    plane: ControlPlane,
    namespace: Namespace,
    after: int,
    tell: Callable[[tuple[str, str]], None] = lambda _: None,
    *,
    world: World | None = None,
) -> AsyncIterator[tuple[Reconciler, MortalCluster]]:
    """One life of an operator, which ends after so many writes."""
    async with connected() as immortal, aiohttp.ClientSession() as http:
        cluster = MortalCluster(immortal, after)
        around = Surroundings(
            world=world or world_of(plane, namespace),
            cluster=cluster,
            secrets=Secrets(cluster, time.monotonic),
            agents=Agents(http, lambda key: None, time.monotonic),
            posts=Posts(cluster, "test"),
            tell=tell,
            metrics=Metrics(),
            installation=Installation(),
            clock=time.monotonic,
            now=lambda: dt.datetime.now(dt.UTC),
        )
        yield Reconciler(around), cluster


async def test_an_operator_killed_between_any_two_steps_of_a_plan_leaves_what_the_next_one_completes(
    plane: ControlPlane, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(account(plane).kubeconfig))
    namespace.doom("pull", "starting")  # or every death would be mended by another plan than the first
    namespace.apply(assistant("whole"))
    async with life(plane, namespace, 1000) as (reconciler, cluster):
        await reconciler.reconcile((namespace.name, "whole"))
    await _settle(plane, namespace, "whole")
    whole = shape(namespace, "whole")
    order = cluster.written
    # What is of one kind is written at once: each of its borders, and a place within what can be made only once.
    starts = [place for place in range(len(order)) if place == 0 or order[place] != order[place - 1]]
    deaths = sorted({*starts, *(place + 1 for place in starts if order[place].startswith("create"))})
    assert len(deaths) > 12
    if not ALL_DEATHS:  # the first of each verb, and each fifth
        first = {order[place].partition(" ")[0]: place for place in reversed(deaths)}
        deaths = sorted({*first.values(), *deaths[::5]})

    for after in deaths:
        name = f"dead-{after}"
        namespace.apply(assistant(name))
        async with life(plane, namespace, after) as (reconciler, cluster):
            with contextlib.suppress(KilledError):
                await reconciler.reconcile((namespace.name, name))
            assert len(cluster.written) == after
        lives = await _settle(plane, namespace, name)

        assert shape(namespace, name) == whole, f"after {after} writes, the last one: {order[after - 1]}"
        assert lives <= 3
        namespace.kubectl("delete", "va", name, "--wait=false")


async def test_a_spec_that_changes_while_a_status_is_under_way_is_looked_at(
    plane: ControlPlane, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(account(plane).kubeconfig))
    namespace.apply(assistant())
    key = (namespace.name, "libra")
    told: list[tuple[str, str]] = []
    async with life(plane, namespace, 1000, told.append) as (reconciler, cluster):
        cluster.before_status = lambda: namespace.apply(assistant(tts={"speed": 1.2}))
        await reconciler.reconcile(key)
        assert told == [key]

        cluster.before_status = lambda: None
        await reconciler.reconcile(key)

    assert told == [key]
    containers = namespace.get("apps/v1/deployments", "libra-tts")["spec"]["template"]["spec"]["containers"]
    assert {"name": "TTS_SPEED", "value": "1.2"} in containers[0]["env"]


async def test_what_was_found_of_an_assistant_is_not_said_of_another_one_of_its_name(
    plane: ControlPlane, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(account(plane).kubeconfig))
    namespace.apply(assistant())
    world = world_of(plane, namespace)
    async with life(plane, namespace, 1000, world=world) as (reconciler, cluster):

        def make_anew(write: str) -> None:
            if write == "create Job":
                cluster.before_write = lambda _: None
                namespace.kubectl("delete", "va", "libra")
                namespace.apply(assistant(tts={"voice": "nobody"}))
                world.put({**namespace.get(ASSISTANTS, "libra"), "kind": KIND})

        cluster.before_write = make_anew
        with contextlib.suppress(ConflictError):
            await reconciler.reconcile((namespace.name, "libra"))

    assert "create Job" in cluster.written
    assert "status" not in namespace.get(ASSISTANTS, "libra")


async def _settle(plane: ControlPlane, namespace: Namespace, name: str) -> int:
    """Look until there is nothing to do but to say how it fares; return how many looks that took."""
    written: set[str] = set()
    for lives in range(1, 10):
        async with life(plane, namespace, 1000) as (reconciler, cluster):
            await reconciler.reconcile((namespace.name, name))
            written = set(cluster.written) - {"status", "event"}
        if not written:
            return lives
    raise AssertionError(f"it never settles: {written}")


def shape(namespace: Namespace, name: str) -> dict[tuple[str, str], Any]:
    return {
        (kind, child.removeprefix(name)): sorted(found.get("spec", {}))
        for (kind, child), found in children(namespace, name).items()
        if kind != "apps/v1/controllerrevisions"
    }


@pytest.mark.parametrize("after", [2, 25, 45] if ALL_DEATHS else [25])
def test_an_operator_process_that_is_killed_while_it_writes_is_no_loss(
    plane: ControlPlane, namespace: Namespace, proxy: ApiProxy, after: int
) -> None:
    with operator_behind(plane, proxy, namespace) as operator:

        def die(count: int) -> None:
            if count == after:
                operator.kill()

        proxy.after_write = die
        namespace.apply(assistant())
        until(lambda: len(proxy.writes), lambda count: count >= after)

        until(lambda: _is_dead(operator), bool)
        operator.start_again()

        until_ready(namespace)


def _is_dead(operator: OperatorProcess) -> bool:
    try:
        return not operator.pid
    except KeyError:
        return True


def test_a_restart_over_assistants_that_are_settled_writes_nothing(plane: ControlPlane, namespace: Namespace) -> None:
    names = ("one", "two", "three")
    with running_operator(plane, namespaces=namespace.name) as operator:
        namespace.apply(*map(assistant, names))
        for name in names:
            until_ready(namespace, name)
        before = {name: until_quiet(namespace, name) for name in names}
        begin = plane.audit.position()

        operator.kill()
        operator.start_again()

        until(lambda: operator.metric("parley_operator_reconciles_total", result="unchanged"), lambda count: count >= 3)
        assert operator.metric("parley_operator_reconciles_total", result="changed") == 0
        assert {name: versions(namespace, name) for name in names} == before
        events = plane.audit.events(begin, user=USER.format(NAME))
        assert events
        assert [event.request_uri for event in events if event.verb in WRITES] == []


def test_an_operator_that_is_told_to_end_ends_and_an_assistant_is_deleted_without_one(
    plane: ControlPlane, namespace: Namespace
) -> None:
    with running_operator(plane, namespaces=namespace.name) as operator:
        namespace.apply(assistant())
        until_ready(namespace)

        os.kill(operator.pid, signal.SIGTERM)

        until(lambda: [line["event"] for line in operator.log()], lambda events: events[-1] == "ended")
        assert not [line for line in operator.log() if line["level"] in {"error", "critical"}]
        namespace.kubectl("delete", "va", "libra", "--timeout=10s")
        until(lambda: children(namespace), lambda left: not left, within_s=GARBAGE_S)


def test_two_operators_at_once_do_no_harm(plane: ControlPlane, namespace: Namespace) -> None:
    with (
        running_operator(plane, namespaces=namespace.name),
        running_operator(plane, namespaces=namespace.name),
    ):
        namespace.apply(*map(assistant, ("one", "two")))

        for name in ("one", "two"):
            until_ready(namespace, name)
            until_quiet(namespace, name)
        revisions = namespace.find("apps/v1/controllerrevisions", labels="app.kubernetes.io/component=spec")
        assert len(revisions) == 2


# --- An API server that fails -----------------------------------------------------------------------------------------


def to(method: str, plural: str) -> Callable[[str, str], bool]:
    return lambda asked, path: asked == method and f"/{plural}" in path


def test_requests_that_fail_are_made_again(plane: ControlPlane, namespace: Namespace, proxy: ApiProxy) -> None:
    misfortunes = [
        ("GET", "secrets", 500),
        ("POST", "secrets", 409),
        ("PATCH", "services", 500),
        ("POST", "jobs", 0),
        ("PATCH", "voiceassistants", 503),
    ]
    for method, plural, status in misfortunes:
        proxy.fail(to(method, plural), times=1, status=status)
    with operator_behind(plane, proxy, namespace):
        namespace.apply(assistant())

        until_ready(namespace)

    assert len(proxy.failed) == len(misfortunes)


def test_a_server_that_wants_to_be_left_alone_is(plane: ControlPlane, namespace: Namespace, proxy: ApiProxy) -> None:
    proxy.fail(to("PATCH", "statefulsets"), times=2, status=429, retry_after_s=2)
    with operator_behind(plane, proxy, namespace):
        namespace.apply(assistant())

        until_ready(namespace)

    first, second = (at for _, _, at in proxy.failed)
    assert second - first >= 2


def test_a_watch_that_is_cut_is_taken_up_again(plane: ControlPlane, namespace: Namespace, proxy: ApiProxy) -> None:
    with operator_behind(plane, proxy, namespace):
        namespace.apply(assistant())
        until_ready(namespace)
        until_quiet(namespace)

        assert proxy.cut() > 0
        namespace.kubectl("delete", "service", "libra-tts")

        namespace.until("v1/services", "libra-tts", bool)


def test_the_operator_goes_on_after_an_outage_of_the_api_server(plane: ControlPlane, namespace: Namespace) -> None:
    with running_operator(plane, namespaces=namespace.name) as operator:
        namespace.apply(assistant())
        until_ready(namespace)

        with plane.outage():
            time.sleep(1)

        namespace.kubectl("delete", "service", "libra-tts")
        namespace.until("v1/services", "libra-tts", bool, within_s=40)
        operator.check()


async def test_a_deletion_that_no_watch_told_of_is_found_by_comparing(
    plane: ControlPlane, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(account(plane).kubeconfig))
    names = {"app.kubernetes.io/instance": "libra", "app.kubernetes.io/managed-by": "parley-operator"}
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": names}}
        for name in ("libra-nats", "libra-more")
    ]
    namespace.apply(*maps)
    world = world_of(plane, namespace)
    namespace.kubectl("delete", "configmap", "libra-nats")
    told: list[tuple[str, str]] = []
    kind = next(kind for kind in WATCHED if kind.name == "ConfigMap")

    async with connected() as cluster:
        await sweep(world, cluster, kind, (namespace.name,), lambda key, _: told.append(key))

    key = (namespace.name, "libra")
    assert told == [key]
    assert [child["metadata"]["name"] for child in world.children(key)] == ["libra-more"]


# --- Deletion ---------------------------------------------------------------------------------------------------------


def test_an_assistant_is_deleted_while_a_child_of_it_is_stuck(plane: ControlPlane, namespace: Namespace) -> None:
    with running_operator(plane, namespaces=namespace.name) as operator:
        namespace.apply(assistant())
        until_ready(namespace)
        stuck = '{"metadata":{"finalizers":["test.parley.dev/stuck"]}}'
        namespace.kubectl("patch", "configmap", "libra-nats", "--type=merge", f"--patch={stuck}")

        namespace.kubectl("delete", "va", "libra", "--timeout=10s")

        until(
            lambda: {name for _, name in children(namespace)}, lambda left: left == {"libra-nats"}, within_s=GARBAGE_S
        )
        assert is_gone(namespace.get(ASSISTANTS, "libra"))
        free = '{"metadata":{"finalizers":null}}'
        namespace.kubectl("patch", "configmap", "libra-nats", "--type=merge", f"--patch={free}")
        operator.check()


def test_a_namespace_with_an_assistant_in_it_is_deleted_to_the_end(plane: ControlPlane, operator_account: None) -> None:
    with plane.namespace() as namespace, running_operator(plane, namespaces=namespace.name) as operator:
        namespace.apply(assistant())
        until_ready(namespace)

        namespace.kubectl("delete", "namespace", namespace.name, "--wait=false")

        until(lambda: plane.admin.get("v1/namespaces", namespace.name), is_gone, within_s=40)
        operator.check()
        assert operator.metric("parley_operator_queue_depth") == 0
