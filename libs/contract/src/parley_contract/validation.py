"""Documents into structs with every problem reported at once, where msgspec alone stops at the first.

Used for manifests and for the environment. Not for messages: those are decoded whole or dead-lettered.
"""

import difflib
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from parley_contract.errors import InvalidDocumentError

T = TypeVar("T", bound=msgspec.Struct)


def convert_all(document: Mapping[str, object], into: type[T], *, what: str, strict: bool = True) -> T:
    """Make a struct of a mapping, or list everything that is wrong with it.

    Args:
        document: keys as the struct encodes them (`rename` is honoured).
        into: the struct; its constraints and `__post_init__` are the rules.
        what: what the document is, for the first line of the error.
        strict: with False strings are read as numbers and booleans, as an environment needs.

    Raises:
        InvalidDocumentError: with one line per problem: path, what is wrong, what is allowed.
    """
    problems: list[str] = []
    result = _struct(document, into, path="", strict=strict, problems=problems)
    if problems or result is None:
        raise InvalidDocumentError(what, problems)
    return result


def _struct(document: Mapping[str, object], into: type[T], *, path: str, strict: bool, problems: list[str]) -> T | None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(into)}
    before = len(problems)
    for key in document:
        if key not in fields:
            close = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(fields))}"
            problems.append(f"{path}{key}: unknown field; {hint}")
    values: dict[str, Any] = {}
    for key, field in fields.items():
        at = f"{path}{key}"
        if key not in document:
            if field.required:
                problems.append(f"{at}: is required")
            continue
        value, nested = document[key], _nested_struct(field.type)
        if nested is not None and isinstance(value, Mapping):
            values[field.name] = _struct(value, nested, path=f"{at}.", strict=strict, problems=problems)
            continue
        try:
            values[field.name] = msgspec.convert(value, field.type, strict=strict)
        except msgspec.ValidationError as error:
            problems.append(f"{at}{_sentence(str(error), field.type)}")
    if len(problems) > before:
        return None
    try:
        return into(**values)
    except ValueError as error:
        problems.append(f"{path.rstrip('.') or '.'}: {error}")
        return None


def _nested_struct(annotation: object) -> type[msgspec.Struct] | None:
    """Return the struct that a field holds, through `Struct | None`; None for any other type."""
    candidates = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    found = [item for item in candidates if isinstance(item, type) and issubclass(item, msgspec.Struct)]
    return found[0] if len(found) == 1 else None


def _sentence(reason: str, annotation: object) -> str:
    """Turn msgspec's ``Invalid enum value 'x' - at `$[0]` `` into ``[0]: 'x' is not one of …``."""
    text, _, inner = reason.partition(" - at `$")
    where = inner.rstrip("`")
    wrong = re.fullmatch(r"Invalid enum value (.*)", text)
    allowed = _literals(annotation)
    if wrong and allowed:
        text = f"{wrong[1]} is not one of {', '.join(allowed)}"
    return f"{where}: {text[0].lower()}{text[1:]}"


def _literals(annotation: object) -> list[str]:
    if typing.get_origin(annotation) is typing.Literal:
        return [str(value) for value in typing.get_args(annotation)]
    return [value for inner in typing.get_args(annotation) for value in _literals(inner)]
