"""Those who speak, and the one whose connection it is: what they do, and how the gateway hears of it."""

from collections.abc import Sequence
from typing import Final, Literal

from parley_gateway import turn_events as gateway_events
from parley_gateway import turn_state as gateway_state
from parley_gateway.utterance_state import UtteranceRules
from parley_testkit.conversation import broker, gateways
from parley_testkit.conversation.circumstances import Person
from parley_testkit.conversation.situations import FIRST_VOICED, Mouth, Situation

_REOPEN_S: Final = UtteranceRules().reopen_ms / 1000
_VOICED_A_BREATH: Final = 3


def do(here: Situation, who: str, verb: str, rest: Sequence[str]) -> None:
    """Let somebody do something."""
    mouth = here.mouth(who)
    match verb, rest:
        case "speaks", []:
            reopens = mouth.finished_at is not None and here.now - mouth.finished_at <= _REOPEN_S
            mouth = mouth.spends("questions")._replace(is_speaking=True, is_pausing=False, voiced_seq=FIRST_VOICED)
            here.becomes(mouth)
            gateways.take(here, gateway_events.SpeechBegan(speaker=who, voiced_at=here.now, reopens=reopens))
        case "speaks", _:
            here.becomes(mouth.spends("breaths"))
            _speech_ends(here, mouth, "max_length")
            here.becomes(mouth.spends("breaths")._replace(is_pausing=False, voiced_seq=FIRST_VOICED))
            gateways.take(here, gateway_events.SpeechBegan(speaker=who, voiced_at=here.now, continues=True))
        case "pauses", _:
            here.becomes(mouth.spends("pauses")._replace(is_pausing=True))
            paused = gateway_events.SpeechPaused(speaker=who, last_seq=mouth.voiced_seq, voiced_until=here.now)
            gateways.take(here, paused)
        case "continues", _:
            voiced_seq = mouth.voiced_seq + _VOICED_A_BREATH
            here.becomes(mouth._replace(is_pausing=False, voiced_seq=voiced_seq))
            resumed = gateway_events.SpeechResumed(speaker=who, latest_seq=voiced_seq - 1, voiced_at=here.now)
            gateways.take(here, resumed)
        case "stops", _:
            here.becomes(mouth._replace(is_speaking=False, finished_at=here.now))
            _speech_ends(here, mouth, "endpoint")
        case _:
            _client_does(here, mouth, verb)


def _client_does(here: Situation, mouth: Mouth, verb: str) -> None:
    match verb:
        case "wants":
            here.becomes(mouth.spends("interrupts"))
            gateways.take(here, gateway_events.ClientInterrupted())
        case "leaves":
            here.becomes(mouth.spends("absences"))
            _hang_up(here)
            gateways.take(here, gateway_events.ListenerLeft())
        case "returns":
            here.is_away = False
            if here.gateway is not None:
                _waits_again(here, here.gateway)
            gateways.take(here, gateway_events.ListenerJoined())
        case _:
            for each in here.mouths:
                here.becomes(each._replace(person=Person(questions=0)))
            _hang_up(here)
            gateways.take(here, gateway_events.SessionClosed())
            here.gateway, here.is_closed = None, True
            broker.drop_queues(here, "gateway")


def _speech_ends(here: Situation, mouth: Mouth, reason: Literal["endpoint", "max_length", "closed"]) -> None:
    """A second of speech later."""
    until = here.now + 1.0
    while (due := here.due()) is not None and due <= until:
        gateways.let_time_pass(here, due)
    here.now = until
    gateways.take(here, _speech_ended(here, mouth, reason))


def _speech_ended(
    here: Situation, mouth: Mouth, reason: Literal["endpoint", "max_length", "closed"]
) -> gateway_events.SpeechEnded:
    return gateway_events.SpeechEnded(
        speaker=mouth.speaker, last_seq=9, voiced_seq=mouth.voiced_seq, voiced_until=here.now, reason=reason
    )


def _hang_up(here: Situation) -> None:
    here.listener = here.listener.leave(here.now)
    here.is_away = True
    for mouth in here.mouths:
        if mouth.is_speaking:
            here.becomes(mouth._replace(is_speaking=False))
            gateways.take(here, _speech_ended(here, mouth, "closed"))


def _waits_again(here: Situation, gateway: gateway_state.Turns) -> None:
    decided = {key: at if key[1] not in gateway.turns else here.now for key, at in here.record.decided.items()}
    here.record = here.record._replace(decided=decided)
