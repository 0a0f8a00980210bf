"""The asr service understands what the resource's components tell it, and refuses what does not fit."""

import pytest

from parley_asr.settings import AsrSettings
from parley_contract.components import components
from parley_contract.errors import InvalidDocumentError
from parley_contract.resource import load_manifest
from parley_runtime.settings import load_settings

PLACES = {"ASSISTANT": "default_libra", "NATS_URL": "nats://x:1", "NATS_SEED_FILE": "/x", "PORT": "0"}


def manifest(**asr: object) -> str:
    lines = "".join(f"    {key}: {value}\n" for key, value in asr.items())
    return (
        "apiVersion: parley.dev/v1alpha1\nkind: VoiceAssistant\nmetadata: {name: libra}\n"
        f"spec:\n  profile: laptop\n  language: en\n  asr:\n    replicas: 1\n{lines}"
    )


def told(**asr: object) -> AsrSettings:
    [component] = [part for part in components(load_manifest(manifest(**asr))) if part.name == "asr"]
    return load_settings(AsrSettings, {**component.environment, **PLACES})


def test_the_laptop_profile_arrives() -> None:
    settings = told()

    assert (settings.model_name, settings.compute_type, settings.beam_size) == ("tiny.en", "int8", 1)
    assert (settings.encoder_window_s, settings.window_s, settings.window_overlap_ms) == (10.0, 1.0, 120)
    assert (settings.device, settings.cpu_threads, settings.language) == ("cpu", 1, "en")
    assert settings.hotwords == ()


def test_every_field_of_the_resource_arrives() -> None:
    settings = told(
        beamSize=3,
        partialIntervalS=0.9,
        windowOverlapMs=200,
        noSpeechThreshold=0.5,
        encoderWindowS=30,
        hotwords="[Libra, Parley]",
    )

    assert (settings.beam_size, settings.window_s, settings.window_overlap_ms) == (3, 0.9, 200)
    assert (settings.no_speech_threshold, settings.encoder_window_s) == (0.5, 30.0)
    assert settings.hotwords == ("Libra", "Parley")


@pytest.mark.parametrize(
    "wrong, problem",
    [
        ({"ENCODER_WINDOW_S": "6"}, "ENCODER_WINDOW_S"),
        ({"ENCODER_WINDOW_S": "31"}, "ENCODER_WINDOW_S"),
        ({"WINDOW_OVERLAP_MS": "-1"}, "WINDOW_OVERLAP_MS"),
        ({"NO_SPEECH_THRESHOLD": "0"}, "NO_SPEECH_THRESHOLD"),
        ({"DEVICE": "tpu"}, "DEVICE"),
        ({"RESEND_AFTER_S": "2"}, "RESEND_AFTER_S must be below FRAMES_WAIT_S"),
        ({"STALL_AFTER_S": "9"}, "STALL_AFTER_S below STALL_WAIT_S"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(wrong: dict[str, str], problem: str) -> None:
    with pytest.raises(InvalidDocumentError, match=problem):
        load_settings(AsrSettings, {**PLACES, "MODEL_NAME": "tiny.en", **wrong})
