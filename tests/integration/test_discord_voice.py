"""A voice link on an emulated Discord: hears and is heard, end-to-end encrypted, through whatever goes wrong there.

The people use Discord's own DAVE library, ours is another one. What they say and hear are tones: every 20 ms tell by
their pitch whose they are and which.
"""

import asyncio
import contextlib
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp
import discord
import numpy as np
import pytest
import pytest_asyncio
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from parley_contract.frames import FRAME_BYTES, FRAME_SAMPLES, RATE_HZ
from parley_gateway.discord.errors import VoiceRefusedError, VoiceUnavailableError
from parley_gateway.discord.links import VoiceLink
from parley_gateway.discord.listeners import Channel, Gone
from parley_gateway.discord.pacing import Pacer
from parley_runtime.telemetry import Telemetry
from parley_testkit.discord import BUSY, DiscordEmulator, EmulatedHuman, Library, Line, Packet
from parley_testkit.discord.users import Bot
from parley_testkit.discord.world import Channel as EmulatedChannel


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.frames: Final[defaultdict[int, list[tuple[bytes, float]]]] = defaultdict(list)
        self.present: Final[set[int]] = set()
        self.told: Final[list[str]] = []
        self.deaf_to: frozenset[int] | None = None
        self.gone: Gone | None = None
        self.channel: Channel | None = None

    def frame(self, user_id: int, pcm: bytes, arrived_at: float) -> None:
        assert len(pcm) == FRAME_BYTES
        self.frames[user_id].append((pcm, arrived_at))

    def joined(self, user_id: int) -> None:
        assert user_id not in self.present
        self.present.add(user_id)

    def left(self, user_id: int) -> None:
        self.present.remove(user_id)

    def moved(self, channel: Channel) -> None:
        self.channel = channel

    def deaf(self, user_ids: frozenset[int], sentence: str) -> None:
        self.deaf_to = user_ids

    def recovered(self, user_ids: frozenset[int]) -> None:
        self.deaf_to = None

    def disconnected(self, why: Gone, sentence: str) -> None:
        assert sentence
        self.gone = why

    def pcm(self, human: EmulatedHuman) -> bytes:
        return b"".join(pcm for pcm, _ in self.frames[human.user])


class Stage:
    """An emulated Discord with one voice channel, and us outside of it, logged in."""

    def __init__(
        self, emulator: DiscordEmulator, lounge: EmulatedChannel, client: discord.Client, pacer: Pacer
    ) -> None:
        self.emulator: Final = emulator
        self.lounge: Final = lounge
        self.client: Final = client
        self.heard: Final = Listener()
        self.telemetry: Final = Telemetry("gateway", "test_libra")
        self.link: Final = VoiceLink(self.heard, pacer, self.telemetry)

    @property
    def channel(self) -> discord.VoiceChannel:
        channel = self.client.get_channel(self.lounge.id)
        assert isinstance(channel, discord.VoiceChannel)
        return channel

    async def join(self) -> None:
        await self.link.connect(self.channel)
        await self.emulator.connected()

    async def until(self, what: str, condition: Callable[[], object]) -> None:
        await self.emulator.until(what, condition)

    async def said(self, human: EmulatedHuman, pcm: bytes) -> bytes:
        """Let somebody say something, and return what was heard of it."""
        before = len(self.heard.frames[human.user])
        await human.say(pcm)
        await asyncio.sleep(0.3)
        return b"".join(pcm for pcm, _ in self.heard.frames[human.user][before:])

    def play(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), FRAME_BYTES):
            self.link.play(pcm[start : start + FRAME_BYTES])

    async def played(self) -> None:
        await self.until("all is on the wire", lambda: not self.link.on_wire.waiting)
        await asyncio.sleep(0.3)


@pytest_asyncio.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with DiscordEmulator(BUSY) as emulator:
        lounge = emulator.voice_channel(emulator.guild("Home"), "Lounge")
        monkeypatch.setattr(Route, "BASE", emulator.api_base)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(emulator.gateway_url))
        with Pacer() as pacer:
            async with on_stage(emulator, lounge, emulator.bot, pacer) as stage:
                yield stage


