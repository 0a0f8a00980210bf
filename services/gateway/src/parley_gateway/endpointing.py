"""How long must it be silent before somebody has finished? From what is known of a pause to milliseconds. Pure.

Asked by `utterances` whenever time passes in a pause, for `endpointing: smart` alone. Four things are weighed: how
complete the speech sounded (`turn_model`, about 130 ms after the last voiced sample), whether its last words could be
all (`parley_contract.endings`, 200 to 250 ms after it), how long this speaker's pauses within turns are, and how long
the silence lasts already. Each adds to the log-odds that the speaker has finished; what is asked for is the silence at
which they are sure enough. Decision 0011 says where the numbers come from. What comes after the end of a pause, comes
too late: that is for `utterances` to see.
"""

import math
from typing import Annotated, Final

import msgspec

from parley_contract.endings import Ending

USUAL_PAUSE_MS: Final = 400.0
"""Of a speaker who did not pause yet."""
_LONGER: Final = 0.5
_SHORTER: Final = 0.1
"""A speaker's pauses are learned upwards fast and downwards slowly: it is the long ones that get people cut short."""
_OWN_MS: Final = (200.0, 1200.0)
_UNFINISHED: Final = 0.2
"""Below, a turn sounds unfinished though its words are complete. Below 0.5, where the model was trained to tell them
apart, lies a third of all whole sentences (decision 0011)."""
_SUREST: Final = 0.05
"""The audio model is never believed to be surer than 5 to 95 %: far less of what it says so is true."""

Ms = Annotated[int, msgspec.Meta(ge=0, le=60_000)]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a pause so far."""

    audio: float | None = None
    """How complete the turn sounded, in [0, 1]; None until it is known."""
    ending: Ending | None = None
    """What its last words say; None until they are known."""


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What makes up the log-odds (natural) that a speaker has finished. `bench` fits them on labelled pauses."""

    bias: float = 1.1
    """In a silence as long as this speaker's pauses, with nothing else known."""
    audio: float = 0.3
    """Per log-odds of the audio model."""
    complete: float = 1.5
    open: float = -2.0
    silence: float = 1.5
    """Per doubling of the silence, measured in the speaker's own pauses."""


class SmartRules(msgspec.Struct, frozen=True, kw_only=True):
    """What `endpointing: smart` may do with a pause. Notes of the field: 250 to 350 ms and 1.2 to 2.0 s."""

    weights: Weights = Weights()
    sure: float = 2.0
    """Log-odds at which the turn is over: one in eight goes on, and is taken up again as long as it can be reopened."""
    fastest_ms: Ms = 250
    """No turn ends sooner: the words of a pause are known 170 to 250 ms after it began."""
    complete_ms: Ms = 300
    """A complete sentence waits no longer than this, unless it sounded unfinished; and all else no shorter."""
    longest_ms: Ms = 2000
    """No turn ends later, whatever is missing."""


def log_odds(evidence: Evidence, silence_ms: float, own_pause_ms: float | None, weights: Weights) -> float:
    """Return the log-odds that a speaker has finished who has been silent for so long."""
    doublings = math.log2(silence_ms / (own_pause_ms or USUAL_PAUSE_MS))
    return _of_evidence(evidence, weights) + weights.silence * doublings


def needed_ms(evidence: Evidence, own_pause_ms: float | None, endpoint_ms: float, rules: SmartRules) -> float:
    """Return the silence after which the speaker has finished, by what is known so far.

    Args:
        evidence: of this pause.
        own_pause_ms: as `learned` keeps it; None while this speaker has not paused.
        endpoint_ms: what holds without evidence. Only words that lack others make anybody wait longer.
        rules: weights and bounds.
    """
    if evidence.audio is None and evidence.ending is None:
        return endpoint_ms
    missing = rules.sure - _of_evidence(evidence, rules.weights)
    wanted_ms = (own_pause_ms or USUAL_PAUSE_MS) * 2 ** min(8.0, missing / rules.weights.silence)
    match evidence.ending:
        case "open":
            return min(max(wanted_ms, endpoint_ms), max(rules.longest_ms, endpoint_ms))
        case "complete":
            sounds_unfinished = evidence.audio is not None and evidence.audio < _UNFINISHED
            latest_ms = endpoint_ms if sounds_unfinished else rules.complete_ms
            return min(max(wanted_ms, rules.fastest_ms), latest_ms, endpoint_ms)
        case _:
            return min(max(wanted_ms, rules.complete_ms), endpoint_ms)


def learned(own_pause_ms: float | None, pause_ms: float) -> float:
    """Return how long a speaker's pauses are, after one more within a turn."""
    known_ms = USUAL_PAUSE_MS if own_pause_ms is None else own_pause_ms
    shortest_ms, longest_ms = _OWN_MS
    share = _LONGER if pause_ms > known_ms else _SHORTER
    return min(longest_ms, max(shortest_ms, known_ms + share * (pause_ms - known_ms)))


def audio_log_odds(audio: float | None) -> float:
    """Return what the audio model says as log-odds, as far as it is believed; 0 if it said nothing."""
    if audio is None:
        return 0.0
    believed = min(1 - _SUREST, max(_SUREST, audio))
    return math.log(believed / (1 - believed))


def _of_evidence(evidence: Evidence, weights: Weights) -> float:
    by_words = {"complete": weights.complete, "open": weights.open}
    return weights.bias + weights.audio * audio_log_odds(evidence.audio) + by_words.get(evidence.ending or "", 0.0)
