"""Ctrl-C, SIGTERM and a closed terminal, once for all commands: the first ends a command in order, the second at once.

Every command that waits runs in `run_until_interrupted`. What whoever started it had ignored, as `nohup` does with a
closed terminal, stays ignored. Blocking calls that know nothing of cancelling go into
`in_thread_of_its_own`.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Final, TypeVar

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXIT_OF_SIGNAL: Final = 128
"""A shell's exit code for a death by signal n is 128 + n."""

Command = Callable[[asyncio.Event], Coroutine[None, None, int]]
"""Given an event that is set when somebody does not want to wait for an orderly end."""


def run_until_interrupted(command: Command, *, when_interrupted: int | None = None) -> int:
    """Run a command's coroutine and return its exit code; interrupted it is cancelled, and ends what it began.

    Args:
        command: the coroutine function.
        when_interrupted: the exit code then; as a shell has it (130, 143) if None.
    """
    return asyncio.run(_run(command, when_interrupted))


async def _run(command: Command, when_interrupted: int | None) -> int:
    hurry = asyncio.Event()
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []
    running = loop.create_task(command(hurry))

    def interrupt(number: signal.Signals) -> None:
        if received:
            hurry.set()
        else:
            running.cancel()
        received.append(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await running
    except asyncio.CancelledError:
        if not received:
            raise
        return _EXIT_OF_SIGNAL + received[0] if when_interrupted is None else when_interrupted
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
            # asyncio would leave Python's own, which tells where in Python a Ctrl-C was.
            signal.signal(number, before[number])


async def in_thread_of_its_own(call: Callable[[], T]) -> T:
    """Await a blocking call; when cancelled it is left behind, and ends with the process at the latest.

    `asyncio.to_thread` would keep the process alive until the call returns: a pull of 3 GB, or a read of a terminal.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # a call without an error has a result

    def work() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  # handed to the task that waits
            outcome: tuple[T | None, BaseException | None] = (None, error)
        else:
            outcome = (result, None)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=work, daemon=True).start()
    return await done
