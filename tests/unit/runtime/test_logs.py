"""What a log says of an exception: all that tells where it happened, and none of its words."""

import pytest

from parley_runtime.logs import blame

SECRET = "my pin is 4711"


def words() -> str:
    return SECRET


def caught(error: Exception, cause: Exception | None = None) -> Exception:
    with pytest.raises(type(error)) as raised:
        raise error from cause
    return raised.value


def test_the_place_and_the_kind_are_told_and_the_words_are_not() -> None:
    told = blame(caught(ValueError(words())))

    assert told.startswith("Traceback (most recent call last):")
    assert "in caught" in told
    assert told.endswith("ValueError")
    assert SECRET not in told


def test_causes_and_parts_are_told_too() -> None:
    cause = caught(KeyError(words()))
    group = ExceptionGroup(words(), [caught(OSError(words()), cause), caught(TypeError(words()))])

    told = blame(caught(group))

    assert [line for line in told.splitlines() if line.endswith(("Error", "Group"))] == [
        "ExceptionGroup",
        "KeyError",
        "OSError",
        "TypeError",
    ]
    assert SECRET not in told
