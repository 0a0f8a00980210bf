"""A mouth, ticked by hand: when talkspurts begin and end, what waits for keys, and how far playback is."""

import pytest

from parley_contract.frames import FRAME_BYTES
from parley_gateway.discord import rtp
from parley_gateway.discord.counters import LinkCounters
from parley_gateway.discord.mouths import KEEPALIVE_S, Gate, Mouth, OnWire
from parley_gateway.discord.opus import require_codec
from parley_gateway.discord.pacing import Paced, Pacer

require_codec()
FRAME = bytes(range(256)) * 2 + bytes(FRAME_BYTES - 512)


class ByHand(Pacer):
    """Deadlines that a test meets."""

    def __init__(self) -> None:
        super().__init__()
        self.due: list[float] = []

    def at(self, due: float, paced: Paced) -> None:
        self.due.append(due)


class Wire:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.gate = Gate.OPEN
        self.own_ssrc: int | None = 7
        self.is_broken = False
        self.sent: list[tuple[bytes, bytes]] = []

    def send(self, header: bytes, payload: bytes) -> bool:
        if not self.is_broken:
            self.sent.append((header, payload))
        return not self.is_broken

    @property
    def kinds(self) -> str:
        """A letter a packet: s for sound, capital at the beginning of a talkspurt, a point for silence."""
        letters = ["." if payload == rtp.SILENCE else "s" for _, payload in self.sent]
        marked = [bool(header[1] & 0x80) for header, _ in self.sent]
        return "".join(letter.upper() if mark else letter for letter, mark in zip(letters, marked, strict=True))


def rounded(on_wire: OnWire) -> tuple[int, float, int]:
    return on_wire.frames, round(on_wire.at, 3), on_wire.waiting


