"""Which ports an assistant is given."""

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
