"""What has to be done so that an assistant's children are as they should be. Pure: observe, plan, then apply.

The actions stand in an order in which a crash between any two leaves nothing broken, and in which the next look finds
exactly the rest. Nothing is done twice that must not be: what is made once is made by `Create`, which loses against
whoever was first; what is removed was seen to be replaced before.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from parley_contract.resource import VoiceAssistant
from parley_contract.services import Service
from parley_operator import reasons
from parley_operator.actions import Action, Apply, Create, delete, find, of_kind
from parley_operator.drift import differs, marked
from parley_operator.judgement import Judgement
from parley_operator.pulls import Pulls, finished_pulls
from parley_operator.resources import children, claims, extras, revisions, secrets
from parley_operator.resources.objects import Context, Installation, Object, child_name, is_ours, value_hash
from parley_operator.resources.secrets import NkeyPair

LOOK_AGAIN_S: Final = 300.0
"""So often is looked whether Secrets changed: the operator may get those that it knows by name, and watch none."""
_OF_OTHERS: Final = frozenset({reasons.SECRET_MISSING, reasons.KEY_MISSING, reasons.TOKEN_IN_USE})

_REMOVED: Final = frozenset(
    {
        "ConfigMap",
        "Deployment",
        "Ingress",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    }
)
"""Kinds of which nothing stays that is not wanted. Never volumes: what is in them cannot be made again."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What is on the cluster."""

    uid: str
    """The VoiceAssistant's."""
    children: tuple[Object, ...] = ()
    """Every object with the assistant's labels but Secrets and pods, and the claim that holds its models."""
    broker_keys: Mapping[Service, str] = {}
    """Public key of each seed that is there."""
    new_keys: Mapping[Service, NkeyPair] = {}
    """A new pair for each seed that is not, made by the caller: this page has no dice."""
    hashes: Mapping[tuple[str, str], str] = {}
    """`value_hash` of each Secret value that is there, by Secret and key: the seeds', and `values_to_read`."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and from what it was decided."""

    actions: tuple[Action, ...]
    context: Context | None = None
    """What children are made from; None while nothing was ever accepted."""
    look_again_after_s: float
    """When there may be more to do although nothing that is watched happens until then."""


def plan(judgement: Judgement, observed: Observed, installation: Installation, now: dt.datetime) -> Plan:
    """Decide what to do. For an assistant that is being deleted nothing is: Kubernetes removes what it owns.

    Args:
        judgement: what shall run.
        observed: what is there.
        installation: what was decided at installation.
        now: wall clock, with a time zone, for when failed pulls are tried again.
    """
    refused_for = {refusal.reason for refusal in judgement.refusals}
    waits_s = installation.wait_for_others_s if refused_for & _OF_OTHERS else LOOK_AGAIN_S
    if judgement.assistant is None:
        return Plan(actions=(), look_again_after_s=waits_s)
    context = _context(judgement.assistant, observed, installation)
    wanted, more = tuple(children(context)), tuple(extras(context))
    pulls = Pulls(context, observed.children, now)
    actions = (
        *_accepted(context, judgement, observed.children),
        *_seeds(context, observed),
        *_applied(wanted, observed.children, _held(context)),
        *pulls.created(),
        *(Apply(object=each.object, is_needed=False) for each in _applied(more, observed.children)),
        *pulls.removed(),
        *_strays(context, (*wanted, *more), observed.children),
        *_older(context, judgement, observed.children),
    )
    return Plan(actions=actions, context=context, look_again_after_s=min(waits_s, pulls.look_again_after_s()))


def _context(assistant: VoiceAssistant, observed: Observed, installation: Installation) -> Context:
    bare = Context(assistant=assistant, uid=observed.uid, installation=installation)
    fresh = {
        service: observed.new_keys[service]
        for service in secrets.missing_seeds(bare)
        if service in observed.new_keys and service not in observed.broker_keys
    }
    claim = find(observed.children, "PersistentVolumeClaim", claims.models_claim(bare))
    return msgspec.structs.replace(
        bare,
        broker_keys={**{service: pair.public_key for service, pair in fresh.items()}, **observed.broker_keys},
        hashes={
            **{
                (secrets.seed_name(bare, service), secrets.SEED_KEY): value_hash(observed.uid, pair.seed.encode())
                for service, pair in fresh.items()
            },
            **observed.hashes,
        },
        claim=claim,
        pulled=claims.pulled(claim) | finished_pulls(bare, observed.children),
    )


def _accepted(context: Context, judgement: Judgement, there: Iterable[Object]) -> Iterator[Action]:
    """Keep what was accepted, before anything is made of it."""
    if not _is_recorded(judgement, revisions.newest(of_kind(there, "ControllerRevision"))):
        yield Create(object=revisions.revision(context, judgement.written, judgement.generation))


def _seeds(context: Context, observed: Observed) -> Iterator[Action]:
    for service, pair in observed.new_keys.items():
        if service not in observed.broker_keys and context.broker_keys.get(service) == pair.public_key:
            yield Create(object=secrets.seed(context, service, pair))


def _applied(
    wanted: Iterable[Object], there: Iterable[Object], held: Collection[tuple[str, str]] = ()
) -> Iterator[Apply]:
    known = {_key(each): each for each in there}
    for each in wanted:
        seen = known.get(_key(each))
        if seen is None or (differs(each, seen) and _key(each) not in held):
            # A volume that is there does: if its class lets none grow, the rest goes on without.
            yield Apply(object=marked(each), is_needed=seen is None or each["kind"] != "PersistentVolumeClaim")


def _held(context: Context) -> frozenset[tuple[str, str]]:
    """Return what stays as it is, by kind and name: new pods would not start without a Secret that is not there."""
    return frozenset(
        ("Deployment", child_name(context, part.name))
        for part in context.components
        if any(value not in context.hashes for value in secrets.read_by(context, part.service))
    )


def _strays(context: Context, wanted: Iterable[Object], there: Iterable[Object]) -> Iterator[Action]:
    """Remove what was made for something that is not wanted any more."""
    kept = {_key(each) for each in wanted}
    for each in there:
        if each["kind"] in _REMOVED and _key(each) not in kept and is_ours(context, each):
            yield delete(each)


def _older(context: Context, judgement: Judgement, there: Iterable[Object]) -> Iterator[Action]:
    """Remove records of older specs, once the record of the newest one was seen."""
    kept = list(of_kind(there, "ControllerRevision"))
    last = revisions.newest(kept)
    if _is_recorded(judgement, last):
        yield from (delete(each) for each in kept if each is not last and is_ours(context, each))


def _is_recorded(judgement: Judgement, last: Object | None) -> bool:
    """Whether the newest record is of what shall run; of what was taken from it, it is."""
    return last is not None and (bool(judgement.refusals) or revisions.written_in(last) == judgement.written)


def _key(child: Mapping[str, Any]) -> tuple[str, str]:
    return child["kind"], child["metadata"]["name"]
