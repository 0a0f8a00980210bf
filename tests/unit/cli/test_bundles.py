"""What is asked for a bundle, and what of the answers stays out of it."""

import json
from typing import Any

import pytest

from parley_cli.bundles import kept, questions, without_private


def test_no_secret_is_asked_for() -> None:
    words = [word for question in questions("libra", "voice", "parley-system") for word in question.words]

    assert not [word for word in words if "secret" in word.lower()]
    assert "--all-namespaces" not in words


def test_every_file_is_asked_for_once() -> None:
    files = [question.file for question in questions("libra", "voice", "parley-system")]

    assert len(set(files)) == len(files)


@pytest.mark.parametrize(
    "document, left",
    [
        ({"persona": {"systemPrompt": "You are"}}, {"persona": {"systemPrompt": "(7 characters left out)"}}),
        (
            {"env": [{"name": "SYSTEM_PROMPT", "value": "You are"}, {"name": "BEAM_SIZE", "value": "1"}]},
            {
                "env": [
                    {"name": "SYSTEM_PROMPT", "value": "(7 characters left out)"},
                    {"name": "BEAM_SIZE", "value": "1"},
                ]
            },
        ),
        ([{"name": "HF_TOKEN", "value": "hf_1"}], [{"name": "HF_TOKEN", "value": "(4 characters left out)"}]),
        (
            {"llm": {"externalUrl": "https://me:secret@ollama.example/v1"}},
            {"llm": {"externalUrl": "https://(left out)@ollama.example/v1"}},
        ),
        ({"image": "registry.example/parley@sha256:ab"}, {"image": "registry.example/parley@sha256:ab"}),
        ({"API_KEY": "abc"}, {"API_KEY": "(3 characters left out)"}),
        (
            {"name": "DISCORD_TOKEN", "valueFrom": {"secretKeyRef": {"name": "bot", "key": "token"}}},
            {"name": "DISCORD_TOKEN", "valueFrom": {"secretKeyRef": {"name": "bot", "key": "token"}}},
        ),
        ({"automountServiceAccountToken": False}, {"automountServiceAccountToken": False}),
        (
            {
                "metadata": {
                    "managedFields": [{}],
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{"},
                }
            },
            {"metadata": {"annotations": {}}},
        ),
    ],
)
def test_prompts_and_passwords_are_left_out_and_where_they_are_is_not(document: Any, left: Any) -> None:  # noqa: ANN401
    assert without_private(document) == left


def test_of_events_those_about_the_assistant_are_kept() -> None:
    names = ["libra", "libra-asr-1", "libram", "virgo-asr-1"]
    said = json.dumps({"items": [{"involvedObject": {"name": name}} for name in names]})

    found = json.loads(kept("events.json", said, "libra", "voice"))

    assert [each["involvedObject"]["name"] for each in found["items"]] == ["libra", "libra-asr-1"]


def test_of_the_operators_log_what_is_about_another_assistant_is_left_out() -> None:
    prefix = "[pod/parley-operator-1/operator] "
    own = prefix + json.dumps({"event": "did", "namespace": "voice", "assistant": "libra"})
    general = prefix + json.dumps({"event": "watching"})
    others = [
        prefix + json.dumps({"event": "did", "namespace": namespace, "assistant": name})
        for namespace, name in (("voice", "virgo"), ("other", "libra"))
    ]
    traceback = prefix + "Traceback (most recent call last): {"

    found = kept("operator.log", "\n".join([others[0], own, general, traceback, others[1]]), "libra", "voice")

    assert found.splitlines() == [own, general, traceback]


def test_an_answer_that_is_no_json_is_not_passed_on() -> None:
    assert kept("pods.json", "oops", "libra", "voice") == "no JSON: 4 characters left out\n"
