"""Whether what was written can run, judged against what else is there; and what shall run, if it cannot.

Pure. The API server has refused what is wrong in itself (`rules`); here come the typed model once more, for objects
that are older than a rule, and what only the rest of the cluster tells: Secrets and their keys, the models there are,
another assistant's token. A refused spec leaves the last accepted one running.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from parley_contract.catalogue import Kind, UnknownModelError, find_model
from parley_contract.components import components, unsupported
from parley_contract.errors import InvalidDocumentError
from parley_contract.resource import API_VERSION, KIND, VoiceAssistant, resolve
from parley_contract.services import SERVICES
from parley_operator import reasons
from parley_operator.resources.objects import Object
from parley_operator.resources.revisions import newest, written_in

Value = tuple[str, str]
"""A Secret and a key in it."""

_PATHS: Final[Mapping[Kind, str]] = {"asr": "spec.asr.model", "voice": "spec.tts.voice"}
"""Where the names of models stand that we keep; Ollama may know more language models than the catalogue."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the rest of the cluster tells."""

    values: frozenset[Value] = frozenset()
    """Secret values that are there, of those that `values_to_read` names."""
    secrets: frozenset[str] = frozenset()
    """Secrets that are there, of the same."""
    empty: frozenset[Value] = frozenset()
    """Keys that are there and hold nothing: a service would take that for having been told nothing."""
    token_owner: str = ""
    """`namespace/name` of the assistant that had this one's Discord token first; empty for none."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One reason against what was written."""

    reason: str
    """One of `reasons`."""
    message: str
    """`path: what is wrong, and what to do`."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What shall run, and what stands against what was written."""

    assistant: VoiceAssistant | None
    """What shall run; None while nothing was ever accepted."""
    written: Mapping[str, Any] = {}
    """Its spec as it was written."""
    generation: int = 0
    """Its generation."""
    observed_generation: int = 0
    """The generation that was judged."""
    refusals: tuple[Refusal, ...] = ()
    """Why the judged one does not run; empty where it does."""
    notes: tuple[str, ...] = ()
    """What it asks for that this version's services cannot do yet, as `path: why`."""


def values_to_read(resource: Object, revisions: Iterable[Object]) -> frozenset[Value]:
    """Return the Secret values that decide about an assistant, or change its pods: what the operator has to look up.

    Seeds of its own broker are not among them: those are known by what they were made from.
    """
    found: set[Value] = set()
    for written in (_written(resource), *(written_in(each) for each in _newest(revisions))):
        try:
            found |= {(secret, key) for _, secret, key in _references(_resolved(resource, written))}
        except InvalidDocumentError:
            continue
    return frozenset(found)


def judge(resource: Object, revisions: Iterable[Object], facts: Facts) -> Judgement:
    """Judge a VoiceAssistant.

    Args:
        resource: as it is on the cluster.
        revisions: its ControllerRevisions.
        facts: what the rest of the cluster tells of `values_to_read`.
    """
    generation = int(resource["metadata"].get("generation", 0))
    written = _written(resource)
    try:
        assistant = _resolved(resource, written)
        refusals = tuple(_refusals(assistant, facts))
    except InvalidDocumentError as error:
        refusals = tuple(Refusal(reason=reasons.INVALID_SPEC, message=problem) for problem in error.problems)
    else:
        if not refusals:
            return Judgement(
                assistant=assistant,
                written=written,
                generation=generation,
                observed_generation=generation,
                notes=tuple(unsupported(assistant)),
            )
    return _as_before(resource, revisions, generation, refusals)


def _as_before(
    resource: Object, revisions: Iterable[Object], generation: int, refusals: tuple[Refusal, ...]
) -> Judgement:
    """Let run what was accepted last, if there is such a thing and this version can still read it."""
    for revision in _newest(revisions):
        written = written_in(revision)
        try:
            assistant = _resolved(resource, written)
        except InvalidDocumentError:
            continue
        return Judgement(
            assistant=assistant,
            written=written,
            generation=int(revision.get("revision", 0)),
            observed_generation=generation,
            refusals=refusals,
            notes=tuple(unsupported(assistant)),
        )
    return Judgement(assistant=None, observed_generation=generation, refusals=refusals)


def _newest(revisions: Iterable[Object]) -> Iterator[Object]:
    found = newest(revisions)
    if found is not None:
        yield found


def _written(resource: Object) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = resource.get("spec") or {}
    return spec


def _resolved(resource: Object, written: Mapping[str, Any]) -> VoiceAssistant:
    """Return a spec under the resource's name.

    Raises:
        InvalidDocumentError: with every problem by path.
    """
    names = {key: resource["metadata"][key] for key in ("name", "namespace")}
    return resolve({"apiVersion": API_VERSION, "kind": KIND, "metadata": names, "spec": written})


def _refusals(assistant: VoiceAssistant, facts: Facts) -> Iterator[Refusal]:
    namespace = assistant.metadata.namespace
    missing: dict[tuple[str, str], list[str]] = {}
    for path, secret, key in _references(assistant):
        if secret not in facts.secrets:
            missing.setdefault((path, secret), []).append(key)
        elif (secret, key) in facts.empty:
            advice = f"the key {key} of the Secret {secret} is empty: put a value there"
            yield Refusal(reason=reasons.KEY_MISSING, message=f"{path}: {advice}")
        elif (secret, key) not in facts.values:
            advice = f"the Secret {secret} has no key {key}: add it, or name another key"
            yield Refusal(reason=reasons.KEY_MISSING, message=f"{path}: {advice}")
    for (path, secret), keys in missing.items():
        advice = f"create it with the key{'s' if len(keys) > 1 else ''} {', '.join(keys)}"
        said = f"there is no Secret {secret} in the namespace {namespace}: {advice}"
        yield Refusal(reason=reasons.SECRET_MISSING, message=f"{path}: {said}")
    if facts.token_owner:
        advice = f"{facts.token_owner} uses the same token, and both would answer: make another bot, or delete that one"
        yield Refusal(reason=reasons.TOKEN_IN_USE, message=f"spec.doors.discord.tokenSecretRef: {advice}")
    for need in (need for component in components(assistant) for need in component.models):
        if need.kind in _PATHS and "/" not in need.name:
            try:
                find_model(need.name, need.kind)
            except UnknownModelError as error:
                yield Refusal(reason=reasons.UNKNOWN_MODEL, message=f"{_PATHS[need.kind]}: {error}")


def _references(assistant: VoiceAssistant) -> Iterator[tuple[str, str, str]]:
    """Return every Secret value that the spec names: path, Secret, key."""
    spec, discord = assistant.spec, assistant.spec.doors.discord
    for path, ref in (
        ("spec.asr.authSecretRef", spec.asr.auth_secret_ref),
        ("spec.doors.web.authSecretRef", spec.doors.web.auth_secret_ref),
        ("spec.doors.discord.tokenSecretRef", discord.token_secret_ref if discord else None),
        ("spec.doors.discord.endpoint.caSecretRef", discord.endpoint.ca_secret_ref if discord else None),
    ):
        if ref is not None:
            yield path, ref.name, ref.key
    credentials = spec.nats.credentials_secret_ref
    for service in SERVICES if credentials is not None else ():
        yield "spec.nats.credentialsSecretRef", credentials.name if credentials else "", f"{service}.creds"
