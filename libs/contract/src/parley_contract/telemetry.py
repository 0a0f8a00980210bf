"""Telemetry is vocabulary: every span name, attribute key and metric name, once. The SDK lives in parley_runtime.

Names follow notes of the field: GenAI semantic conventions for the model call, `gen_ai.conversation.id` for the
session. Nothing a person said is ever a name, a label or an attribute, but for keys below `PRIVATE`.
"""

from typing import Final, Literal

import msgspec

# Spans of one turn, in the order in which they usually begin. One trace is one turn.
TURN: Final = "turn"
USER_SPEAKING: Final = "user_speaking"
ENDPOINTING: Final = "endpointing"
TRANSCRIPTION: Final = "transcription"
TRANSCRIPTION_QUEUE: Final = "transcription.queue"
TRANSCRIPTION_FRAMES: Final = "transcription.frames"
TRANSCRIPTION_DECODE: Final = "transcription.decode"
TRANSCRIPTION_REQUEST: Final = "transcription.request"
"""A trace of its own: an upload to the transcription API."""
AGENT_TURN: Final = "agent_turn"
CHAT: Final = "chat"
"""Completed by the model's name: `chat smollm2:135m`."""
E2FT: Final = "e2ft"
REPLY_HELD: Final = "reply.held"
"""A reply begun early: from the question to the model until it was let out."""
REPLY_TAKEN_BACK: Final = "reply.taken_back"
"""From when a reply was let out until its speaker went on after all."""
FIRST_PHRASE: Final = "first_phrase"
PHRASE_CREDIT: Final = "phrase.credit"
SYNTHESIS: Final = "synthesis"
SYNTHESIS_QUEUE: Final = "synthesis.queue"
PLAYBACK_WAIT: Final = "playback.wait"
PLAYBACK: Final = "playback"
PLAYBACK_GAVE_WAY: Final = "playback.gave_way"
"""While somebody spoke over a reply, until it went on or was over."""

# Attributes.
SESSION: Final = "gen_ai.conversation.id"
TURN_NUMBER: Final = "turn.number"
TURN_REVISION: Final = "turn.revision"
TURN_OUTCOME: Final = "turn.outcome"
UTTERANCE: Final = "parley.utterance"
PHRASE: Final = "parley.phrase"
ATTEMPT: Final = "parley.attempt"
SPECULATIVE: Final = "parley.speculative"
"""Whether the model was asked before it was certain that the speaker had finished."""
AUDIO_S: Final = "parley.audio_s"
RTF: Final = "parley.real_time_factor"
ENGINE: Final = "parley.engine"
FIRST_AUDIO_S: Final = "parley.first_audio_s"
CONFIGURED_MS: Final = "parley.configured_ms"
"""On a wait: the value it was configured to."""
ENDPOINT_WAIT_MS: Final = "parley.endpoint.wait_ms"
"""The silence that it took until a speaker was held to have finished, and by what that was decided:"""
ENDPOINT_AUDIO: Final = "parley.endpoint.audio"
"""how complete the turn sounded, in [0, 1],"""
ENDPOINT_ENDING: Final = "parley.endpoint.ending"
"""what its last words say (`complete`, `open`, `unclear`),"""
ENDPOINT_OWN_PAUSE_MS: Final = "parley.endpoint.own_pause_ms"
"""and how long this speaker's pauses within turns are."""
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
PRIVATE: Final = "parley.private."
"""Prefix of attributes that carry speech; set only when `captureText` is on, so that a collector can strip them."""

TRACEPARENT: Final = "traceparent"
"""W3C trace context header, in every message but frames."""

