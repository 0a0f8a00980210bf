"""For all tests: one seed, assertions of shared suites that explain themselves, and no event loop that nobody closes.

Before the first asynchronous test looptime 0.9 asks for the current event loop around every test, also a synchronous
one, and Python 3.11 then makes a loop that is closed by nobody. Told that there is none, it makes none.
"""

import asyncio
import os

import hypothesis
import pytest

# No test passes or fails by how busy the machine is, or by what chance decides: that is the same in every run. Whoever
# looks for more than is known (`make chaos`) says so.
hypothesis.settings.register_profile("parley", deadline=None, derandomize="PARLEY_EXAMPLES" not in os.environ)
hypothesis.settings.load_profile("parley")

pytest.register_assert_rewrite(
    "parley_testkit.bus_suite", "parley_testkit.language_model_suite", "parley_testkit.transcriber_suite"
)

# What chance decides beside that: who is killed when, in the tests of deaths.
os.environ.setdefault("PARLEY_SEED", "4711")


def pytest_report_header() -> str:
    return f"PARLEY_SEED={os.environ['PARLEY_SEED']}"


def pytest_sessionstart() -> None:
    asyncio.set_event_loop(None)
