"""The real model passes the suite of the fake, and what Ollama refuses becomes an error that says what to do."""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from parley_agent.engines import ModelMissingError, ModelUnavailableError
from parley_agent.engines.ollama import AddressError, OllamaModel
from parley_agent.settings import AgentSettings
from parley_cli.ports import free_port
from parley_testkit.language_model_suite import QUESTION, LanguageModelSuite
from parley_testkit.ollama_server import MODEL, OllamaServer, running_ollama
from parley_testkit.scripted_ollama import running_scripted_ollama


@pytest.fixture(scope="module")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OllamaServer]:
    with running_ollama(tmp_path_factory.mktemp("ollama") / "ollama.log") as server:
        yield server


@contextlib.asynccontextmanager
async def model_at(url: str, name: str = MODEL) -> AsyncIterator[OllamaModel]:
    settings = AgentSettings(
        assistant="test_libra",
        nats_url="",
        nats_seed_file=Path("unused"),
        system_prompt="",
        ollama_url=url,
        llm_model=name,
        num_ctx=2048,
        num_thread=1,
        temperature=0,
    )
    async with contextlib.aclosing(OllamaModel(settings)) as model:
        yield model


class TestOllamaModel(LanguageModelSuite):
    @pytest.fixture
    async def model(self, ollama: OllamaServer) -> AsyncIterator[OllamaModel]:
        async with model_at(ollama.url) as model:
            yield model


async def test_a_model_that_is_not_there_is_named_with_the_command_that_pulls_it(ollama: OllamaServer) -> None:
    async with model_at(ollama.url, "none:1b") as model:
        with pytest.raises(ModelMissingError, match="parley models pull none:1b"):
            await model.warm(QUESTION)


@pytest.mark.parametrize("url", ["http://[::1", "http://there:99999", "http://there:ollama"])
async def test_what_is_no_address_is_refused_at_the_start_by_name(url: str) -> None:
    with pytest.raises(AddressError, match=f"OLLAMA_URL {re.escape(url)} is no address"):
        async with model_at(url):
            pass


async def test_a_server_that_is_away_may_come_back() -> None:
    async with model_at(f"http://127.0.0.1:{free_port()}") as model:
        with pytest.raises(ModelUnavailableError, match="does not answer"):
            await model.residency()


SECRET = "my pin is 4711"


@pytest.mark.parametrize(
    "line",
    [
        SECRET.encode(),
        json.dumps([SECRET]).encode(),
        json.dumps({"message": {"role": "assistant", "content": [SECRET]}, "done": False}).encode(),
        json.dumps({"error": SECRET}).encode(),
        SECRET.encode() + b"\xff",
        b"[" * 100_000,
        json.dumps({"message": {"role": "assistant", "content": SECRET * 10_000}, "done": False}).encode(),
    ],
    ids=["text", "a list", "a wrong content", "an error", "no UTF-8", "deep", "more than a message holds"],
)
async def test_an_answer_that_cannot_be_read_is_one_error_that_repeats_nothing(line: bytes) -> None:
    with running_scripted_ollama() as server:
        server.lines = [line]
        async with model_at(server.url) as model:
            with pytest.raises(ModelUnavailableError) as caught:
                await model.warm(QUESTION)

    assert SECRET not in str(caught.value)
