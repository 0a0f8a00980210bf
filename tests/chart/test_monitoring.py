"""Alerts and dashboard: each asks for metrics that there are, and fires when it should and not otherwise.

Rules are run by Prometheus' own promtool over made-up series; whether services really export under these names is asked
of what exports them.
"""

import json
import re
import subprocess
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from parley_contract import telemetry as words
from parley_contract.resource.status import Phase
from parley_operator.metrics import Metrics, Result
from parley_runtime.telemetry import Telemetry
from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.programs import find_program

FILES = Path(__file__).parents[2] / "charts/parley/files"
DASHBOARD = json.loads((FILES / "dashboard.json").read_text())
WHO = 'namespace="home",assistant="libra"'

Render = Callable[..., list[Object]]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def rules(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules as Prometheus reads them."""
    [rule] = [
        each for each in render({"monitoring": {"alerts": {"enabled": True}}}) if each["kind"] == "PrometheusRule"
    ]
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(rule["spec"]))
    return path


def exported() -> set[str]:
    """The names under which the metrics of the services and of the operator are read."""
    telemetry, operator = Telemetry("agent", "home/libra"), Metrics()
    for metric in words.METRICS:
        telemetry.record(metric)
    operator.reconciles.labels("failed")
    operator.phase(("home", "libra"), "Failing")
    lines = (telemetry.exposition() + operator.page()).decode().splitlines()
    return {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}


def asked(expressions: Iterator[str]) -> set[str]:
    return {name for expression in expressions for name in re.findall(r"\bparley_\w+", expression)}


def of_dashboard() -> Iterator[str]:
    return (target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])


def of_rules(path: Path) -> Iterator[str]:
    return (rule["expr"] for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"])


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    assert asked(of_dashboard()) <= exported()


def test_alerts_ask_for_metrics_that_there_are(rules: Path) -> None:
    found = asked(of_rules(rules))

    assert len(found) == 5
    assert found <= exported()


def test_alerts_ask_for_phases_and_results_that_there_are(rules: Path) -> None:
    expressions = "".join(of_rules(rules))

    assert set(re.findall(r'phase="(\w+)"', expressions)) <= set(typing.get_args(Phase))
    assert set(re.findall(r'result="(\w+)"', expressions)) <= set(typing.get_args(Result))


def test_promtool_finds_nothing_wrong_with_the_rules(rules: Path) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 rules found" in done.stdout


def test_promtool_can_read_every_question_of_the_dashboard(tmp_path: Path) -> None:
    questions = [each.replace("$__rate_interval", "5m") for each in of_dashboard()]
    assert len(questions) > 10
    records = [{"record": f"question_{number}", "expr": each} for number, each in enumerate(questions)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))

    done = promtool("check", "rules", str(tmp_path / "rules.yaml"))

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_panel_has_a_place_of_its_own() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]

    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(set(places)) == len(places)


def test_the_number_for_all_assistants_is_in_the_rule(render: Render) -> None:
    [rule] = [
        each
        for each in render({"monitoring": {"alerts": {"enabled": True, "e2ftSeconds": 0.9}}})
        if each["kind"] == "PrometheusRule"
    ]

    slow = rule["spec"]["groups"][0]["rules"][0]
    assert "> 0.9\n" in slow["expr"]
    assert "later than 0.9 s after" in slow["annotations"]["description"]
    assert "$E2FT" not in str(rule)


# --- When they fire: a series a minute, and which alerts are on at a minute -------------------------------------------

OPERATOR_UP = {'up{job="parley-operator"}': "1x120"}
SLOW = f'alertname="ParleyRepliesSlow",{WHO},severity="warning"'
DOWN = f'alertname="ParleyComponentDown",{WHO},component="asr",severity="critical"'
DEAD = f'alertname="ParleyDeadLetters",{WHO},component="agent",severity="warning"'
FAILING = 'alertname="ParleyAssistantFailing",job="parley-operator",severity="critical"'
WAITING = 'alertname="ParleyAssistantWaiting",job="parley-operator",severity="warning"'
OPERATOR_FAILING = 'alertname="ParleyOperatorFailing",job="parley-operator",severity="warning"'
OPERATOR_DOWN = 'alertname="ParleyOperatorDown",severity="critical"'


def turns(*, within: str, after: str) -> dict[str, str]:
    """Turns with an E2FT of a second at most, and of three, as Prometheus reads them."""
    name = "parley_turn_e2ft_seconds"
    both = {f'{name}_bucket{{{WHO},pod="a",le="{le}"}}': after for le in ("3", "+Inf")}
    return {f'{name}_bucket{{{WHO},pod="a",le="1"}}': within, **both, f'{name}_count{{{WHO},pod="a"}}': after}


def up(component: str, **pods: str) -> dict[str, str]:
    return {f'up{{job="parley",{WHO},component="{component}",pod="{pod}"}}': value for pod, value in pods.items()}


def letters(value: str) -> dict[str, str]:
    return {f'parley_bus_malformed_total{{{WHO},component="agent",pod="a"}}': value}


def phases(**counts: str) -> dict[str, str]:
    return {
        f'parley_operator_assistants{{job="parley-operator",phase="{phase}"}}': value for phase, value in counts.items()
    }


def looks(result: str, value: str) -> dict[str, str]:
    return {f'parley_operator_reconciles_total{{job="parley-operator",result="{result}"}}': value}


@pytest.mark.parametrize(
    "series, minute, alerts",
    [
        pytest.param({}, 60, [], id="all is well"),
        pytest.param(turns(within="0+1x60", after="0+2x60"), 45, [SLOW], id="every second reply is slow"),
        pytest.param(turns(within="0+1x60", after="0+2x60"), 8, [], id="slow, but not for long"),
        pytest.param(turns(within="0+99x60", after="0+100x60"), 45, [], id="one of a hundred is slow"),
        pytest.param(turns(within="0x60", after="0x30 1x30"), 45, [], id="one turn, and a slow one"),
        pytest.param(up("asr", a="1x10 0x20"), 20, [DOWN], id="the only asr is away"),
        pytest.param(up("asr", a="1x10 0x20"), 14, [], id="it is away for a moment"),
        pytest.param(up("asr", a="0x30", b="1x30"), 20, [], id="one of two is away"),
        pytest.param(up("asr", a="1x10 _x20"), 25, [], id="an assistant is suspended"),
        pytest.param(letters("0x20 3x20"), 25, [DEAD], id="three letters"),
        pytest.param(letters("_x20 1x20"), 25, [DEAD], id="the first letter makes the counter"),
        pytest.param(letters("_x20 1x40"), 45, [], id="no letter after it"),
        pytest.param(phases(Failing="0x10 1x30", Ready="3x40"), 30, [FAILING], id="an assistant fails"),
        pytest.param(phases(Starting="1x40", Ready="3x40"), 30, [], id="an assistant starts"),
        pytest.param(phases(Pending="0x10 1x50"), 45, [WAITING], id="no node takes an assistant"),
        pytest.param(phases(Pending="0x10 1x50"), 35, [], id="none takes it yet"),
        pytest.param(looks("failed", "0+1x60"), 40, [OPERATOR_FAILING], id="a look fails each minute"),
        pytest.param(looks("failed", "0x20 2x40"), 40, [], id="two looks failed"),
        pytest.param(looks("changed", "0+9x60"), 40, [], id="much to do"),
        pytest.param(
            {**looks("failed", "0+1x60"), **looks("changed", "0+40x60")}, 40, [], id="much to do, with conflicts"
        ),
        pytest.param({'up{job="parley-operator"}': "1x10 0x30"}, 30, [OPERATOR_DOWN], id="the operator is down"),
        pytest.param({'up{job="parley-operator"}': "1x10 _x30"}, 30, [OPERATOR_DOWN], id="there is no operator"),
        pytest.param({'up{job="parley-operator"}': "1x10 0x5 1x30"}, 30, [], id="the operator was replaced"),
    ],
)
def test_alerts_are_on_when_they_should_be(
    rules: Path, tmp_path: Path, series: dict[str, str], minute: int, alerts: list[str]
) -> None:
    question = "sum without (alertstate) (ALERTS{alertstate='firing'})"
    expected = [{"labels": f"{{{each}}}", "value": 1} for each in alerts]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": value} for name, value in {**OPERATOR_UP, **series}.items()],
        "promql_expr_test": [{"expr": question, "eval_time": f"{minute}m", "exp_samples": expected}],
    }
    page = tmp_path / "test.yaml"
    page.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]}))

    done = promtool("test", "rules", str(page))

    assert done.returncode == 0, done.stdout + done.stderr
