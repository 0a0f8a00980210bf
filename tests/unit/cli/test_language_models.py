"""Whether an Ollama answers, at whatever somebody takes for its address."""

import pytest

from parley_cli.language_models import ollama_version


@pytest.mark.parametrize("url", ["http://[::1", "http://there:99999", "http://there:ollama", "there", ""])
async def test_nobody_answers_at_what_is_no_address(url: str) -> None:
    assert await ollama_version(url) is None
