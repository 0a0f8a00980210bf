"""The gateway, by its real reducer: its timer, what it says and plays, its death and its return."""

from msgspec.structs import replace

from parley_agent import takeover, turn_events
from parley_contract import door
from parley_gateway import cues
from parley_gateway import turn_events as gateway_events
from parley_gateway.phrases import SILENCE
from parley_testkit.conversation import agents, broker
from parley_testkit.conversation.listener import Listener, Sound, sound_of
from parley_testkit.conversation.situations import SESSION, Saved, Situation, new_gateway


def do(here: Situation, verb: str) -> None:
    """Let it record what it has to say, die, or come back with the next epoch."""
    if verb == "records":
        (message, message_id), *rest = here.outbox
        here.outbox = tuple(rest)
        broker.keep(here, "gateway", message, message_id)
    elif verb == "dies":
        here.spend(crashes=1)
        here.gateway, here.is_away = None, False
        for mouth in here.mouths:
            here.becomes(mouth._replace(is_speaking=False, finished_at=None))
        here.listener = Listener(before=here.listener.sounds, dry_at=here.now)
        here.outbox = ()
        broker.drop_queues(here, "gateway")
    elif here.agent is not None:
        here.agent = takeover.recall(here.agent, here.record.events, here.now)
        open_turns = {turn.number for turn in here.agent.turns}
        here.generations = {turn: events for turn, events in here.generations.items() if turn in open_turns}
        agents.take(here, turn_events.GatewayLost(), "")
        here.agent = replace(here.agent, epoch=here.agent.epoch + 1)
        here.saved = Saved(here.agent.epoch, here.agent)
        here.gateway = new_gateway(here.agent.epoch, here.agent.latest + 1)


def take(here: Situation, event: gateway_events.Event) -> None:
    """Give it an event."""
    if here.gateway is None:
        return
    here.gateway, effects = here.of.gateway(here.gateway, event, here.now)
    epoch = here.gateway.epoch
    here.places = {**here.places, **{(epoch, turn.number): turn.place for turn in here.gateway.turns.values()}}
    for turn in here.gateway.turns.values():
        decided = dict(here.record.decided)
        if turn.is_committed:
            decided.setdefault((epoch, turn.number), here.now)
        else:
            decided.pop((epoch, turn.number), None)
        here.record = here.record._replace(decided=decided)
    for effect in effects:
        _act(here, effect, epoch)


def _act(here: Situation, effect: gateway_events.Effect, epoch: int) -> None:
    match effect:
        case gateway_events.Record(message, message_id):
            here.outbox = (*here.outbox, (message, message_id))
        case gateway_events.Say(message):
            broker.publish(here, "gateway", message)
        case gateway_events.Play(pcm) if not here.is_away:
            sound = sound_of(pcm, epoch, here.places)
            _note_overtaken(here, sound)
            here.listener = here.listener.take(sound, here.now)
            if pcm == SILENCE:
                here.record = here.record._replace(concealed=here.record.concealed + 1)
        case gateway_events.Tell(door.Cut(at_ms=at_ms)) if not here.is_away:
            here.listener = here.listener.cut(at_ms, here.now)
        case gateway_events.Conclude(report):
            concluded = {(epoch, report.turn): here.now, **here.record.concluded}
            here.record = here.record._replace(concluded=concluded)
            here.outbox = (*here.outbox, (report, f"{SESSION}-{epoch}-{report.turn}-report"))
        case _:
            pass


def _note_overtaken(here: Situation, sound: Sound | None) -> None:
    turn = here.gateway.turns.get(sound.turn) if here.gateway and sound else None
    if sound is not None and turn is not None and sound.revision < turn.revision:
        here.record = here.record._replace(overtaken=(*here.record.overtaken, (sound.epoch, sound.turn)))


def let_time_pass(here: Situation, due: float) -> None:
    """Let its timer go off."""
    here.now = max(here.now, due)
    take(here, cues.TimePassed())
