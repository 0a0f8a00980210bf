"""The emulated Discord by its bare protocols: what it refuses, with which code, and what it notices of silence."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from parley_testkit.discord import DiscordEmulator, Fault, Settings
from parley_testkit.discord.ops import Intent, Permission
from parley_testkit.discord.world import Channel
from parley_testkit.waiting import PATIENCE_S

IMPATIENT = Settings(heartbeat_s=1.5, voice_heartbeat_s=1.5)
CODES = [4000, 4003, 4004, 4006, 4009, 4011, 4014, 4015, 4016, 4017, 4021, 4022]


class Wire:
    """One WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, op: int, data: object) -> None:
        await self.socket.send_json({"op": op, "d": data})

    async def until(self, op: int, event: str | None = None) -> Any:  # noqa: ANN401 # JSON
        """Return the data of the next message of a kind."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                received = await self.socket.receive()
                if received.type is aiohttp.WSMsgType.BINARY:
                    continue
                assert received.type is aiohttp.WSMsgType.TEXT, received
                message = received.json()
                if message["op"] == op and event in (None, message.get("t")):
                    return message["d"]

    async def closed(self) -> int | None:
        async with asyncio.timeout(PATIENCE_S):
            async for _ in self.socket:
                pass
        return self.socket.close_code


class Bot:
    """A client that does nothing by itself."""

    def __init__(self, discord: DiscordEmulator, http: aiohttp.ClientSession) -> None:
        self.discord = discord
        self.http = http

    @contextlib.asynccontextmanager
    async def gateway(
        self, *, token: str = "", intents: int = Intent.GUILDS | Intent.GUILD_VOICE_STATES
    ) -> AsyncIterator[Wire]:
        async with self.http.ws_connect(self.discord.gateway_url) as socket:
            wire = Wire(socket)
            await wire.until(10)
            await wire.say(2, {"token": token or self.discord.bot.token, "intents": intents, "properties": {}})
            yield wire

    @contextlib.asynccontextmanager
    async def voice(self, endpoint: str, **identity: object) -> AsyncIterator[Wire]:
        tls = ssl.create_default_context(cafile=self.discord.ca_file)
        async with self.http.ws_connect(f"wss://{endpoint}/?v=8", ssl=tls) as socket:
            wire = Wire(socket)
            await wire.until(8)
            await wire.say(0, identity)
            yield wire

    async def ask(self, method: str, path: str, *, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bot {token or self.discord.bot.token}"}
        body = {"content": "Hello"} if method == "POST" else None
        async with self.http.request(method, self.discord.api_base + path, headers=headers, json=body) as response:
            assert response.headers["Content-Type"] == "application/json"
            return response.status, await response.json()


@pytest.fixture
async def discord() -> AsyncIterator[DiscordEmulator]:
    async with DiscordEmulator() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def bot(discord: DiscordEmulator, http: aiohttp.ClientSession) -> Bot:
    return Bot(discord, http)


@pytest.fixture
def lounge(discord: DiscordEmulator) -> Channel:
    return discord.voice_channel(discord.guild("Home"), "Lounge", user_limit=1)


async def join(wire: Wire, channel: Channel) -> dict[str, Any]:
    """Ask for a voice channel, and return what identifies the bot there."""
    guild = str(channel.guild.id)
    await wire.say(4, {"guild_id": guild, "channel_id": str(channel.id), "self_mute": False, "self_deaf": False})
    state = await wire.until(0, "VOICE_STATE_UPDATE")
    server = await wire.until(0, "VOICE_SERVER_UPDATE")
    identity = {"server_id": guild, "user_id": state["user_id"], "session_id": state["session_id"]}
    return {"endpoint": server["endpoint"], "token": server["token"], "max_dave_protocol_version": 1} | identity


@pytest.mark.parametrize("code", CODES)
async def test_any_identification_is_refused_once(
    bot: Bot, discord: DiscordEmulator, lounge: Channel, code: int
) -> None:
    discord.gateway.refusals.append(code)
    discord.voice.refusals.append(code)

    async with bot.gateway() as wire:
        assert await wire.closed() == code
    async with bot.gateway() as wire:
        identity = await join(wire, lounge)
        async with bot.voice(**identity) as voice:
            assert await voice.closed() == code
        async with bot.voice(**identity) as voice:
            assert (await voice.until(2))["modes"] == list(discord.settings.modes)


@pytest.mark.parametrize(
    "wrong, code", [({"token": "x"}, 4004), ({"session_id": "x"}, 4006), ({"max_dave_protocol_version": 0}, 4017)]
)
async def test_a_wrong_identity_is_refused_by_the_voice_server(
    bot: Bot, lounge: Channel, wrong: dict[str, object], code: int
) -> None:
    async with bot.gateway() as wire:
        identity = await join(wire, lounge) | wrong

        async with bot.voice(**identity) as voice:
            assert await voice.closed() == code


@pytest.mark.parametrize("identity, code", [({"token": "x"}, 4004), ({"intents": Intent.MESSAGE_CONTENT}, 4014)])
async def test_a_wrong_identity_is_refused_by_the_gateway(bot: Bot, identity: dict[str, Any], code: int) -> None:
    async with bot.gateway(**identity) as wire:
        assert await wire.closed() == code


async def test_whoever_sends_no_heartbeat_is_dropped_and_recorded(http: aiohttp.ClientSession) -> None:
    async with DiscordEmulator(IMPATIENT) as discord:
        bot = Bot(discord, http)
        lounge = discord.voice_channel(discord.guild("Home"), "Lounge")
        async with bot.gateway() as wire, bot.voice(**await join(wire, lounge)) as voice:
            codes = await asyncio.gather(wire.closed(), voice.closed())

    assert list(codes) == [4009, 4009]
    assert [violation.kind for violation in discord.violations.all] == ["heartbeat", "heartbeat"]


async def test_a_session_that_is_ended_or_broken_is_seen_as_that(
    bot: Bot, discord: DiscordEmulator, lounge: Channel
) -> None:
    async with bot.gateway() as wire:
        identity = await join(wire, lounge)
        async with bot.voice(**identity) as voice:
            await voice.until(2)
            discord.link().close(1006)
            assert await voice.closed() in (None, 1006)
        async with bot.voice(**identity) as voice:
            await voice.until(2)
            discord.link().close(4022)
            assert await voice.closed() == 4022


async def test_a_channel_that_cannot_be_joined_answers_nothing(
    bot: Bot, discord: DiscordEmulator, lounge: Channel
) -> None:
    closed = discord.voice_channel(lounge.guild, "Closed", denied=Permission.CONNECT)
    await discord.human("Mina", lounge)  # it is full now

    async with bot.gateway() as wire:
        for channel in (closed, lounge):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await join(wire, channel)


async def test_a_server_may_be_missing_and_come_later(bot: Bot, discord: DiscordEmulator, lounge: Channel) -> None:
    async with bot.gateway() as wire:
        first = await join(wire, lounge)

        discord.switchboard.give_server(discord.bot, endpoint=False)
        nowhere = await wire.until(0, "VOICE_SERVER_UPDATE")
        discord.switchboard.move_region(discord.bot)
        elsewhere = await wire.until(0, "VOICE_SERVER_UPDATE")

    assert nowhere["endpoint"] is None
    assert elsewhere["endpoint"] != first["endpoint"]


async def test_where_the_gateway_is_can_be_asked(bot: Bot, discord: DiscordEmulator) -> None:
    status, answer = await bot.ask("GET", "/gateway/bot")

    assert (status, answer["url"]) == (200, discord.gateway_url)


async def test_the_api_refuses_as_discord_does(bot: Bot, discord: DiscordEmulator, lounge: Channel) -> None:
    mute = discord.text_channel(lounge.guild, "mute", denied=Permission.SEND_MESSAGES)
    hidden = discord.text_channel(lounge.guild, "hidden", denied=Permission.VIEW_CHANNEL)
    discord.rest.faults.append(Fault("GET", "/gateway", 503))

    refused = [
        await bot.ask("GET", "/users/@me", token="x"),
        await bot.ask("GET", "/gateway"),
        await bot.ask("POST", f"/channels/{mute.id}/messages"),
        await bot.ask("POST", f"/channels/{hidden.id}/messages"),
        await bot.ask("POST", "/channels/1/messages"),
        await bot.ask("GET", "/nothing"),
        await bot.ask("POST", "/interactions/1/x/callback"),
    ]

    assert [(status, answer["code"]) for status, answer in refused] == [
        (401, 0),
        (503, 0),
        (403, 50013),
        (403, 50001),
        (404, 10003),
        (404, 0),
        (404, 10062),
    ]


async def test_nobody_trusts_the_voice_server_without_its_authority(bot: Bot, lounge: Channel) -> None:
    async with bot.gateway() as wire:
        endpoint = (await join(wire, lounge))["endpoint"]

        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await bot.http.ws_connect(f"wss://{endpoint}/?v=8")


async def media(bot: Bot, voice: Wire) -> socket.socket:
    """Make the way for datagrams as every client does, and return it."""
    ready = await voice.until(2)
    loop = asyncio.get_running_loop()
    way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    way.setblocking(False)  # noqa: FBT003 # its signature
    way.connect((ready["ip"], ready["port"]))
    await loop.sock_sendall(way, struct.pack(">HHI66x", 1, 70, ready["ssrc"]))
    answer = await loop.sock_recv(way, 100)
    kind, size, ssrc, address, port = struct.unpack(">HHI64sH", answer)
    assert (kind, size, ssrc) == (2, 70, ready["ssrc"])
    assert (address.rstrip(b"\0").decode(), port) == way.getsockname()
    data = {"address": address.rstrip(b"\0").decode(), "port": port, "mode": "aead_aes256_gcm_rtpsize"}
    await voice.say(1, {"protocol": "udp", "data": data})
    description = await voice.until(4)
    assert (description["mode"], len(description["secret_key"])) == (data["mode"], 32)
    return way


@pytest.mark.parametrize("late_s", [0.0, 0.5, None])
async def test_speaking_is_announced_in_time_late_or_never(
    bot: Bot, discord: DiscordEmulator, late_s: float | None
) -> None:
    hall = discord.voice_channel(discord.guild("Home"), "Hall")
    mina, _ = await discord.human("Mina", hall), await discord.human("Noa", hall)
    mina.announces_speaking_s = late_s
    loop = asyncio.get_running_loop()
    announced: list[tuple[object, float]] = []

    async def listen(voice: Wire) -> None:
        announced.append((await voice.until(5), loop.time()))

    async with bot.gateway() as wire, bot.voice(**await join(wire, hall)) as voice:
        with contextlib.closing(await media(bot, voice)) as way:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(listen(voice))
                tasks.create_task(mina.say(b"\x11\x08" * 320 * 10))
                await loop.sock_recv(way, 2000)
                first_s = loop.time()
                if late_s is None:
                    await asyncio.sleep(0.5)
                else:
                    await discord.until("it is announced", lambda: announced)
                listening.cancel()

    if late_s is None:
        assert not announced
    else:
        [(data, at_s)] = announced
        assert data == {"user_id": str(mina.user), "ssrc": mina.ssrc, "speaking": 1}
        assert at_s - first_s > late_s - 0.2


async def arrives(discord: DiscordEmulator, way: socket.socket) -> bool:
    """Say whether a datagram reaches the bot."""
    discord.link().transmit(b"anything")
    await asyncio.sleep(0.05)
    try:
        return way.recv(100) == b"anything"
    except BlockingIOError:
        return False


async def test_a_router_forgets_a_way_that_nobody_uses(http: aiohttp.ClientSession) -> None:
    async with DiscordEmulator(Settings(route_life_s=1.5)) as discord:
        bot, hall = Bot(discord, http), discord.voice_channel(discord.guild("Home"), "Hall")
        async with bot.gateway() as wire, bot.voice(**await join(wire, hall)) as voice:
            with contextlib.closing(await media(bot, voice)) as way:
                in_use = await arrives(discord, way)
                await asyncio.sleep(1.7)
                unused = await arrives(discord, way)
                way.send(bytes(12))
                await asyncio.sleep(0.05)
                in_use_again = await arrives(discord, way)

    assert (in_use, unused, in_use_again) == (True, False, True)


async def test_whoever_is_deafened_hears_nothing(bot: Bot, discord: DiscordEmulator, lounge: Channel) -> None:
    async with bot.gateway() as wire, bot.voice(**await join(wire, lounge)) as voice:
        with contextlib.closing(await media(bot, voice)) as way:
            hears = await arrives(discord, way)
            discord.switchboard.silence(discord.bot, deaf=True)
            state = await wire.until(0, "VOICE_STATE_UPDATE")

            assert (hears, state["deaf"], await arrives(discord, way)) == (True, True, False)
