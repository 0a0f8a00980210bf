"""A call's group with people of both DAVE implementations in it, and nothing between them and the delivery service."""

import asyncio
import itertools
import random

import pytest

from parley_testkit.discord.call import Call
from parley_testkit.discord.human import HumanClient
from parley_testkit.discord.members import Library
from parley_testkit.discord.ops import VoiceOp
from parley_testkit.discord.parties import Payload
from parley_testkit.discord.rtp import Packet
from parley_testkit.discord.transitions import TRANSITION_S
from parley_testkit.discord.violations import Violations

CHANNEL = 1_234_567_890_123_456_789
PCM = b"\x11\x08" * 320

pytestmark = pytest.mark.looptime


class Bystander:
    """A party that says nothing and remembers what it is told."""

    is_bot = True

    def __init__(self, user: int) -> None:
        self.user = user
        self.told: list[VoiceOp] = []

    def send(self, op: VoiceOp, data: Payload) -> None:
        self.told.append(op)

    def hear(self, sender: int, packet: Packet) -> None:
        pass


@pytest.fixture
def violations() -> Violations:
    return Violations()


@pytest.fixture
def call(violations: Violations) -> Call:
    return Call(CHANNEL, violations)


async def enter(call: Call, *people: HumanClient) -> None:
    for human in people:
        human.enter(call, CHANNEL)
        await settle()


async def settle() -> None:
    """Let everything be said and answered that needs no time."""
    for _ in range(30):
        await asyncio.sleep(0)


async def hear_each_other(*people: HumanClient) -> bool:
    """Let each say something, and say whether all the others could read it."""
    before = {(a.user, b.user): len(b.heard_of(a.user).voiced) for a, b in itertools.permutations(people, 2)}
    for human in people:
        await human.say(PCM)
    return all(len(b.heard_of(a.user).voiced) > before[a.user, b.user] for a, b in itertools.permutations(people, 2))


def persons(*libraries: Library) -> list[HumanClient]:
    return [HumanClient(number, library) for number, library in enumerate(libraries, 1)]


@pytest.mark.parametrize("libraries", list(itertools.product(Library, repeat=3)))
async def test_people_of_every_make_understand_each_other(
    call: Call, violations: Violations, libraries: tuple[Library, ...]
) -> None:
    people = persons(*libraries)

    await enter(call, *people)

    assert call.group.members == {1, 2, 3}
    assert people[0].privacy_code
    assert {human.privacy_code for human in people} == {people[0].privacy_code}
    assert await hear_each_other(*people)
    assert not violations.all


async def test_who_has_gone_is_in_no_group_and_hears_nothing(call: Call, violations: Violations) -> None:
    anna, ben, carl = people = persons(Library.LIBDAVE, Library.DAVEY, Library.LIBDAVE)
    await enter(call, *people)
    await anna.say(PCM)

    ben.exit()
    await settle()

    assert call.group.members == {1, 3}
    assert await hear_each_other(anna, carl)
    assert [frame.sequence for frame in ben.heard_of(1).voiced] == [anna.sent[0].sequence]
    assert not violations.all


async def test_who_is_left_alone_begins_anew_with_the_next_one(call: Call, violations: Violations) -> None:
    anna, ben = persons(Library.LIBDAVE, Library.DAVEY)
    await enter(call, anna, ben)

    ben.exit()
    await settle()
    alone = (call.group.epoch, call.group.members, set(call.group.stands_for))
    await enter(call, ben)

    assert alone == (0, set(), set())
    assert await hear_each_other(anna, ben)
    assert not violations.all


@pytest.mark.parametrize("library", Library)
async def test_who_cannot_read_a_commit_is_put_out_and_taken_in_again(
    call: Call, violations: Violations, library: Library
) -> None:
    anna, ben, carl = persons(Library.DAVEY, library, Library.LIBDAVE)
    await enter(call, anna, ben)
    call.group.spoil_commit(ben.user)

    await enter(call, carl)

    assert [user for user, _ in call.group.reported] == [ben.user]
    assert call.group.members == {1, 2, 3}
    assert await hear_each_other(anna, ben, carl)
    assert not violations.all


