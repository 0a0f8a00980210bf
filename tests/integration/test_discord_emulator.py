"""discord.py, as it is, on the emulated Discord: it is called, joins, hears and is heard, and lives through the rest.

That a client which is not ours, and was made for the real Discord, finds nothing missing is what the emulator is
measured by. `test_discordjs` does the same with a client of another language.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import ssl
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import davey
import discord
import numpy as np
import pytest
import yarl
from discord import app_commands
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

from parley_contract.frames import RATE_HZ
from parley_testkit.discord import BUSY, DiscordEmulator, EmulatedHuman, Fault, Library, Line, Settings
from parley_testkit.discord.ops import VoiceOp
from parley_testkit.discord.opus import Decoder
from parley_testkit.discord.violations import Kind
from parley_testkit.discord.world import Channel
from parley_testkit.local_assistant import HEEDFUL
from parley_testkit.waiting import PATIENCE_S

UNTIDY: tuple[Kind, ...] = ("timestamps", "pacing")
"""What discord.py's player does and listeners bear: its RTP clock stands still in pauses, and on a busy machine it is
late and then hurries."""


def tone(hz: int, seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    wave = 9000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    pcm: bytes = wave.astype("<i2").tobytes()
    return pcm


def pitch_hz(pcm: bytes) -> float:
    """The loudest frequency of s16le at 16 kHz."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE_HZ / len(samples))


class Tone(discord.AudioSource):
    """A tone at 48 kHz stereo, made before it is played: what takes time would be late on the wire."""

    def __init__(self, hz: int, seconds: float) -> None:
        mono = np.frombuffer(tone(hz, seconds, 48_000), dtype="<i2")
        stereo = mono.repeat(2).tobytes()
        self._frames = [stereo[at : at + 3840] for at in range(0, len(stereo), 3840)]

    def read(self) -> bytes:
        return self._frames.pop(0) if self._frames else b""


class Ear:
    """Reads what reaches discord.py's socket, by its keys and none of the emulator's code."""

    def __init__(self, voice: discord.VoiceClient) -> None:
        self._state = voice._connection  # noqa: SLF001 # where discord.py keeps its keys
        self._packets: list[bytes] = []
        self._state.add_socket_listener(self._packets.append)

    def pcm(self, human: EmulatedHuman) -> bytes:
        """What was heard of somebody; what cannot be decrypted is an error."""
        decoder = Decoder()
        heard = [
            packet for packet in self._packets if packet[1] & 0x7F == 120 and packet[8:12] == human.ssrc.to_bytes(4)
        ]
        return b"".join(decoder.decode(self._opus(packet, human.user)) for packet in heard)

    def _opus(self, packet: bytes, user: int) -> bytes:
        clear = 12 + 4 * (packet[0] & 0x0F)
        words = int.from_bytes(packet[clear + 2 : clear + 4]) if packet[0] & 0x10 else 0
        clear += 4 if packet[0] & 0x10 else 0
        body = crypto_aead_xchacha20poly1305_ietf_decrypt(
            packet[clear:-4], packet[:clear], packet[-4:].ljust(24, b"\0"), bytes(self._state.secret_key)
        )[4 * words :]
        frame = body[: -body[-1]] if packet[0] & 0x20 else body
        assert self._state.dave_session
        return self._state.dave_session.decrypt(user, davey.MediaType.audio, frame)


