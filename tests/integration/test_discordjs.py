"""@discordjs/voice, as npm has it, on the emulated Discord: another language, another author, another DAVE member.

It shares with discord.py and with us nothing but Discord's documents, so what it understands is no agreement among
ourselves. `tools/setup discordjs` installs it, with the Node that it wants.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley_contract.frames import FRAME_BYTES, RATE_HZ
from parley_testkit.discord import BUSY, DiscordEmulator, Library, Line
from parley_testkit.discord.opus import Decoder, Encoder
from parley_testkit.discord.world import Channel
from parley_testkit.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "programs/discordjs.mjs"


def home() -> Path:
    """Where `tools/setup discordjs` puts it."""
    lock = hashlib.sha256((ROOT / "tools/discordjs/package-lock.json").read_bytes()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "parley/bin" / f"discordjs-{lock[:12]}"
    assert folder.is_dir(), "@discordjs/voice is not installed: run tools/setup discordjs"
    return folder


def tone(hz: int, seconds: float) -> bytes:
    wave = 9000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)
    pcm: bytes = wave.astype("<i2").tobytes()
    return pcm


def pitch_hz(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, dtype="<i2").astype(float)
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * RATE_HZ / len(samples))


class Client:
    """A running one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[dict[str, Any]] = []
        self.heard: dict[int, list[bytes]] = defaultdict(list)

    async def listen(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            event = json.loads(line)
            if event["event"] == "heard":
                self.heard[int(event["user"])].append(base64.b64decode(event["opus"]))
            else:
                self.events.append(event)

    def has(self, kind: str) -> bool:
        assert not [event for event in self.events if event["event"] == "error"], self.events
        return any(event["event"] == kind for event in self.events)

    def say(self, pcm: bytes) -> None:
        encoder = Encoder()
        frames = [encoder.encode(pcm[at : at + FRAME_BYTES]) for at in range(0, len(pcm), FRAME_BYTES)]
        order = {"say": [base64.b64encode(frame).decode() for frame in frames]}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    def pcm_of(self, user: int) -> bytes:
        decoder = Decoder()
        return b"".join(decoder.decode(packet) for packet in self.heard[user])


@contextlib.asynccontextmanager
async def in_call(discord: DiscordEmulator, channel: Channel) -> AsyncIterator[Client]:
    order = {
        "apiBase": discord.api_base,
        "token": discord.bot.token,
        "guild": str(channel.guild.id),
        "channel": str(channel.id),
    }
    folder = home()
    process = await asyncio.create_subprocess_exec(
        folder / "node_modules/.bin/node",
        PROGRAM,
        folder,
        json.dumps(order),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(discord.ca_file)},
    )
    client = Client(process)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.listen())
        try:
            await discord.until("discord.js has joined", lambda: client.has("joined"))
            await discord.connected()
            yield client
            assert process.stdin
            process.stdin.close()
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0


@pytest.fixture
async def emulator() -> AsyncIterator[DiscordEmulator]:
    async with DiscordEmulator(BUSY) as running:
        yield running


@pytest.fixture
def lounge(emulator: DiscordEmulator) -> Channel:
    return emulator.voice_channel(emulator.guild("Home"), "Lounge")


async def test_it_joins_hears_and_is_heard(emulator: DiscordEmulator, lounge: Channel) -> None:
    mina = await emulator.human("Mina", lounge)
    noa = await emulator.human("Noa", lounge, library=Library.DAVEY)
    noa.line = Line(padded=0.5, extension_words=2)

    async with in_call(emulator, lounge) as client:
        await asyncio.gather(mina.say(tone(500, 0.6)), noa.say(tone(700, 0.6)))
        client.say(tone(900, 0.6))
        await emulator.until("it has spoken", lambda: client.has("said"))

        assert pitch_hz(client.pcm_of(mina.user)) == pytest.approx(500, abs=5)
        assert pitch_hz(client.pcm_of(noa.user)) == pytest.approx(700, abs=5)
        assert [pitch_hz(human.heard().pcm) for human in (mina, noa)] == pytest.approx([900, 900], abs=5)
        [said] = [event for event in client.events if event["event"] == "said"]
        assert said["code"] == mina.privacy_code == noa.privacy_code
        transport = emulator.link().transport
        assert transport
        assert transport.mode == "aead_aes256_gcm_rtpsize"
    assert not emulator.violations.but("pacing")  # which is as good as the machine is idle


async def test_it_resumes_after_the_voice_server_broke(emulator: DiscordEmulator, lounge: Channel) -> None:
    mina = await emulator.human("Mina", lounge)

    async with in_call(emulator, lounge) as client:
        emulator.link().close(4015)
        await emulator.until("it resumes", lambda: emulator.link().resumed == 1)
        noa = await emulator.human("Noa", lounge)
        await emulator.connected()
        await noa.say(tone(700, 0.4))
        client.say(tone(900, 0.4))
        await emulator.until("it has spoken", lambda: client.has("said"))

        assert pitch_hz(client.pcm_of(noa.user)) == pytest.approx(700, abs=5)
        assert pitch_hz(mina.heard().pcm) == pytest.approx(900, abs=5)


async def test_it_follows_to_another_region(emulator: DiscordEmulator, lounge: Channel) -> None:
    mina = await emulator.human("Mina", lounge)

    async with in_call(emulator, lounge) as client:
        first = emulator.link()
        emulator.switchboard.move_region(emulator.bot)
        await emulator.until("it is elsewhere", lambda: emulator.link() is not first)
        await emulator.connected()
        client.say(tone(900, 0.4))
        await emulator.until("it has spoken", lambda: client.has("said"))

        assert pitch_hz(mina.heard().pcm) == pytest.approx(900, abs=5)
