"""What is done when packets come that cannot be read."""

from collections.abc import Iterator

import pytest

from parley_gateway.discord.counters import LinkCounters, SpeakerCounters
from parley_gateway.discord.deafness import (
    FORGOTTEN_S,
    RECOVERY_S,
    REJOIN_S,
    SILENT_S,
    STRIKES,
    TOLERANCE,
    Judge,
    Remedy,
    Step,
)

MINA, NOAH = 10, 11


class Ward:
    """A judge who looks once a second, and how well each second was heard."""

    def __init__(self) -> None:
        self.counters = LinkCounters(speakers={MINA: SpeakerCounters(), NOAH: SpeakerCounters()})
        self.judge = Judge()
        self.now = 0.0

    def second(self, *, good: tuple[int, ...] = (), bad: tuple[int, ...] = (), unknown: int = 0) -> Remedy | None:
        for user in good:
            self.counters.speakers[user].received += 50
            self.counters.speakers[user].decrypted += 50
        for user in bad:
            self.counters.speakers[user].received += 50
            self.counters.speakers[user].failed += 50
        self.counters.unknown += unknown
        self.now += 1
        return self.judge.look(self.counters, self.now)

    def announce(self) -> None:
        self.counters.announced_after = self.counters.datagrams

    def connect(self) -> None:
        """A new connection begins with the datagram that says where we are."""
        self.counters.datagrams += 1
        self.counters.ignored += 1

    def remedies(
        self, seconds: int, *, good: tuple[int, ...] = (), bad: tuple[int, ...] = ()
    ) -> Iterator[tuple[float, Remedy]]:
        for _ in range(seconds):
            if (remedy := self.second(good=good, bad=bad)) is not None:
                yield self.now, remedy


ONLY_MINA = frozenset({MINA})


def test_who_is_heard_needs_nothing() -> None:
    assert not list(Ward().remedies(100, good=(MINA, NOAH)))


def test_some_frames_before_a_key_are_no_deafness() -> None:
    ward = Ward()
    ward.counters.speakers[MINA].failed += TOLERANCE - 1

    assert ward.second() is None
    assert ward.second(good=(MINA,)) is None
    ward.counters.speakers[MINA].failed += TOLERANCE - 1
    assert ward.second() is None


def test_remedies_come_one_after_the_other_and_words_last() -> None:
    ward = Ward()

    remedies = list(ward.remedies(100, bad=(MINA,)))

    assert [remedy for _, remedy in remedies] == [
        Remedy(Step.RECOVER, ONLY_MINA),
        Remedy(Step.REJOIN, ONLY_MINA),
        Remedy(Step.TELL, ONLY_MINA),
    ]
    first, second, third = (at for at, _ in remedies)
    assert first == 1
    assert second - first == pytest.approx(RECOVERY_S, abs=1)
    assert third - second == pytest.approx(REJOIN_S, abs=1)


def test_a_remedy_that_helped_is_the_last_one() -> None:
    ward = Ward()
    assert ward.second(bad=(MINA,)) == Remedy(Step.RECOVER, ONLY_MINA)

    assert not list(ward.remedies(4, bad=(MINA,)))
    assert not list(ward.remedies(100, good=(MINA,)))


def test_whoever_says_nothing_more_is_not_cured_further() -> None:
    ward = Ward()
    assert ward.second(bad=(MINA,)) == Remedy(Step.RECOVER, ONLY_MINA)

    assert not list(ward.remedies(100))


def test_nobody_who_is_heard_has_to_rejoin_for_another() -> None:
    ward = Ward()

    remedies = [remedy.step for _, remedy in ward.remedies(100, good=(NOAH,), bad=(MINA,))]

    assert remedies == [Step.RECOVER, Step.TELL]


def test_being_heard_again_is_told_after_words_were_said() -> None:
    ward = Ward()
    list(ward.remedies(40, bad=(MINA,)))

    remedies = [remedy for _, remedy in ward.remedies(40, good=(MINA,))]

    assert remedies == [Remedy(Step.HEARD, ONLY_MINA)]


def test_remedies_are_not_tried_for_ever() -> None:
    ward, steps = Ward(), []
    for _ in range(4):
        steps += [remedy.step for _, remedy in ward.remedies(1, bad=(MINA,))]
        steps += [remedy.step for _, remedy in ward.remedies(20, good=(MINA,))]

    assert steps == [Step.RECOVER] * STRIKES + [Step.TELL, Step.HEARD]


def test_packets_of_nobody_are_a_deafness_without_a_name() -> None:
    ward = Ward()

    assert ward.second(unknown=50) == Remedy(Step.RECOVER, frozenset())


def test_the_odd_packet_of_nobody_is_forgotten() -> None:
    ward = Ward()
    for _ in range(TOLERANCE):
        assert ward.second(unknown=1) is None if _ < TOLERANCE - 1 else True
        list(ward.remedies(round(FORGOTTEN_S) + 1))

    assert not list(ward.remedies(10))


def test_what_fails_the_transport_makes_us_rejoin() -> None:
    ward = Ward()
    ward.counters.forged += 100

    assert ward.second() == Remedy(Step.REJOIN, frozenset())


def test_speech_that_is_announced_and_does_not_arrive_makes_us_rejoin_and_then_say_so() -> None:
    ward = Ward()

    ward.announce()
    first = list(ward.remedies(5))
    ward.connect()
    nobody_speaks = list(ward.remedies(25))
    ward.announce()
    second = list(ward.remedies(30))
    ward.counters.datagrams += 1

    assert first == [(1 + SILENT_S, Remedy(Step.REJOIN, frozenset()))]
    assert nobody_speaks == []
    assert second == [(31 + SILENT_S, Remedy(Step.TELL, frozenset()))]
    assert ward.second() == Remedy(Step.HEARD, frozenset())


def test_whoever_goes_on_speaking_after_the_new_connection_is_missed_as_soon_as_it_had_its_time() -> None:
    ward = Ward()
    ward.announce()
    list(ward.remedies(5))

    ward.connect()
    ward.announce()

    assert [remedy.step for _, remedy in ward.remedies(round(REJOIN_S))] == [Step.TELL]


def test_speech_that_arrives_a_little_later_than_its_announcement_is_no_silence() -> None:
    ward = Ward()
    ward.announce()
    assert not list(ward.remedies(2))

    ward.counters.datagrams += 1

    assert not list(ward.remedies(30))


def test_whoever_leaves_takes_the_deafness_along() -> None:
    ward = Ward()
    list(ward.remedies(40, bad=(MINA,)))

    ward.judge.forget(MINA)
    del ward.counters.speakers[MINA]

    assert not list(ward.remedies(40, good=(NOAH,)))
