"""From a document to the typed resource: what was written, over its profile's and its language's defaults."""

from collections.abc import Mapping

import yaml

from parley_contract.errors import InvalidDocumentError
from parley_contract.profiles import LANGUAGES, PROFILES
from parley_contract.resource.spec import VoiceAssistant
from parley_contract.validation import convert_all


def load_manifest(text: str) -> VoiceAssistant:
    """Read a manifest.

    Raises:
        InvalidDocumentError: it is no YAML, or with every problem by path.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidDocumentError("the manifest is not YAML", str(error).splitlines()) from error
    except RecursionError:
        raise InvalidDocumentError("the manifest is not YAML", ["it is nested too deeply"]) from None
    except (ArithmeticError, AttributeError, LookupError, ValueError) as error:
        # PyYAML lets through what Python says to a date without a month, or to a tag such as `!!int` before no number.
        raise InvalidDocumentError(
            "the manifest is not YAML", ["a value is not of the kind that it looks like: put quotes around dates"]
        ) from error
    if not isinstance(document, Mapping):
        raise InvalidDocumentError("the manifest has problems", ["it holds no fields; expected one VoiceAssistant"])
    return resolve(document)


def resolve(document: Mapping[str, object]) -> VoiceAssistant:
    """Lay a parsed manifest over its profile's and its language's defaults and check the result.

    Raises:
        InvalidDocumentError: with every problem by path.
    """
    spec = document.get("spec", {})
    written = spec if isinstance(spec, Mapping) else {}
    profile, language = written.get("profile", "balanced"), written.get("language", "en")
    layers = (
        LANGUAGES.get(language if isinstance(language, str) else "", LANGUAGES["other"]),
        PROFILES.get(profile if isinstance(profile, str) else "", PROFILES["balanced"]),
        written,
    )
    whole: dict[str, object] = {}
    for layer in layers:
        whole = _overlay(whole, layer)
    if isinstance(spec, Mapping):
        document = {**document, "spec": whole}
    return convert_all(document, VoiceAssistant, what="the VoiceAssistant has problems")


def _overlay(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        beneath = merged.get(key)
        merged[key] = _overlay(beneath, value) if isinstance(beneath, Mapping) and isinstance(value, Mapping) else value
    return merged
