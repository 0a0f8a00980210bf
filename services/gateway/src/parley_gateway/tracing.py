"""What can be seen of a turn: its trace from the first voiced sample to the end of playback, its figures, its log line.

Used by `turn_keeping`. The root's context travels in the headers of everything the gateway says about the turn, so that
all other processes' spans lie below it. Decides nothing, and knows nothing of what was said.
"""

from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from parley_contract import telemetry as words
from parley_contract.messages import Endpoint, TurnReport
from parley_contract.reasons import label
from parley_gateway.reports import Moments
from parley_runtime.telemetry import Attributes, Carrier, Span, Telemetry, trace_id_of

log: Final = structlog.get_logger()

_NOWHERE: Final[Carrier] = {}


class TurnTraces:
    """The open turns of one session."""

    def __init__(self, telemetry: Telemetry, session: str, *, endpoint_ms: int, take_up_after_s: float) -> None:
        """Trace turns of `session`; the others are what its waits are configured to."""
        self._telemetry = telemetry
        self._session = session
        self._endpoint_ms = endpoint_ms
        self._take_up_after_ms = round(1000 * take_up_after_s)
        self._roots: dict[int, Span] = {}
        self._begun: dict[int, float] = {}

    def begin(self, turn: int, began_at: float) -> None:
        """Open a turn's root, back to its first voiced sample; a turn that is open stays as it is."""
        if turn not in self._roots:
            attributes: Attributes = {words.SESSION: self._session, words.TURN_NUMBER: turn}
            # An empty parent: a turn is a trace of its own, whatever span happens to be current.
            self._roots[turn] = self._telemetry.start(
                words.TURN, parent=_NOWHERE, attributes=attributes, start_s=began_at
            )

    def reply_began(self, turn: int, now: float) -> None:
        """Somebody asked the model about an open turn; the latest question counts."""
        if turn in self._roots:
            self._begun[turn] = now

    def headers(self, turn: int) -> Carrier:
        """Return what makes the receiver of a message a child of the turn."""
        root = self._roots.get(turn)
        return self._telemetry.carrier(root) if root else _NOWHERE

    def end(self, report: TurnReport, moments: Moments, now: float) -> TurnReport:
        """Draw the stages, close the root, and return the report with its trace id."""
        root, begun_at = self._roots.pop(report.turn, None), self._begun.pop(report.turn, None)
        if root is None:
            return report
        parent = self._telemetry.carrier(root)
        waited = {words.CONFIGURED_MS: self._endpoint_ms, **_decided_by(report.endpoint)}
        self._past(words.USER_SPEAKING, moments.began_at, moments.voiced_until, parent)
        self._past(words.ENDPOINTING, moments.voiced_until, moments.decided_at, parent, waited)
        self._past(words.E2FT, moments.voiced_until, moments.first_token_at, parent)
        if report.speculation == "hit":
            self._past(words.REPLY_HELD, begun_at, moments.first_token_at, parent)
        self._past(words.PLAYBACK_WAIT, moments.first_frame_at, moments.sounded_at, parent)
        self._past(words.PLAYBACK, moments.played_from, now, parent)
        for start_s, end_s in moments.taken_back:
            self._past(words.REPLY_TAKEN_BACK, start_s, end_s, parent)
        for start_s, end_s in moments.gave_way:
            waited = {words.CONFIGURED_MS: self._take_up_after_ms}
            self._past(words.PLAYBACK_GAVE_WAY, start_s, end_s, parent, waited)
        root.set_attribute(words.TURN_REVISION, report.revision)
        root.set_attribute(words.TURN_OUTCOME, report.outcome)
        root.end(end_time=self._telemetry.wall_ns(now))
        return replace(report, trace_id=trace_id_of(root))

    def _past(
        self,
        name: str,
        start_s: float | None,
        end_s: float | None,
        parent: Carrier,
        attributes: Attributes | None = None,
    ) -> None:
        if start_s is not None and end_s is not None and end_s >= start_s:
            self._telemetry.past(name, start_s, end_s, parent=parent, attributes=attributes)


def _decided_by(endpoint: Endpoint | None) -> Attributes:
    """Return what the endpointer decided by, as far as it knew it."""
    if endpoint is None:
        return {}
    known = {
        words.ENDPOINT_WAIT_MS: endpoint.wait_ms,
        words.ENDPOINT_AUDIO: endpoint.audio,
        words.ENDPOINT_ENDING: endpoint.ending or None,
        words.ENDPOINT_OWN_PAUSE_MS: endpoint.own_pause_ms,
    }
    return {name: value for name, value in known.items() if value is not None}


def account(telemetry: Telemetry, report: TurnReport) -> None:
    """Count the turn and leave its log line: figures and reasons, never what was said."""
    telemetry.record(words.TURNS, outcome=report.outcome, reason=label(report.reason))
    if report.e2ft_ms is not None:
        telemetry.record(words.TURN_E2FT, report.e2ft_ms / 1000)
    if report.e2fa_ms is not None:
        telemetry.record(words.TURN_E2FA, report.e2fa_ms / 1000)
    if report.underruns:
        telemetry.record(words.UNDERRUNS, report.underruns)
    if report.speculation:
        telemetry.record(words.TURN_SPECULATIONS, outcome=report.speculation)
    for fate, count in (
        ("held", report.unreleased_tokens),
        ("taken_back", report.wasted_tokens - report.unreleased_tokens),
    ):
        if count:
            telemetry.record(words.LLM_WASTED, count, fate=fate)
    stages: dict[str, float | None] = msgspec.structs.asdict(report.stages)
    for name, duration_ms in stages.items():
        if duration_ms is not None:
            telemetry.record(words.TURN_STAGE, duration_ms / 1000, stage=name.removesuffix("_ms"))
    log.info(
        "turn over",
        session=report.session,
        turn=report.turn,
        outcome=report.outcome,
        reason=report.reason,
        detail=report.detail,
        E2FT_ms=report.e2ft_ms,
        E2FA_ms=report.e2fa_ms,
        **stages,
        played_ms=report.played_ms,
        underruns=report.underruns,
        speculation=report.speculation,
        taken_back=report.taken_back,
        trace_id=report.trace_id,
    )
