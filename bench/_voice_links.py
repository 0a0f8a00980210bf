"""Voice links of this process into an emulated Discord beside it, and what they hear. Used by `discords`.

The people there live in a process of their own (`_voice_people.py`), which is told in lines what to do.
"""

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import discord
import yarl
from _crowd import recorded_sound
from discord.gateway import DiscordWebSocket
from discord.http import Route

from parley_gateway.discord.links import VoiceLink
from parley_gateway.discord.listeners import Channel, Gone
from parley_gateway.discord.pacing import Pacer
from parley_gateway.gathering import Gathering
from parley_gateway.segments import SpeechWindow
from parley_runtime.telemetry import Telemetry

_SETTLE_S: Final = 3.0


class People:
    """The emulated Discord beside us."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        """Read where it is."""
        self._child = child
        self.where: Final[dict[str, Any]] = self._read()

    def tell(self, line: str) -> None:
        """Ask for something."""
        assert self._child.stdin  # noqa: S101  # a pipe
        self._child.stdin.write(f"{line}\n".encode())
        self._child.stdin.flush()

    async def answer(self) -> Any:  # noqa: ANN401  # JSON
        """Read what came of it."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> Any:  # noqa: ANN401  # JSON
        assert self._child.stdout  # noqa: S101  # a pipe
        return json.loads(self._child.stdout.readline())


@contextlib.contextmanager
def people(channels: int, each: int) -> Iterator[People]:
    """Start a Discord with people who say a recorded question again and again."""
    question = b"".join(recorded_sound().question)
    page = Path(__file__).with_name("_voice_people.py")
    with subprocess.Popen(
        [sys.executable, page, str(channels), str(each), str(len(question))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin  # noqa: S101  # a pipe
        child.stdin.write(question)
        child.stdin.flush()
        yield People(child)
        child.stdin.close()


class Ear:
    """A listener that notes when frames came, and may let a voice detector hear them, as a session does."""

    def __init__(self, gathering: Gathering[Any] | None) -> None:
        """Have heard nothing."""
        self.times: Final[defaultdict[int, list[float]]] = defaultdict(list)
        self._gathering = gathering
        self._places: dict[int, Any] = {}

    def frame(self, user_id: int, pcm: bytes, arrived_at: float) -> None:
        """See Listener."""
        del arrived_at
        self.times[user_id].append(time.monotonic())
        if self._gathering is not None:
            if user_id not in self._places:
                self._places[user_id] = self._gathering.join(_judged)
            self._places[user_id].hear(pcm)

    def joined(self, user_id: int) -> None:
        """See Listener."""

    def left(self, user_id: int) -> None:
        """See Listener."""

    def moved(self, channel: Channel) -> None:
        """See Listener."""

    def deaf(self, user_ids: frozenset[int], sentence: str) -> None:
        """See Listener."""
        raise RuntimeError(f"deaf to {len(user_ids)}: {sentence}")

    def recovered(self, user_ids: frozenset[int]) -> None:
        """See Listener."""

    def disconnected(self, why: Gone, sentence: str) -> None:
        """See Listener."""
        raise RuntimeError(f"disconnected, {why}: {sentence}")


def _judged(pcm: bytes, windows: tuple[SpeechWindow, ...], arrived_at: float) -> None:
    del pcm, windows, arrived_at


@contextlib.asynccontextmanager
async def bot(where: dict[str, Any], token: str) -> AsyncIterator[discord.Client]:
    """Be logged in."""
    Route.BASE = where["api_base"]
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(where["gateway_url"])
    trust = ssl.create_default_context(cafile=where["ca_file"])
    client = discord.Client(
        intents=discord.Intents(guilds=True, voice_states=True),
        connector=aiohttp.TCPConnector(limit=0, ssl=trust),
        guild_ready_timeout=0.5,
    )
    async with client, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(client.start(token))
        await client.wait_until_ready()
        yield client
        await client.close()
        running.cancel()


@contextlib.asynccontextmanager
async def links(
    where: dict[str, Any], pacer: Pacer, gathering: Gathering[Any] | None
) -> AsyncIterator[list[tuple[VoiceLink, Ear]]]:
    """Be in all channels, a bot each, with everybody's keys."""
    telemetry = Telemetry("gateway", "bench")
    made = []
    async with contextlib.AsyncExitStack() as stack:
        for token, number in zip(where["tokens"], where["channels"], strict=True):
            client = await stack.enter_async_context(bot(where, token))
            channel = client.get_channel(number)
            assert isinstance(channel, discord.VoiceChannel)  # noqa: S101  # made so
            ear = Ear(gathering)
            link = VoiceLink(ear, pacer, telemetry)
            await link.connect(channel)
            stack.push_async_callback(link.disconnect)
            made.append((link, ear))
        while not all(link.privacy_code for link, _ in made):  # noqa: ASYNC110  # a benchmark's patience
            await asyncio.sleep(0.1)
        await asyncio.sleep(_SETTLE_S)
        yield made
