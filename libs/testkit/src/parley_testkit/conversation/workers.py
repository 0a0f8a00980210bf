"""Asr and tts as they may be at worst: they answer late or twice, fail, forget, or die in the middle."""

from collections.abc import Sequence

from msgspec.structs import replace

from parley_contract.frames import FRAME_SAMPLES, Flag, Frame
from parley_contract.messages import (
    CandidateTranscript,
    FinalTranscript,
    PhraseFailed,
    PhraseSynthesized,
    SynthesizePhrase,
    TranscribeUtterance,
    TurnFields,
    UtteranceEnded,
)
from parley_testkit.conversation import broker
from parley_testkit.conversation.listener import pcm_of
from parley_testkit.conversation.situations import SESSION, Situation
from parley_tts.fences import Fences


def asr_does(here: Situation, verb: str, utterance: str, rest: Sequence[str]) -> None:
    """Let an utterance be transcribed, or not."""
    [(asked, attempt)] = [each for each in here.asr if each[0].utterance == utterance]
    if verb == "anticipates":
        _anticipate(here, asked, int(rest[0]), attempt)
        return
    here.asr = tuple(other for other in here.asr if other[0] is not asked)
    if verb == "dies-having-transcribed":
        here.spend(crashes=1)
        here.asr += ((asked, attempt + 1),)
    elif verb != "transcribes":
        here.spend(refusals=1)
    if verb == "forgets":
        return
    final = FinalTranscript(
        session=SESSION,
        epoch=asked.epoch,
        turn=asked.turn,
        utterance=utterance,
        speaker=asked.speaker,
        outcome="speech",
        text=_said(asked, _voiced_until(here, utterance), attempt),
        last_seq=9,
    )
    match verb:
        case "fails":
            final = replace(final, outcome="failed", text="", reason="it broke")
        case "finds-nothing-in":
            final = replace(final, outcome="silence", text="")
        case _:
            pass
    broker.keep(here, "asr", final, f"{utterance}-final")


def _voiced_until(here: Situation, utterance: str) -> int:
    ends = (e for e in here.record.events if isinstance(e, UtteranceEnded) and e.utterance == utterance)
    return next((ended.voiced_seq or 0 for ended in ends), 0)


def _anticipate(here: Situation, asked: TranscribeUtterance, seq: int, attempt: int) -> None:
    here.anticipated |= {(asked.utterance, seq)}
    candidate = CandidateTranscript(
        session=SESSION,
        epoch=asked.epoch,
        turn=asked.turn,
        utterance=asked.utterance,
        speaker=asked.speaker,
        text=_said(asked, seq, attempt),
        covers_seq=seq,
    )
    broker.keep(here, "asr", candidate, f"{asked.utterance}-{seq}-{attempt}-candidate")


def tts_does(here: Situation, verb: str, rest: Sequence[str]) -> None:
    """Let the phrase that waits longest be spoken, or not."""
    (asked, attempt), *others = here.tts
    here.tts = tuple(others)
    if verb in {"fails", "forgets"}:
        here.spend(refusals=1)
    dies_early, dies = rest == ["speaking"], verb == "dies"
    if dies:
        here.spend(crashes=1)
        here.tts = ((asked, attempt + 1), *here.tts)
    if verb == "forgets" or _is_stale(here, asked):
        return
    fence = TurnFields(session=SESSION, epoch=asked.epoch, turn=asked.turn, revision=asked.revision)
    if verb == "fails":
        broker.keep(here, "tts", PhraseFailed(**fence, phrase=asked.phrase, reason="it broke"), _outcome_id(asked))
        return
    _send(here, asked, attempt, 1 if dies_early else here.frames + 1)
    if not dies_early:
        done = PhraseSynthesized(
            **fence, phrase=asked.phrase, frames=here.frames, engine="toy", first_audio_s=0.0, synthesis_s=0.0
        )
        broker.keep(here, "tts", done, _outcome_id(asked))


def _is_stale(here: Situation, asked: SynthesizePhrase) -> bool:
    fences = Fences()
    for message in here.learned:
        fences.learn(message)
    return fences.is_stale(asked)


def _send(here: Situation, asked: SynthesizePhrase, attempt: int, frames: int) -> None:
    for sequence in range(frames):
        is_end = sequence == here.frames
        frame = Frame(
            sequence=sequence,
            media_samples=sequence * FRAME_SAMPLES,
            pcm=b"" if is_end else pcm_of(asked.turn, asked.revision, asked.phrase, attempt, sequence),
            epoch=asked.epoch,
            revision=asked.revision,
            attempt=attempt,
            flags=Flag.END if is_end else Flag.NONE,
        )
        broker.enqueue(here, ("gateway", "tts", "voice", str(asked.turn), str(asked.phrase)), frame)


def _said(asked: TranscribeUtterance, voiced_seq: int, attempt: int) -> str:
    return f"{asked.epoch}-{asked.turn}-{asked.utterance}-{voiced_seq}-{attempt}"


def _outcome_id(asked: SynthesizePhrase) -> str:
    return f"{asked.epoch}-{asked.turn}-{asked.revision}-phrase-{asked.phrase}"
