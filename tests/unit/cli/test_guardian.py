"""Which process groups are left when the writer dies."""

from parley_cli.guardian import watch


def test_groups_that_ended_are_left_alone() -> None:
    assert watch(["+10\n", "+11\n", "-10\n"]) == [11]


def test_the_latest_ends_first() -> None:
    assert watch(["+10\n", "+11\n", "+12\n"]) == [12, 11, 10]


def test_a_number_that_was_never_announced_means_nothing() -> None:
    assert watch(["-10\n", "+11\n"]) == [11]
