"""What the asr service is told, and why each thing can be told. Read from the environment by the lifecycle."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from parley_contract.resource import Speculation
from parley_contract.services import PORTS
from parley_runtime.settings import Port, ServiceSettings

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=60)]


class AsrSettings(ServiceSettings, frozen=True, kw_only=True, rename="upper"):
    """The guide's names where it has one; the rest follows the resource's `spec.asr`."""

    assistant: str = "default_asr"
    nats_url: str = ""
    """Empty: it is nobody's, and serves HTTP alone."""
    nats_seed_file: Path = Path()
    port: Port = PORTS["asr"]

    model_name: str
    """A Whisper model of the catalogue: `tiny.en`, `small`, `large-v3`."""
    compute_type: str = "int8"
    """As CTranslate2 names it; a device that cannot do it takes the nearest it can, which `/status` shows."""
    beam_size: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    """For finals; partials always take 1, because they are replaced within a second."""
    window_s: Annotated[float, msgspec.Meta(ge=0.2, le=10)] = 1.0
    """Seconds of new speech between partials (`partialIntervalS`; no window, in spite of its name)."""
    speculation: Speculation = "off"
    """From `asr` on a pause is taken for the end: what was said before it is decoded in the silence."""
    window_overlap_ms: Annotated[int, msgspec.Meta(ge=0, le=15_000)] = 120
    """Sound that successive encoder windows share where nobody paused, so that the word there is heard whole."""
    no_speech_threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.6
    """A window of which Whisper says with more than this probability that nobody speaks is silence."""
    encoder_window_s: Annotated[float, msgspec.Meta(ge=8, le=30)] = 30.0
    """What one pass of the encoder sees. 10 s is five times faster; 30 s is what every model was trained on."""
    device: Literal["cpu", "cuda", "auto"] = "auto"
    cpu_threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """0 lets CTranslate2 choose (at most 4); 1 is best beside a language model on few cores."""
    language: str = ""
    """ISO 639-1; empty lets a multilingual model detect it, which errs on short speech."""
    hotwords: tuple[str, ...] = ()
    """Names to listen for, given to the decoder as a prompt."""

    worker_shared_secret: str = ""
    """What callers of the HTTP API send as `Authorization: Bearer …`; empty lets in everybody who reaches the port."""
    max_upload_mib: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 512
    """Larger uploads are refused. They lie on disk while they are transcribed, so this times `max_uploads` must fit."""
    max_audio_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 14_400.0
    """Longer sound is refused: four hours, for which a small model on a CPU works about one."""
    max_uploads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    """Uploads and live connections at once; they take turns slice by slice, so more only make everybody wait."""

    max_utterances: Annotated[int, msgspec.Meta(ge=1, le=256)] = 16
    """Utterances followed at once; their decodes take turns, so more than speakers bring nothing."""
    resend_after_s: _Seconds = 0.1
    """How long a hole between frames is left before the gateway is asked: frames of one sender come in order."""
    resend_every_s: _Seconds = 0.25
    """Pause between two questions for the same frames."""
    frames_wait_s: _Seconds = 1.5
    """How long a hole is waited for once the utterance is closed; then silence takes its place, and that is said."""
    stall_after_s: _Seconds = 1.0
    """No frame for so long: ask whether some got lost. A door that sends nothing in silence answers with nothing."""
    stall_wait_s: _Seconds = 8.0
    """No frame and no closing frame for so long: the gateway is gone. More than any endpoint delay, and than a broker
    that hangs for 5 s, during which somebody may go on speaking."""
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=9)] = 8.0
    """How long claimed utterances may go on after SIGTERM, below the lifecycle's 10 s; then others get them."""

    def __post_init__(self) -> None:
        """Check what concerns two settings."""
        if self.nats_url and self.nats_seed_file == Path():
            raise ValueError("NATS_URL needs NATS_SEED_FILE; without both it serves HTTP alone")
        if self.window_overlap_ms >= self.encoder_window_s * 1000:
            raise ValueError("WINDOW_OVERLAP_MS must be below ENCODER_WINDOW_S")
        if self.resend_after_s >= self.frames_wait_s or self.stall_after_s >= self.stall_wait_s:
            raise ValueError("RESEND_AFTER_S must be below FRAMES_WAIT_S, and STALL_AFTER_S below STALL_WAIT_S")
