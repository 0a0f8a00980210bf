"""For unit tests: no event loop that nobody closes.

Before the first asynchronous test looptime 0.9 asks for the current event loop around every test, also a synchronous
one, and Python 3.11 then makes a loop that is closed by nobody. Told that there is none, it makes none.
"""

import asyncio


def pytest_sessionstart() -> None:
    asyncio.set_event_loop(None)
