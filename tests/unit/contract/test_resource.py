"""Bad manifests get every problem at once, each with its path and what to do."""

import pytest

from parley_contract.errors import InvalidDocumentError
from parley_contract.resource import load_manifest

HEAD = "apiVersion: parley.dev/v1alpha1\nkind: VoiceAssistant\nmetadata: {name: libra}\n"

AMOUNT = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
QUOTE_IT = "expected `str`, got `bool`: put quotes around it, for YAML takes on, off, yes and no for true and false"


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidDocumentError) as caught:
        load_manifest(text)

    return list(caught.value.problems)


def test_a_minimal_manifest_is_enough() -> None:
    loaded = load_manifest(HEAD)

    assert loaded.key == "default_libra"


ADDRESS = (
    "spec.llm.externalUrl: expected `str` matching regex "
    r"'^(https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[^\\s?#]*)?)?$'"
)


@pytest.mark.parametrize(
    "spec, expected",
    [
        ("{asr: {beamSiz: 3}}", "spec.asr.beamSiz: unknown field; did you mean beamSize?"),
        (
            "{slo: {quick: true}}",
            "spec.slo.quick: unknown field; known here: e2ftMs",
        ),
        ("{asr: {beamSize: 11}}", "spec.asr.beamSize: expected `int` <= 10"),
        ("{asr: {beamSize: three}}", "spec.asr.beamSize: expected `int`, got `str`"),
        (
            "{asr: {computeType: int4}}",
            "spec.asr.computeType: 'int4' is not one of int8, int8_float16, int8_float32, float16, float32",
        ),
        ("{asr: {encoderWindowS: 5}}", "spec.asr.encoderWindowS: expected `float` >= 8.0"),
        (
            "{asr: {encoderWindowS: 8, windowOverlapMs: 8000}}",
            "spec.asr: windowOverlapMs must be below encoderWindowS",
        ),
        (
            "{asr: {encoderWindowS: 8, windowOverlapMs: 5000}, profile: fast}",
            "spec.profile: 'fast' is not one of lowLatency, balanced, accurate, laptop",
        ),
        ("{asr: nothing}", "spec.asr: expected `object`, got `str`"),
        ("{asr: null}", "spec.asr: expected `object`, got `null`"),
        ("{profile: [laptop]}", "spec.profile: expected `str`, got `array`"),
        ("{language: English}", "spec.language: expected `str` matching regex '^[a-z]{2,3}$'"),
        ("{language: no}", f"spec.language: {QUOTE_IT}"),
        ("{turnTaking: {speculation: off}}", f"spec.turnTaking.speculation: {QUOTE_IT}"),
        (
            "{profile: laptop, language: ko}",
            "spec: asr.model tiny.en hears English only, and language is ko: name a multilingual model, such as tiny",
        ),
        (
            "{language: ko, asr: {model: distil-large-v3}}",
            (
                "spec: asr.model distil-large-v3 hears English only, and language is ko: "
                "name a multilingual model, such as large-v3-turbo"
            ),
        ),
        (
            "{doors: {web: {enabled: false}}}",
            "spec.doors: at least one door must be open: enable web or describe discord",
        ),
        ("{doors: {discord: {}}}", "spec.doors.discord.tokenSecretRef: is required"),
        ("{doors: {discord: {tokenSecretRef: {name: a}}}}", "spec.doors.discord.tokenSecretRef.key: is required"),
        ("{tts: {fallbacks: [piper]}}", "spec.tts: fallbacks must not name the main engine piper again"),
        ("{tts: {fallbacks: [espeak, festival]}}", "spec.tts.fallbacks[1]: 'festival' is not one of piper, espeak"),
        ("{llm: {model: a, fallbacks: [a]}}", "spec.llm: fallbacks must not name the main model again"),
        ("{llm: {keepAlive: forever}}", "spec.llm.keepAlive: expected `str` matching regex '^(-1|[0-9]+(s|m|h))$'"),
        *(
            (f"{{llm: {{externalUrl: '{url}'}}}}", ADDRESS)
            for url in ("https://me:secret@there", "http://", "http:// there", "http://there?a=b", "ollama.far")
        ),
        ("{turnTaking: {watchdog: {holdAfterS: 12}}}", "spec: turnTaking.watchdog.failAfterS must be above holdAfterS"),
        (
            "{nats: {url: 'nats://there:4222'}}",
            ("spec.nats: url and credentialsSecretRef go together: a NATS of yours, and what lets the services in"),
        ),
        ("{maxSessions: 0}", "spec.maxSessions: expected `int` >= 1"),
        ("{maxSessions: 99999999999999999999}", "spec.maxSessions: expected `int` <= 64"),
        ("{tts: {speed: .nan}}", "spec.tts.speed: expected `float` >= 0.5"),
        ('{language: "en\\n"}', "spec.language: expected `str` matching regex '^[a-z]{2,3}$', and no line break"),
    ],
)
def test_one_problem_gives_one_sentence(spec: str, expected: str) -> None:
    assert problems(f"{HEAD}spec: {spec}") == [expected]


