"""What goes over the bus as messages: yesterday's bytes are read today, and bad bytes give one of two errors."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from parley_contract.errors import MalformedMessageError, UnknownMessageError
from parley_contract.messages import ALL, Heartbeat, Message, decode, encode

GOLDEN = Path(__file__).parent / "golden" / "messages"
DESCRIBED = sorted(GOLDEN.glob("*.json"))
KINDS = {kind.__name__: kind for kind in ALL}
NEWEST = {path.name.partition(".")[0]: path for path in DESCRIBED}
"""Sorted by number, so the last one of a name stays."""

SECRET = "my pin is 4711"
"""Something that a person said, and that no error may repeat."""

names = pytest.mark.parametrize("name", sorted(KINDS))
described = pytest.mark.parametrize("path", DESCRIBED, ids=lambda path: path.stem)


def sample(name: str) -> Message:
    return msgspec.json.decode(NEWEST[name].read_bytes(), type=KINDS[name])


def wire(name: str) -> dict[str, Any]:
    """The newest sample as a plain map, tag included."""
    plain: dict[str, Any] = msgspec.msgpack.decode(encode(sample(name)))
    return plain


def chain(error: BaseException | None) -> str:
    """Everything a log could print of an error: the causes that Python shows, too."""
    parts = []
    while error is not None:
        parts.append(repr(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(parts)


# Golden bytes.


@names
def test_every_field_of_every_message_stands_in_a_golden_file(name: str) -> None:
    fields = msgspec.structs.fields(KINDS[name])

    described = msgspec.json.decode(NEWEST[name].read_bytes())

    assert set(described) == {field.encode_name for field in fields}, "describe it, then run golden/write_new.py"
    defaults = {field.encode_name: field.default for field in fields if not field.required}
    assert {key for key, default in defaults.items() if described[key] == default} == set()


@described
def test_golden_bytes_of_every_age_decode(path: Path) -> None:
    expected = msgspec.json.decode(path.read_bytes(), type=KINDS[path.name.partition(".")[0]])

    assert decode(path.with_suffix(".msgpack").read_bytes()) == expected


@names
def test_todays_bytes_are_the_newest_golden_ones(name: str) -> None:
    assert encode(sample(name)) == NEWEST[name].with_suffix(".msgpack").read_bytes()


def test_no_golden_file_stands_alone() -> None:
    described = {path.stem for path in DESCRIBED}

    assert {path.stem for path in GOLDEN.glob("*.msgpack")} == described
    assert {stem.partition(".")[0] for stem in described} == set(KINDS)


# Versions side by side.


@names
def test_a_field_of_a_newer_version_is_ignored(name: str) -> None:
    newer = {**wire(name), "added_later": {"deep": [1, None, "x"]}}

    assert decode(msgspec.msgpack.encode(newer)) == sample(name)


@names
def test_an_older_version_may_leave_out_every_field_that_has_a_default(name: str) -> None:
    required = {field.encode_name for field in msgspec.structs.fields(KINDS[name]) if field.required}
    older = {key: value for key, value in wire(name).items() if key in {*required, "type"}}

    read = decode(msgspec.msgpack.encode(older))

    for field in msgspec.structs.fields(KINDS[name]):
        value = getattr(read, field.name)
        assert value == (getattr(sample(name), field.name) if field.required else field.default)


def test_a_kind_of_a_newer_version_is_unknown_and_not_malformed() -> None:
    with pytest.raises(UnknownMessageError) as caught:
        decode(msgspec.msgpack.encode({"type": SECRET, "text": SECRET}))

    assert SECRET not in chain(caught.value)


# Bad bytes.


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x00" * 656,
        b"\x91" * 100_000,
        b"\x81\xa4type\xdd\xff\xff\xff\xff",
        b"\x81\xa4type\xa1\xff",
        b"\x81\xa4type\x2a",
        b"\xdf\xff\xff\xff\xff\xa4type\xa9Heartbeat",
        msgspec.msgpack.encode([SECRET]),
        msgspec.msgpack.encode({"text": SECRET}),
        encode(Heartbeat(session=SECRET, epoch=1))[:-1],
        encode(Heartbeat(session=SECRET, epoch=1)) + b"\x00",
    ],
    ids=lambda data: f"{len(data)} {data[:24]!r}",
)
def test_what_is_no_tagged_map_is_malformed_at_its_tag(data: bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        decode(data)

    assert caught.value.path == "$.type"
    assert SECRET not in chain(caught.value)


@names
def test_a_missing_field_is_malformed_and_named(name: str) -> None:
    for field in msgspec.structs.fields(KINDS[name]):
        if field.required:
            cut = {key: value for key, value in wire(name).items() if key != field.encode_name}

            with pytest.raises(MalformedMessageError, match=f"`{field.encode_name}`"):
                decode(msgspec.msgpack.encode(cut))


@names
@pytest.mark.parametrize("wrong", [{"said": SECRET}, [SECRET], SECRET.encode()], ids=["map", "list", "bytes"])
def test_a_wrong_value_is_malformed_at_its_path_and_never_repeated(name: str, wrong: object) -> None:
    for key in wire(name).keys() - {"type"}:
        if (key == "stages" and isinstance(wrong, dict)) or (key == "sessions" and isinstance(wrong, list)):
            continue  # a map or a list is what belongs there; what is in it has a path of its own

        with pytest.raises(MalformedMessageError) as caught:
            decode(msgspec.msgpack.encode({**wire(name), key: wrong}))

        assert caught.value.path == f"$.{key}"
        assert SECRET not in chain(caught.value)


@names
def test_a_word_that_is_not_in_its_list_is_malformed_and_never_repeated(name: str) -> None:
    for field in msgspec.structs.fields(KINDS[name]):
        if isinstance(msgspec.inspect.type_info(field.type), msgspec.inspect.LiteralType):
            with pytest.raises(MalformedMessageError) as caught:
                decode(msgspec.msgpack.encode({**wire(name), field.encode_name: SECRET}))

            assert caught.value.path == f"$.{field.encode_name}"
            assert SECRET not in chain(caught.value)


@pytest.mark.parametrize(
    "token", ["", "*", ">", "a.b", "a b", "a\r\nPUB x 0\r\n", "a\n", "é", "a" * 65], ids=lambda token: repr(token[:20])
)
@pytest.mark.parametrize("field", ["session", "utterance", "continues"])
def test_what_cannot_be_a_token_of_a_subject_is_malformed(field: str, token: str) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        decode(msgspec.msgpack.encode({**wire("UtteranceStarted"), field: token}))

    assert caught.value.path == f"$.{field}"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 2**64 - 1, -(2**63)])
@names
def test_what_neither_json_nor_a_span_can_carry_is_malformed(name: str, number: float) -> None:
    numbers = [key for key, value in wire(name).items() if type(value) in (int, float)]

    for key in numbers:
        with pytest.raises(MalformedMessageError) as caught:
            decode(msgspec.msgpack.encode({**wire(name), key: number}))

        assert caught.value.path == f"$.{key}"


@pytest.mark.parametrize(
    "name, field", [("ReplyEnded", "phrases"), ("PhraseReady", "phrase"), ("PhraseFailed", "phrase")]
)
def test_more_phrases_than_a_model_can_write_are_malformed(name: str, field: str) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        decode(msgspec.msgpack.encode({**wire(name), field: 4096}))

    assert caught.value.path == f"$.{field}"


def test_a_wrong_value_inside_a_part_is_malformed_at_its_whole_path() -> None:
    report = wire("TurnReport")
    report["stages"]["asr_ms"] = SECRET

    with pytest.raises(MalformedMessageError) as caught:
        decode(msgspec.msgpack.encode(report))

    assert caught.value.path == "$.stages.asr_ms"
    assert SECRET not in chain(caught.value)


@pytest.mark.parametrize("position", ["before", "after"])
def test_values_nested_deeper_than_the_stack_are_malformed(position: str) -> None:
    tag, deep = b"\xa4type\xa9Heartbeat", b"\xa1x" + b"\x91" * 100_000
    data = b"\x82" + (deep + tag if position == "before" else tag + deep)

    with pytest.raises(MalformedMessageError):
        decode(data)


# Anything at all.


def outcome(data: bytes) -> object:
    """What was read, or the one of the two errors; anything else is raised."""
    try:
        return decode(data)
    except (MalformedMessageError, UnknownMessageError) as error:
        return error


@given(st.binary(max_size=200))
def test_of_random_bytes_only_the_two_errors_come(data: bytes) -> None:
    assert isinstance(outcome(data), (Message, MalformedMessageError, UnknownMessageError))


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(KINDS)), data=st.data())
def test_of_samples_with_wrong_values_only_the_two_errors_come(name: str, data: st.DataObject) -> None:
    plain = wire(name)
    key = data.draw(st.sampled_from(sorted(plain)))

    read = outcome(msgspec.msgpack.encode({**plain, key: data.draw(VALUES)}))

    assert isinstance(read, (Message, MalformedMessageError, UnknownMessageError))


@given(name=st.sampled_from(sorted(KINDS)), at=st.integers(0, 600), byte=st.integers(0, 255))
def test_of_samples_with_a_flipped_byte_only_the_two_errors_come(name: str, at: int, byte: int) -> None:
    data = bytearray(encode(sample(name)))
    data[at % len(data)] = byte

    assert isinstance(outcome(bytes(data)), (Message, MalformedMessageError, UnknownMessageError))
