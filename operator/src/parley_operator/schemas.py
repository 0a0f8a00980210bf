"""From a typed model to a structural schema of Kubernetes: types, bounds, enums, defaults, and a sentence per field.

Used by `crd` alone, when the repository's files are made; the operator itself never calls it. The sentences are those
that stand under the fields in the source, so that model, schema and `kubectl explain` cannot disagree.
"""

import ast
import functools
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec

Schema = dict[str, Any]

_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number"}
_NUMBERS: Final = {"ge": "minimum", "le": "maximum", "gt": "minimum", "lt": "maximum"}
_SIZES: Final = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


class Filled(NamedTuple):
    """What is known of a model beside its types."""

    elsewhere: Collection[str] = ()
    """Paths of fields (`asr.model`) that are filled in where they are missing: never required, and never with a
    default, which would come first."""
    with_defaults: bool = True
    """Whether the API server shall write defaults."""

    def governs(self, where: str) -> bool:
        """Whether the field, or something in it, is filled in from elsewhere."""
        return any(path == where or path.startswith(f"{where}.") for path in self.elsewhere)


def schema_of(model: type[msgspec.Struct], filled: Filled, *, path: str = "") -> Schema:
    """Return the schema of a struct.

    Args:
        model: every field needs a sentence under it, or a struct that has one; every text, list and mapping a bound.
        filled: what becomes of fields that are missing.
        path: where the struct stands, as `asr`; empty for the root.

    Raises:
        TypeError: a field has no sentence, no bound, or a type that a schema cannot say.
    """
    sentences = _sentences(model)
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for field in msgspec.structs.fields(model):
        where = f"{path}.{field.encode_name}".lstrip(".")
        try:
            schema = _bounded(_schema(field.type, filled, where))
        except TypeError as error:
            raise TypeError(f"{model.__name__}.{field.name}: {error}") from error
        if field.name in sentences:
            schema["description"] = sentences[field.name]
        if "description" not in schema:
            raise TypeError(f"{model.__name__}.{field.name}: has no sentence under it")
        if not filled.governs(where):
            if field.required:
                required.append(field.encode_name)
            if filled.with_defaults and _is_plain(field.default):
                schema["default"] = field.default
        properties[field.encode_name] = _ordered(schema)
    return {
        "type": "object",
        "description": inspect.getdoc(model) or "",
        **({"required": required} if required else {}),
        "properties": properties,
    }


def _is_plain(default: object) -> bool:
    """Whether a default is worth writing: an empty text, list or mapping says no more than its absence."""
    return isinstance(default, bool | int | float | str) and default != ""


def _schema(annotation: Any, filled: Filled, where: str) -> Schema:  # noqa: ANN401  # any annotation
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *metadata = typing.get_args(annotation)
        schema = _schema(inner, filled, where)
        for meta in metadata:
            _constrain(schema, meta)
        return schema
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        return _union(annotation, filled, where)
    match typing.get_origin(annotation) or annotation:
        case typing.Literal:
            return {"type": "string", "enum": list(typing.get_args(annotation))}
        case kind if kind is list:
            (item,) = typing.get_args(annotation)
            return {"type": "array", "items": _bounded(_schema(item, filled, f"{where}[]"))}
        case kind if kind is dict:
            _, value = typing.get_args(annotation)
            return {"type": "object", "additionalProperties": _bounded(_schema(value, filled, f"{where}.*"))}
        case kind if kind in _TYPES:
            return {"type": _TYPES[kind]}
        case kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return schema_of(kind, filled, path=where)
        case kind:
            raise TypeError(f"no schema says {kind}")


def _union(annotation: Any, filled: Filled, where: str) -> Schema:  # noqa: ANN401  # any union
    """Return the schema of `X | None`, or of text that may be written as a number."""
    members = [member for member in typing.get_args(annotation) if member is not type(None)]
    schemas = [_bounded(_schema(member, filled, where)) for member in members]
    if len(schemas) == 1:
        # A null that was written is kept only where it overrides something.
        nullable = len(members) < len(typing.get_args(annotation)) and filled.governs(where)
        return {**schemas[0], **({"nullable": True} if nullable else {})}
    by_type = {schema.pop("type"): schema for schema in schemas}
    if set(by_type) != {"integer", "string"}:
        raise TypeError(f"no schema says {annotation}")
    text = by_type["string"]
    return {"anyOf": [{"type": "integer"}, {"type": "string"}], **text, "x-kubernetes-int-or-string": True}


def _constrain(schema: Schema, meta: msgspec.Meta) -> None:
    for name, keyword in _NUMBERS.items():
        bound = getattr(meta, name)
        if bound is not None:
            schema[keyword] = bound
            if name in {"gt", "lt"}:
                # The boolean form of OpenAPI 3.0, which Kubernetes reads.
                schema[f"exclusive{keyword.capitalize()}"] = True
    for bound, keyword in zip((meta.min_length, meta.max_length), _SIZES.get(schema["type"], ()), strict=False):
        if bound is not None:
            schema[keyword] = bound
    if meta.pattern is not None:
        schema["pattern"] = meta.pattern
    schema.update(meta.extra_json_schema or {})


def _bounded(schema: Schema) -> Schema:
    """Return the schema, if it says how large its values get: rules about what is unbounded cost too much to run."""
    unbounded = {
        "string": not {"maxLength", "enum"} & set(schema),
        "array": "maxItems" not in schema,
        "object": "additionalProperties" in schema and "maxProperties" not in schema,
        "integer": "maximum" not in schema,
        "number": "maximum" not in schema,
    }
    if unbounded.get(schema.get("type", ""), False):
        raise TypeError("has no upper bound")
    return schema


def _ordered(schema: Schema) -> Schema:
    """Put first what a reader looks for first."""
    first = ("description", "type", "default", "enum", "nullable")
    return {**{key: schema[key] for key in first if key in schema}, **schema}


@functools.cache
def _sentences(model: type[msgspec.Struct]) -> Mapping[str, str]:
    """Return what stands under each field, on one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    return {
        field.target.id: " ".join(under.value.value.split())
        for field, under in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(under, ast.Expr)
        and isinstance(under.value, ast.Constant)
        and isinstance(under.value.value, str)
    }
