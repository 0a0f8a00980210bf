"""One assistant: observe, plan, apply, report. Idempotent, and safe to be ended between any two writes.

Called by the queue, for one assistant once at a time. Nothing here decides what shall be: `judgement`, `plan` and
`status` do. What fails is told in the status where the owner of the assistant can do something about it, and in the log
and the metrics where the owner of the cluster can; either way the queue tries again.
"""

import asyncio
import contextlib
import itertools
from typing import Final

import structlog

from parley_contract.errors import PermanentError, RetryableError
from parley_operator.actions import Action, Apply, Create, Delete
from parley_operator.cluster import ConflictError, EndingError, MissingError, RefusedError
from parley_operator.failures import not_taken
from parley_operator.metrics import Result
from parley_operator.observing import look
from parley_operator.plan import Plan, plan
from parley_operator.reporting import Reporter, ready
from parley_operator.resources.objects import Object, component_of
from parley_operator.surroundings import Surroundings
from parley_operator.upgrades import Upgrades
from parley_operator.world import Key

_GONE_S: Final = 5.0
_REST_S: Final = 0.15
"""After so long is looked at what was written: a plan may have a second half, and our own writes are no news to us."""
_LOG: Final = structlog.get_logger()


class Reconciler:
    """Looks after assistants."""

    def __init__(self, around: Surroundings) -> None:
        """Look after those of this world."""
        self._around = around
        self._generations: dict[Key, int] = {}
        self._reporter = Reporter(around)
        self._upgrades = Upgrades()

    async def reconcile(self, key: Key) -> float | None:
        """Make an assistant as it should be; return after how many seconds to look again, None for never.

        Raises:
            RetryableError, PermanentError: it is not, and has to be tried again.
        """
        around, begin = self._around, self._around.clock()
        result: Result = "failed"
        try:
            result, again_s = await self._reconcile(key)
            return again_s
        except RetryableError as error:
            _LOG.warning("a look failed", namespace=key[0], assistant=key[1], reason=str(error))
            raise
        except PermanentError as error:
            what = "the API server refused" if isinstance(error, RefusedError) else "a look failed"
            _LOG.warning(what, namespace=key[0], assistant=key[1], reason=str(error))
            if not isinstance(error, _RefusedChildError):  # of which it is told already
                await self._reporter.report_fault(key, str(error))
            raise
        except Exception as error:
            _LOG.exception("a look failed by a fault of ours", namespace=key[0], assistant=key[1])
            said = f"the operator could not look after it, by a fault of its own: {type(error).__name__}: {error}"
            await self._reporter.report_fault(key, f"{said}. Its log has more")
            raise
        finally:
            around.metrics.reconciles.labels(result).inc()
            around.metrics.reconcile_s.observe(around.clock() - begin)

    async def _reconcile(self, key: Key) -> tuple[Result, float | None]:
        around = self._around
        resource = around.world.assistant(key)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._forget(key)
            return "gone", None
        self._doubt_after_a_change(key, resource)
        try:
            seen = await look(around.world, around.secrets, key, resource)
            wanted = plan(seen.judgement, seen.observed, around.installation, around.now())
            is_ready = ready(resource.get("status") or {}).get("status") == "True"
            made, waits_for = self._upgrades.admitted(key, wanted, seen.observed.children, is_ready=is_ready)
            refused = await self._apply(key, made)
            failure = None if refused is None else refused.failure
            told = await self._reporter.report(key, seen, made, failure, waits_for)
        except EndingError:
            # Nothing can be made any more, and what is there goes by itself: this look was the last one.
            return "gone", None
        except MissingError as error:
            # Most likely the assistant itself has just gone, and its watch is about to say so.
            _LOG.warning("a write found nothing", namespace=key[0], assistant=key[1], reason=str(error))
            return "gone", _GONE_S
        except ConflictError:
            around.secrets.doubt(key)
            raise
        if told.is_well:
            self._end_turn(key)
        if refused is not None:
            raise refused
        again_s = min(made.look_again_after_s, _REST_S) if made.actions else made.look_again_after_s
        return "changed" if made.actions or told.is_written else "unchanged", again_s

    def _end_turn(self, key: Key) -> None:
        if (following := self._upgrades.done(key)) is not None:
            self._around.tell(following)

    def _forget(self, key: Key) -> None:
        self._end_turn(key)
        self._generations.pop(key, None)
        self._around.agents.leave(key)
        self._around.secrets.forget(key)
        self._around.metrics.phase(key, "")

    def _doubt_after_a_change(self, key: Key, resource: Object) -> None:
        """Read Secrets again with a new generation: who changes a spec has often changed a Secret as well."""
        generation = int(resource["metadata"].get("generation", 0))
        if self._generations.get(key, generation) != generation:
            self._around.secrets.doubt(key)
        self._generations[key] = generation

    # --- Apply --------------------------------------------------------------------------------------------------------

    async def _apply(self, key: Key, made: Plan) -> "_RefusedChildError | None":
        """Carry out a plan up to what is refused and needed, and return the first refusal; other errors are raised.

        What stands side by side in it and is of one kind does not need each other, and is written at once.
        """
        refused: _RefusedChildError | None = None
        for _, alike in itertools.groupby(made.actions, lambda action: (type(action), _name(action).partition("/")[0])):
            actions = tuple(alike)
            done = await asyncio.gather(*map(self._do, actions), return_exceptions=True)
            for action, error in zip(actions, done, strict=True):
                if error is None:
                    _LOG.info("did", namespace=key[0], assistant=key[1], action=_verb(action), child=_name(action))
            failed = [(action, error) for action, error in zip(actions, done, strict=True) if error is not None]
            for _, error in failed:
                if not isinstance(error, RefusedError):
                    raise error
            if failed:
                refused = refused or _RefusedChildError(failed[0][0], str(failed[0][1]))
            if any(not isinstance(action, Apply) or action.is_needed for action, _ in failed):
                break
        return refused

    async def _do(self, action: Action) -> None:
        around = self._around
        around.metrics.writes.labels(_verb(action)).inc()
        if isinstance(action, Delete):
            # If somebody else removed it, that is as good.
            with contextlib.suppress(MissingError):
                await around.cluster.delete(action)
            meta = {"namespace": action.namespace, "name": action.name, "uid": action.uid}
            around.world.remove({"kind": action.kind, "metadata": meta})
            return
        is_new = isinstance(action, Create)
        done = await (around.cluster.create(action.object) if is_new else around.cluster.apply(action.object))
        if done["kind"] == "Secret":
            around.secrets.learn(done)
        else:
            around.world.put(done)


class _RefusedChildError(RefusedError):
    """A child that the API server did not take."""

    def __init__(self, action: Action, said: str) -> None:
        super().__init__(f"{_name(action)}: {said}")
        component = component_of(action.object) if isinstance(action, Create | Apply) else "models"
        self.failure = not_taken(component, _name(action), said)


def _verb(action: Action) -> str:
    return type(action).__name__.lower()


def _name(action: Action) -> str:
    if isinstance(action, Delete):
        return f"{action.kind}/{action.name}"
    return f"{action.object['kind']}/{action.object['metadata']['name']}"
