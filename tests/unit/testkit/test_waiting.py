"""Waiting ends with what is found, and says what it waited for in vain."""

from collections.abc import Iterator

import pytest

from parley_testkit.waiting import until, wait_until

pytestmark = pytest.mark.looptime


def looks() -> Iterator[list[int]]:
    """What is seen by whoever looks again and again."""
    yield from ([], [], [7])


async def test_the_first_that_is_found_is_returned_whether_it_has_to_be_awaited_or_not() -> None:
    pages, seen = looks(), looks()

    async def page() -> list[int]:
        return next(pages)

    assert await until("it is on a page", page) == [7]
    assert await until("it is seen", lambda: next(seen)) == [7]


async def test_what_never_comes_is_named_with_what_was_found_instead() -> None:
    with pytest.raises(TimeoutError, match=r"^the moon rises: not within 0 s, found \[\]$"):
        await until("the moon rises", list[int], timeout_s=0)


def test_without_an_event_loop_it_is_the_same() -> None:
    seen = looks()

    assert wait_until("it is seen", lambda: next(seen)) == [7]
    with pytest.raises(TimeoutError, match=r"^the moon rises: not within 0 s, found 0$"):
        wait_until("the moon rises", int, timeout_s=0)
