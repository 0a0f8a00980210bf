"""What can happen now, by the names that `world` knows: what processes and people do, and what may go wrong. Pure."""

from typing import Final

from parley_contract.frames import Frame
from parley_contract.messages import (
    CandidateTranscript,
    InterruptTurn,
    ReplyDelta,
    SegmentEnded,
    SegmentStarted,
    UtteranceEnded,
)
from parley_testkit.conversation.situations import Situation
from parley_testkit.conversation.wiring import LISTENERS, subscription

_UNRECORDED: Final = (Frame, InterruptTurn, ReplyDelta, CandidateTranscript, SegmentStarted)
"""What may be lost on its way."""


def usual(here: Situation) -> list[str]:
    """Return what happens without any misfortune; what a quiet machine would do first stands first."""
    if here.outbox and not here.is_order_of_record_felt:
        # It only makes more possible, so doing it later leads nowhere else.
        return ["gateway records"]
    able = [*of_processes(here), *deliveries(here, "deliver")]
    if here.due() is not None and (not able or here.may.delays):
        able.append("time passes")
    return [*able, *_of_people(here)]


def _of_people(here: Situation) -> list[str]:
    if here.gateway is None:
        return []
    if here.is_away:
        return ["person returns"]
    able = []
    for mouth in here.mouths:
        who = mouth.speaker
        if mouth.is_speaking:
            able.append(f"{who} stops speaking")
            if mouth.person.breaths:
                able.append(f"{who} speaks on")
            if mouth.is_pausing:
                able.append(f"{who} continues")
            elif mouth.person.pauses:
                able.append(f"{who} pauses")
        else:
            able += [f"{who} speaks"] if mouth.person.questions else []
    first = here.mouths[0]
    able += ["person wants quiet"] if here.gateway.turns and first.person.interrupts and not first.is_speaking else []
    able += ["person leaves"] if first.person.absences else []
    return [*able, *(["person says goodbye"] if first.person.says_goodbye else [])]


def of_processes(here: Situation) -> list[str]:
    """Return what the processes can do, beside taking in what waits for them."""
    able = []
    if here.agent is None:
        able.append("agent takes over")
    elif here.gateway is None and not here.is_closed:
        able.append("gateway resumes")
    if here.outbox:
        able.append("gateway records")
    able += [f"asr transcribes {utterance}" for utterance in _heard(here)]
    able += [f"asr anticipates {utterance} {seq}" for utterance, seq in _pauses(here)]
    if here.agent is not None:
        able += [f"model goes on with {turn}" for turn, events in here.generations.items() if events]
    if here.tts:
        able.append("tts speaks")
    return able


def _heard(here: Situation) -> list[str]:
    ended = {event.utterance for event in here.record.events if isinstance(event, UtteranceEnded)}
    return [asked.utterance for asked, _ in here.asr if asked.utterance in ended]


def _pauses(here: Situation) -> list[tuple[str, int]]:
    running = {asked.utterance for asked, _ in here.asr} - set(_heard(here))
    pauses = {e.utterance: e.last_seq for e in here.record.events if isinstance(e, SegmentEnded)}
    return [pause for pause in pauses.items() if pause[0] in running and pause not in here.anticipated]


def deliveries(here: Situation, verb: str, *, lost: bool = False) -> list[str]:
    """Return what can be done with what waits; only what is not recorded can be `lost`."""
    return [
        f"{verb} {' '.join(key)}"
        for key, queue in here.queues.items()
        if queue and (not lost or isinstance(queue[0], _UNRECORDED))
    ]


def misfortunes(here: Situation) -> list[str]:
    """Return what may go wrong."""
    found: list[str] = []
    if here.may.crashes:
        if here.agent is not None:
            found.append("agent dies")
            found += [f"{move}, agent dies after {n}" for move in _of_agents(here) for n in (0, 1, 2)]
        found += ["gateway dies"] if here.gateway is not None else []
        found += [f"asr dies-having-transcribed {utterance}" for utterance in _heard(here)]
        found += ["tts dies speaking", "tts dies before it acknowledges"] if here.tts else []
    if here.may.losses:
        found += deliveries(here, "lose", lost=True)
    if here.may.repetitions:
        found += deliveries(here, "repeat")
    if here.may.echoes:
        found += [
            f"echo {receiver} {number}"
            for number, event in enumerate(here.record.events)
            for receiver in LISTENERS[subscription(event)[0]]
            if (here.agent if receiver == "agent" else receiver == "tts" or here.gateway)
        ]
    if here.may.refusals:
        found += [f"asr {how} {asked.utterance}" for asked, _ in here.asr for how in ("fails", "forgets")]
        found += [f"asr finds-nothing-in {utterance}" for utterance in _heard(here)]
        running = [turn for turn, events in here.generations.items() if events]
        found += [f"model {how} {turn}" for turn in running for how in ("fails", "hangs", "breaks-off")]
        found += [f"model refuses {turn}" for turn in here.generations if turn in here.guesses]
        found += ["tts fails", "tts forgets"] if here.tts else []
    return found


def _of_agents(here: Situation) -> list[str]:
    return [
        *(f"model goes on with {turn}" for turn, events in here.generations.items() if events),
        *(move for move in deliveries(here, "deliver") if move.startswith("deliver agent")),
    ]
