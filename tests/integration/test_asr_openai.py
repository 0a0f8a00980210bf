"""OpenAI's own Python client, unmodified, with nothing but another base URL: against real Whispers that run alone."""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import openai
import pytest
import pytest_asyncio

from parley_testkit.asr_process import asr_alone, sample, wav_of
from parley_testkit.service_process import ServiceProcess

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # It warns of its translations, which people go on using.
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),
]

FOX: Final = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def fox() -> bytes:
    """Three seconds of speech."""
    return wav_of(sample("en/quick_brown_fox"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def polyglot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    async with asr_alone(tmp_path_factory.mktemp("asr"), MODEL_NAME="base", LANGUAGE="") as service:
        yield service


def client_of(service: ServiceProcess, secret: str = "any") -> openai.AsyncOpenAI:  # noqa: S107  # as S106
    return openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key=secret, max_retries=0)


async def test_every_format_is_what_it_expects(polyglot: ServiceProcess, fox: bytes) -> None:
    async with client_of(polyglot) as client:
        asked: Mapping[str, Any] = {"model": "whisper-1", "file": ("fox.wav", fox), "language": "en"}
        create = client.audio.transcriptions.create
        plain = await create(**asked)
        text = await create(**asked, response_format="text")
        srt = await create(**asked, response_format="srt")
        vtt = await create(**asked, response_format="vtt")
        verbose = await create(
            **asked, response_format="verbose_json", timestamp_granularities=["word", "segment"], temperature=0.2
        )
        events = [event async for event in await create(**asked, stream=True, prompt="A fable.")]

    assert plain.text == FOX
    assert text == f"{FOX}\n"
    assert re.fullmatch(rf"1\n00:00:00,\d{{3}} --> 00:00:02,\d{{3}}\n{FOX}\n", srt)
    assert re.fullmatch(rf"WEBVTT\n\n00:00:00\.\d{{3}} --> 00:00:02\.\d{{3}}\n{FOX}\n", vtt)
    assert (verbose.language, verbose.text, [each.text for each in verbose.segments]) == ("en", FOX, [FOX])
    assert [word.word for word in verbose.words] == FOX.split()
    assert all(0 <= word.start <= word.end <= verbose.duration for word in verbose.words)
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[-1].text == FOX


async def test_it_is_told_what_does_not_work_here(fox: bytes, tmp_path: Path) -> None:
    asked: Mapping[str, Any] = {"file": ("fox.wav", fox)}
    async with asr_alone(tmp_path, WORKER_SHARED_SECRET="open sesame") as asr, client_of(asr, "open sesame") as client:
        async with client_of(asr, "wrong") as stranger:
            with pytest.raises(openai.AuthenticationError, match="WORKER_SHARED_SECRET"):
                await stranger.models.list()
        models = await client.models.list()
        with pytest.raises(openai.NotFoundError, match="'gpt-4o-transcribe' is not loaded here"):
            await client.audio.transcriptions.create(model="gpt-4o-transcribe", **asked)
        with pytest.raises(openai.BadRequestError, match="translates nothing"):
            await client.audio.translations.create(model="tiny.en", **asked)
        with pytest.raises(openai.BadRequestError, match="It understands English only") as refused:
            await client.audio.transcriptions.create(model="tiny.en", language="ko", **asked)
        with pytest.raises(openai.BadRequestError, match="include"):
            await client.audio.transcriptions.create(model="tiny.en", include=["logprobs"], **asked)

    assert [model.id for model in models.data] == ["tiny.en"]
    assert (refused.value.param, refused.value.code) == ("language", "unknown_language")


@pytest.mark.parametrize(
    "language,name,part", [("es", "hola_mundo", "mundo"), ("ja", "konnichiwa_sekai", "こんにちは")]
)
async def test_languages_are_told_or_detected_and_translated(
    polyglot: ServiceProcess, language: str, name: str, part: str
) -> None:
    asked: Mapping[str, Any] = {"model": "base", "file": ("it.wav", wav_of(sample(f"{language}/{name}")))}

    async with client_of(polyglot) as client:
        told = await client.audio.transcriptions.create(**asked, language=language)
        detected = await client.audio.transcriptions.create(**asked, response_format="verbose_json")
        english = await client.audio.translations.create(**asked)

    assert part in told.text.lower()
    assert detected.language == language
    assert english.text.isascii()
