"""The operator's own way to the API server: tokens that change, rights that go and come back, a server that is busy."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from parley_testkit.control_plane.access import trusting
from parley_testkit.control_plane.assistants import assistant, until_quiet, until_ready
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.operators import (
    NAME,
    SYSTEM,
    USER,
    OperatorProcess,
    install_account,
    running_operator,
)
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.proxies import ApiProxy, running_proxy
from parley_testkit.control_plane.waiting import until

RIGHTS = Path(__file__).with_name("operator-rights.yaml")
OF_ALL_NAMESPACES = "operator-whose-rights-change"
BINDINGS = "rbac.authorization.k8s.io/v1/clusterrolebindings"
SERVICES = "v1/services"

pytestmark = pytest.mark.usefixtures("operator_account")


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[ApiProxy]:
    with running_proxy(plane) as proxy:
        yield proxy


def answer_to(plane: ControlPlane, token: str) -> int:
    """Return what the API server answers to whoever shows a token."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=plane.url, verify=trusting(plane.authority), headers=headers, trust_env=False) as client:
        return client.get("/apis/parley.dev/v1alpha1/voiceassistants").status_code


def test_a_token_that_is_replaced_is_shown_from_then_on_by_requests_and_watches(
    plane: ControlPlane, namespace: Namespace
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": namespace.name, "namespace": SYSTEM}}
    plane.admin.apply(secret)
    first = plane.token(SYSTEM, NAME, while_there=namespace.name)
    with running_operator(plane, namespaces=namespace.name, token=first) as operator:
        namespace.apply(assistant())
        until_ready(namespace)
        before = plane.audit.position()

        operator.mount(plane.token(SYSTEM, NAME))
        plane.admin.kubectl("delete", "secret", namespace.name, namespace=SYSTEM)
        with plane.outage():  # which ends the watches, and forgets that the first token was good
            pass

        assert answer_to(plane, first) == 401  # HTTP
        namespace.kubectl("delete", "service", "libra-tts")
        namespace.until(SERVICES, "libra-tts", bool, within_s=40)
        operator.check()
        until_quiet(namespace)
    asked = plane.audit.events(before, user=USER.format(NAME))
    assert {"watch", "patch"} <= {event.verb for event in asked if event.code < 300}  # HTTP


def refusals(operator: OperatorProcess, what: str) -> int:
    return sum(what in str(line) for line in operator.log())


def test_rights_that_are_taken_away_are_missed_in_the_log_and_used_again_once_given_back(
    plane: ControlPlane, namespace: Namespace, proxy: ApiProxy
) -> None:
    install_account(plane, RIGHTS, name=OF_ALL_NAMESPACES)
    binding = plane.admin.get(BINDINGS, OF_ALL_NAMESPACES)
    binding["metadata"] = {"name": OF_ALL_NAMESPACES}
    with running_operator(plane, name=OF_ALL_NAMESPACES, through=proxy.url) as operator:
        namespace.apply(assistant())
        until_ready(namespace)
        until_quiet(namespace)

        plane.admin.remove(BINDINGS, OF_ALL_NAMESPACES)
        namespace.kubectl("delete", "service", "libra-tts")
        until(lambda: refusals(operator, "the API server refused"), bool)
        proxy.cut()  # or nobody would ask whether they may still watch
        until(lambda: refusals(operator, "APIForbiddenError"), bool)
        operator.check()
        plane.admin.apply(binding)

        namespace.until(SERVICES, "libra-tts", bool, within_s=40)
        namespace.apply(assistant(tts={"speed": 1.2}))
        namespace.until(
            "apps/v1/deployments",
            "libra-tts",
            lambda seen: (
                {"name": "TTS_SPEED", "value": "1.2"} in seen["spec"]["template"]["spec"]["containers"][0]["env"]
            ),
            within_s=40,
        )


def test_a_server_that_has_no_time_for_watches_is_left_alone_as_long_as_it_says(
    plane: ControlPlane, namespace: Namespace, proxy: ApiProxy
) -> None:
    with running_operator(plane, namespaces=namespace.name, through=proxy.url):
        namespace.apply(assistant())
        until_ready(namespace)
        until_quiet(namespace)

        proxy.fail(
            lambda method, path: method == "GET" and path.endswith("/services"), times=2, status=429, retry_after_s=2
        )
        assert proxy.cut() > 0
        namespace.kubectl("delete", "service", "libra-tts")

        namespace.until(SERVICES, "libra-tts", bool, within_s=40)
    first, second = (at for _, _, at in proxy.failed)
    assert second - first >= 2  # what the server said
