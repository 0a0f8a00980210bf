"""Coming into channels when something goes wrong on the way: nothing is left behind there."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import discord
import pytest

from parley_gateway.discord.errors import VoiceUnavailableError
from parley_gateway.discord.hosting import Hosting
from parley_gateway.discord.mouths import OnWire

if TYPE_CHECKING:
    from parley_gateway.admissions import Admissions
    from parley_gateway.discord.links import VoiceLink
    from parley_gateway.discord.listeners import Channel
    from parley_gateway.discord.notices import Notices

GUILD = SimpleNamespace(id=9, me=SimpleNamespace(voice=None), get_member=lambda _: None)
LOUNGE = SimpleNamespace(id=8, guild=GUILD)


class Link:
    """Is connected as soon as it is let."""

    def __init__(self) -> None:
        self.connecting, self.may_connect = asyncio.Event(), asyncio.Event()
        self.channel: object = None
        self.on_wire = OnWire(0, 0.0, 0)

    async def connect(self, channel: object) -> None:
        self.connecting.set()
        await self.may_connect.wait()
        self.channel = channel

    async def disconnect(self) -> None:
        self.channel = None


class Conversation:
    """Knows its door."""

    id = "s1"

    def __init__(self) -> None:
        self.door: object = None

    def know(self, names: Mapping[str, str]) -> None:
        pass

    def join(self, door: object) -> None:
        self.door = door

    def leave(self, door: object) -> None:
        if self.door is door:
            self.door = None

    def close(self, door: object) -> None:
        self.leave(door)


class Doors:
    """Admits everybody."""

    def __init__(self, session: Conversation) -> None:
        self.session = session

    async def admit(self, resume: str, at: object) -> tuple[Conversation, bool]:
        return self.session, False


def hosting_of(link: Link, session: Conversation) -> Hosting:
    return Hosting(
        cast("Admissions", Doors(session)),
        lambda _: cast("VoiceLink", link),
        cast("Notices", None),
        secret="s",
        idle_s=60.0,
    )


async def test_who_is_still_on_the_way_into_a_channel_when_all_stays_end_does_not_stay_there() -> None:
    link, session = Link(), Conversation()
    hosting = hosting_of(link, session)

    async with hosting:
        coming = asyncio.create_task(hosting.come(cast("Channel", LOUNGE), language="en", writes_to=7))
        await link.connecting.wait()
    link.may_connect.set()

    with pytest.raises(VoiceUnavailableError, match="ended"):
        await coming
    assert link.channel is None
    assert session.door is None
    assert not hosting.stays


async def test_who_cannot_step_forward_on_a_stage_does_not_stay_in_its_audience() -> None:
    async def edit(*, suppress: bool) -> None:
        raise ConnectionResetError

    stage = discord.StageChannel.__new__(discord.StageChannel)
    stage.id, stage.guild = 8, cast("discord.Guild", SimpleNamespace(id=9, me=SimpleNamespace(voice=None, edit=edit)))
    link, session = Link(), Conversation()
    link.may_connect.set()

    async with hosting_of(link, session) as hosting:
        with pytest.raises(ConnectionResetError):
            await hosting.come(stage, language="en", writes_to=7)

    assert link.channel is None
    assert session.door is None