@contextlib.asynccontextmanager
async def on_stage(emulator: DiscordEmulator, lounge: EmulatedChannel, bot: Bot, pacer: Pacer) -> AsyncIterator[Stage]:
    """Be logged in as a bot."""
    trust = ssl.create_default_context(cafile=str(emulator.ca_file))
    connector = aiohttp.TCPConnector(limit=0, ssl=trust)
    intents = discord.Intents(guilds=True, voice_states=True)
    client = discord.Client(intents=intents, connector=connector, guild_ready_timeout=0.1)
    async with client:
        running = asyncio.create_task(client.start(bot.token))
        await client.wait_until_ready()
        stage = Stage(emulator, lounge, client, pacer)
        yield stage
        await stage.link.disconnect()
        await client.close()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def tone(hertz: float, seconds: float) -> bytes:
    """A tone, s16le at 16 kHz mono."""
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    samples: bytes = (8000 * np.sin(2 * np.pi * hertz * at)).astype("<i2").tobytes()
    return samples


def pitches(pcm: bytes) -> list[int]:
    """Each frame's pitch in Hz, to 100; 0 for silence."""
    frames = np.frombuffer(pcm, "<i2").reshape(-1, FRAME_SAMPLES).astype(float)
    loud = np.sqrt((frames**2).mean(axis=1)) > 1000
    peaks = np.abs(np.fft.rfft(frames * np.hanning(FRAME_SAMPLES), axis=1)).argmax(axis=1) * RATE_HZ / FRAME_SAMPLES
    return [round(peak / 100) * 100 if is_loud else 0 for peak, is_loud in zip(peaks, loud, strict=True)]


def share(pcm: bytes, hertz: int) -> float:
    """Seconds in which that pitch sounds."""
    return pitches(pcm).count(hertz) / 50


@pytest.mark.parametrize("library, winner", [(Library.DAVEY, "bot"), (Library.LIBDAVE, "human")])
async def test_hears_and_is_heard(stage: Stage, library: Library, winner: str) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge, library=library)
    stage.emulator.call(stage.lounge).group.winner = winner  # type: ignore[assignment]  # pytest knows no literals
    await stage.join()

    heard = await stage.said(mina, tone(400, 0.3))
    stage.play(tone(600, 0.3))
    await stage.played()

    assert share(heard, 400) == pytest.approx(0.3, abs=0.06)
    assert share(mina.heard().pcm, 600) == pytest.approx(0.3, abs=0.06)
    assert stage.heard.present == {mina.user}
    assert stage.link.privacy_code == mina.privacy_code
    assert not stage.emulator.violations.but()


@pytest.mark.parametrize("winner", ["bot", "human"])
async def test_three_people_at_once_are_heard_apart(stage: Stage, winner: str) -> None:
    libraries = {"Mina": Library.LIBDAVE, "Noah": Library.DAVEY, "Ada": Library.LIBDAVE}
    people = [await stage.emulator.human(name, stage.lounge, library=each) for name, each in libraries.items()]
    stage.emulator.call(stage.lounge).group.winner = winner  # type: ignore[assignment]  # pytest knows no literals
    await stage.join()
    voices = list(zip(people, (400, 600, 800), strict=True))

    await asyncio.gather(*(human.say(tone(hertz, 1)) for human, hertz in voices))
    await asyncio.sleep(0.3)

    for human, hertz in voices:
        assert set(pitches(stage.heard.pcm(human))) <= {0, hertz}
        assert share(stage.heard.pcm(human), hertz) == pytest.approx(1, abs=0.06)


async def test_two_bots_hear_the_people_and_each_other(stage: Stage) -> None:
    vega = stage.emulator.add_bot("Vega")
    stage.lounge.guild.users[vega.id] = vega
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    with Pacer() as pacer:
        async with on_stage(stage.emulator, stage.lounge, vega, pacer) as other:
            await other.link.connect(other.channel)
            await stage.emulator.connected(vega)
            await stage.emulator.connected()

            await mina.say(tone(400, 0.3))
            stage.play(tone(600, 0.3))
            other.play(tone(800, 0.3))
            await stage.played()
            await other.played()

            libra = stage.emulator.bot
            assert stage.heard.frames.keys() == {mina.user, vega.id}
            assert other.heard.frames.keys() == {mina.user, libra.id}
            for heard, speaker, hertz in (
                (stage.heard, mina.user, 400),
                (other.heard, mina.user, 400),
                (other.heard, libra.id, 600),
                (stage.heard, vega.id, 800),
            ):
                pcm = b"".join(pcm for pcm, _ in heard.frames[speaker])
                assert share(pcm, hertz) == pytest.approx(0.3, abs=0.06)
            assert stage.link.privacy_code == other.link.privacy_code == mina.privacy_code
    assert not stage.emulator.violations.but()


