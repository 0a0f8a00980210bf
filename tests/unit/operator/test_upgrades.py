"""New images reach one assistant after the other; a change of a spec and a repair wait for nobody."""

import msgspec

from parley_operator.plan import Plan, plan
from parley_operator.upgrades import Upgrades, upgrading, without
from parley_testkit.first_plans import INSTALLATION
from parley_testkit.toy_cluster import ToyCluster, told

A, B, C = ("home", "a"), ("home", "b"), ("home", "c")


def settled() -> ToyCluster:
    there = ToyCluster({"metadata": {"name": "libra"}, "spec": {"profile": "laptop"}})
    there.settle()
    return there


def after_an_upgrade(there: ToyCluster) -> Plan:
    newer = msgspec.structs.replace(INSTALLATION, ollama_image="registry.example/ollama:9")
    return plan(there.judgement(), there.observed(), newer, there.now)


def test_the_next_one_waits_for_the_one_before_to_be_well() -> None:
    turns = Upgrades()

    assert turns.before(A, is_ready=True) is None
    assert turns.before(B, is_ready=True) == turns.before(C, is_ready=True) == A
    assert turns.before(A, is_ready=True) is None
    assert turns.done(A) == B
    assert turns.before(B, is_ready=True) is None
    assert turns.before(C, is_ready=True) == B


def test_who_is_not_ready_waits_for_nobody_and_lets_nobody_wait() -> None:
    turns = Upgrades()

    assert turns.before(A, is_ready=False) is None
    assert turns.before(B, is_ready=True) is None
    assert turns.before(C, is_ready=False) is None
    assert turns.done(C) is None
    assert turns.before(A, is_ready=True) == B


def test_who_goes_while_it_waits_or_has_its_turn_holds_up_nobody() -> None:
    turns = Upgrades()
    turns.before(A, is_ready=True)
    turns.before(B, is_ready=True)
    turns.before(C, is_ready=True)

    assert turns.done(B) is None
    assert turns.done(A) == C
    assert turns.done(C) is None


def test_an_upgrade_is_other_images_than_were_applied() -> None:
    there = settled()
    made = after_an_upgrade(there)
    children = there.observed().children

    assert upgrading(made.actions, children) == {"libra-ollama"}
    assert [told(action) for action in without(made.actions, frozenset({"libra-ollama"}))] == []
    assert upgrading(there.plan().actions, children) == frozenset()


def test_of_a_plan_only_the_images_wait_and_whoever_changes_a_spec_waits_for_nobody() -> None:
    there = settled()
    children = there.observed().children
    turns = Upgrades()
    turns.before(B, is_ready=True)

    waiting = turns.admitted(A, after_an_upgrade(there), children, is_ready=True)
    there.write({"profile": "laptop", "tts": {"speed": 1.2}})
    changed = turns.admitted(A, after_an_upgrade(there), children, is_ready=True)

    assert ([*waiting[0].actions], waiting[1]) == ([], "home/b")
    assert {"apply Deployment/libra-tts", "apply Deployment/libra-ollama"} <= {*map(told, changed[0].actions)}
    assert changed[1] == ""


def test_a_first_plan_and_an_image_that_somebody_else_changed_are_none() -> None:
    new = ToyCluster({"metadata": {"name": "libra"}, "spec": {"profile": "laptop"}})
    there = settled()
    containers = there.objects["Deployment", "libra-asr"]["spec"]["template"]["spec"]["containers"]
    containers[0]["image"] = "registry.example/mine:1"

    assert upgrading(new.plan().actions, new.observed().children) == frozenset()
    assert [told(action) for action in there.plan().actions] == ["apply Deployment/libra-asr"]
    assert upgrading(there.plan().actions, there.observed().children) == frozenset()