@pytest.mark.parametrize("library", Library)
async def test_encryption_ends_and_begins_again(call: Call, violations: Violations, library: Library) -> None:
    people = persons(library, Library.DAVEY, Library.LIBDAVE)
    await enter(call, *people)

    call.group.downgrade()
    await settle()
    plain = (call.group.version, await hear_each_other(*people), people[0].sent[-1].payload)
    call.group.upgrade()
    await settle()

    assert plain[:2] == (0, True)
    assert not plain[2].endswith(b"\xfa\xfa")
    assert await hear_each_other(*people)
    assert people[0].sent[-6].payload.endswith(b"\xfa\xfa")
    assert not violations.all


async def test_who_comes_where_there_is_no_encryption_speaks_plainly_until_there_is(
    call: Call, violations: Violations
) -> None:
    call.group.version = 0  # as on a stage
    people = persons(*Library)

    await enter(call, *people)
    plain = await hear_each_other(*people)
    call.group.upgrade()
    await settle()

    assert plain
    assert call.group.members == {1, 2}
    assert await hear_each_other(*people)
    assert not violations.all


async def test_the_commit_of_whoever_should_win_is_taken(call: Call) -> None:
    people = persons(Library.LIBDAVE, Library.DAVEY, Library.DAVEY)
    await enter(call, *people[:2])
    people[1].is_bot = True  # as its connection would be
    call.group.winner = "bot"

    await enter(call, people[2])

    assert call.group.committers[-1] == people[1].user


async def test_who_should_win_and_says_nothing_loses_in_the_end(call: Call) -> None:
    anna, ben = persons(Library.LIBDAVE, Library.DAVEY)
    call.join(Bystander(9))
    call.group.winner = "bot"
    await enter(call, anna, ben)
    assert not call.group.committers

    await asyncio.sleep(1.1)

    assert call.group.committers[-1] in (anna.user, ben.user)


async def test_a_transition_does_not_wait_for_ever(call: Call, violations: Violations) -> None:
    bystander = Bystander(9)
    await enter(call, *persons(Library.LIBDAVE))
    call.join(bystander)

    call.group.downgrade()
    await asyncio.sleep(TRANSITION_S + 0.1)

    assert VoiceOp.EXECUTE_TRANSITION in bystander.told
    assert [violation.kind for violation in violations.all] == ["transition"]


async def test_nonsense_is_recorded_and_does_no_harm(call: Call, violations: Violations) -> None:
    people = persons(Library.LIBDAVE, Library.DAVEY)
    await enter(call, *people)

    call.receive(people[0], VoiceOp.KEY_PACKAGE, b"\x00\x01\x00\x02")
    call.receive(people[0], VoiceOp.COMMIT_WELCOME, bytes(300))
    call.receive(people[0], VoiceOp.TRANSITION_READY, {})

    assert [violation.kind for violation in violations.all] == ["commit", "commit", "protocol"]
    assert await hear_each_other(*people)


@pytest.mark.parametrize("seed", range(3))
async def test_a_hundred_comings_and_goings_leave_nobody_deaf(call: Call, violations: Violations, seed: int) -> None:
    chance = random.Random(seed)
    people = persons(*chance.choices(list(Library), k=5))
    inside: set[int] = set()

    for _ in range(100):
        human = chance.choice(people)
        if human.user in inside:
            human.exit()
        else:
            human.enter(call, CHANNEL)
        inside ^= {human.user}
        for _ in range(chance.choice([0, 1, 3, 30])):
            await asyncio.sleep(0)
    await settle()
    await asyncio.sleep(TRANSITION_S)

    present = [human for human in people if human.user in inside]
    assert await hear_each_other(*present)
    assert not violations.of("commit", "protocol")
