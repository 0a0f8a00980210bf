"""What a person makes of one turn: how long it took, and whether they were interrupted. Pure.

`_caller` observes, this judges, `turns` and `peers` add up. It knows of an assistant only what its door tells: every
time here is in ms after the annotated end of speech, negative before it, on the clock of whoever listens.

**A reply begun inside a sentence** is one whose first token or first sound came before that end. If the assistant
noticed, withdrew it and replied to all that was said, it was *taken back*; if not, it is a *false cut-off*. A line with
a false cut-off has no E2FT and no E2FA: the reply to its second half would flatter them.

**A late endpoint** was decided more than 1.5 s after the annotated end.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from _corpus import Kind, VoiceName

from parley_cli.scoring import Score, scored
from parley_contract.messages import TurnReport

LATE_MS: Final = 1500.0
_COMMITTED: Final = frozenset({"answered", "interrupted"})
"""Outcomes of turns to which the assistant replied."""


class Delta(msgspec.Struct, frozen=True):
    """A piece of the reply's text that came."""

    at_ms: float
    turn: int
    index: int


class Sound(msgspec.Struct, frozen=True):
    """The first audible sample of a phrase, when it would be heard."""

    at_ms: float
    turn: int


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What was said and what was heard of one line."""

    dialogue: str
    kind: Kind
    voice: VoiceName
    noisy: bool
    text: str
    """The words, without pauses."""
    pauses_ms: tuple[tuple[float, float], ...]
    """Where the pauses inside the line are: their beginnings and ends."""
    ended_at: float
    """Unix seconds of the annotated end of speech."""
    deltas: tuple[Delta, ...] = ()
    sounds: tuple[Sound, ...] = ()
    transcripts: tuple[str, ...] = ()
    """Of its utterances, in order."""
    reports: tuple[TurnReport, ...] = ()
    """Of the assistant's turns that began while it was said; one, if all went well."""


class TurnScore(msgspec.Struct, frozen=True, kw_only=True):
    """One line, judged."""

    kind: Kind
    noisy: bool
    e2ft_ms: float | None
    e2fa_ms: float | None
    decided_ms: float | None
    """Annotated end to the decision that the speaker has finished."""
    is_cut_off: bool
    is_taken_back: bool
    was_interrupted_aloud: bool
    """Whether a reply was heard inside the line, be it cut off or taken back."""
    words: Score

    @property
    def is_late(self) -> bool:
        """Whether the decision came too late."""
        return self.decided_ms is not None and self.decided_ms > LATE_MS

    @property
    def is_answered(self) -> bool:
        """Whether all that was said got a reply."""
        return self.e2ft_ms is not None


def judged(observed: Observed) -> TurnScore:
    """Judge one line."""
    replies = _replies(observed.deltas)
    early = {reply[0].turn for reply in replies if reply[0].at_ms < 0}
    early |= {sound.turn for sound in observed.sounds if sound.at_ms < 0}
    cut_off = {turn for turn in early if not _is_withdrawn(turn, observed, replies)}
    first = None if cut_off else _first_token(replies)
    heard = [sound.at_ms for sound in observed.sounds if first and sound.turn == first.turn and sound.at_ms >= 0]
    return TurnScore(
        kind=observed.kind,
        noisy=observed.noisy,
        e2ft_ms=first.at_ms if first else None,
        e2fa_ms=min(heard, default=None),
        decided_ms=_decided_ms(first, observed.reports) if first else None,
        is_cut_off=bool(cut_off),
        is_taken_back=not cut_off and (bool(early) or any(report.taken_back for report in observed.reports)),
        was_interrupted_aloud=any(sound.at_ms < 0 for sound in observed.sounds),
        words=scored(observed.text, " ".join(observed.transcripts), language="en"),
    )


def _replies(deltas: Iterable[Delta]) -> list[list[Delta]]:
    """Split what came into replies: a new one begins in another turn, and where the index starts again."""
    replies, latest = list[list[Delta]](), dict[int, list[Delta]]()
    for delta in deltas:
        reply = latest.get(delta.turn)
        if reply is None or delta.index <= reply[-1].index:
            reply = latest[delta.turn] = []
            replies.append(reply)
        reply.append(delta)
    return replies


