"""For all tests: assertions of shared suites explain themselves, and there is no event loop that nobody closes.

Before the first asynchronous test looptime 0.9 asks for the current event loop around every test, also a synchronous
one, and Python 3.11 then makes a loop that is closed by nobody. Told that there is none, it makes none.
"""

import asyncio

import pytest

pytest.register_assert_rewrite(
    "parley_testkit.bus_suite", "parley_testkit.language_model_suite", "parley_testkit.transcriber_suite"
)


def pytest_sessionstart() -> None:
    asyncio.set_event_loop(None)