class Stage:
    """A mouth, its wire, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked = self.rested = 0
        self.pacer = ByHand()
        self.wire = Wire()
        self.counters = LinkCounters()
        self.mouth = Mouth(self.pacer, self.counters, ask=self.ask, rest=self.rest, clock=lambda: self.now)
        self.mouth.wire = self.wire

    def ask(self) -> None:
        self.asked += 1

    def rest(self) -> None:
        self.rested += 1

    def play(self, frames: int) -> None:
        for _ in range(frames):
            self.mouth.play(FRAME, "reply")

    def run(self, frames: int = 1000) -> None:
        """Meet deadlines until there are none, or so many are met."""
        while self.pacer.due and frames:
            frames -= 1
            self.now = max(self.now, due := self.pacer.due.pop(0))
            if (following := self.mouth.tick(due)) is not None:
                self.pacer.at(following, self.mouth)
            self.mouth.prepare()


def test_a_talkspurt_is_announced_sounds_and_ends() -> None:
    stage = Stage()
    stage.play(3)
    assert (stage.asked, stage.pacer.due) == (1, [])

    stage.mouth.speak()
    stage.run()

    assert stage.wire.kinds == "Sss....."
    assert stage.rested == 1
    assert stage.mouth.is_silent
    assert rounded(stage.mouth.on_wire) == (3, 100.04, 0)
    assert stage.counters.sent == 8


def test_frames_that_come_during_the_silence_go_on_with_it() -> None:
    stage = Stage()
    stage.play(1)
    stage.mouth.speak()
    stage.run(3)

    stage.play(1)
    stage.run()

    assert stage.wire.kinds == "S..s....."
    assert stage.asked == 1


def test_sound_waits_for_the_keys() -> None:
    stage = Stage()
    stage.wire.gate = Gate.SHUT
    stage.play(2)
    assert stage.asked == 0

    stage.wire.gate = Gate.OPEN
    stage.mouth.wake()
    stage.mouth.speak()
    stage.run()

    assert stage.wire.kinds == "Ss....."


def test_keys_that_go_in_the_middle_of_a_talkspurt_end_it_and_nothing_is_lost() -> None:
    stage = Stage()
    stage.play(4)
    stage.mouth.speak()
    stage.run(2)

    stage.wire.gate = Gate.SHUT
    stage.run()
    assert stage.wire.kinds == "Ss....."
    stage.wire.gate = Gate.OPEN
    stage.mouth.wake()
    stage.mouth.speak()
    stage.run()

    assert stage.wire.kinds == "Ss.....Ss....."
    assert stage.mouth.on_wire.frames == 4


def test_in_an_empty_channel_sound_passes_in_its_time_and_nothing_is_sent() -> None:
    stage = Stage()
    stage.wire.gate = Gate.ALONE
    stage.play(10)
    stage.mouth.speak()

    stage.run()

    assert rounded(stage.mouth.on_wire) == (10, 100.18, 0)
    assert not stage.wire.sent


def test_a_cut_drops_what_waits_even_if_it_was_encoded_and_lets_the_sound_die_away_uncounted() -> None:
    stage = Stage()
    stage.play(10)
    stage.mouth.speak()
    stage.run(4)

    on_wire = stage.mouth.cut("reply")
    stage.run()

    assert rounded(on_wire) == rounded(stage.mouth.on_wire) == (4, 100.06, 0)
    assert stage.wire.kinds == "Sssss....."


def test_a_held_reply_ends_its_talkspurt_and_begins_another() -> None:
    stage = Stage()
    stage.play(4)
    stage.mouth.speak()
    stage.run(2)

    assert rounded(stage.mouth.hold(is_held=True)) == (2, 100.02, 2)
    stage.run()
    stage.now += 10
    assert stage.mouth.hold(is_held=False).frames == 2
    stage.mouth.speak()
    stage.run()

    assert stage.wire.kinds == "Ss.....Ss....."
    stamps = [rtp.read(header + bytes(21)) for header, _ in stage.wire.sent]
    assert stamps[7]
    assert stamps[0]
    assert (stamps[7].timestamp - stamps[0].timestamp) % 2**32 / 48_000 == pytest.approx(10.14, abs=0.03)


def test_a_socket_that_takes_nothing_stops_nothing() -> None:
    stage = Stage()
    stage.wire.is_broken = True
    stage.play(3)
    stage.mouth.speak()

    stage.run()

    assert stage.counters.unsent == 8
    assert stage.mouth.on_wire.frames == 3


def test_the_way_is_kept_open_by_one_packet_of_silence() -> None:
    stage = Stage()
    stage.mouth.breathe(5)
    stage.run()
    assert stage.wire.kinds.lower() == "....."

    stage.mouth.keep_alive(stage.now + KEEPALIVE_S - 1)
    assert not stage.pacer.due
    stage.mouth.keep_alive(stage.now + KEEPALIVE_S)
    stage.run()

    assert stage.wire.kinds.lower() == "......"


def test_a_process_that_stood_still_does_not_catch_up_in_a_burst() -> None:
    stage = Stage()
    stage.play(6)
    stage.mouth.speak()
    stage.run(3)

    stage.now += 5
    stage.run(1)

    assert stage.pacer.due == [pytest.approx(stage.now + 0.02)]
    assert stage.wire.kinds == "SssS"


def test_ten_seconds_may_wait_and_no_more() -> None:
    stage = Stage()
    stage.wire.gate = Gate.SHUT

    stage.play(501)

    assert stage.mouth.on_wire.waiting == 500
    assert stage.counters.unsent == 1


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="640 bytes"):
        Stage().mouth.play(b"\0" * 320, "reply")


def test_a_closed_mouth_says_nothing() -> None:
    stage = Stage()
    stage.play(5)
    stage.mouth.speak()
    stage.run(1)

    stage.mouth.close()
    stage.run()

    assert stage.wire.kinds == "S"


def test_sound_that_comes_during_unannounced_silence_is_announced_first() -> None:
    stage = Stage()
    stage.mouth.breathe(5)
    stage.run(1)

    stage.play(1)
    stage.run()
    assert (stage.asked, stage.wire.kinds) == (0, ".....")
    stage.mouth.wake()
    stage.mouth.speak()
    stage.run()

    assert stage.asked == 1
    assert stage.wire.kinds == ".....S....."
