"""The receive path on virtual time: whose it is, keys that come later, and ten minutes of a bad network."""

import gc
import random
import struct
from collections import defaultdict
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_contract.frames import FRAME_BYTES
from parley_gateway.discord import rtp
from parley_gateway.discord.counters import LinkCounters
from parley_gateway.discord.jitter import UNREADABLE_S
from parley_gateway.discord.opus import SpeechEncoder, require_codec
from parley_gateway.discord.reception import GUESS_AFTER_S, RING, RING_S, Reception
from parley_gateway.discord.roster import Roster
from parley_gateway.discord.sources import TAIL_FRAMES, Heard

require_codec()
US, MINA, NOAH = 1, 10, 11
OURS: Final = 5
SOUND: Final = SpeechEncoder().encode(b"\x20\x03" * 320)


class Cabinet:
    """Keys, as simple as can be: the tag is zeros, and end-to-end a payload begins with its user and its key's number.

    As davey does, it decrypts a frame once, and none that is older than one that it has decrypted.
    """

    def __init__(self) -> None:
        self.own_ssrc: int | None = OURS
        self.is_end_to_end = True
        self.key = 0
        self._latest: dict[tuple[int, int], int] = defaultdict(lambda: -1)

    def open(self, datagram: bytes, clear: int) -> bytes | None:
        is_ours = datagram[-rtp.TAG_BYTES - rtp.NONCE_BYTES :] == bytes(rtp.TAG_BYTES + rtp.NONCE_BYTES)
        return datagram[clear : -rtp.TAG_BYTES - rtp.NONCE_BYTES] if is_ours else None

    def decrypt(self, user_id: int, payload: bytes) -> bytes | None:
        if payload == rtp.SILENCE or not self.is_end_to_end:
            return payload
        if len(payload) < 4:
            return None
        user, key, number = struct.unpack_from(">BBH", payload)
        if user != user_id or key > self.key or number <= self._latest[user, key] - 900:
            return None
        self._latest[user, key] = max(number, self._latest[user, key])
        return payload[4:]


class Call:
    """A reception, its people, and what was heard."""

    def __init__(self, *present: int) -> None:
        self.counters = LinkCounters()
        self.roster = Roster(US)
        self.roster.read({"op": 11, "d": {"user_ids": [str(user) for user in present]}})
        self.heard: dict[int, list[Heard]] = defaultdict(list)
        self.keys = Cabinet()
        self.reception = Reception(self.roster, self.counters, lambda user, heard: self.heard[user].append(heard))
        self.reception.keys = self.keys

    def packet(self, ssrc: int, number: int, user: int, *, key: int = 0, payload: bytes | None = None) -> bytes:
        body = struct.pack(">BBH", user, key, number) + SOUND if payload is None else payload
        return rtp.header(number, number * 960, ssrc, is_marked=False) + body + bytes(rtp.TAG_BYTES + rtp.NONCE_BYTES)

    def hear(
        self, ssrc: int, number: int, user: int, now: float, *, key: int = 0, payload: bytes | None = None
    ) -> None:
        self.reception.datagram(self.packet(ssrc, number, user, key=key, payload=payload), now)

    def name(self, ssrc: int, user: int, now: float) -> None:
        self.roster.read({"op": 5, "d": {"user_id": str(user), "ssrc": ssrc}})
        self.reception.named(now)


def test_a_named_speaker_is_heard_at_once() -> None:
    call = Call(MINA)
    call.name(77, MINA, 0.0)

    for number in range(10):
        call.hear(77, number, MINA, number * 0.02)

    assert [heard.arrived_at for heard in call.heard[MINA]] == [number * 0.02 for number in range(10)]
    assert call.counters.speakers[MINA].decoded == 10
    assert call.reception.due is None


def test_our_own_voice_and_forgeries_are_not_heard() -> None:
    call = Call(MINA)

    call.hear(OURS, 0, MINA, 0.0)
    call.reception.datagram(call.packet(77, 0, MINA)[:-1] + b"x", 0.0)

    assert not call.heard
    assert (call.counters.ignored, call.counters.forged) == (1, 1)