def _first_token(replies: Sequence[Sequence[Delta]]) -> Delta | None:
    """Return the first token, after the end, of the reply that stood: a turn's last one, if it began anew."""
    after = [reply[0] for reply in replies if reply[0].at_ms >= 0]
    of_turn = [first for first in after if first.turn == after[0].turn]
    return of_turn[-1] if of_turn else None


def _is_withdrawn(turn: int, observed: Observed, replies: Sequence[Sequence[Delta]]) -> bool:
    """Whether what a turn said too early was taken back, and not just followed by another turn."""
    of_turn = [reply[0].at_ms for reply in replies if reply[0].turn == turn]
    if of_turn and of_turn[-1] >= 0:
        return True
    taken_back = sum(report.taken_back for report in observed.reports if report.turn == turn)
    return taken_back >= max(1, len(of_turn))


def _decided_ms(first: Delta, reports: Iterable[TurnReport]) -> float | None:
    """Return when the turn was decided: so long before its first token as the assistant itself says."""
    for report in reports:
        if report.turn == first.turn and report.e2ft_ms is not None and report.stages.endpoint_ms is not None:
            return first.at_ms - (report.e2ft_ms - report.stages.endpoint_ms)
    return None


class Speculations(msgspec.Struct, frozen=True, kw_only=True):
    """How well guessing went."""

    committed: int = 0
    """Turns that were replied to."""
    hits: int = 0
    """Of these, how many got the reply that had been begun before they ended."""
    generated_tokens: int = 0
    wasted_tokens: int = 0
    """Dropped, whether anybody saw or heard them or not."""
    unreleased_tokens: int = 0
    """Of those, what was never let out."""

    @property
    def hit_rate(self) -> float | None:
        """Committed turns served by speculation / committed turns."""
        return self.hits / self.committed if self.committed else None

    @property
    def waste(self) -> float | None:
        """Unreleased tokens / generated tokens."""
        return self.unreleased_tokens / self.generated_tokens if self.generated_tokens else None

    @property
    def dropped(self) -> float | None:
        """The same with what was let out and taken back: the price of deciding early that somebody has finished."""
        return self.wasted_tokens / self.generated_tokens if self.generated_tokens else None


def speculations(observations: Iterable[Observed]) -> Speculations:
    """Add up what the reports say of speculation."""
    reports = [report for observed in observations for report in observed.reports]
    committed = [report for report in reports if report.outcome in _COMMITTED]
    wasted = sum(report.wasted_tokens for report in reports)
    return Speculations(
        committed=len(committed),
        hits=sum(report.speculation == "hit" for report in committed),
        generated_tokens=sum(report.output_tokens for report in reports) + wasted,
        wasted_tokens=wasted,
        unreleased_tokens=sum(report.unreleased_tokens for report in reports),
    )


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpointer knew when it decided."""

    audio: float | None = None
    ending: str | None = None


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A silence as the endpointer saw it, and what it was."""

    dialogue: str
    kind: Kind
    voice: VoiceName
    noisy: bool
    length_ms: float | None
    """After so long the speaker went on; None if they had finished."""
    decided: bool
    """Whether the assistant took it for the end; only then it says by what."""
    wait_ms: float | None = None
    evidence: Evidence = Evidence()
    own_pause_ms: float | None = None


_SAME_MS: Final = 250.0
"""A gateway's last voiced sample may lie so far from the annotated one: noise hides the end of a voice."""


def pauses(observed: Observed) -> list[Pause]:
    """Return all silences of a line, the last one too, with what the reports say of them."""
    begins = [*observed.pauses_ms, (0.0, None)]
    found = []
    for begin_ms, end_ms in begins:
        report = next((r for r in observed.reports if abs(_voiced_until_ms(r, observed) - begin_ms) < _SAME_MS), None)
        endpoint = report.endpoint if report else None
        found.append(
            Pause(
                dialogue=observed.dialogue,
                kind=observed.kind,
                voice=observed.voice,
                noisy=observed.noisy,
                length_ms=None if end_ms is None else end_ms - begin_ms,
                decided=report is not None,
                wait_ms=endpoint.wait_ms if endpoint else None,
                evidence=Evidence(audio=endpoint.audio, ending=endpoint.ending or None) if endpoint else Evidence(),
                own_pause_ms=endpoint.own_pause_ms if endpoint else None,
            )
        )
    return found


def _voiced_until_ms(report: TurnReport, observed: Observed) -> float:
    return (report.started_at - observed.ended_at) * 1000 + report.speech_ms
