"""A stay between its link and its session, both played: who is known, what is heard and told, where sound stands."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest

from parley_contract import door as events
from parley_contract.messages import TurnReport
from parley_gateway.discord.listeners import Gone
from parley_gateway.discord.stays import Stay

if TYPE_CHECKING:
    from parley_gateway.discord.links import VoiceLink
    from parley_gateway.sessions import Session

FRAME = bytes(640)
NAMES = {1: "Mina", 2: "Jun", 3: None}
"""3 is a bot."""


class Wire(NamedTuple):
    frames: int
    at: float = 0.0
    waiting: int = 0


class Link:
    """Sends half of what it is given."""

    def __init__(self) -> None:
        self.given = 0
        self.on_wire = Wire(7)

    def play(self, pcm: bytes) -> None:
        self.given += 1
        self.on_wire = Wire(7 + self.given // 2)

    def cut(self) -> Wire:
        return self.on_wire


class Conversation:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.known: list[Mapping[str, str]] = []
        self.heard: list[str] = []
        self.positions: list[float] = []
        self.door: object = None

    def know(self, names: Mapping[str, str]) -> None:
        self.known.append(dict(names))

    def join(self, door: object) -> None:
        self.door = door

    def hear(self, pcm: bytes, speaker: str) -> None:
        self.heard.append(speaker)

    def position(self, at_ms: float) -> None:
        self.positions.append(at_ms)


class Host:
    """Remembers what happened."""

    def __init__(self) -> None:
        self.happened: list[tuple[str, object]] = []

    def ended(self, stay: Stay, why: Gone | None, sentence: str) -> None:
        self.happened.append(("ended", why))

    def deaf(self, stay: Stay, people: frozenset[int]) -> None:
        self.happened.append(("deaf", people))

    def recovered(self, stay: Stay, people: frozenset[int]) -> None:
        self.happened.append(("recovered", people))


class Scene:
    """A stay that has begun, with Mina and a bot in the channel."""

    def __init__(self) -> None:
        self.host, self.link, self.session = Host(), Link(), Conversation()
        self.stay = Stay(self.host, NAMES.get, guild=9, writes_to=8)
        self.stay.joined(1)
        self.stay.joined(3)
        self.stay.begin(cast("VoiceLink", self.link), cast("Session", self.session))


async def test_people_are_known_by_name_and_bots_are_nobody() -> None:
    scene = Scene()

    scene.stay.joined(2)
    scene.stay.left(1)

    assert scene.session.known == [{"1": "Mina"}, {"1": "Mina", "2": "Jun"}, {"2": "Jun"}]
    assert scene.stay.people == {2}


async def test_somebody_is_named_as_soon_as_their_name_is_known() -> None:
    scene, names = Scene(), {1: "Mina", 4: ""}
    stay = Stay(scene.host, names.get, guild=9, writes_to=8)
    stay.joined(1)
    stay.joined(4)
    stay.begin(cast("VoiceLink", scene.link), cast("Session", scene.session))

    names[4] = "Ara"
    stay.frame(4, FRAME, 0.0)
    stay.frame(4, FRAME, 0.0)

    assert scene.session.known[-2:] == [{"1": "Mina", "4": ""}, {"1": "Mina", "4": "Ara"}]
    assert scene.session.heard == ["4", "4"]


async def test_only_people_are_heard_and_nobody_while_it_is_muted() -> None:
    scene = Scene()

    for user in (1, 3, 4):
        scene.stay.frame(user, FRAME, 0.0)
    scene.stay.mute()
    scene.stay.frame(1, FRAME, 0.0)
    scene.stay.mute()
    scene.stay.frame(1, FRAME, 0.0)

    assert scene.session.heard == ["1", "1"]
    # What somebody was saying ends when nobody listens any more.
    assert scene.session.known[-2:] == [{}, {"1": "Mina"}]


async def test_a_position_counts_what_was_cut_as_passed_and_nothing_of_before() -> None:
    scene = Scene()

    for _ in range(20):
        scene.stay.play(FRAME)
    scene.stay.tell(events.Cut(turn=1, at_ms=200, next_ms=400))
    for _ in range(5):
        scene.stay.play(FRAME)
    await asyncio.sleep(0)

    # Of 25 frames 12 were sent, and 10 of the first 20 never will be.
    assert scene.session.positions == [(12 + 10) * 20]


@pytest.mark.parametrize(
    "told, happened",
    [
        (frozenset({1, 3}), [("deaf", frozenset({1})), ("recovered", frozenset({1}))]),
        (frozenset({3}), []),
        (frozenset(), [("deaf", frozenset())]),
    ],
)
async def test_deafness_is_said_of_people_and_of_nobody_in_particular(
    told: frozenset[int], happened: list[tuple[str, object]]
) -> None:
    scene = Scene()

    scene.stay.deaf(told, "")
    scene.stay.recovered(told)

    assert scene.host.happened == happened
    assert scene.stay.deaf_to == frozenset()


async def test_a_session_that_ends_by_itself_is_told_once() -> None:
    scene = Scene()

    scene.stay.close(events.Error(code="draining", sentence="it restarts", fatal=True))
    scene.stay.close(None)

    assert scene.host.happened == [("ended", None)]
    assert scene.stay.session is None


async def test_the_latest_turns_are_kept_for_status() -> None:
    scene = Scene()

    for number in range(7):
        report = TurnReport(
            session="s",
            epoch=1,
            turn=number,
            speaker="1",
            outcome="answered",
            started_at=0,
            speech_ms=0,
            e2ft_ms=number,
        )
        scene.stay.tell(events.Turn(report=report))

    assert list(scene.stay.e2ft_ms) == [2, 3, 4, 5, 6]
