"""What docs/how-to/discord.md says of permissions, reasons and fields is what the code has."""

import re
import typing
from pathlib import Path

import discord
import msgspec

from parley_contract.resource import DiscordDoor
from parley_gateway.discord.client import Reason

PAGE = (Path(__file__).parents[2] / "docs/how-to/discord.md").read_text()


def test_the_invitation_asks_for_the_permissions_of_the_table_and_no_others() -> None:
    [value] = map(int, re.findall(r"permissions=(\d+)", PAGE))

    assert discord.Permissions(value) == discord.Permissions(
        view_channel=True, connect=True, speak=True, use_voice_activation=True, send_messages=True
    )


def test_every_reason_why_it_is_not_on_discord_is_explained() -> None:
    section = PAGE.partition("## When it does not come to Discord at all")[2].partition("\n## ")[0]

    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(typing.get_args(Reason))


def test_every_field_of_the_door_but_where_discord_is_stands_in_the_example() -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(DiscordDoor)}

    assert {name for name in fields if re.search(rf"^      {name}: ", PAGE, re.MULTILINE)} == fields - {"endpoint"}
