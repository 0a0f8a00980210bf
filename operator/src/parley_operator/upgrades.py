"""New images reach one assistant after the other: the next one gets them when the one before is well with them. Pure.

After an upgrade of the operator every assistant's images are others at once. If the new ones are broken, one assistant
has them and the rest go on with what they have. It is about upgrades alone: whoever changes a spec gets what it says at
once, and an assistant that is not ready has nothing to lose.

What was begun is remembered by one operator's process: one that is killed in the middle of an upgrade may let the next
one begin while the one before is still on its way.
"""

from collections.abc import Iterable, Sequence

import msgspec

from parley_operator.actions import Action, Apply, Create
from parley_operator.kinds import REVISION
from parley_operator.plan import Plan
from parley_operator.resources.objects import APPLIED, Object
from parley_operator.world import Key


class Upgrades:
    """Whose turn it is."""

    def __init__(self) -> None:
        """Begin with nobody's."""
        self._turn: Key | None = None
        self._waiting: dict[Key, None] = {}

    def admitted(self, key: Key, wanted: Plan, there: Sequence[Object], *, is_ready: bool) -> tuple[Plan, str]:
        """Return what of a plan may be done now: no new images while another assistant gets them.

        Args:
            key: whose plan.
            wanted: the plan.
            there: the assistant's children.
            is_ready: whether the assistant answers.

        Returns:
            The plan, and the assistant that is waited for, as `namespace/name`; empty for none.
        """
        is_change = any(isinstance(each, Create) and each.object["kind"] == REVISION.name for each in wanted.actions)
        names = frozenset() if is_change else upgrading(wanted.actions, there)
        first = self.before(key, is_ready=is_ready) if names else None
        if first is None:
            return wanted, ""
        return msgspec.structs.replace(wanted, actions=without(wanted.actions, names)), "/".join(first)

    def before(self, key: Key, *, is_ready: bool) -> Key | None:
        """Ask for a turn; return the assistant that has it, None if this one may be upgraded now."""
        if not is_ready or self._turn in {None, key}:
            self._waiting.pop(key, None)
            self._turn = key if is_ready else self._turn
            return None
        self._waiting[key] = None
        return self._turn

    def done(self, key: Key) -> Key | None:
        """Note that an assistant is well with what it has, or gone; return the one that is to be looked at for it."""
        self._waiting.pop(key, None)
        if self._turn != key:
            return None
        self._turn = None
        return next(iter(self._waiting), None)


def upgrading(actions: Iterable[Action], there: Iterable[Object]) -> frozenset[str]:
    """Return the Deployments and StatefulSets, by name, that would get other images than they were applied with."""
    seen = {(each["kind"], each["metadata"]["name"]): each for each in there}
    found = set()
    for action in actions:
        if not isinstance(action, Apply) or action.object["kind"] not in {"Deployment", "StatefulSet"}:
            continue
        name = action.object["metadata"]["name"]
        before = seen.get((action.object["kind"], name))
        if before is not None and _images(before) != _images(action.object) and not _is_drift(action.object, before):
            found.add(name)
    return frozenset(found)


def without(actions: Iterable[Action], names: frozenset[str]) -> tuple[Action, ...]:
    """Return the actions but for what applies these."""
    return tuple(
        action
        for action in actions
        if not (
            isinstance(action, Apply)
            and action.object["kind"] in {"Deployment", "StatefulSet"}
            and action.object["metadata"]["name"] in names
        )
    )


def _is_drift(wanted: Object, there: Object) -> bool:
    """Whether somebody else changed what was applied, which is repaired at once."""
    return _applied(wanted) == _applied(there)


def _applied(workload: Object) -> str:
    return str((workload["metadata"].get("annotations") or {}).get(APPLIED, ""))


def _images(workload: Object) -> list[str]:
    return [str(each.get("image")) for each in workload["spec"]["template"]["spec"]["containers"]]
