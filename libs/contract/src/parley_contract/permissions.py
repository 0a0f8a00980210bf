"""Who may say and hear what, and the broker's configuration that enforces it. Pure: keys and addresses are passed in.

Each service is one nkey user with its own inbox, so that none can read another's answers. Only the agent may
touch streams, and only its own assistant's; nobody may delete one.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from parley_contract.services import SERVICES, Service
from parley_contract.streams import Durable, Layout, layout
from parley_contract.subjects import ANY, CANNED, Subjects

_API: Final = "$JS.API"


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects a service may publish to and subscribe to; all else is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    may_respond: bool = False
    """Whether it may answer requests on whatever inbox they name."""


def inbox_prefix(service: Service) -> str:
    """Return the service's own inbox prefix."""
    return f"_INBOX_{service}"


def permissions(assistant: str, service: Service) -> Permissions:
    """Return what one service of one assistant may do."""
    subjects, streams = Subjects(assistant), layout(assistant)
    publish, subscribe, may_respond = {
        "gateway": _gateway,
        "asr": _asr,
        "agent": _agent,
        "tts": _tts,
    }[service](subjects, streams)
    return Permissions(
        publish=(*publish, subjects.dead(service)),
        subscribe=(*subscribe, f"{inbox_prefix(service)}.>"),
        may_respond=may_respond,
    )


_Rights = tuple[tuple[str, ...], tuple[str, ...], bool]


def _gateway(subjects: Subjects, streams: Layout) -> _Rights:
    publish = (
        subjects.audio(ANY, ANY),
        subjects.utterance_work(ANY, ANY),
        subjects.phrase_work(CANNED, ANY),
        subjects.speech(ANY, ANY),
        subjects.playback(ANY, ANY),
        subjects.turn(ANY, ANY),
        subjects.open_session(),
        subjects.heartbeat(ANY),
        subjects.interrupt(ANY),
        subjects.door(),
        f"{_API}.DIRECT.GET.{streams.events.name}",
    )
    subscribe = (
        subjects.transcript(ANY, ANY),
        subjects.reply(ANY, ANY),
        subjects.phrase_outcome(ANY, ANY, ANY),
        subjects.voice(ANY, ANY, ANY),
        subjects.resend(ANY),
        subjects.voice_ready(),
    )
    return publish, subscribe, False


def _asr(subjects: Subjects, streams: Layout) -> _Rights:
    publish = (
        subjects.transcript(ANY, ANY),
        subjects.resend(ANY),
        f"{_API}.DIRECT.GET.{streams.audio_in.name}",
        *_claims(streams.utterances),
    )
    return publish, (subjects.audio(ANY, ANY), subjects.speech(ANY, ANY)), False


def _tts(subjects: Subjects, streams: Layout) -> _Rights:
    publish = (
        subjects.voice(ANY, ANY, ANY),
        subjects.phrase_outcome(ANY, ANY, ANY),
        subjects.voice_ready(),
        *_claims(streams.phrases),
    )
    return publish, (subjects.reply(ANY, ANY),), False


def _agent(subjects: Subjects, streams: Layout) -> _Rights:
    names = (*(stream.name for stream in streams.streams), *(f"KV_{bucket.name}" for bucket in streams.buckets))
    publish = (
        subjects.reply(ANY, ANY),
        subjects.phrase_work(ANY, ANY),
        subjects.turn(ANY, ANY),
        *(f"{_API}.STREAM.{verb}.{name}" for verb in ("INFO", "CREATE", "UPDATE") for name in names),
        *(f"{_API}.STREAM.PURGE.{stream.name}" for stream in (streams.work, streams.events)),
        *(f"{_API}.CONSUMER.INFO.{durable.stream}.{durable.name}" for durable in streams.durables),
        *(f"{_API}.CONSUMER.DURABLE.CREATE.{durable.stream}.{durable.name}" for durable in streams.durables),
        *(f"{_API}.DIRECT.GET.{stream.name}" for stream in (streams.events, streams.dead)),
        *(f"{_API}.DIRECT.GET.KV_{bucket.name}.>" for bucket in streams.buckets),
        *(f"$KV.{bucket.name}.>" for bucket in streams.buckets),
    )
    subscribe = (
        subjects.speech(ANY, ANY),
        subjects.transcript(ANY, ANY),
        subjects.phrase_outcome(ANY, ANY, ANY),
        subjects.playback(ANY, ANY),
        subjects.turn(ANY, ANY),
        subjects.open_session(),
        subjects.heartbeat(ANY),
        subjects.interrupt(ANY),
        subjects.door(),
    )
    return publish, subscribe, True


def _claims(durable: Durable) -> tuple[str, str]:
    return (
        f"{_API}.CONSUMER.MSG.NEXT.{durable.stream}.{durable.name}",
        f"$JS.ACK.{durable.stream}.{durable.name}.>",
    )


def broker_config(
    assistant: str, *, public_keys: Mapping[Service, str], listen: str, store_dir: str, monitor: str = ""
) -> str:
    """Write the configuration of an assistant's own nats-server.

    Args:
        assistant: as `assistant_key` makes it.
        public_keys: the user nkey (`U…`) of every service.
        listen: `host:port`.
        store_dir: where JetStream keeps its files.
        monitor: `host:port` of its health and figures over HTTP, which ask for no key; empty for none.

    Raises:
        KeyError: a service has no key.
    """
    users = [
        {
            "nkey": public_keys[service],
            "permissions": {
                "publish": {"allow": list(rights.publish)},
                "subscribe": {"allow": list(rights.subscribe)},
                **({"allow_responses": True} if rights.may_respond else {}),
            },
        }
        for service in SERVICES
        for rights in (permissions(assistant, service),)
    ]
    config = {
        "server_name": f"parley-{assistant}",
        "listen": listen,
        **({"http": monitor} if monitor else {}),
        "max_payload": 1024 * 1024,
        "jetstream": {"store_dir": store_dir, "max_memory_store": 256 * 1024**2, "max_file_store": 1024**3},
        "authorization": {"users": users},
    }
    # nats-server's configuration language takes JSON as it is.
    return msgspec.json.format(msgspec.json.encode(config), indent=2).decode() + "\n"
