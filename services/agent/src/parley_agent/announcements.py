"""What the reducer decided to say, as messages of the bus. Pure; `worker` sends them."""

from typing import NamedTuple

from parley_agent import turn_events
from parley_agent.engines import Usage
from parley_agent.turn_events import Said
from parley_contract.messages import (
    PhraseReady,
    ReplyDelta,
    ReplyEnded,
    ReplyStarted,
    SynthesizePhrase,
    TurnDismissed,
    TurnFields,
    TurnInterrupted,
    TurnMessage,
    TurnReport,
)
from parley_contract.subjects import Subjects


class Announcement(NamedTuple):
    """A message, where it goes, and the id under which the stream keeps it once; None sends it at most once."""

    subject: str
    message: TurnMessage
    message_id: str | None


class Speaker(NamedTuple):
    """On whose behalf things are said."""

    subjects: Subjects
    session: str
    epoch: int
    language: str
    model: str


def announce(effect: Said, speaker: Speaker, *, usage: Usage, at: float) -> Announcement:
    """Put an effect into words.

    Args:
        effect: what to say.
        speaker: the session it is about.
        usage: tokens of the turn's generation, for ReplyEnded.
        at: Unix seconds, for the figure of how long a phrase waited.
    """
    fence = TurnFields(session=speaker.session, epoch=speaker.epoch, turn=effect.turn, revision=effect.revision)
    message, kept_as = _message(effect, fence, speaker, usage, at)
    match message:
        case SynthesizePhrase():
            subject = speaker.subjects.phrase_work(speaker.session, effect.turn)
        case TurnReport():
            subject = speaker.subjects.turn(speaker.session, effect.turn)
        case _:
            subject = speaker.subjects.reply(speaker.session, effect.turn)
    prefix = f"{speaker.session}-{speaker.epoch}-{effect.turn}"
    if not isinstance(message, TurnReport):
        prefix += f"-{effect.revision}"
    return Announcement(subject, message, f"{prefix}-{kept_as}" if kept_as else None)


def _message(
    effect: Said, fence: TurnFields, speaker: Speaker, usage: Usage, at: float
) -> tuple[TurnMessage, str | None]:
    match effect:
        case turn_events.SayReplyStarted():
            started = ReplyStarted(
                **fence, utterance=effect.utterance, covers_seq=effect.covers_seq, early=effect.is_early
            )
            return started, f"started-{effect.utterance}-{effect.covers_seq}"
        case turn_events.SayDelta():
            return ReplyDelta(**fence, index=effect.index, text=effect.text), None
        case turn_events.SayPhrase():
            return PhraseReady(**fence, phrase=effect.phrase, text=effect.text), f"phrase-{effect.phrase}"
        case turn_events.Synthesize():
            work = SynthesizePhrase(
                **fence,
                phrase=effect.phrase,
                text=effect.text,
                language=speaker.language,
                sent_at=at,
            )
            return work, f"work-{effect.phrase}"
        case turn_events.SayReplyEnded():
            ended = ReplyEnded(
                **fence,
                phrases=effect.phrases,
                outcome=effect.outcome,
                reason=effect.reason,
                detail=effect.detail,
                model=speaker.model,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                wasted_tokens=effect.wasted_tokens,
            )
            return ended, "ended"
        case turn_events.Dismiss():
            return TurnDismissed(
                **fence, outcome=effect.outcome, reason=effect.reason, detail=effect.detail
            ), "dismissed"
        case turn_events.SayInterrupted():
            return TurnInterrupted(**fence, reason=effect.reason), "interrupted"
        case turn_events.AccountFor():
            report = TurnReport(
                **fence,
                speaker=effect.speaker,
                outcome="failed",
                reason=effect.reason,
                started_at=at - effect.age_s,
                speech_ms=0.0,
            )
            # Under the gateway's own id: should its report be there after all, this one changes nothing.
            return report, "report"
