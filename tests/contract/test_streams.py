"""What an assistant keeps on its broker: each subject in one stream or none, with the limits of design section 5."""

import pytest

from parley_contract.streams import layout
from parley_testkit.memory_streams import matches
from parley_testkit.rights import rights

LAYOUT = layout("test_libra")
KEPT_IN = {
    "audio": "AUDIO_IN",
    "voice": "AUDIO_OUT",
    "utterance_work": "WORK",
    "phrase_work": "WORK",
    "phrase_work.canned": "WORK",
    "speech": "EVENTS",
    "transcript": "EVENTS",
    "reply": "EVENTS",
    "phrase_outcome": "EVENTS",
    "playback": "EVENTS",
    "turn": "EVENTS",
    "open_session": None,
    "heartbeat": None,
    "interrupt": None,
    "door": None,
    "resend": None,
    "voice_ready": None,
    "dead.asr": "DEAD",
    "dead.agent": "DEAD",
    "dead.tts": "DEAD",
    "dead.gateway": "DEAD",
}


@pytest.mark.parametrize("name", rights("test_libra"))
def test_each_subject_is_kept_where_it_belongs_and_only_there(name: str) -> None:
    subject = rights("test_libra")[name].subject

    keepers = [stream.name for stream in LAYOUT.streams if any(matches(s, subject) for s in stream.subjects)]

    assert keepers == ([f"PARLEY_test_libra_{KEPT_IN[name]}"] if KEPT_IN[name] else [])


def test_each_durable_takes_one_kind_of_work_from_the_work_queue() -> None:
    taken = {
        durable.name: [
            name for name, right in rights("test_libra").items() if matches(durable.filter_subject, right.subject)
        ]
        for durable in LAYOUT.durables
    }

    assert taken == {"asr": ["utterance_work"], "tts": ["phrase_work", "phrase_work.canned"]}
    assert {durable.stream for durable in LAYOUT.durables} == {LAYOUT.work.name}
    assert LAYOUT.work.retention == "workqueue"


def test_a_dead_workers_utterance_is_delivered_again_within_two_and_a_half_seconds() -> None:
    assert LAYOUT.utterances.ack_wait_s == 1.5
    assert all(durable.max_deliver > 1 for durable in LAYOUT.durables)


def test_sound_is_in_memory_for_minutes_and_everything_else_in_files() -> None:
    assert {stream.name: (stream.storage, stream.max_age_s) for stream in LAYOUT.streams} == {
        "PARLEY_test_libra_AUDIO_IN": ("memory", 120),
        "PARLEY_test_libra_AUDIO_OUT": ("memory", 60),
        "PARLEY_test_libra_WORK": ("file", 600),
        "PARLEY_test_libra_EVENTS": ("file", 86_400),
        "PARLEY_test_libra_DEAD": ("file", 86_400),
    }


def test_no_stream_grows_without_bound_and_all_fit_the_broker() -> None:
    in_memory = sum(stream.max_bytes for stream in LAYOUT.streams if stream.storage == "memory")
    in_files = sum(stream.max_bytes for stream in LAYOUT.streams if stream.storage == "file")
    in_buckets = sum(bucket.max_bytes for bucket in LAYOUT.buckets)

    assert all(stream.max_bytes > 0 and stream.max_age_s > 0 for stream in LAYOUT.streams)
    assert in_memory <= 256 * 1024**2
    assert in_files + in_buckets <= 1024**3


@pytest.mark.parametrize("keep_events_s, kept_s", [(3600.0, 3600.0), (0.0, 86_400.0)])
def test_text_is_kept_as_long_as_the_spec_says(keep_events_s: float, kept_s: float) -> None:
    kept = layout("test_libra", keep_events_s=keep_events_s)

    assert (kept.events.max_age_s, kept.sessions.ttl_s) == (kept_s, kept_s)
    assert (kept.leases.ttl_s, kept.dead.max_age_s) == (3, 86_400)
