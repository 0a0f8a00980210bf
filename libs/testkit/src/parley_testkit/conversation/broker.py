"""The broker between the processes: what is recorded is kept once, whoever listens hears it, and work waits. Pure."""

from parley_contract.frames import Frame
from parley_contract.messages import Message, SynthesizePhrase, TranscribeUtterance, TurnMessage
from parley_testkit.conversation.situations import Situation
from parley_testkit.conversation.wiring import LISTENERS, Key, subscription


def keep(here: Situation, sender: str, message: Message, message_id: str) -> None:
    """Keep it once under its id; those who listen hear it all the same."""
    is_new = message_id not in here.ids
    here.ids |= {message_id}
    match message:
        case TranscribeUtterance():
            here.asr += ((message, 1),) if is_new else ()
            return
        case SynthesizePhrase():
            here.tts += ((message, 1),) if is_new else ()
            return
        case _ if is_new:
            here.record = here.record._replace(events=(*here.record.events, message))
        case _:
            pass
    publish(here, sender, message)


def publish(here: Situation, sender: str, message: Message) -> None:
    """Say it to those who listen now."""
    subscribed = subscription(message)
    for receiver in LISTENERS[subscribed[0]]:
        if receiver == "tts" and isinstance(message, TurnMessage) and (message.epoch, message.revision) == (1, 0):
            continue  # There is nothing that it could make stale.
        if receiver != sender:
            enqueue(here, (receiver, sender, *subscribed), message)


def enqueue(here: Situation, key: Key, what: Message | Frame) -> None:
    """Let it wait for its receiver; a process that is not there misses it."""
    if (key[0] == "gateway" and here.gateway is None) or (key[0] == "agent" and here.agent is None):
        return
    here.queues = {**here.queues, key: (*here.queues.get(key, ()), what)}


def drop_queues(here: Situation, receiver: str) -> None:
    """Somebody is gone, and with them what waited for them."""
    here.queues = {key: queue for key, queue in here.queues.items() if key[0] != receiver}
