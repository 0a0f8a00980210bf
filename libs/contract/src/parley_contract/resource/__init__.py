"""The VoiceAssistant: one typed model behind the CRD, the operator and `parley up`.

`load_manifest` is the way in: it lays what was written over the profile and the language's defaults and checks the
result. Fields that a profile or the language governs have no default here, so that a schema made of this model has
none either. Wire names are camelCase; bounds are the schema's bounds; the sentence under a field is its description in
`kubectl explain`. `doors` has the ways in, `engines` who hears, thinks and speaks, `turn_taking` who speaks when,
`surroundings` the card, volumes, broker and images; `status` is what the operator reports.
"""

from parley_contract.resource.doors import DiscordDoor, DiscordEndpoint, Doors, Persona, WebDoor, WebIngress
from parley_contract.resource.engines import Agent, Asr, Device, Gateway, Llm, Ollama, Tts
from parley_contract.resource.loading import load_manifest, resolve
from parley_contract.resource.parts import Part, Quantity, Resources, SecretKeyRef, SecretRef
from parley_contract.resource.spec import API_VERSION, KIND, Metadata, Spec, VoiceAssistant
from parley_contract.resource.surroundings import (
    Gpu,
    Images,
    ModelCache,
    Nats,
    Slo,
    Storage,
    TelemetrySpec,
    Toleration,
)
from parley_contract.resource.turn_taking import BargeIn, Speculation, TurnTaking, Watchdog

__all__ = [
    "API_VERSION",
    "KIND",
    "Agent",
    "Asr",
    "BargeIn",
    "Device",
    "DiscordDoor",
    "DiscordEndpoint",
    "Doors",
    "Gateway",
    "Gpu",
    "Images",
    "Llm",
    "Metadata",
    "ModelCache",
    "Nats",
    "Ollama",
    "Part",
    "Persona",
    "Quantity",
    "Resources",
    "SecretKeyRef",
    "SecretRef",
    "Slo",
    "Spec",
    "Speculation",
    "Storage",
    "TelemetrySpec",
    "Toleration",
    "Tts",
    "TurnTaking",
    "VoiceAssistant",
    "Watchdog",
    "WebDoor",
    "WebIngress",
    "load_manifest",
    "resolve",
]
