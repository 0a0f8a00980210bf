"""The published samples load; each bad one is refused by model and CRD, with the sentence that it names."""

from pathlib import Path

import pytest
import yaml

from parley_contract.errors import InvalidDocumentError
from parley_contract.resource import resolve
from parley_operator import rules

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
GOOD = sorted(SAMPLES.glob("*.yaml"))
BAD = sorted((SAMPLES / "bad").glob("*.yaml"))
NAMED = {
    "minimal",
    "discord-ko",
    "discord-laptop",
    "gpu-8gb",
    "gpu-two-assistants",
    "cpu-only",
    "external-ollama",
    "external-nats",
    "laptop",
    "laptop-multilingual",
}
OF_THE_SCHEMA = {
    "address-without-scheme",
    "beam-too-wide",
    "id-without-quotes",
    "language-by-name",
    "off-without-quotes",
    "registry-with-scheme",
    "secret-of-another-namespace",
    "secret-without-key",
    "unknown-field",
    "unknown-profile",
}
"""Refused by types and bounds, in the API server's own words; the rest by rules of ours."""


def sentence(path: Path) -> str:
    """What the API server says, as the file's first line has it."""
    first = path.read_text().partition("\n")[0]
    assert first.startswith("# Refused: "), path
    return first.removeprefix("# Refused: ")


def test_there_is_a_sample_for_each_thing_that_is_promised() -> None:
    assert {path.stem for path in GOOD} == NAMED


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_sample_begins_with_what_it_is_for(path: Path) -> None:
    assert path.read_text().startswith("# ")
    assert all(resolve(document) for document in yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_sample_is_refused_by_the_typed_model(path: Path) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        resolve(yaml.safe_load(path.read_text()))

    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_the_sentence_of_a_bad_sample_is_the_rules(path: Path) -> None:
    said = [rule.message for rule in (rules.NAME_RULE, *rules.SPEC_RULES) if sentence(path) in rule.message]

    assert bool(said) is (path.stem not in OF_THE_SCHEMA)


def test_every_rule_that_one_manifest_can_break_is_broken_by_a_bad_sample() -> None:
    unbroken = [
        rule.message
        for rule in (rules.NAME_RULE, *rules.SPEC_RULES)
        if "oldSelf" not in rule.cel and not any(sentence(path) in rule.message for path in BAD)
    ]

    assert unbroken == []