@pytest.mark.parametrize(
    "line",
    [
        Line(padded=1.0, extension_words=3),
        Line(padded=0.5, extension_words=0, csrcs=3, duplicates=0.5, jitter_ms=15),
        Line(reordered=0.2, late_ms=30),
    ],
    ids=["padding and extension", "sources and duplicates", "reordered"],
)
async def test_what_networks_and_clients_add_is_not_heard(stage: Stage, line: Line) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    mina.line = line
    mina.turn_camera_on()
    mina.next_sequence, mina.next_timestamp = 2**16 - 20, 2**32 - 20_000
    await stage.join()

    heard = await stage.said(mina, tone(400, 1))

    counters = stage.link.counters.speakers[mina.user]
    assert share(heard, 400) == pytest.approx(1, abs=0.06)
    assert counters.concealed == counters.failed == counters.broken == 0
    assert (counters.late > 0) == (line.duplicates > 0)
    assert stage.link.counters.ignored >= 50


@pytest.mark.parametrize("loss", [0.05, 0.2])
async def test_loss_is_concealed_and_nothing_grows(stage: Stage, loss: float) -> None:
    """`test_reception` does so for ten minutes."""
    mina = await stage.emulator.human("Mina", stage.lounge)
    mina.line = Line(loss=loss, reordered=0.05, jitter_ms=10, seed=4711)
    await stage.join()

    heard = await stage.said(mina, tone(400, 2))

    counters = stage.link.counters.speakers[mina.user]
    assert counters.lost == counters.concealed > 100 * loss / 2
    assert share(heard, 400) > 1.8
    # Five silent packets, the tail of half a second, and of the tone every frame or its substitute.
    assert len(heard) // FRAME_BYTES == pytest.approx(100 + 5 + 15, abs=10)


