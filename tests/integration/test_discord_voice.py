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
from parley_testkit.discord import DiscordEmulator, EmulatedHuman, Library, Line
from parley_testkit.discord.world import Channel as EmulatedChannel

WAIT_S = 10.0


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

    def __init__(self, emulator: DiscordEmulator, lounge: EmulatedChannel, client: discord.Client, pacer: Pacer) -> None:
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

    async def until(self, what: str, condition: Callable[[], object], timeout_s: float = WAIT_S) -> None:
        await self.emulator.until(what, condition, timeout_s=timeout_s)

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
    async with DiscordEmulator() as emulator:
        lounge = emulator.voice_channel(emulator.guild("Home"), "Lounge")
        monkeypatch.setattr(Route, "BASE", emulator.api_base)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(emulator.gateway_url))
        trust = ssl.create_default_context(cafile=str(emulator.ca_file))
        connector = aiohttp.TCPConnector(limit=0, ssl=trust)
        intents = discord.Intents(guilds=True, voice_states=True)
        client = discord.Client(intents=intents, connector=connector, guild_ready_timeout=0.1)
        async with client:
            running = asyncio.create_task(client.start(emulator.bot.token))
            await client.wait_until_ready()
            with Pacer() as pacer:
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
    """Each frame's pitch in Hz, to 50; 0 for silence."""
    frames = np.frombuffer(pcm, "<i2").reshape(-1, FRAME_SAMPLES).astype(float)
    loud = np.sqrt((frames**2).mean(axis=1)) > 1000
    peaks = np.abs(np.fft.rfft(frames * np.hanning(FRAME_SAMPLES), axis=1)).argmax(axis=1) * RATE_HZ / FRAME_SAMPLES
    return [round(peak / 50) * 50 if is_loud else 0 for peak, is_loud in zip(peaks, loud, strict=True)]


def share(pcm: bytes, hertz: int) -> float:
    """Seconds in which that pitch sounds."""
    return pitches(pcm).count(hertz) / 50


@pytest.mark.parametrize("winner", ["bot", "human"])
@pytest.mark.parametrize("library", Library)
async def test_hears_and_is_heard(stage: Stage, library: Library, winner: str) -> None:
    mina = await stage.emulator.human("Mina", stage.lounge, library=library)
    stage.emulator.call(stage.lounge).group.winner = winner  # type: ignore[assignment]  # pytest knows no literals
    await stage.join()

    heard = await stage.said(mina, tone(400, 1))
    stage.play(tone(600, 1))
    await stage.played()

    assert share(heard, 400) == pytest.approx(1, abs=0.06)
    assert share(mina.heard().pcm, 600) == pytest.approx(1, abs=0.06)
    assert stage.heard.present == {mina.user}
    assert stage.link.privacy_code == mina.privacy_code
    assert not stage.emulator.violations.but()
