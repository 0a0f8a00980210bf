"""The only place where a stream, bucket or durable consumer is described. The agent makes and repairs them."""

from typing import Final, Literal

import msgspec

from parley_contract.subjects import ANY, Subjects

VERSION: Final = 2
"""Written into each stream's description; an older agent never changes a stream of a newer version."""

_MIB: Final = 1024 * 1024


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One JetStream stream. `max_age_s` 0 keeps messages for ever."""

    name: str
    subjects: tuple[str, ...]
    storage: Literal["memory", "file"]
    retention: Literal["limits", "workqueue"] = "limits"
    max_age_s: float
    max_bytes: int
    per_message_life: bool = False
    """Whether a message may live shorter than `max_age_s`: stale work is forgotten by the broker's clock alone."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """One key-value bucket, one value of history."""

    name: str
    ttl_s: float
    max_bytes: int


class Durable(msgspec.Struct, frozen=True, kw_only=True):
    """One durable pull consumer with explicit acknowledgement."""

    stream: str
    name: str
    filter_subject: str
    ack_wait_s: float
    max_deliver: int
    max_ack_pending: int


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an assistant keeps on its broker."""

    audio_in: Stream
    audio_out: Stream
    work: Stream
    events: Stream
    dead: Stream
    leases: Bucket
    sessions: Bucket
    utterances: Durable
    phrases: Durable

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams but those under the buckets."""
        return (self.audio_in, self.audio_out, self.work, self.events, self.dead)

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """All key-value buckets."""
        return (self.leases, self.sessions)

    @property
    def durables(self) -> tuple[Durable, ...]:
        """All durable consumers."""
        return (self.utterances, self.phrases)


def layout(assistant: str, *, keep_events_s: float = 86_400) -> Layout:
    """Describe the streams of an assistant.

    `keep_events_s` 0 means that nothing outlives its session: streams then live 24 h as a backstop and the
    agent purges them at each session's end. Figures: design section 5; frames are 656 bytes, 50 a second, so
    64 MiB hold 2 minutes of 16 speakers.
    """
    subjects = Subjects(assistant)
    prefix = f"PARLEY_{assistant}"
    keep_s = keep_events_s or 86_400
    work = f"{prefix}_WORK"
    return Layout(
        audio_in=Stream(
            name=f"{prefix}_AUDIO_IN",
            subjects=(subjects.audio(ANY, ANY),),
            storage="memory",
            max_age_s=120,
            max_bytes=64 * _MIB,
        ),
        audio_out=Stream(
            name=f"{prefix}_AUDIO_OUT",
            subjects=(subjects.voice(ANY, ANY, ANY),),
            storage="memory",
            max_age_s=60,
            max_bytes=64 * _MIB,
        ),
        work=Stream(
            name=work,
            subjects=(subjects.utterance_work(ANY, ANY), subjects.phrase_work(ANY, ANY)),
            storage="file",
            retention="workqueue",
            max_age_s=600,
            max_bytes=16 * _MIB,
            per_message_life=True,
        ),
        events=Stream(
            name=f"{prefix}_EVENTS",
            subjects=(
                subjects.speech(ANY, ANY),
                subjects.transcript(ANY, ANY),
                subjects.reply(ANY, ANY),
                subjects.phrase_outcome(ANY, ANY, ANY),
                subjects.playback(ANY, ANY),
                subjects.turn(ANY, ANY),
            ),
            storage="file",
            max_age_s=keep_s,
            max_bytes=256 * _MIB,
        ),
        dead=Stream(
            name=f"{prefix}_DEAD",
            subjects=(subjects.dead(ANY),),
            storage="file",
            max_age_s=86_400,
            max_bytes=_MIB,
        ),
        leases=Bucket(name=f"{prefix}_LEASES", ttl_s=3, max_bytes=_MIB),
        sessions=Bucket(name=f"{prefix}_SESSIONS", ttl_s=keep_s, max_bytes=32 * _MIB),
        utterances=Durable(
            stream=work,
            name="asr",
            filter_subject=subjects.utterance_work(ANY, ANY),
            ack_wait_s=1.5,
            max_deliver=5,
            max_ack_pending=64,
        ),
        phrases=Durable(
            stream=work,
            name="tts",
            filter_subject=subjects.phrase_work(ANY, ANY),
            ack_wait_s=1.5,
            max_deliver=3,
            max_ack_pending=64,
        ),
    )