async def test_silence_follows_by_the_wall_clock_and_ends(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()

    await mina.say(tone(400, 0.4))
    frames = stage.heard.frames[mina.user]
    await stage.until("silence has followed", lambda: len(frames) >= 20 + 5 + 25)
    await asyncio.sleep(0.2)

    assert len(frames) == 20 + 5 + 25
    times = [arrived_at for _, arrived_at in frames]
    assert times[-1] - times[0] > 0.7


async def test_a_new_key_in_the_middle_of_a_sentence_loses_no_word(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    words = [400, 600, 800, 1000] * 5

    saying = asyncio.create_task(mina.say(b"".join(tone(hertz, 0.1) for hertz in words)))
    await asyncio.sleep(0.5)
    noah = await stage.emulator.human("Noah", stage.lounge)
    await asyncio.sleep(0.7)
    await noah.leave()
    await saying
    await asyncio.sleep(0.3)

    heard = [pitch for pitch in pitches(stage.heard.pcm(mina)) if pitch]
    spoken = [pitch for index, pitch in enumerate(heard) if index == 0 or heard[index - 1] != pitch]
    assert spoken == words
    assert stage.link.counters.speakers[mina.user].failed == 0
    assert stage.heard.present == {mina.user}


@pytest.mark.parametrize("late_s", [0.3, None], ids=["late", "missing"])
async def test_who_speaks_is_found_out_without_opcode_5(stage: Stage, late_s: float | None) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.emulator.human("Noah", stage.lounge)
    mina.announces_speaking_s = late_s
    await stage.join()

    heard = await stage.said(mina, tone(400, 0.3))

    assert share(heard, 400) == pytest.approx(0.3, abs=0.06)
    assert stage.heard.frames.keys() == {mina.user}


async def test_garbage_and_old_packets_are_not_heard(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    await stage.said(mina, tone(400, 0.3))
    before = len(stage.heard.frames[mina.user])

    mina.resend(mina.sent[:10])
    stage.emulator.link().transmit_report(mina.ssrc)
    for size in range(100):
        stage.emulator.link().transmit(bytes([0x80, 0x78]) + bytes(size))
    await asyncio.sleep(0.5)

    assert all(pcm == bytes(FRAME_BYTES) for pcm, _ in stage.heard.frames[mina.user][before:])
    assert stage.link.counters.forged > 50
    assert stage.link.counters.ignored > 0
    assert stage.link.counters.speakers[mina.user].broken == 0


async def test_encryption_that_goes_and_comes_back_is_followed(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    group = stage.emulator.call(stage.lounge).group

    group.downgrade()
    await stage.until("the downgrade", lambda: group.version == 0)
    plain = await stage.said(mina, tone(400, 0.3))
    assert stage.link.privacy_code is None
    group.upgrade()
    await stage.emulator.connected()
    await stage.until("a group", lambda: stage.link.privacy_code)
    secret = await stage.said(mina, tone(600, 0.3))
    stage.play(tone(800, 0.3))
    await stage.played()

    assert share(plain, 400) == pytest.approx(0.3, abs=0.06)
    assert share(secret, 600) == pytest.approx(0.3, abs=0.06)
    assert share(mina.heard().pcm, 800) == pytest.approx(0.3, abs=0.06)
    assert not stage.emulator.violations.but()


async def test_whoever_was_left_alone_is_found_again(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    await stage.said(mina, tone(400, 0.1))

    await mina.leave()
    await stage.until("the group is gone", lambda: not stage.emulator.call(stage.lounge).group.epoch)
    await stage.until("we noticed", lambda: not stage.heard.present and stage.link.privacy_code is None)
    await mina.join(stage.lounge)
    await stage.emulator.connected()
    heard = await stage.said(mina, tone(600, 0.3))
    stage.play(tone(800, 0.3))
    await stage.played()

    assert stage.link.privacy_code == mina.privacy_code
    assert share(heard, 600) == pytest.approx(0.3, abs=0.06)
    assert share(mina.heard().pcm, 800) == pytest.approx(0.3, abs=0.06)
    assert not stage.emulator.violations.but()


async def test_a_commit_that_cannot_be_read_is_asked_for_again(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    group = stage.emulator.call(stage.lounge).group

    group.spoil_commit(stage.emulator.bot.id)
    await stage.emulator.human("Noah", stage.lounge)
    await stage.until("opcode 31", lambda: group.reported)
    await stage.emulator.connected()
    heard = await stage.said(mina, tone(400, 0.3))

    assert share(heard, 400) == pytest.approx(0.3 - 0.02 * mina.unsent, abs=0.06)


async def test_whoever_cannot_be_decrypted_makes_the_encryption_begin_anew(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    await stage.said(mina, tone(400, 0.1))
    await asyncio.sleep(1)  # whoever is looked after once a second was heard well in the one before
    group = stage.emulator.call(stage.lounge).group

    for number in range(40):
        unreadable = Packet((mina.next_sequence + number) % 2**16, 0, mina.ssrc, bytes(50) + b"\xfa\xfa")
        stage.emulator.link().transmit_packet(unreadable)
    mina.next_sequence += 40
    await stage.until("opcode 31", lambda: group.reported)
    await stage.emulator.connected()
    heard = await stage.said(mina, tone(400, 0.3))

    assert stage.link.counters.recoveries == 1
    assert stage.link.counters.speakers[mina.user].failed == 40
    assert share(heard, 400) == pytest.approx(0.3, abs=0.06)
    assert stage.heard.deaf_to is None


async def test_a_connection_that_brings_only_forgeries_is_made_anew(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    first = stage.emulator.link()

    for size in range(50, 100):
        first.transmit(bytes([0x80, 0x78]) + bytes(size))
    await stage.until("a new connection", lambda: stage.emulator.link() is not first and stage.link.is_connected)
    await stage.emulator.connected()
    heard = await stage.said(mina, tone(400, 0.3))

    assert stage.link.counters.rejoins == 1
    assert share(heard, 400) == pytest.approx(0.3, abs=0.06)


async def test_a_connection_that_brings_nothing_although_somebody_speaks_is_made_anew(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    first = stage.emulator.link()
    first.delivers = False

    await mina.say(tone(400, 0.1))
    await stage.until("a new connection", lambda: stage.emulator.link() is not first and stage.link.is_connected)
    await stage.emulator.connected()
    heard = await stage.said(mina, tone(600, 0.3))

    assert stage.link.counters.rejoins == 1
    assert share(heard, 600) == pytest.approx(0.3, abs=0.06)


async def test_whoever_is_deafened_hears_nothing_and_afterwards_everything(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()

    stage.emulator.switchboard.silence(stage.emulator.bot, deaf=True)
    nothing = await stage.said(mina, tone(400, 0.2))
    stage.emulator.switchboard.silence(stage.emulator.bot)
    heard = await stage.said(mina, tone(600, 0.3))

    assert nothing == b""
    assert share(heard, 600) == pytest.approx(0.3, abs=0.06)
    assert stage.link.counters.rejoins == 0


# What is said.


async def test_what_is_played_before_the_keys_are_there_waits_for_them(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.link.connect(stage.channel)

    stage.play(tone(400, 0.3))
    await stage.emulator.connected()
    await stage.played()

    assert share(mina.heard().pcm, 400) == pytest.approx(0.3, abs=0.06)
    assert not stage.emulator.violations.but()


async def test_in_an_empty_channel_sound_passes_unsent(stage: Stage) -> None:
    await stage.join()

    began_at = time.monotonic()
    stage.play(tone(400, 0.5))
    await stage.until("all has passed", lambda: stage.link.on_wire.frames == 25)

    assert time.monotonic() - began_at > 0.45
    assert stage.link.counters.sent <= 5  # silence, at the beginning
    assert not stage.emulator.violations.but()


async def test_talkspurts_are_paced_marked_and_ended(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()

    for _ in range(2):
        stage.play(tone(400, 0.4))
        await stage.played()
        await asyncio.sleep(0.7)

    frames = mina.heard().frames
    voiced = [index for index, frame in enumerate(frames) if not frame.is_silence]
    second = voiced[20]
    assert len(voiced) == 40
    assert all(frame.is_silence for frame in frames[second - 5 : second])
    assert [frame.is_marked for frame in frames[second - 1 : second + 2]] == [False, True, False]
    wall_s = frames[second].at_s - frames[voiced[0]].at_s
    assert (frames[second].timestamp - frames[voiced[0]].timestamp) % 2**32 / 48_000 == pytest.approx(wall_s, abs=0.5)
    assert not stage.emulator.violations.but()


async def test_a_cut_is_exact_and_final(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()

    began_at = time.monotonic()
    stage.play(tone(400, 2))
    await stage.until("half a second is heard", lambda: len(mina.heard().voiced) >= 25)
    on_wire = stage.link.cut()
    cut_at = time.monotonic()
    await asyncio.sleep(0.5)

    # And the frame in which it dies away.
    assert len(mina.heard().voiced) - 1 == on_wire.frames == stage.link.on_wire.frames
    assert began_at < on_wire.at <= cut_at
    assert not stage.emulator.violations.but()


async def test_a_reply_is_held_and_goes_on_and_a_notice_never_sounds_with_it(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()

    stage.play(tone(400, 1))
    await stage.until("a part is heard", lambda: len(mina.heard().voiced) >= 10)
    held = stage.link.pause()
    for start in range(0, len(notice := tone(800, 0.3)), FRAME_BYTES):
        stage.link.play(notice[start : start + FRAME_BYTES], "notice")
    await asyncio.sleep(0.6)
    stage.link.resume()
    await stage.played()

    heard = [frame.pcm for frame in mina.heard().voiced]
    order = [pitch for pcm in heard for pitch in pitches(pcm) if pitch]
    assert held.waiting + held.frames == 50
    assert len(heard) == 50 + 15
    assert order[: held.frames - 1] == [400] * (held.frames - 1)
    assert order[-(held.waiting - 1) :] == [400] * (held.waiting - 1)
    assert 14 <= order.count(800) <= 16
    assert not stage.emulator.violations.but()


# Connections come and go.


@pytest.mark.parametrize("code", [4006, 4015, 1006])
async def test_a_lost_connection_comes_back(stage: Stage, code: int) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    first = stage.emulator.link()

    first.close(code)
    await stage.until("a new connection", lambda: stage.emulator.link() is not first and stage.link.is_connected)
    await stage.emulator.connected()
    heard = await stage.said(mina, tone(400, 0.3))
    stage.play(tone(600, 0.3))
    await stage.played()

    assert share(heard, 400) == pytest.approx(0.3, abs=0.06)
    assert share(mina.heard().pcm, 600) == pytest.approx(0.3, abs=0.06)
    assert stage.heard.gone is None


async def test_a_region_moves_in_the_middle_of_a_reply(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()

    stage.play(tone(400, 2))
    await stage.until("a part is heard", lambda: len(mina.heard().voiced) >= 20)
    stage.emulator.switchboard.move_region(stage.emulator.bot)
    await stage.played()
    heard = await stage.said(mina, tone(600, 0.3))

    assert len(mina.heard().voiced) >= 98
    assert share(heard, 600) == pytest.approx(0.3, abs=0.06)
    assert stage.link.is_connected


async def test_whoever_is_moved_goes_on_there(stage: Stage) -> None:
    await stage.emulator.human("Mina", stage.lounge)
    den = stage.emulator.voice_channel(stage.lounge.guild, "Den")
    noah = await stage.emulator.human("Noah", den)
    await stage.join()

    stage.emulator.switchboard.move(stage.emulator.bot, den)
    await stage.until("we noticed", lambda: stage.heard.present == {noah.user})
    await stage.emulator.connected()
    heard = await stage.said(noah, tone(400, 0.3))

    assert stage.heard.channel is not None
    assert stage.heard.channel.id == den.id
    assert stage.link.channel is stage.heard.channel
    assert share(heard, 400) == pytest.approx(0.3, abs=0.06)


async def test_whoever_is_kicked_says_so_and_may_come_again(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()

    stage.emulator.switchboard.move(stage.emulator.bot, None)
    await stage.until("we noticed", lambda: stage.heard.gone)
    stage.heard.present.clear()
    await stage.join()
    heard = await stage.said(mina, tone(400, 0.3))

    assert stage.heard.gone == "kicked"
    assert share(heard, 400) == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("code, gone", [(4017, "refused"), (4021, "rate_limited")])
async def test_a_server_that_throws_us_out_is_believed(stage: Stage, code: int, gone: Gone) -> None:
    await stage.join()

    stage.emulator.link().close(code)
    await stage.until("we noticed", lambda: stage.heard.gone)

    assert stage.heard.gone == gone
    assert stage.link.channel is None


@pytest.mark.parametrize("code, reason", [(4017, "encryption"), (4004, "not_allowed")])
async def test_a_server_that_never_lets_us_in_is_not_asked_again(stage: Stage, code: int, reason: str) -> None:
    stage.emulator.voice.refusals.extend([code] * 5)

    with pytest.raises(VoiceRefusedError, match=f"close code {code}") as refused:
        await stage.link.connect(stage.channel)

    assert refused.value.reason == reason
    assert len(stage.emulator.voice.refusals) == 4
    assert stage.link.channel is None


async def test_a_server_that_lets_us_in_at_the_second_try_is_asked_again(stage: Stage) -> None:
    stage.emulator.voice.refusals.append(4006)

    await stage.join()

    assert stage.link.is_connected


async def test_leaving_and_joining_at_once_works(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    for _ in range(3):
        stage.heard.present.clear()
        await stage.join()
        await stage.link.disconnect()
    stage.heard.present.clear()
    await stage.join()

    heard = await stage.said(mina, tone(400, 0.3))

    assert share(heard, 400) == pytest.approx(0.3, abs=0.06)


async def test_one_link_is_in_one_channel(stage: Stage) -> None:
    await stage.join()

    with pytest.raises(VoiceUnavailableError) as refused:
        await stage.link.connect(stage.channel)

    assert refused.value.reason == "busy"
    assert stage.link.is_connected


async def test_packets_are_counted_by_door_and_never_by_person(stage: Stage) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge)
    await stage.join()
    await stage.said(mina, tone(400, 0.5))

    await stage.link.disconnect()

    exposition = stage.telemetry.exposition().decode()
    assert 'parley_voice_packets_total{door="discord",state="decoded"} 30.0' in exposition
    assert str(mina.user) not in exposition


async def test_on_a_stage_there_is_no_end_to_end_encryption_and_it_is_not_missed(stage: Stage) -> None:
    hall = stage.emulator.voice_channel(stage.lounge.guild, "Hall", is_stage=True)
    mina = await stage.emulator.human("Mina", hall)
    await stage.until("the hall is known", lambda: stage.client.get_channel(hall.id))
    channel = stage.client.get_channel(hall.id)
    assert isinstance(channel, discord.StageChannel)

    await stage.link.connect(channel)
    heard = await stage.said(mina, tone(400, 0.3))

    assert share(heard, 400) == pytest.approx(0.3, abs=0.06)
    assert stage.link.privacy_code is None