def test_whose_key_decrypts_it_has_said_it() -> None:
    call = Call(MINA, NOAH)

    for number in range(5):
        call.hear(77, number, NOAH, number * 0.02)

    assert call.roster.user(77) == NOAH
    assert len(call.heard[NOAH]) == 5
    assert call.heard.keys() == {NOAH}


def test_a_silent_packet_proves_nothing() -> None:
    call = Call(MINA, NOAH)

    call.hear(77, 0, MINA, 0.0, payload=rtp.SILENCE)

    assert call.roster.user(77) is None
    assert not call.heard


def test_packets_of_nobody_wait_for_a_name() -> None:
    call = Call()

    for number in range(20):
        call.hear(77, number, MINA, number * 0.02)
    assert not call.heard
    call.name(77, MINA, 0.4)

    assert len(call.heard[MINA]) == 20
    assert call.counters.unknown == 0


def test_packets_of_nobody_are_few_and_not_old() -> None:
    call = Call()

    for number in range(3 * RING):
        call.hear(77 + number % 7, number, MINA, number * 0.001)
    assert call.counters.unknown == 2 * RING
    call.name(77, MINA, RING_S + 1)

    assert not call.heard
    assert call.counters.unknown == 3 * RING


def test_without_encryption_the_only_person_is_guessed_after_a_while() -> None:
    call = Call(MINA)
    call.keys.is_end_to_end = False

    for number in range(50):
        call.hear(77, number, MINA, number * 0.02, payload=SOUND)
        assert bool(call.heard) == (number * 0.02 >= GUESS_AFTER_S)
    call.reception.named(1.0)

    assert call.roster.user(77) == MINA


def test_without_encryption_one_of_two_is_never_guessed() -> None:
    call = Call(MINA, NOAH)
    call.keys.is_end_to_end = False

    for number in range(100):
        call.hear(77, number, MINA, number * 0.02, payload=SOUND)

    assert not call.heard


def test_a_frame_before_its_key_is_heard_in_its_place() -> None:
    call = Call(MINA)
    call.name(77, MINA, 0.0)
    for number in range(20):
        call.hear(77, number, MINA, number * 0.02, key=int(number >= 10))
    assert len(call.heard[MINA]) == 10

    call.keys.key = 1
    call.reception.keys_changed(0.4)

    speaker = call.counters.speakers[MINA]
    assert len(call.heard[MINA]) == 20
    assert (speaker.decrypted, speaker.failed, speaker.concealed) == (20, 0, 0)


def test_a_frame_whose_key_never_comes_is_given_up_and_concealed() -> None:
    call = Call(MINA)
    call.name(77, MINA, 0.0)
    for number in range(3):
        call.hear(77, number, MINA, number * 0.02, key=number % 2)

    assert call.reception.due == pytest.approx(0.02 + UNREADABLE_S)
    call.reception.run(0.02 + UNREADABLE_S)

    speaker = call.counters.speakers[MINA]
    assert len(call.heard[MINA]) == 3
    assert (speaker.decrypted, speaker.failed, speaker.lost, speaker.concealed) == (2, 1, 0, 1)


def test_whoever_leaves_is_not_heard_any_more() -> None:
    call = Call(MINA)
    call.name(77, MINA, 0.0)
    call.hear(77, 0, MINA, 0.0)
    call.hear(77, 1, MINA, 0.02, payload=rtp.SILENCE)

    call.roster.read({"op": 13, "d": {"user_id": str(MINA)}})
    call.reception.forget(MINA)
    call.reception.run(10.0)

    assert len(call.heard[MINA]) == 2
    assert call.reception.due is None


