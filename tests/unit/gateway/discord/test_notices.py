"""What the bot writes of its own accord when it cannot hear, and where; Discord is played by some names and a list."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import discord

from parley_gateway.discord.hosting import Hosting, LinkMaker
from parley_gateway.discord.notices import Notices
from parley_gateway.discord.stays import Stay
from parley_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from parley_gateway.admissions import Admissions

HOME, CALLED_FROM, ASIDE = 1, 5, 6
MINA, JUN, NOBODY = 10, 11, 12
NAMES = {MINA: "Mina", JUN: "Jun"}


class Discord:
    """A server with two people, on which everything is written down."""

    def __init__(self) -> None:
        self.id = HOME
        self.written: list[tuple[int, str]] = []

    def get_guild(self, guild: int) -> "Discord":
        return self

    def get_member(self, user: int) -> SimpleNamespace | None:
        return SimpleNamespace(bot=False, display_name=NAMES[user]) if user in NAMES else None

    def get_partial_messageable(self, channel: int) -> SimpleNamespace:
        async def send(text: str, *, allowed_mentions: discord.AllowedMentions) -> None:
            assert not allowed_mentions.everyone
            self.written.append((channel, text))

        return SimpleNamespace(send=send)


async def written(*, language: str = "en", text_channel: str = "") -> list[tuple[int, str]]:
    """Be deaf to people in every way, and return what is written, and where."""
    home = Discord()
    settings = GatewaySettings(
        assistant="a", nats_url="", nats_seed_file=Path("unused"), port=0, discord_text_channel=text_channel
    )
    notices = Notices(cast("discord.Client", home), settings)
    hosting = Hosting(cast("Admissions", None), cast("LinkMaker", None), notices, secret="", idle_s=0)
    stay = Stay(hosting, NAMES.get, guild=HOME, writes_to=CALLED_FROM)
    stay.language = language
    stay.joined(MINA)
    stay.joined(JUN)
    async with hosting:
        hosting.stays[HOME] = stay
        stay.deaf(frozenset({MINA, JUN}), "in English, for the log")
        stay.recovered(frozenset({JUN}))
        stay.deaf(frozenset(), "of nobody in particular")
        stay.deaf(frozenset({NOBODY}), "of somebody who is not there")
        for is_deaf in (True, False):
            hosting.deafened(cast("discord.Guild", home), is_deaf=is_deaf)
        await asyncio.sleep(0)  # all that is begun here writes at once
    return home.written


async def test_whoever_cannot_be_heard_is_named_in_the_channel_where_the_bot_was_called() -> None:
    assert await written() == [
        (
            CALLED_FROM,
            "I cannot hear Jun, Mina, although I tried again. Leaving the channel and coming back may help.",
        ),
        (CALLED_FROM, "I hear Jun again."),
        (
            CALLED_FROM,
            "I cannot hear some of you, although I tried again. Leaving the channel and coming back may help.",
        ),
        (CALLED_FROM, "A moderator has deafened me: I hear nobody until that is undone."),
        (CALLED_FROM, "I am not deafened any more, and hear you again."),
    ]


async def test_it_is_written_where_the_owner_wants_it_and_in_the_language_of_whoever_called() -> None:
    notices = await written(language="ko", text_channel=str(ASIDE))

    assert {channel for channel, _ in notices} == {ASIDE}
    assert notices[1][1] == "Jun 님의 말이 다시 들려요."
