"""A microphone made of a file."""

import threading
from collections.abc import Iterator

import pytest

from parley_cli.audio import SILENCE, UnreadableAudioError
from parley_cli.microphone import Microphone
from parley_contract.frames import FRAME_BYTES

LOUD = b"\1" * FRAME_BYTES


def everything(microphone: Microphone) -> list[bytes]:
    """All frames until it is over, waiting for the thread that decodes."""
    heard = []
    while not microphone.is_over:
        heard.append(microphone.frame())
    return [frame for frame in heard if frame != SILENCE]


def test_every_frame_is_given_once_and_in_order() -> None:
    frames = [bytes([number]) * FRAME_BYTES for number in range(1, 100)]

    assert everything(Microphone(iter(frames))) == frames


def test_there_is_silence_while_a_source_has_nothing_to_say() -> None:
    go_on = threading.Event()

    def slow() -> Iterator[bytes]:
        go_on.wait()
        yield LOUD

    microphone = Microphone(slow())
    before = microphone.frame()
    go_on.set()

    assert before == SILENCE
    assert everything(microphone) == [LOUD]


def test_once_primed_a_file_begins_with_its_first_frame() -> None:
    microphone = Microphone(iter([LOUD]))

    microphone.prime()

    assert microphone.frame() == LOUD


def test_after_the_end_there_is_silence() -> None:
    microphone = Microphone(iter([LOUD]))
    everything(microphone)

    assert microphone.frame() == SILENCE


def test_what_cannot_be_decoded_is_told_after_what_could() -> None:
    def breaking() -> Iterator[bytes]:
        yield LOUD
        raise UnreadableAudioError("cut off")

    microphone = Microphone(breaking())
    microphone.prime()

    assert microphone.frame() == LOUD
    with pytest.raises(UnreadableAudioError):
        everything(microphone)