class Client(discord.Client):
    """A bot with two commands."""

    def __init__(self, ca_file: Path) -> None:
        connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=ca_file))
        super().__init__(intents=discord.Intents.default(), connector=connector, guild_ready_timeout=0.1)
        self.tree = app_commands.CommandTree(self)
        self.problems: list[Exception] = []

    async def setup_hook(self) -> None:
        @self.tree.command(description="Come here")
        async def join(interaction: discord.Interaction[Client]) -> None:
            await interaction.response.defer(ephemeral=True)
            assert isinstance(interaction.user, discord.Member)
            assert interaction.user.voice
            assert interaction.user.voice.channel
            await interaction.user.voice.channel.connect(timeout=PATIENCE_S)
            await interaction.followup.send(f"I am in {interaction.user.voice.channel.name}.")

        @self.tree.command(description="Answer too late")
        async def dawdle(interaction: discord.Interaction[Client], seconds: float) -> None:
            await asyncio.sleep(seconds)
            try:
                await interaction.response.send_message("Here I am.")
            except discord.NotFound as problem:
                self.problems.append(problem)

        await self.tree.sync()

    @property
    def voice(self) -> discord.VoiceClient:
        [voice] = self.voice_clients
        assert isinstance(voice, discord.VoiceClient)
        return voice

    async def say(self, hz: int, seconds: float) -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.voice.play(Tone(hz, seconds), after=lambda _: loop.call_soon_threadsafe(done.set))
        await done.wait()
        await asyncio.sleep(0.1)  # what was sent arrives


@pytest.fixture
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[DiscordEmulator]:
    async with DiscordEmulator(getattr(request, "param", BUSY)) as running:
        yield running


@pytest.fixture
async def lounge(emulator: DiscordEmulator) -> Channel:
    return emulator.voice_channel(emulator.guild("Home"), "Lounge")


@pytest.fixture
async def client(emulator: DiscordEmulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    point(monkeypatch, emulator.api_base, emulator.gateway_url)
    bot = Client(emulator.ca_file)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bot.start(emulator.bot.token))
        await emulator.until("the bot is ready", bot.is_ready)
        yield bot
        await bot.close()


def point(monkeypatch: pytest.MonkeyPatch, api_base: str, gateway_url: str) -> None:
    """Tell discord.py where Discord is."""
    monkeypatch.setattr(discord.http.Route, "BASE", api_base)
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(gateway_url))


async def call_in(emulator: DiscordEmulator, human: EmulatedHuman) -> None:
    interaction = await human.invoke("join")
    assert human.channel
    assert (await interaction.reply()).content == f"I am in {human.channel.name}."
    await emulator.connected()


async def understand_each_other(client: Client, *people: EmulatedHuman) -> bool:
    """Let the bot and the people speak in turn, each at his own pitch, and say whether it arrived."""
    ear = Ear(client.voice)
    for number, human in enumerate(people):
        await human.say(tone(400 + 100 * number, 0.4))
    before = [len(human.heard().voiced) for human in people]
    await client.say(900, 0.4)
    heard = [pitch_hz(ear.pcm(human)) for human in people]
    said = [pitch_hz(b"".join(f.pcm for f in h.heard().voiced[n:])) for h, n in zip(people, before, strict=True)]
    return heard == pytest.approx([400 + 100 * n for n in range(len(people))], abs=5) and said == pytest.approx(
        [900] * len(people), abs=5
    )


@pytest.mark.parametrize("library, winner", list(itertools.product(Library, ("bot", "human"))))
async def test_it_joins_hears_and_is_heard_whoever_makes_the_group(
    emulator: DiscordEmulator, client: Client, lounge: Channel, library: Library, winner: str
) -> None:
    emulator.call(lounge).group.winner = "bot" if winner == "bot" else "human"
    mina = await emulator.human("Mina", lounge, library=library)

    await call_in(emulator, mina)

    assert emulator.call(lounge).group.committers == [emulator.bot.id if winner == "bot" else mina.user]
    assert client.voice.voice_privacy_code == mina.privacy_code
    assert await understand_each_other(client, mina)
    assert mina.heard().undecryptable == 0
    assert not emulator.violations.but(*UNTIDY)


async def test_people_come_and_go_around_it(emulator: DiscordEmulator, client: Client, lounge: Channel) -> None:
    people = [
        await emulator.human(name, lounge, library=library)
        for name, library in zip(("Mina", "Noa", "Ola"), itertools.cycle(Library), strict=False)
    ]
    await call_in(emulator, people[0])
    assert await understand_each_other(client, *people)

    await people[1].leave()
    late = await emulator.human("Pia", lounge)
    await emulator.connected()

    assert await understand_each_other(client, people[0], people[2], late)
    assert not emulator.violations.but(*UNTIDY)


