"""Every way a turn can end, as a code: the label of a metric, and a sentence for the owner who asks why.

Said in TurnReport, TurnDismissed, ReplyEnded and TurnInterrupted as a plain string, so that a newer version may add a
code; `sentence` has words for the codes that this version knows. What a service adds in its own words is `detail`.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

Reason = Literal[
    "",
    "silence",
    "client",
    "speech",
    "closed",
    "transcript_failed",
    "no_transcript",
    "model_failed",
    "model_missing",
    "no_reply",
    "empty_reply",
    "voice_failed",
    "no_voice",
    "reply_stopped",
    "agent_died",
    "gateway_died",
]
"""Empty for a turn that was answered."""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

_SENTENCES: Final[Mapping[str, str]] = {
    "silence": "nothing was said that could be understood",
    "client": "the listener stopped it",
    "speech": "somebody spoke on",
    "closed": "the listener left",
    "transcript_failed": "the speech could not be transcribed: see the log of asr",
    "no_transcript": "no transcript came in time: is asr running, and does it keep up? See `parley status`",
    "model_failed": "the language model broke off: see the logs of agent and Ollama",
    "model_missing": "the language model is not there: pull it with `parley models pull`, or name another one",
    "no_reply": "no word of the model came in time: does Ollama hang, is an agent running? See `parley status`",
    "empty_reply": "the model said nothing",
    "voice_failed": "no engine could speak the reply: see the log of tts",
    "no_voice": "no sound of the reply came in time: is tts running? See `parley status`",
    "reply_stopped": "the reply stopped in the middle: see the logs of agent and tts",
    "agent_died": "the agent died while it replied; what it had said already was played",
    "gateway_died": "the gateway died while somebody spoke or listened; the session goes on",
}


def label(reason: str) -> str:
    """Return a reason as a metric's label: one of those known here, or `other`."""
    return reason if reason in REASONS else "other"


def sentence(reason: str) -> str:
    """Say why a turn ended, and what to do; a code of a newer version stands for itself."""
    return _SENTENCES.get(reason, reason)
