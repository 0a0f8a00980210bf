"""Which ports an assistant is given."""

import concurrent.futures
import contextlib
import socket
from pathlib import Path

import pytest

from parley_cli.ports import claim, free_port

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_of_two_that_want_a_port_before_either_listens_one_gets_it() -> None:
    port = free_port()

    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        got = [claim(port, HOST, first), claim(port, HOST, second)]

    assert got == [True, False]


def test_who_claimed_a_port_can_listen_there() -> None:
    port = free_port()

    with contextlib.ExitStack() as claims:
        claim(port, HOST, claims)
        with socket.create_server((HOST, port)) as listener:
            listens_at = listener.getsockname()[1]

    assert listens_at == port


def test_a_port_is_anybodys_again_once_its_assistant_has_gone() -> None:
    port = free_port()
    with contextlib.ExitStack() as claims:
        claim(port, HOST, claims)

    with contextlib.ExitStack() as later:
        assert claim(port, HOST, later)


def test_a_port_that_something_listens_on_is_not_had_and_not_kept_from_others() -> None:
    with contextlib.ExitStack() as claims:
        with socket.create_server((HOST, 0)) as listener:
            port = listener.getsockname()[1]
            while_it_listens = claim(port, HOST, claims)
        with contextlib.ExitStack() as others:
            afterwards = claim(port, HOST, others)

    assert (while_it_listens, afterwards) == (False, True)


def test_a_free_port_is_not_given_twice_and_never_one_of_those_that_the_kernel_gives_to_connections() -> None:
    # Each as a process of its own would: nothing is remembered but on the disk.
    with concurrent.futures.ThreadPoolExecutor(4) as at_once:
        ports = list(at_once.map(lambda _: free_port(), range(200)))

    assert len(set(ports)) == 200
    assert all(20_000 <= port < 30_000 for port in ports)


def test_after_the_last_port_comes_the_first_again_and_one_that_is_taken_is_left_out(tmp_path: Path) -> None:
    page = tmp_path / "parley/ports/last"
    page.parent.mkdir(parents=True)
    page.write_text("9998")
    last = free_port()
    first = free_port()
    page.write_text(str(first - 20_000))
    with socket.create_server((HOST, second := first + 1)) as _:
        third = free_port()

    assert (last, third) == (29_999, second + 1)
    assert first >= 20_000
