"""What must hold of a game when it is over: the list of design section 2, *what never happens*. Pure."""

import itertools
from itertools import pairwise
from typing import Final

from parley_agent.history import heard_part
from parley_contract.messages import (
    CandidateTranscript,
    FinalTranscript,
    PhraseReady,
    ReplyEnded,
    SpeechMessage,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_contract.reasons import REASONS
from parley_testkit.conversation.agents import PHRASES
from parley_testkit.conversation.listener import Sound
from parley_testkit.conversation.reducers import GATEWAY_RULES
from parley_testkit.conversation.world import World

_TOLERANCE_S: Final = 0.01


def broken(world: World) -> list[str]:
    """Return which promises were broken, in words; ask after `settle`."""
    return [*_about_outcomes(world), *_about_silence(world), *_about_sound(world), *_about_history(world)]


def _reports(world: World) -> list[TurnReport]:
    return [event for event in world.record.events if isinstance(event, TurnReport)]


def _about_outcomes(world: World) -> list[str]:
    reports = _reports(world)
    counted = [(report.epoch, report.turn) for report in reports]
    # Of what a gateway did not get to say before it died nobody knows.
    begun = {(each.epoch, each.turn): each for each in world.record.events if isinstance(each, UtteranceStarted)}
    wrong = [f"turn {key} has {counted.count(key)} outcomes" for key in begun if counted.count(key) != 1]
    wrong += [
        f"turn {each.turn} of {begun[each.epoch, each.turn].speaker} is said to be of {each.speaker}"
        for each in reports
        if (each.epoch, each.turn) in begun and begun[each.epoch, each.turn].speaker != each.speaker
    ]
    finals = [each.utterance for each in world.record.events if isinstance(each, FinalTranscript)]
    wrong += [f"utterance {each} has two outcomes" for each in set(finals) if finals.count(each) > 1]
    wrong += [f"turn {each.turn} ended for {each.reason!r}" for each in reports if each.reason not in REASONS]
    wrong += [
        f"turn {each.turn} failed without a reason"
        for each in reports
        if each.outcome != "answered" and not each.reason
    ]
    ends = [(each.epoch, each.turn, each.revision) for each in world.record.events if isinstance(each, ReplyEnded)]
    wrong += [f"turn {key} has two replies" for key in set(ends) if ends.count(key) > 1]
    wrong += [
        f"turn {each.turn} says {each.text!r} as phrase {each.phrase}"
        for each in world.record.events
        if isinstance(each, PhraseReady) and PHRASES[each.phrase : each.phrase + 1] != (each.text,)
    ]
    if world.agent is None or (world.gateway is None and not world.is_closed):
        return [*wrong, "somebody never came back"]
    wrong += [f"the agent never closed turn {turn.number}" for turn in world.agent.turns]
    wrong += [f"the model goes on with turn {turn}" for turn in world.generations]
    if world.gateway is not None:
        wrong += [f"the gateway never closed turn {turn}" for turn in world.gateway.turns]
    return wrong


def _about_silence(world: World) -> list[str]:
    epoch = world.gateway.epoch if world.gateway else 0
    wrong = []
    for key, decided_at in world.record.decided.items():
        sounds = [sound.at for sound in world.listener.sounds if sound[1:3] == key and sound.at >= decided_at]
        told_at = min([*sounds, world.record.concluded.get(key, world.now)])
        if key[0] == epoch and told_at - decided_at > GATEWAY_RULES.fail_after_s + _TOLERANCE_S:
            wrong.append(f"turn {key} left somebody in silence")
    return wrong


def _about_sound(world: World) -> list[str]:
    sounds = world.listener.sounds
    wrong = [
        f"{sound} was heard after the end of its turn"
        for sound in sounds
        if sound.until > world.record.concluded.get((sound.epoch, sound.turn), world.now + 99) + _TOLERANCE_S
    ]
    wrong += [f"turn {key} sounded on after a newer reply was begun" for key in set(world.record.overtaken)]
    for earlier, later in pairwise(sounds):
        if _place(later) <= _place(earlier):
            wrong.append(f"{later} was heard after {earlier}")
        if later[1:5] == earlier[1:5] and later.attempt != earlier.attempt:
            wrong.append(f"two attempts at phrase {later.phrase} were glued together")
    return wrong


def _place(sound: Sound) -> tuple[int, ...]:
    return sound.epoch, sound.place, sound.revision, sound.phrase, sound.sequence


def _about_history(world: World) -> list[str]:
    if world.agent is None:
        return []
    exchanges = world.agent.history.exchanges
    asked = [exchange.user for exchange in exchanges]
    wrong = [f"{user!r} is in the history twice" for user in set(asked) if asked.count(user) > 1]
    for report in _reports(world):
        said = _said(world, (report.epoch, report.turn))
        if report.outcome == "answered" and not any(" ".join(words) in asked for words in itertools.product(*said)):
            wrong.append(f"turn {report.turn} of {report.epoch} was answered and is not in the history, but {asked}")
    for exchange in exchanges:
        epoch, turn = map(int, exchange.user.split("-")[:2])
        wrong += _unheard(world, (epoch, turn), exchange.heard)
    return wrong


def _said(world: World, key: tuple[int, int]) -> list[list[str]]:
    """What may have been understood of each utterance of a turn: its final, or a candidate that covers all of it."""
    events = [e for e in world.record.events if isinstance(e, SpeechMessage) and (e.epoch, e.turn) == key]
    voiced = {e.utterance: e.voiced_seq or 0 for e in events if isinstance(e, UtteranceEnded)}
    said: dict[str, list[str]] = {}
    for event in events:
        match event:
            case FinalTranscript(text=text) if text:
                said.setdefault(event.utterance, []).append(text)
            case CandidateTranscript(text=text, covers_seq=covers) if covers >= voiced.get(event.utterance, covers + 1):
                said.setdefault(event.utterance, []).append(text)
            case _:
                pass
    return [said[utterance] for utterance in sorted(said, key=lambda each: int(each.split("-")[1]))]


def _unheard(world: World, key: tuple[int, int], remembered: str) -> list[str]:
    """Compare what is remembered of a reply with what was heard of it, to the frame."""
    sounds = [sound for sound in world.listener.sounds if (sound.epoch, sound.turn) == key]
    heard, slack = [], world.record.concealed / world.frames
    for number, text in enumerate(PHRASES):
        frames = max((sound.sequence + 1 for sound in sounds if sound.phrase == number), default=0)
        heard.append(heard_part(text, min(1.0, frames / world.frames + slack)))
    words = " ".join(heard).split()
    return [
        f"{word!r} of turn {key} is in the history and was not heard"
        for word in remembered.split()
        if word not in words
    ]
