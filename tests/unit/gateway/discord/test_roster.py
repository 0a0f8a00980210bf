"""Who is in the channel, and whose ssrc is whose."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_gateway.discord.roster import MAX_SOURCES, Changes, Roster, announces_speech

US, MINA, NOAH = 1, 10, 11


def roster(*present: int) -> Roster:
    made = Roster(US)
    made.read({"op": 11, "d": {"user_ids": [str(user) for user in (US, *present)]}})
    return made


def test_those_who_are_there_are_told_of_once() -> None:
    people = roster(MINA)

    assert people.read({"op": 11, "d": {"user_ids": ["10", "11"]}}) == Changes(joined=frozenset({NOAH}))
    assert people.read({"op": 13, "d": {"user_id": "10"}}) == Changes(left=frozenset({MINA}))
    assert people.read({"op": 13, "d": {"user_id": "10"}}) == Changes()
    assert people.present == {NOAH}


@pytest.mark.parametrize(
    "message",
    [
        {"op": 5, "d": {"user_id": "10", "ssrc": 77, "speaking": 1}},
        {"op": 12, "d": {"user_id": "10", "audio_ssrc": 77, "video_ssrc": 78}},
    ],
    ids=["speaking", "video"],
)
def test_an_ssrc_gets_its_user(message: dict[str, Any]) -> None:
    people = roster(NOAH)

    changes = people.read(message)

    assert changes == Changes(joined=frozenset({MINA}), named=77)
    assert people.user(77) == MINA
    assert people.unheard == {NOAH}


@pytest.mark.parametrize(
    "message, is_one",
    [
        ({"op": 5, "d": {"user_id": "10", "ssrc": 77, "speaking": 1}}, True),
        ({"op": 5, "d": {"user_id": "10", "ssrc": 77, "speaking": 0}}, False),
        ({"op": 12, "d": {"user_id": "10", "speaking": 1}}, False),
        ({"op": 5, "d": None}, False),
    ],
)
def test_the_beginning_of_speech_is_announced(message: dict[str, Any], *, is_one: bool) -> None:
    assert announces_speech(message) == is_one


def test_a_user_has_one_ssrc_the_latest() -> None:
    people = roster(MINA)
    people.name(77, MINA)

    assert people.name(88, MINA)
    assert not people.name(88, MINA)

    assert people.user(77) is None
    assert people.user(88) == MINA


def test_our_own_ssrc_is_nobodys() -> None:
    people = roster(MINA)

    assert people.read({"op": 5, "d": {"user_id": "1", "ssrc": 77}}) == Changes()
    assert people.user(77) is None


def test_whoever_leaves_takes_their_ssrc_along() -> None:
    people = roster(MINA)
    people.name(77, MINA)

    people.read({"op": 13, "d": {"user_id": "10"}})

    assert people.user(77) is None


def test_the_main_gateway_is_believed_when_it_says_something_twice() -> None:
    people = roster(MINA)

    assert people.reconcile([US, NOAH]) == Changes()
    assert people.reconcile([US, MINA]) == Changes()
    assert people.reconcile([US, NOAH]) == Changes()
    assert people.reconcile([US, NOAH]) == Changes(joined=frozenset({NOAH}), left=frozenset({MINA}))


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(
    st.sampled_from([5, 11, 12, 13, 99]),
    json | st.fixed_dictionaries({"user_id": json, "ssrc": json, "user_ids": json}),
)
def test_nothing_that_the_server_says_breaks_it(op: int, data: object) -> None:
    people = roster(MINA)

    people.read({"op": op, "d": data})

    assert all(type(user) is int for user in people.present)
    assert op in {11, 13} or MINA in people.present


def test_it_does_not_grow_for_ever() -> None:
    people = roster()

    for user in range(100, 100 + 2 * MAX_SOURCES):
        people.name(user, user)

    assert sum(people.user(user) is not None for user in range(100, 100 + 2 * MAX_SOURCES)) == MAX_SOURCES
