"""What the web door and its clients say to each other, on the wire."""

import pytest

from parley_contract.door import (
    Bye,
    Cut,
    Delta,
    Mark,
    Position,
    Session,
    SpeechStarted,
    decode_event,
    decode_request,
    encode,
)
from parley_contract.errors import MalformedMessageError


@pytest.mark.parametrize(
    "text,event",
    [
        (
            (
                '{"event":"session","session":"0123456789ab","resume":"x","resumed":false,"assistant":"default_libra",'
                '"language":"en","encoding":"s16le","rate_hz":16000,"channels":1,"frame_ms":20,"frame_bytes":640,"new":1}'
            ),
            Session(
                session="0123456789ab",
                resume="x",
                resumed=False,
                assistant="default_libra",
                language="en",
                rate_hz=16000,
                frame_ms=20,
                frame_bytes=640,
            ),
        ),
        ('{"event":"speech_started","turn":3,"utterance":"1-4"}', SpeechStarted(turn=3, utterance="1-4")),
        ('{"event":"delta","turn":3,"index":0,"text":"The"}', Delta(turn=3, index=0, text="The")),
        (
            '{"event":"mark","turn":3,"phrase":0,"edge":"begin","at_ms":40}',
            Mark(turn=3, phrase=0, edge="begin", at_ms=40),
        ),
        ('{"event":"cut","turn":3,"at_ms":400,"next_ms":500}', Cut(turn=3, at_ms=400, next_ms=500)),
    ],
)
def test_events_are_read_as_they_are_documented(text: str, event: object) -> None:
    assert decode_event(text) == event


def test_an_event_of_a_newer_gateway_is_ignored() -> None:
    assert decode_event('{"event":"applause","loudness":3}') is None


@pytest.mark.parametrize("text", ["", "hello", "[]", '{"turn":1}', '{"event":"mark","turn":"one"}'])
def test_what_is_no_event_is_an_error(text: str) -> None:
    with pytest.raises(MalformedMessageError):
        decode_event(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"my pin is 4711"}x',
        '{"event":"position","at_ms":"my pin is 4711"}',
        '{"event":{"my pin is 4711":1}}',
        b'{"event":"my pin is 4711 \xff"}',
        "my pin is 4711 \ud800",
        '{"event":"bye","x":' + "[" * 100_000,
        '{"event":"position","at_ms":NaN}',
        '{"event":"position","at_ms":1' + 400 * "0" + "}",
    ],
    ids=lambda text: repr(text[:40]),
)
def test_whatever_a_stranger_sends_is_one_error_that_repeats_nothing(text: str | bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        decode_request(text)

    assert "4711" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_requests_are_written_as_they_are_documented() -> None:
    assert encode(Position(at_ms=140.5)) == '{"event":"position","at_ms":140.5}'
    assert encode(Bye()) == '{"event":"bye"}'