def test_a_key_that_is_no_text_is_a_problem_and_no_crash() -> None:
    [problem] = problems(f"{HEAD}spec: {{on: 1}}")

    assert problem.startswith("spec.True: unknown field; known here: agent, asr, doors, gateway")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", "it holds no fields; expected one VoiceAssistant"),
        ("- a\n- b", "it holds no fields; expected one VoiceAssistant"),
        (
            HEAD.replace("libra", "Libra"),
            "metadata.name: expected `str` matching regex '^[a-z]([a-z0-9-]*[a-z0-9])?$'",
        ),
        (
            HEAD.replace("libra", "li.bra"),
            "metadata.name: expected `str` matching regex '^[a-z]([a-z0-9-]*[a-z0-9])?$'",
        ),
        (
            HEAD.replace("libra", "2go"),
            "metadata.name: expected `str` matching regex '^[a-z]([a-z0-9-]*[a-z0-9])?$'",
        ),
        (HEAD.replace("libra", "l" * 41), "metadata.name: expected `str` of length <= 40"),
        (HEAD.replace("VoiceAssistant", "Deployment"), "kind: 'Deployment' is not one of VoiceAssistant"),
        (HEAD.replace("v1alpha1", "v2"), "apiVersion: 'parley.dev/v2' is not one of parley.dev/v1alpha1"),
        (HEAD + "spec:", "spec: expected `object`, got `null`"),
    ],
)
def test_a_wrong_frame_gives_one_sentence(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_every_problem_is_reported_at_once() -> None:
    found = problems("kind: Pod\nmetadata: {nam: x}\nspec: {asr: {beamSize: 0, model: 3}, tts: {speed: fast}}")

    assert found == [
        "apiVersion: is required",
        "kind: 'Pod' is not one of VoiceAssistant",
        "metadata.nam: unknown field; did you mean name?",
        "metadata.name: is required",
        "spec.asr.model: expected `str`, got `int`",
        "spec.asr.beamSize: expected `int` >= 1",
        "spec.tts.speed: expected `float`, got `str`",
    ]


def test_every_item_of_a_list_and_of_a_mapping_is_reported() -> None:
    found = problems(
        f"{HEAD}spec: {{asr: {{hotwords: [1, Parley, 2], resources: {{requests: {{cpu: x, memory: [4]}}, limit: {{}}}}"
        "}, tts: {fallbacks: [festival, espeak, flite]}, gpu: {tolerations: [3, {key: [1]}]}}"
    )

    assert found == [
        "spec.asr.hotwords[0]: expected `str`, got `int`",
        "spec.asr.hotwords[2]: expected `str`, got `int`",
        "spec.asr.resources.limit: unknown field; did you mean limits?",
        f"spec.asr.resources.requests.cpu: expected `str` matching regex {AMOUNT!r}",
        "spec.asr.resources.requests.memory: expected `int | str`, got `array`",
        "spec.tts.fallbacks[0]: 'festival' is not one of piper, espeak",
        "spec.tts.fallbacks[2]: 'flite' is not one of piper, espeak",
        "spec.gpu.tolerations[0]: expected `object`, got `int`",
        "spec.gpu.tolerations[1].key: expected `str`, got `array`",
    ]


@pytest.mark.parametrize(
    "value",
    ["2001-99-99", '!!int ""', "!!float x", "!!bool x", "!!timestamp x", "9" * 5000],
    ids=lambda value: value[:12],
)
def test_a_value_that_yaml_itself_stumbles_over_is_a_problem_and_no_crash(value: str) -> None:
    assert problems(f"{HEAD}spec: {value}") == [
        "a value is not of the kind that it looks like: put quotes around dates"
    ]


@pytest.mark.parametrize("text", ["[" * 5000, "&a {spec: *a}", "spec: &a {asr: *a}", "a: &x [*x]"])
def test_what_is_nested_without_end_is_a_problem_and_no_crash(text: str) -> None:
    assert problems(text)


def test_what_is_no_yaml_says_where() -> None:
    with pytest.raises(InvalidDocumentError, match=r"not YAML(.|\n)*line 2"):
        load_manifest("a: 1\nb: [")


def test_the_error_is_a_list_that_a_person_can_read() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        load_manifest(f"{HEAD}spec: {{maxSessions: 0, suspend: maybe}}")

    assert str(caught.value) == (
        "the VoiceAssistant has problems:\n"
        "  spec.maxSessions: expected `int` >= 1\n"
        "  spec.suspend: expected `bool`, got `str`"
    )
