"""A schema says everything of a field that the model says, and a model that says too little is refused."""

from typing import Annotated, Literal

import msgspec
import pytest

from parley_operator.schemas import Filled, schema_of

Short = Annotated[str, msgspec.Meta(max_length=5)]


class Inner(msgspec.Struct, rename="camel"):
    """An inner part."""

    some_text: Short
    """A text."""


class Whole(msgspec.Struct, rename="camel"):
    """The whole."""

    kind: Literal["b", "a"]
    """One of two."""
    above_zero: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    """More than nothing."""
    amount: Short | Annotated[int, msgspec.Meta(le=9)] | None = None
    """A quantity."""
    inner: Inner | None = None
    texts: Annotated[list[Short], msgspec.Meta(max_length=2)] = []
    """Some
    texts."""
    named: Annotated[dict[Short, Short], msgspec.Meta(max_length=3)] = {}
    """By name."""


class Unsaid(msgspec.Struct):
    """A model."""

    text: Short = ""


class Unbounded(msgspec.Struct):
    """A model."""

    text: str = ""
    """Of any length."""


class UnboundedInside(msgspec.Struct):
    """A model."""

    texts: Annotated[list[str], msgspec.Meta(max_length=2)] = []
    """Each of any length."""


class Unsayable(msgspec.Struct):
    """A model."""

    either: Annotated[bool, msgspec.Meta()] | Short = False
    """A type that Kubernetes has no schema for."""


def test_a_schema_says_what_the_model_says() -> None:
    schema = schema_of(Whole, Filled())

    properties = schema["properties"]
    assert (schema["description"], schema["required"]) == ("The whole.", ["kind"])
    assert properties["kind"] == {"description": "One of two.", "type": "string", "enum": ["b", "a"]}
    assert properties["aboveZero"] == {
        "description": "More than nothing.",
        "type": "number",
        "default": 0.5,
        "maximum": 1,
        "minimum": 0,
        "exclusiveMinimum": True,
    }
    assert properties["inner"]["description"] == "An inner part."
    assert properties["inner"]["required"] == ["someText"]
    assert properties["texts"] == {
        "description": "Some texts.",
        "type": "array",
        "items": {"type": "string", "maxLength": 5},
        "maxItems": 2,
    }
    assert properties["named"]["additionalProperties"] == {"type": "string", "maxLength": 5}
    assert properties["amount"]["x-kubernetes-int-or-string"] is True


def test_what_is_filled_in_elsewhere_is_neither_required_nor_has_it_a_default() -> None:
    schema = schema_of(Whole, Filled(elsewhere={"kind", "aboveZero", "inner.someText"}))

    assert "required" not in schema
    assert "default" not in schema["properties"]["aboveZero"]
    assert "required" not in schema["properties"]["inner"]
    assert schema["properties"]["inner"]["nullable"] is True


@pytest.mark.parametrize(
    "model, problem",
    [
        (Unsaid, r"Unsaid\.text: has no sentence under it"),
        (Unbounded, r"Unbounded\.text: has no upper bound"),
        (UnboundedInside, r"UnboundedInside\.texts: has no upper bound"),
        (Unsayable, r"Unsayable\.either: no schema says"),
    ],
)
def test_a_model_that_says_too_little_is_refused(model: type[msgspec.Struct], problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        schema_of(model, Filled())