async def test_it_is_left_alone_and_found_again(emulator: DiscordEmulator, client: Client, lounge: Channel) -> None:
    mina = await emulator.human("Mina", lounge)
    await call_in(emulator, mina)

    await mina.leave()
    await emulator.until("the group is gone", lambda: not emulator.call(lounge).group.epoch)
    await mina.join(lounge)
    await emulator.connected()

    assert await understand_each_other(client, mina)


async def test_it_recovers_from_a_commit_that_it_cannot_read(
    emulator: DiscordEmulator, client: Client, lounge: Channel
) -> None:
    mina = await emulator.human("Mina", lounge)
    await call_in(emulator, mina)
    group = emulator.call(lounge).group
    group.winner = "human"
    group.spoil_commit(emulator.bot.id)

    noa = await emulator.human("Noa", lounge, library=Library.DAVEY)
    await emulator.until("the bot complains", lambda: group.reported)
    await emulator.connected()

    assert [user for user, _ in group.reported] == [emulator.bot.id]
    assert await understand_each_other(client, mina, noa)


async def test_encryption_is_switched_off_and_on(emulator: DiscordEmulator, client: Client, lounge: Channel) -> None:
    mina = await emulator.human("Mina", lounge)
    await call_in(emulator, mina)
    group = emulator.call(lounge).group

    group.downgrade()
    await emulator.until("there is no encryption", lambda: group.version == 0)
    await client.say(900, 0.2)
    plain = mina.heard().pcm
    group.upgrade()
    await emulator.connected()

    assert pitch_hz(plain) == pytest.approx(900, abs=5)
    assert await understand_each_other(client, mina)
    assert not emulator.violations.but(*UNTIDY)


async def test_a_bad_line_reaches_it_as_bad_as_it_was_ordered(
    emulator: DiscordEmulator, client: Client, lounge: Channel
) -> None:
    mina = await emulator.human("Mina", lounge)
    await call_in(emulator, mina)
    mina.line = Line(padded=0.5, extension_words=2, csrcs=3, duplicates=0.1)
    mina.next_sequence, mina.next_timestamp = 65_530, 2**32 - 5 * 960
    mina.turn_camera_on()
    ear = Ear(client.voice)

    await mina.say(tone(500, 0.4))
    await asyncio.sleep(0.1)

    with pytest.raises(ValueError, match="NoValidCryptorFound"):  # a frame that came twice
        ear.pcm(mina)
    mina.line = Line(padded=0.5, extension_words=2, csrcs=3)
    ear = Ear(client.voice)
    await mina.say(tone(500, 0.4))
    await asyncio.sleep(0.1)
    assert pitch_hz(ear.pcm(mina)) == pytest.approx(500, abs=5)


async def test_it_notices_that_it_is_moved_and_kicked(
    emulator: DiscordEmulator, client: Client, lounge: Channel
) -> None:
    mina = await emulator.human("Mina", lounge)
    await call_in(emulator, mina)
    kitchen = emulator.voice_channel(lounge.guild, "Kitchen")
    await mina.join(kitchen)
    # discord.py's voice connection does not survive being hung up on while it answers.
    await emulator.until(
        "it has begun anew", lambda: [op for op, _ in emulator.link().said].count(VoiceOp.KEY_PACKAGE) == 2
    )

    emulator.switchboard.move(emulator.bot, kitchen)
    await emulator.until("it has followed", lambda: emulator.link().state.channel is kitchen)
    await emulator.connected()
    assert await understand_each_other(client, mina)
    emulator.switchboard.move(emulator.bot, None)

    await emulator.until("it has gone", lambda: not client.voice_clients)


async def test_a_late_answer_is_refused_and_recorded(
    client: Client, emulator: DiscordEmulator, lounge: Channel
) -> None:
    mina = await emulator.human("Mina", lounge)

    interaction = await mina.invoke("dawdle", seconds=3.2)
    await emulator.until("it gives up", lambda: client.problems)

    assert interaction.is_expired
    assert "10062" in str(client.problems[0])
    assert [violation.kind for violation in emulator.violations.all] == ["interaction_deadline"]


