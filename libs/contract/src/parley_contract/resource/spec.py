"""The whole: what the owner wants, under a name."""

from typing import Annotated, Final, Literal

import msgspec

from parley_contract.profiles import Profile
from parley_contract.resource.doors import Doors, Persona
from parley_contract.resource.engines import Agent, Asr, Gateway, Llm, Tts
from parley_contract.resource.parts import Name, Namespace, Part
from parley_contract.resource.surroundings import Gpu, Images, Nats, Slo, Storage, TelemetrySpec
from parley_contract.resource.turn_taking import TurnTaking
from parley_contract.services import assistant_key

API_VERSION: Final = "parley.dev/v1alpha1"
KIND: Final = "VoiceAssistant"


class Spec(Part, frozen=True, kw_only=True):
    """What the owner wants."""

    profile: Profile = "balanced"
    """A choice of models and settings for a size of machine; any other field overrides it."""
    language: Annotated[str, msgspec.Meta(pattern="^[a-z]{2,3}$", extra_json_schema={"maxLength": 3})] = "en"
    """What is spoken (ISO 639-1); it chooses voice and prompt."""
    persona: Persona = Persona()
    doors: Doors = Doors()
    max_sessions: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    """Conversations at once; more are refused with a sentence."""
    asr: Asr
    turn_taking: TurnTaking = TurnTaking()
    llm: Llm
    tts: Tts
    agent: Agent = Agent()
    gateway: Gateway = Gateway()
    gpu: Gpu
    storage: Storage = Storage()
    nats: Nats = Nats()
    telemetry: TelemetrySpec = TelemetrySpec()
    images: Images = Images()
    slo: Slo = Slo()
    suspend: bool = False
    """Stops every pod and keeps models, settings and what was said."""

    def __post_init__(self) -> None:
        model = self.asr.model
        if self.language != "en" and (model.endswith(".en") or model.startswith("distil-")):
            multilingual = "large-v3-turbo" if model.startswith("distil-") else model.removesuffix(".en")
            raise ValueError(
                f"asr.model {model} hears English only, and language is {self.language}: "
                f"name a multilingual model, such as {multilingual}"
            )
        watchdog = self.turn_taking.watchdog
        if watchdog.fail_after_s <= watchdog.hold_after_s:
            raise ValueError("turnTaking.watchdog.failAfterS must be above holdAfterS")


class Metadata(Part, frozen=True):
    """The part of Kubernetes' metadata that means something to us."""

    name: Name
    namespace: Namespace = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class VoiceAssistant(Part, frozen=True):
    """One assistant, with its profile laid under what was written."""

    api_version: Literal["parley.dev/v1alpha1"]
    kind: Literal["VoiceAssistant"]
    metadata: Metadata
    spec: Spec

    @property
    def key(self) -> str:
        """What stands for the assistant in subjects and stream names."""
        return assistant_key(self.metadata.namespace, self.metadata.name)
