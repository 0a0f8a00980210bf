"""What one field has to do with another, as CEL in the CRD, so that `kubectl apply` answers at once and in words.

The typed model says the same (`__post_init__`) for who comes past the API server: `parley up`, and the operator itself.
Rules see what was written, before the profile is laid under it; what a profile or a language would fill in is written
into the rule from the same tables. docs/samples/bad has a manifest for each rule, with what the API server answers.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from parley_contract.profiles import LANGUAGES, PROFILES
from parley_contract.resource import Asr, ModelCache, Spec, Watchdog, WebDoor


class Rule(NamedTuple):
    """One rule and the sentence of who breaks it."""

    cel: str
    message: str
    path: str = ""
    """Field that is to blame, below where the rule stands."""


def _has(path: str) -> str:
    """Whether a field below spec was written."""
    parts = path.split(".")
    return " && ".join(f"has(self.{'.'.join(parts[:depth])})" for depth in range(1, len(parts) + 1))


def _either(path: str, otherwise: str) -> str:
    """Return the field's value, or what holds where it was not written."""
    return f"({_has(path)} ? self.{path} : {otherwise})"


def _default(part: type[msgspec.Struct], field: str) -> str:
    """Return the typed model's own default."""
    [found] = [each for each in msgspec.structs.fields(part) if each.encode_name == field]
    return _literal(found.default)


def _brought(path: str, tables: Mapping[str, Mapping[str, object]], chosen_by: str, default: str) -> str:
    """Return what the profile or language brings for a field."""
    values = {name: _literal(_look_up(table, path)) for name, table in tables.items()}
    chosen = values[default]
    for name, value in values.items():
        if value != values[default]:
            chosen = f"({chosen_by} == '{name}' ? {value} : {chosen})"
    return chosen


def _look_up(table: Mapping[str, object], path: str) -> object:
    found: object = table
    for part in path.split("."):
        found = found[part] if isinstance(found, Mapping) else None
    return found


def _literal(value: object) -> str:
    """Write a value as CEL does: JSON, with text in single quotes so that YAML needs no escapes."""
    return msgspec.json.encode(value).decode().replace('"', "'")


_LANGUAGE: Final = _either("language", _default(Spec, "language"))
_PROFILE: Final = _either("profile", _default(Spec, "profile"))


def _by_profile(path: str) -> str:
    return _either(path, _brought(path, PROFILES, _PROFILE, "balanced"))


def _brought_by_language(path: str) -> str:
    return _brought(path, LANGUAGES, _LANGUAGE, "other")


def _by_language(path: str) -> str:
    return _either(path, _brought_by_language(path))


_CACHE: Final = "storage.modelCache"
_NO_TEXT: Final = "''"


def _unchanged(path: str) -> str:
    new = _either(path, _NO_TEXT)
    return f"{new} == {new.replace('self.', 'oldSelf.')}"


def _grown(path: str, default: str) -> str:
    new = _either(path, default)
    return f"quantity({new}).compareTo(quantity({new.replace('self.', 'oldSelf.')})) >= 0"


def _not_among(path: str, value: str, otherwise: str = "[]") -> str:
    """Return that a value is none of a list's: asked of each list apart, so that the written one's bound counts."""
    return f"!({_has(path)} ? {value} in self.{path} : {value} in {otherwise})"


_OVERLAP_MS: Final = _either("asr.windowOverlapMs", _default(Asr, "windowOverlapMs"))
_WINDOW_S: Final = _by_language("asr.encoderWindowS")
_HOLD_S: Final = _either("turnTaking.watchdog.holdAfterS", _default(Watchdog, "holdAfterS"))
_FAIL_S: Final = _either("turnTaking.watchdog.failAfterS", _default(Watchdog, "failAfterS"))

NAME_RULE: Final = Rule(
    "self.metadata.name.matches('^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$')",
    "the name must begin with a letter and have at most 40 lower-case letters, digits and hyphens, no dots: Services "
    "are named after it",
    ".metadata.name",
)
"""Of the resource as a whole."""

SPEC_RULES: Final = (
    Rule(
        f"{_either('doors.web.enabled', _default(WebDoor, 'enabled'))} || ({_has('doors.discord')})",
        "at least one door must be open: enable web or describe discord",
        ".doors",
    ),
    Rule(
        f"{_either('doors.web.enabled', _default(WebDoor, 'enabled'))} || !({_has('doors.web.ingress')})",
        "an ingress needs an open door: enable web, or leave the ingress out",
        ".doors.web.ingress",
    ),
    Rule(
        f"double({_OVERLAP_MS}) < double({_WINDOW_S}) * 1000.0",
        "windowOverlapMs must be below encoderWindowS",
        ".asr.windowOverlapMs",
    ),
    Rule(
        f"{_LANGUAGE} == 'en' || !({_by_profile('asr.model')}.endsWith('.en') || "
        f"{_by_profile('asr.model')}.startsWith('distil-'))",
        "this model hears English only, and language is another: name a multilingual model, such as tiny, small or "
        "large-v3-turbo",
        ".asr.model",
    ),
    Rule(
        _not_among("llm.fallbacks", _by_profile("llm.model")),
        "fallbacks must not name the main model again",
        ".llm.fallbacks",
    ),
    Rule(
        _not_among("tts.fallbacks", _by_language("tts.engine"), _brought_by_language("tts.fallbacks")),
        "fallbacks must not name the main engine again; write fallbacks: [] for none",
        ".tts.fallbacks",
    ),
    Rule(
        f"double({_FAIL_S}) > double({_HOLD_S})",
        "failAfterS must be above holdAfterS",
        ".turnTaking.watchdog",
    ),
    Rule(
        f"({_either('nats.url', _NO_TEXT)} != '') == ({_has('nats.credentialsSecretRef')})",
        "url and credentialsSecretRef go together: a NATS of yours, and what lets the services in",
        ".nats",
    ),
    Rule(
        _unchanged(f"{_CACHE}.storageClassName"),
        "the storage class of volumes that exist cannot be changed: make another assistant with it",
        f".{_CACHE}.storageClassName",
    ),
    Rule(
        _grown(f"{_CACHE}.size", _default(ModelCache, "size")),
        "volumes can only grow: give at least the size that it has",
        f".{_CACHE}.size",
    ),
)
"""Of the spec; the last two compare with what was there before."""
