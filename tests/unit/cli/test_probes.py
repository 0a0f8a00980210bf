"""Who is ready, and who only seems to be because another answers in its stead."""

import httpx
import pytest

from parley_cli.probes import answers

URL = "http://127.0.0.1:8001"


def asking(status: int, body: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(status, json=body)))


@pytest.mark.parametrize(
    "status, body, lacking",
    [
        pytest.param(200, {"pid": 7, "reasons": {}}, {}, id="it is ready"),
        pytest.param(503, {"pid": 7, "reasons": {"model": "is loaded"}}, {"model": "is loaded"}, id="it says why not"),
        pytest.param(200, {"pid": 8, "reasons": {}}, {"its own port": "process 8 answers there"}, id="another is"),
        pytest.param(
            503, {"pid": 8, "reasons": {"model": ""}}, {"its own port": "process 8 answers there"}, id="another is not"
        ),
        pytest.param(200, {}, {"its own port": "something else answers there"}, id="a page without a process"),
        pytest.param(200, "hello", {"its own port": "something else answers there"}, id="another page"),
        pytest.param(404, "not found", {"/readyz": "404"}, id="no such page"),
    ],
)
async def test_a_service_is_ready_when_it_says_so_itself(status: int, body: object, lacking: dict[str, str]) -> None:
    async with asking(status, body) as client:
        assert await answers(URL, "/readyz", client, pid=7) == lacking


async def test_an_ollama_which_does_not_say_who_it_is_is_ready_when_it_answers() -> None:
    async with asking(200, {"version": "0.12.3"}) as client:
        assert await answers(URL, "/api/version", client, pid=7) == {}


async def test_whoever_answers_is_ready_where_no_process_is_meant() -> None:
    async with asking(200, {"pid": 8, "reasons": {}}) as client:
        assert await answers(URL, "/readyz", client, pid=None) == {}
