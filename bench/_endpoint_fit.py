"""Fits the weights of `parley_gateway.endpointing` on pauses of which it is known how they ended. Pure.

Used by `bench/turns.py` on its training half. A pause stands for the moments at which the endpointer could have decided
in it: every `_STEP` of a silence up to where speech went on, or up to the longest wait if it did not. At each of them
the question is "has the speaker finished?", which a logistic regression answers from the same terms that
`endpointing.log_odds` adds up. With few pauses the weights stay near those that hold already.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from parley_gateway.endpointing import USUAL_PAUSE_MS, Evidence, SmartRules, Weights, audio_log_odds, needed_ms

_STEP: Final = 1.2
"""Moments of a silence lie this factor apart: its logarithm is what counts."""
_LEAST_SILENCE: Final = 0.2
"""Log-odds per doubling: a longer silence never speaks for going on, whatever a small sample says."""
_ROUNDS: Final = 50
_CLOSE: Final = 1e-9

Array = npt.NDArray[np.float64]


class LabelledPause(msgspec.Struct, frozen=True, kw_only=True):
    """One pause, and how it ended."""

    evidence: Evidence
    own_pause_ms: float | None = None
    """What was known of the speaker's pauses when it began."""
    length_ms: float | None = None
    """The silence after which the speaker went on; None if the turn was over."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would have done with some pauses."""

    taken_back: float
    """Share of the pauses within turns that would have been taken for the end, and noticed in time to go on."""
    cut_off: float
    """Share of those that would have been taken for the end for good."""
    waits_ms: tuple[float, ...]
    """Of the pauses that were the end, in their order."""


def fit(pauses: Sequence[LabelledPause], *, start: Weights, rules: SmartRules, prior: float = 1.0) -> Weights:
    """Return the weights by which the silences of `pauses` are most likely to end as they did.

    Args:
        pauses: both kinds, as often as they come in conversations; each counts the same, however long it is.
        start: what the weights stay near to.
        rules: whose bounds say in which silences there is something to decide.
        prior: how much that weighs, in pauses.

    Raises:
        ValueError: the pauses are all of one kind, so there is nothing to tell apart.
    """
    if len({pause.length_ms is None for pause in pauses}) < 2:  # noqa: PLR2004  # both kinds
        raise ValueError("pauses that end turns and pauses within turns are needed, and here is one kind alone")
    rows, finished, counts = _moments(pauses, rules)
    near = np.array([start.bias, start.audio, start.complete, start.open, start.silence])
    found = _regress(rows, finished, counts, near, prior)
    bias, audio, complete, lacking, silence = (round(float(value), 3) for value in found)
    return Weights(bias=bias, audio=audio, complete=complete, open=lacking, silence=max(_LEAST_SILENCE, silence))


def judge(
    pauses: Sequence[LabelledPause], *, endpoint_ms: float, rules: SmartRules | None, reopen_ms: float = 0.0
) -> Outcome:
    """Say what would have become of the pauses, had all evidence come in time.

    Args:
        pauses: of both kinds.
        endpoint_ms: the silence that counts without evidence.
        rules: what is tried; None for silence alone.
        reopen_ms: how long after the decision a speaker may still go on.
    """
    within: list[tuple[float, float]] = []
    waits_ms: list[float] = []
    for pause in pauses:
        known = pause.evidence, pause.own_pause_ms, endpoint_ms
        wait_ms = endpoint_ms if rules is None else needed_ms(*known, rules)
        if pause.length_ms is None:
            waits_ms.append(wait_ms)
        else:
            within.append((wait_ms, pause.length_ms))
    ended = [length_ms - wait_ms for wait_ms, length_ms in within if wait_ms < length_ms]
    count = max(1, len(within))
    cut_off = sum(more_ms > reopen_ms for more_ms in ended)
    return Outcome(taken_back=(len(ended) - cut_off) / count, cut_off=cut_off / count, waits_ms=tuple(waits_ms))


def _moments(pauses: Sequence[LabelledPause], rules: SmartRules) -> tuple[Array, Array, Array]:
    """Return terms (n, 5), whether it was the end (n,) and what each moment counts (n,): a pause counts 1 in all."""
    rows: list[list[float]] = []
    finished: list[float] = []
    counts: list[float] = []
    steps = math.floor(math.log(rules.longest_ms / rules.fastest_ms, _STEP)) + 1
    grid = [rules.fastest_ms * _STEP**step for step in range(steps)]
    for pause in pauses:
        # Who went on before anything could be decided teaches nothing about when to decide.
        silences = [silence for silence in grid if pause.length_ms is None or silence < pause.length_ms]
        for silence in silences:
            rows.append(_terms(pause, silence))
            finished.append(float(pause.length_ms is None))
            counts.append(1 / len(silences))
    return np.array(rows), np.array(finished), np.array(counts)


def _terms(pause: LabelledPause, silence_ms: float) -> list[float]:
    ending = pause.evidence.ending
    own_ms = pause.own_pause_ms or USUAL_PAUSE_MS
    doublings = math.log2(silence_ms / own_ms)
    return [1.0, audio_log_odds(pause.evidence.audio), float(ending == "complete"), float(ending == "open"), doublings]


def _regress(rows: Array, finished: Array, counts: Array, near: Array, prior: float) -> Array:
    """Maximise the weighted logistic likelihood with a Gaussian prior around `near`, by damped Newton steps."""

    def height(weights: Array) -> float:
        odds = rows @ weights
        likelihood = counts @ (finished * odds - np.logaddexp(0, odds))
        return float(likelihood - prior / 2 * np.sum((weights - near) ** 2))

    found = near.copy()
    for _ in range(_ROUNDS):
        likely = np.exp(-np.logaddexp(0, -(rows @ found)))
        slope = rows.T @ (counts * (finished - likely)) - prior * (found - near)
        curve = (rows * (counts * likely * (1 - likely))[:, np.newaxis]).T @ rows + prior * np.eye(len(near))
        step = np.linalg.solve(curve, slope)
        while height(found + step) < height(found) and float(np.abs(step).max()) > _CLOSE:
            step = step / 2
        found = found + step
        if float(np.abs(step).max()) < _CLOSE:
            break
    return np.asarray(found, np.float64)
