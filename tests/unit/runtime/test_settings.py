"""The environment into settings: every problem at once, by variable."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from parley_contract.errors import InvalidDocumentError
from parley_runtime.settings import ServiceSettings, load_settings

BASE = {"ASSISTANT": "a_b", "NATS_URL": "nats://127.0.0.1:4222", "NATS_SEED_FILE": "/seeds/asr.nk", "PORT": "5005"}


class Settings(ServiceSettings, frozen=True, kw_only=True, rename="upper"):
    beam_size: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    device: Literal["cpu", "cuda"] = "cpu"
    prompt: str = ""
    threads: int | None = None
    words: tuple[str, ...] = ()
    numbers: Annotated[list[int], msgspec.Meta(max_length=2)] = msgspec.field(default_factory=list)
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError("LOW must be below HIGH")


def load(**environment: str) -> Settings:
    return load_settings(Settings, BASE | environment)


def problems(**environment: str) -> list[str]:
    with pytest.raises(InvalidDocumentError) as caught:
        load(**environment)

    return list(caught.value.problems)


def test_variables_become_values_of_their_fields_types() -> None:
    settings = load(BEAM_SIZE="3", CAPTURE_TEXT="true", TRACE_SAMPLE_RATIO="0.25", THREADS="4")

    assert (settings.assistant, settings.port, settings.nats_seed_file) == ("a_b", 5005, Path("/seeds/asr.nk"))
    assert (settings.beam_size, settings.capture_text, settings.trace_sample_ratio) == (3, True, 0.25)
    assert settings.threads == 4


@pytest.mark.parametrize("text, value", [("true", True), ("false", False), ("1", True), ("0", False)])
def test_a_switch_is_told_in_words_or_digits(text: str, *, value: bool) -> None:
    assert load(CAPTURE_TEXT=text).capture_text is value


def test_an_empty_variable_counts_as_unset() -> None:
    settings = load(BEAM_SIZE="", THREADS="", WORDS="", OTEL_EXPORTER_OTLP_ENDPOINT="")

    assert settings == load()


def test_the_end_of_the_line_that_a_secret_was_written_in_is_no_part_of_it() -> None:
    assert load(NATS_URL="nats://there\r\n").nats_url == "nats://there"
    assert load(OTEL_EXPORTER_OTLP_ENDPOINT="\n") == load()


def test_variables_of_others_are_ignored() -> None:
    assert load(PATH="/bin", beam_size="7") == load()


def test_lists_travel_as_json() -> None:
    settings = load(WORDS='["Parley", "one, two"]', NUMBERS="[1, 2]")

    assert (settings.words, settings.numbers) == (("Parley", "one, two"), [1, 2])


@pytest.mark.parametrize("text", ["[brackets]", "[1, 2]", '["a"]', "null", "true", "17", "two\nlines"])
def test_text_stays_text_whatever_it_looks_like(text: str) -> None:
    assert load(PROMPT=text).prompt == text


def test_every_problem_is_reported_at_once_by_variable() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        load_settings(Settings, {"PORT": "70000", "BEAM_SIZE": "many", "DEVICE": "gpu", "WORDS": "a, b"})

    assert str(caught.value) == (
        "the environment has problems:\n"
        "  ASSISTANT: is required\n"
        "  NATS_URL: is required\n"
        "  NATS_SEED_FILE: is required\n"
        "  PORT: expected `int` <= 65535\n"
        "  BEAM_SIZE: expected `int`, got `str`\n"
        "  DEVICE: 'gpu' is not one of cpu, cuda\n"
        "  WORDS: expected `array`, got `str`"
    )


@pytest.mark.parametrize(
    "variable, text, problem",
    [
        ("WORDS", "[unquoted]", "WORDS: expected `array`, got `str`"),
        ("WORDS", "[1]", "WORDS[0]: expected `str`, got `int`"),
        ("NUMBERS", "[1, 2, 3]", "NUMBERS: expected `array` of length <= 2"),
        ("CAPTURE_TEXT", "yes", "CAPTURE_TEXT: expected `bool`, got `str`"),
        ("TRACE_SAMPLE_RATIO", "1.5", "TRACE_SAMPLE_RATIO: expected `float` <= 1.0"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: 'loud' is not one of debug, info, warning, error"),
        ("LOW", "2", ".: LOW must be below HIGH"),
    ],
)
def test_one_problem_gives_one_sentence(variable: str, text: str, problem: str) -> None:
    assert problems(**{variable: text}) == [problem]