def test_ten_minutes_of_loss_and_reordering_leave_nothing_behind() -> None:
    """Two people who talk for three seconds and pause for one, 5 % of each lost, 5 % late by up to 60 ms."""
    chance = random.Random(4711)
    call = Call(MINA, NOAH)
    call.keys.is_end_to_end = False
    call.name(77, MINA, 0.0)
    call.name(88, NOAH, 0.0)
    arrivals = []
    spoken: dict[int, int] = defaultdict(int)
    for ssrc, user in ((77, MINA), (88, NOAH)):
        number = 60_000
        for tick in range(10 * 60 * 50):
            in_spurt = tick % 200
            if in_spurt >= 155:
                continue
            number += 1
            spoken[user] += 1
            if chance.random() >= 0.05 or in_spurt >= 150:
                late = chance.uniform(0, 0.06) if chance.random() < 0.05 and in_spurt < 150 else 0.0
                arrivals.append((tick * 0.02 + late, ssrc, number, user, rtp.SILENCE if in_spurt >= 150 else SOUND))
    arrivals.sort()
    worst = 0.0

    for now, ssrc, number, user, payload in arrivals:
        while (due := call.reception.due) is not None and due <= now:
            call.reception.run(due)
        before = len(call.heard[user])
        call.hear(ssrc, number % 2**16, user, now, payload=payload)
        worst = max([worst, *(now - heard.arrived_at for heard in call.heard[user][before:])])
    while (due := call.reception.due) is not None:
        call.reception.run(due)

    spurts = 150
    for user in (MINA, NOAH):
        speaker = call.counters.speakers[user]
        frames = len(call.heard[user])
        assert frames == pytest.approx(spoken[user] + spurts * TAIL_FRAMES, abs=5)
        assert speaker.lost == pytest.approx(0.05 * spoken[user], rel=0.15)
        assert speaker.broken == speaker.failed == 0
    assert worst <= 0.061
    assert call.reception.due is None


@pytest.mark.timeout(300)
def test_a_million_random_datagrams_leave_nothing_behind() -> None:
    count = 1_000_000
    chance = random.Random(4711)
    call = Call(MINA, NOAH)
    tail = bytes(rtp.TAG_BYTES + rtp.NONCE_BYTES)
    now, sizes = 0.0, []
    for number in range(count):
        now += chance.expovariate(500)
        body = chance.randbytes(chance.randrange(120))
        if number % 4:  # sound of somebody, as the header has it and the transport's key proves
            first = 0x80 | (chance.getrandbits(6) if number % 3 else 0)
            head = struct.pack(">BBHII", first, 0x78, chance.getrandbits(16), 0, chance.randrange(40))
            user = struct.pack(">BBH", chance.choice((MINA, NOAH, 12)), number % 2, number % 2**16)
            body = head + (user if number % 3 else b"") + body + tail
        call.reception.datagram(body, now)
        if number % 50 == 0:
            call.reception.keys_changed(now)
        while (due := call.reception.due) is not None and due <= now:
            call.reception.run(due)
        call.heard.clear()
        if number % (count // 10) == count // 20:
            gc.collect()
            sizes.append(len(gc.get_objects()))

    assert call.counters.datagrams == count
    assert min(call.counters.ignored, call.counters.forged, call.counters.unknown) > 0
    assert call.counters.speakers[MINA].decoded > 0
    assert max(sizes[5:]) < 1.01 * max(sizes[:5])


random_packets = st.lists(
    st.tuples(
        st.binary(max_size=80), st.integers(0, 3), st.floats(0, 0.2), st.sampled_from(["as is", "sound", "ours"])
    ),
    max_size=40,
)


@given(random_packets)
def test_no_datagrams_break_it_or_make_it_grow(datagrams: list[tuple[bytes, int, float, str]]) -> None:
    """A moment of what `make fuzz` does for long."""
    call, now = Call(MINA, NOAH), 0.0
    call.name(1, MINA, 0.0)

    for data, ssrc, pause, kind in datagrams:
        now += pause
        head = rtp.header(int.from_bytes(data[:2]), 0, ssrc, is_marked=False)
        tail = bytes(rtp.TAG_BYTES + rtp.NONCE_BYTES)
        datagram = {
            "as is": data,
            "sound": head + data,
            "ours": bytes([head[0] | data[0] & 0x3F if data else head[0]]) + head[1:] + data + tail,
        }
        call.reception.datagram(datagram[kind], now)
    call.reception.keys_changed(now)
    while (due := call.reception.due) is not None:
        call.reception.run(due)

    assert call.counters.datagrams == len(datagrams)
    assert all(len(heard.pcm) == FRAME_BYTES for everybody in call.heard.values() for heard in everybody)