TURN_BUCKETS_S: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
STAGE_BUCKETS_S: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument, named below `parley_`. Prometheus adds `_seconds` to a histogram and `_total` to a counter."""

    name: str
    kind: Literal["histogram", "counter", "gauge"]
    unit: str
    description: str
    buckets: tuple[float, ...] = ()


def _seconds(name: str, description: str, buckets: tuple[float, ...] = STAGE_BUCKETS_S) -> Metric:
    return Metric(name=name, kind="histogram", unit="s", description=description, buckets=buckets)


def _counter(name: str, description: str) -> Metric:
    return Metric(name=name, kind="counter", unit="1", description=description)


def _gauge(name: str, description: str, unit: str = "1") -> Metric:
    return Metric(name=name, kind="gauge", unit=unit, description=description)


TURN_E2FT: Final = _seconds("parley_turn_e2ft", "Last voiced sample to the model's first token.", TURN_BUCKETS_S)
TURN_E2FA: Final = _seconds("parley_turn_e2fa", "Last voiced sample to the first audible sample.", TURN_BUCKETS_S)
TURN_STAGE: Final = _seconds("parley_turn_stage", "Time of one stage of a turn, by stage.")
TURNS: Final = _counter("parley_turns", "Turns by outcome and reason.")
SESSIONS: Final = _gauge("parley_sessions", "Open sessions.")
FRAMES: Final = _counter("parley_frames", "Audio frames by direction.")
FRAMES_DROPPED: Final = _counter("parley_frames_dropped", "Audio frames thrown away, by reason.")
UNDERRUNS: Final = _counter("parley_playback_underruns", "Times a reply ran dry while it was played.")
VOICE_PACKETS: Final = _counter(
    "parley_voice_packets",
    "Packets of speakers by door and state (received, decrypted, failed, late, lost, concealed, decoded, broken).",
)
VOICE_REMEDIES: Final = _counter(
    "parley_voice_remedies",
    "What was done because speakers could not be heard, by door and remedy (recover, rejoin, tell).",
)
PACING_LATE: Final = _seconds(
    "parley_playback_late",
    "How much later than due a frame was sent, by door.",
    (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05),
)
ASR_DECODE: Final = _seconds("parley_asr_decode", "One decode, by kind (final, candidate, partial, upload).")
ASR_QUEUE: Final = _seconds("parley_asr_queue", "Waiting for the decoder, by kind.")
ASR_PARTIALS_SHED: Final = _counter("parley_asr_partials_shed", "Partials left out because the decoder was busy.")
ASR_UTTERANCES: Final = _counter("parley_asr_utterances", "Utterances by outcome.")
ASR_AUDIO: Final = _counter("parley_asr_audio_seconds", "Seconds of speech transcribed.")
ASR_REQUESTS: Final = _counter("parley_asr_requests", "Requests to the transcription API, by route and outcome.")
LLM_FIRST_TOKEN: Final = _seconds("parley_llm_first_token", "Request to first token.")
LLM_TOKENS: Final = _counter("parley_llm_tokens", "Tokens by type (input, output).")
LLM_REQUESTS: Final = _counter("parley_llm_requests", "Requests to the language model by outcome.")
TURN_SPECULATIONS: Final = _counter(
    "parley_turn_speculations", "Turns whose reply was begun early, by outcome (hit, miss)."
)
LLM_WASTED: Final = _counter(
    "parley_llm_wasted_tokens", "Tokens written and dropped because a speaker went on, by fate (held, taken_back)."
)
TTS_FIRST_AUDIO: Final = _seconds("parley_tts_first_audio", "Phrase claimed to its first frame.")
TTS_SYNTHESIS: Final = _seconds("parley_tts_synthesis", "Phrase claimed to its last frame.")
TTS_QUEUE: Final = _seconds("parley_tts_queue", "Phrase sent to phrase claimed.")
TTS_PHRASES: Final = _counter("parley_tts_phrases", "Phrases by engine and outcome.")
BUS_MALFORMED: Final = _counter("parley_bus_malformed", "Messages that could not be read, dead-lettered.")
BUS_UNKNOWN: Final = _counter("parley_bus_unknown", "Messages of a kind this version does not know.")
BUS_RECONNECTS: Final = _counter("parley_bus_reconnects", "Times the connection to the broker came back.")
BUS_DROPPED: Final = _counter("parley_bus_dropped", "Messages dropped because a reader was too slow.")

METRICS: Final[tuple[Metric, ...]] = tuple(value for value in globals().values() if isinstance(value, Metric))
"""Every metric there is."""