async def test_it_waits_as_long_as_the_api_says(client: Client, emulator: DiscordEmulator, lounge: Channel) -> None:
    emulator.rest.faults.append(Fault("POST", "/messages", 429, retry_after_s=0.3))
    emulator.rest.faults.append(Fault("POST", "/messages", 500))
    await emulator.until("it knows the server", lambda: client.guilds)
    channel = client.get_channel(lounge.guild.channels[0].id)
    assert isinstance(channel, discord.TextChannel)

    await channel.send("Hello")

    asked = [one for one in emulator.rest.asked if one.path.endswith("/messages")]
    assert [one.status for one in asked] == [429, 500, 200]
    assert asked[1].at_s - asked[0].at_s >= 0.3
    assert [message.content for message in lounge.guild.channels[0].messages] == ["Hello"]


async def test_it_resumes_its_session_and_makes_a_new_one(
    client: Client, emulator: DiscordEmulator, lounge: Channel
) -> None:
    [session] = emulator.gateway.sessions_of(emulator.bot)

    emulator.gateway.ask_to_reconnect(emulator.bot)
    await emulator.until("it resumes", lambda: session.resumed == 1)
    new = emulator.voice_channel(lounge.guild, "New")
    await emulator.until("it is told", lambda: client.get_channel(new.id))
    emulator.gateway.invalidate(emulator.bot)

    await emulator.until(
        "it identifies again", lambda: emulator.gateway.sessions_of(emulator.bot) not in ([], [session])
    )


@pytest.mark.parametrize("emulator", [Settings()], ids=["strict"], indirect=True)
async def test_what_it_does_wrong_is_recorded(emulator: DiscordEmulator, client: Client, lounge: Channel) -> None:
    mina = await emulator.human("Mina", lounge)
    await call_in(emulator, mina)

    client.voice._connection.dave_protocol_version = 0  # noqa: SLF001 # as if it had missed the group
    for _ in range(20):
        client.voice.send_audio_packet(b"\x48" + bytes(20), encode=False)
    await emulator.until("it is noticed", lambda: emulator.violations.of("silence"))

    assert {violation.kind for violation in emulator.violations.all} == {"unencrypted", "speaking", "pacing", "silence"}
    assert mina.heard().undecryptable == 20
    assert not mina.heard().frames


@contextlib.asynccontextmanager
async def by_hand(*arguments: str | Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    """Start the command, and see that it ends."""
    program = Path(sys.executable).with_name("parley-discord-emulator")
    process = await asyncio.create_subprocess_exec(*HEEDFUL, program, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        yield process, process.stdout
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_can_be_started_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    question = tmp_path / "question.wav"
    with wave.open(str(question), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(tone(500, 0.4))

    async with by_hand(question, "--json", "--token", "abc", "--out", tmp_path) as (process, out):
        addresses = json.loads(await out.readline())
        point(monkeypatch, addresses["apiBase"], addresses["gatewayUrl"])
        async with Client(Path(addresses["caFile"])) as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(client.start(addresses["token"]))
            said = [await out.readline() for _ in range(4)]
            await client.say(900, 0.4)
            said.append(await out.readline())
            await client.close()
        process.send_signal(signal.SIGINT)
        said += (await out.read()).splitlines()

    assert process.returncode == 0
    assert said[1] == b"Libra answers: I am in Lounge.\n"
    assert not [line for line in said[5:] if not line.startswith((b"pacing", b"speaking", b"timestamps"))]
    with wave.open(str(tmp_path / "discord-1-question.wav")) as file:
        assert pitch_hz(file.readframes(file.getnframes())) == pytest.approx(900, abs=5)


async def test_by_hand_it_says_where_it_is() -> None:
    async with by_hand("--once", "--join", "") as (process, out):
        lines = (await out.read()).decode().splitlines()

    assert process.returncode == 0
    assert [line.split()[0] for line in lines] == ["apiBase", "gatewayUrl", "caFile", "token"]
