"""A person in a voice channel, with a client of his own: speaks, hears, and takes part in the group's keys.

He is a party of the call as a bot's connection is one, and says the same opcodes; only his packets take no detour by a
socket. What his network does to them is `line`'s plan, where he goes is `switchboard`'s matter.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Final

from parley_contract.frames import FRAME_BYTES, FRAME_MS
from parley_testkit.discord.call import Call
from parley_testkit.discord.heard import Heard
from parley_testkit.discord.keys import Keys
from parley_testkit.discord.line import Line, travel
from parley_testkit.discord.members import Library
from parley_testkit.discord.ops import VoiceOp
from parley_testkit.discord.opus import Encoder
from parley_testkit.discord.parties import Payload
from parley_testkit.discord.rtp import CAMERA, SAMPLES, SILENCE, SILENCES, Packet

_chance: Final = random.SystemRandom()


class HumanClient:
    """A person's client; what one changes of it holds from the next `say` on."""

    is_bot = False

    def __init__(self, user: int, library: Library) -> None:
        """Be in no call."""
        self.user: Final = user
        """His id."""
        self.line = Line()
        self.announces_speaking_s: float | None = 0.0
        """How late opcode 5 comes after the first packet of a talkspurt, in seconds; None for never."""
        self.is_filming = False
        """Whether his camera sends packets between those of his voice."""
        self.next_sequence = _chance.randrange(2**16)
        """Of RTP; set it near 2**16, or the timestamp near 2**32, to have it wrap."""
        self.next_timestamp = _chance.randrange(2**32)
        self.ssrc = 0
        """By which his voice is known in this call; another one after each join."""
        self.sent: Final[list[Packet]] = []
        """Every packet of voice, as it left him."""
        self.unsent = 0
        """Frames that he said while nobody could have decrypted them, and kept to himself."""
        self._heard: dict[int, Heard] = {}
        self._library = library
        self._call: Call | None = None
        self._keys: Keys | None = None
        self._quiet_since_s: float | None = None

    # --- The call -----------------------------------------------------------------------------------------------------

    def enter(self, call: Call, channel: int) -> None:
        """Join a call."""
        self.exit()
        self.ssrc = _chance.randrange(1, 2**32)
        self._call = call
        version = call.group.version
        self._keys = Keys(self.user, channel, self._library, version, lambda op, data: call.receive(self, op, data))
        call.join(self)

    def exit(self) -> None:
        """Leave the call that he is in."""
        if self._call:
            self._call.leave(self)
        self._call = self._keys = None

    def send(self, op: VoiceOp, data: Payload) -> None:
        """Be told something by the voice server."""
        if self._keys:
            self._keys.receive(op, data)

    @property
    def privacy_code(self) -> str:
        """The 30 digits that everybody in the group sees alike; empty without a group."""
        return self._keys.member.privacy_code if self._keys else ""

    # --- Hearing ------------------------------------------------------------------------------------------------------

    def hear(self, sender: int, packet: Packet) -> None:
        """Take a packet of somebody else."""
        if self._keys:
            self.heard_of(sender).take(packet, self._keys.member.decrypt(sender, packet.payload))

    def heard_of(self, sender: int) -> Heard:
        """Return what came from somebody, now and later."""
        return self._heard.setdefault(sender, Heard())

    # --- Speaking -----------------------------------------------------------------------------------------------------

    async def say(self, pcm: bytes) -> None:
        """Speak in real time: opcode 5, a packet each 20 ms, five frames of silence.

        Args:
            pcm: s16le at 16 kHz mono; the last frame is filled up with zeros.

        Raises:
            RuntimeError: he is in no call.
        """
        call = self._in_call()
        loop = asyncio.get_running_loop()
        chance = random.Random(self.line.seed)  # noqa: S311 # a plan that can be repeated
        encoder = Encoder()
        began_at = loop.time()
        if self._quiet_since_s is not None:  # nothing is sent in a pause, but RTP's clock goes on
            self.next_timestamp += max(0, round((began_at - self._quiet_since_s) * 1000 / FRAME_MS)) * SAMPLES
        if self.announces_speaking_s == 0:
            call.speak(self, self.ssrc, 1)
        elif self.announces_speaking_s is not None:
            loop.call_later(self.announces_speaking_s, call.speak, self, self.ssrc, 1)
        for number, frame in enumerate(_frames(encoder, pcm)):
            await asyncio.sleep(began_at + number * FRAME_MS / 1000 - loop.time())
            packet = self._packet(frame, is_marked=number == 0)
            for late_s, arriving in travel(self.line, packet, chance) if packet else ():
                if late_s:
                    loop.call_later(late_s, call.forward, self, arriving)
                else:
                    call.forward(self, arriving)
            if self.is_filming:
                call.forward(self, self._picture(number, chance))
        self._quiet_since_s = loop.time() + FRAME_MS / 1000

    def resend(self, packets: Sequence[Packet]) -> None:
        """Send packets as they are, to everybody: old ones again, or whatever a test makes up."""
        call = self._in_call()
        for packet in packets:
            call.forward(self, packet)

    def _in_call(self) -> Call:
        if self._call is None:
            raise RuntimeError(f"user {self.user} is in no voice channel: let him join one first")
        return self._call

    def _packet(self, frame: bytes, *, is_marked: bool) -> Packet | None:
        payload = self._keys.member.encrypt(frame) if self._keys else None
        timestamp = self.next_timestamp % 2**32
        self.next_timestamp += SAMPLES
        if payload is None:
            self.unsent += 1
            return None
        packet = Packet(self.next_sequence % 2**16, timestamp, self.ssrc, payload, is_marked=is_marked)
        self.next_sequence += 1
        self.sent.append(packet)
        return packet

    def _picture(self, number: int, chance: random.Random) -> Packet:
        ssrc = (self.ssrc + 1) % 2**32
        return Packet(number % 2**16, number * 1800 % 2**32, ssrc, chance.randbytes(900), CAMERA)


def _frames(encoder: Encoder, pcm: bytes) -> Iterator[bytes]:
    for start in range(0, len(pcm), FRAME_BYTES):
        yield encoder.encode(pcm[start : start + FRAME_BYTES])
    yield from [SILENCE] * SILENCES
