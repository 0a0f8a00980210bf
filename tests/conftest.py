"""For all tests: one seed, assertions of shared suites that explain themselves, and no event loop that nobody closes.

Before the first asynchronous test looptime 0.9 asks for the current event loop around every test, also a synchronous
one, and Python 3.11 then makes a loop that is closed by nobody. Told that there is none, it makes none.
"""

import asyncio
import os
import random

import hypothesis
import pytest

# No test passes or fails by how busy the machine is.
hypothesis.settings.register_profile("parley", deadline=None)
hypothesis.settings.load_profile("parley")

pytest.register_assert_rewrite(
    "parley_testkit.bus_suite", "parley_testkit.language_model_suite", "parley_testkit.transcriber_suite"
)

# What chance decides, and what an earlier run decided is repeated by. Set before workers begin, so that they agree.
os.environ.setdefault("PARLEY_SEED", str(random.SystemRandom().randrange(10**6)))


def pytest_report_header() -> str:
    return f"PARLEY_SEED={os.environ['PARLEY_SEED']}"


def pytest_sessionstart() -> None:
    asyncio.set_event_loop(None)
