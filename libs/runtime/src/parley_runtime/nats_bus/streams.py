"""Making and mending the streams, buckets and durables that `parley_contract.streams` describes.

Called for the agent at start, on reconnect and every 15 s. Compares what is there with what is wanted, so that a
second run changes nothing; what a newer version has made stays as it is. Deletes nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from parley_contract.streams import VERSION, Bucket, Durable, Layout, Stream

_OURS: Final = "Parley v"
_DESCRIPTION: Final = f"{_OURS}{VERSION}"
_DUPLICATE_WINDOW_S: Final = 120.0
"""How long a message id is remembered: the server's own default, and no longer than the messages live."""


async def ensure(js: JetStreamContext, layout: Layout) -> list[str]:
    """Make what is missing, mend what differs, and return the names of both."""
    changed = [stream.name for stream in layout.streams if await _ensure_stream(js, _stream(stream))]
    changed += [bucket.name for bucket in layout.buckets if await _ensure_stream(js, _bucket(bucket))]
    for durable in layout.durables:
        if await _ensure_durable(js, durable):
            changed.append(f"{durable.stream}/{durable.name}")
    return changed


async def _ensure_stream(js: JetStreamContext, wanted: Mapping[str, Any]) -> bool:
    try:
        present = (await js.stream_info(wanted["name"])).config
    except NotFoundError:
        await js.add_stream(StreamConfig(**wanted))
        return True
    if _version(present.description) > VERSION or _agrees(present, wanted):
        return False
    await js.update_stream(StreamConfig(**wanted))
    return True


async def _ensure_durable(js: JetStreamContext, durable: Durable) -> bool:
    wanted = _durable(durable)
    try:
        present = (await js.consumer_info(durable.stream, durable.name)).config
    except NotFoundError:
        pass
    else:
        if _version(present.description) > VERSION or _agrees(present, wanted):
            return False
    # To the server making and changing a durable is one call.
    await js.add_consumer(durable.stream, ConsumerConfig(**wanted))
    return True


def _agrees(present: object, wanted: Mapping[str, Any]) -> bool:
    """Whether all that we ask for is there; what we leave open is the server's business."""
    return all(getattr(present, setting) == value for setting, value in wanted.items())


def _version(description: str | None) -> int:
    """Read the layout's version off a description; 0 for what is not ours."""
    version = (description or "").removeprefix(_OURS)
    return int(version) if version != description and version.isdigit() else 0


def _stream(stream: Stream) -> dict[str, Any]:
    return {
        "name": stream.name,
        "description": _DESCRIPTION,
        "subjects": list(stream.subjects),
        "storage": StorageType(stream.storage),
        "retention": RetentionPolicy(stream.retention),
        "discard": DiscardPolicy.OLD,
        "max_age": stream.max_age_s,
        "max_bytes": stream.max_bytes,
        "allow_direct": True,
        "duplicate_window": min(_DUPLICATE_WINDOW_S, stream.max_age_s),
        # It cannot be taken away again, so a stream that has it and need not stays as it is.
        **({"allow_msg_ttl": True} if stream.per_message_life else {}),
    }


def _bucket(bucket: Bucket) -> dict[str, Any]:
    """Describe the stream under a bucket as ADR-8 has it, which nats-py can make but not change."""
    return {
        "name": f"KV_{bucket.name}",
        "description": _DESCRIPTION,
        "subjects": [f"$KV.{bucket.name}.>"],
        "storage": StorageType.FILE,
        "retention": RetentionPolicy.LIMITS,
        # A full bucket refuses a new lease; dropping somebody else's would be worse.
        "discard": DiscardPolicy.NEW,
        "max_age": bucket.ttl_s,
        "max_bytes": bucket.max_bytes,
        "max_msgs_per_subject": 1,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "duplicate_window": min(_DUPLICATE_WINDOW_S, bucket.ttl_s),
    }


def _durable(durable: Durable) -> dict[str, Any]:
    return {
        "durable_name": durable.name,
        "description": _DESCRIPTION,
        "filter_subject": durable.filter_subject,
        "ack_policy": AckPolicy.EXPLICIT,
        "ack_wait": durable.ack_wait_s,
        "max_deliver": durable.max_deliver,
        "max_ack_pending": durable.max_ack_pending,
    }
