"""Documents into structs with every problem reported at once, where msgspec alone stops at the first.

Used for manifests and for the environment. Not for messages: those are decoded whole or dead-lettered.
"""

import difflib
import functools
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from parley_contract.errors import InvalidDocumentError

T = TypeVar("T", bound=msgspec.Struct)

DecodeHook = Callable[[type, Any], Any]
"""Makes a value of a type that msgspec does not know, as its `dec_hook`."""


def convert_all(
    document: Mapping[str, object],
    into: type[T],
    *,
    what: str,
    strict: bool = True,
    dec_hook: DecodeHook | None = None,
) -> T:
    """Make a struct of a mapping, or list everything that is wrong with it.

    Args:
        document: keys as the struct encodes them (`rename` is honoured).
        into: the struct; its constraints and `__post_init__` are the rules.
        what: what the document is, for the first line of the error.
        strict: with False strings are read as numbers and booleans, as an environment needs.
        dec_hook: for field types that msgspec does not know.

    Raises:
        InvalidDocumentError: with one line per problem: path, what is wrong, what is allowed.
    """
    reading = _Reading(strict, dec_hook, [])
    result = reading.struct(document, into, path="")
    if result is None:
        raise InvalidDocumentError(what, reading.problems)
    return result


@functools.cache
def _fields(into: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Return a struct's fields by their names in documents; asked anew, msgspec reads all its annotations again."""
    return {field.encode_name: field for field in msgspec.structs.fields(into)}


class _Reading(NamedTuple):
    """One pass over one document."""

    strict: bool
    dec_hook: DecodeHook | None
    problems: list[str]

    def struct(self, document: Mapping[str, object], into: type[T], *, path: str) -> T | None:
        """Return the struct, or None after having listed why there is none."""
        fields = _fields(into)
        before = len(self.problems)
        # YAML has keys that are no strings: `on:` is True.
        for key in map(str, document):
            if key not in fields:
                close = difflib.get_close_matches(key, fields, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(fields))}"
                self.problems.append(f"{path}{key}: unknown field; {hint}")
        values: dict[str, Any] = {}
        for key, field in fields.items():
            if key in document:
                values[field.name] = self.value(document[key], field.type, path=f"{path}{key}")
            elif field.required:
                self.problems.append(f"{path}{key}: is required")
        if len(self.problems) > before:
            return None
        try:
            return into(**values)
        except ValueError as error:
            self.problems.append(f"{path.rstrip('.') or '.'}: {error}")
            return None

    def value(self, value: object, annotation: Any, *, path: str) -> object:  # noqa: ANN401  # a type, or a union of some
        """Return the field's value, or anything at all after having listed a problem."""
        nested = _nested_struct(annotation)
        if nested is not None and isinstance(value, Mapping):
            return self.struct(value, nested, path=f"{path}.")
        try:
            return self._converted(value, annotation)
        except ValueError as error:
            self.problems.extend(f"{path}{sentence}" for sentence in self._sentences(value, annotation, error))
            return None

    def _converted(self, value: object, annotation: Any) -> object:  # noqa: ANN401  # as `value`
        """Convert a value.

        Raises:
            ValueError: it does not fit.
        """
        converted = msgspec.convert(value, annotation, strict=self.strict, dec_hook=self.dec_hook)
        # In a pattern `$` stands before a last line break too; a schema's other readers are stricter than Python.
        if isinstance(converted, str) and converted.endswith("\n") and _pattern(annotation):
            raise ValueError(f"Expected `str` matching regex {_pattern(annotation)!r}, and no line break")
        return converted

    def _sentences(self, value: object, annotation: Any, error: ValueError) -> list[str]:  # noqa: ANN401  # as `value`
        """Say what is wrong with a value; of a list or mapping, with each of its items: msgspec names the first."""
        kind, inner = _container(annotation)
        items: list[tuple[str, object, Any]] = []
        if kind is list and isinstance(value, list):
            items = [(f"[{number}]", item, inner[0]) for number, item in enumerate(value)]
        elif kind is dict and isinstance(value, Mapping):
            items = [(f".{key}", key, inner[0]) for key in value]
            items += [(f".{key}", item, inner[1]) for key, item in value.items()]
        found: list[str] = []
        for where, item, of in items:
            try:
                self._converted(item, of)
            except ValueError as problem:
                found += [f"{where}{sentence}" for sentence in self._sentences(item, of, problem)]
        return found or [_sentence(str(error), annotation)]


def _nested_struct(annotation: object) -> type[msgspec.Struct] | None:
    """Return the struct that a field holds, through `Struct | None`; None for any other type."""
    candidates = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    found = [item for item in candidates if isinstance(item, type) and issubclass(item, msgspec.Struct)]
    return found[0] if len(found) == 1 else None


def _container(annotation: object) -> tuple[object, tuple[Any, ...]]:
    """Return `list` or `dict` and the types of what it holds; the constraints around it do not matter here."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return typing.get_origin(annotation), typing.get_args(annotation)


def _pattern(annotation: object) -> str | None:
    kind = msgspec.inspect.type_info(annotation)
    while isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return next((text.pattern for text in kinds if isinstance(text, msgspec.inspect.StrType)), None)


def _sentence(reason: str, annotation: object) -> str:
    """Turn msgspec's ``Invalid enum value 'x'`` into ``: 'x' is not one of …``."""
    text, _, inner = reason.partition(" - at `$")
    where = inner.rstrip("`")
    wrong = re.fullmatch(r"Invalid enum value (.*)", text)
    allowed = _literals(annotation)
    if wrong and allowed:
        text = f"{wrong[1]} is not one of {', '.join(allowed)}"
    if text == "Expected `str`, got `bool`":
        text += ": put quotes around it, for YAML takes on, off, yes and no for true and false"
    return f"{where}: {text[0].lower()}{text[1:]}"


def _literals(annotation: object) -> list[str]:
    if typing.get_origin(annotation) is typing.Literal:
        return [str(value) for value in typing.get_args(annotation)]
    return [value for inner in typing.get_args(annotation) for value in _literals(inner)]
