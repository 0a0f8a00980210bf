"""A slash command as Discord's client sends it, and its answers as a user sees them."""

import pytest

from parley_testkit.discord.interactions import Interaction, command_data
from parley_testkit.discord.users import Bot, User
from parley_testkit.discord.violations import Violations
from parley_testkit.discord.world import TEXT, Channel, Guild

pytestmark = pytest.mark.looptime

MESSAGE, DEFERRED = 4, 5
EPHEMERAL = 64


@pytest.fixture
def bot() -> Bot:
    return Bot(name="Libra")


@pytest.fixture
def channel() -> Channel:
    guild = Guild(name="Home")
    channel = Channel(name="general", guild=guild, kind=TEXT)
    guild.channels.append(channel)
    return channel


@pytest.fixture
def interaction(bot: Bot, channel: Channel) -> Interaction:
    return Interaction(User(name="Mina"), bot, channel, "join")


def test_a_command_is_sent_with_its_options(bot: Bot, channel: Channel) -> None:
    bot.commands[channel.guild.id] = [{"id": "7", "name": "record"}]
    noa = User(name="Noa")

    data = command_data(bot, channel.guild, "record start", {"who": noa, "where": channel, "loud": True, "minutes": 3})

    assert (data["id"], data["name"]) == ("7", "record")
    assert data["options"] == [
        {
            "name": "start",
            "type": 1,
            "options": [
                {"name": "who", "type": 6, "value": str(noa.id)},
                {"name": "where", "type": 7, "value": str(channel.id)},
                {"name": "loud", "type": 5, "value": True},
                {"name": "minutes", "type": 4, "value": 3},
            ],
        }
    ]
    assert data["resolved"]["users"].keys() == data["resolved"]["members"].keys() == {str(noa.id)}


def test_a_command_that_nobody_registered_is_not_sent(bot: Bot, channel: Channel) -> None:
    bot.commands[None] = [{"id": "7", "name": "leave"}]

    with pytest.raises(LookupError, match="Libra has no command join; it has registered leave"):
        command_data(bot, channel.guild, "join", {})


async def test_a_deferred_answer_is_seen_when_it_has_content(interaction: Interaction) -> None:
    violations = Violations()
    interaction.send(3.0, violations)

    await interaction.acknowledge(DEFERRED, {"flags": EPHEMERAL}, {})
    with pytest.raises(TimeoutError):
        await interaction.reply(5.0)
    await interaction.edit(None, {"content": "I am here."}, {})
    await interaction.add({"content": "And I stay."}, {"code.txt": b"123"})

    assert (await interaction.reply())[:2] == ("I am here.", True)
    assert (await interaction.reply(number=1))[:2] == ("And I stay.", False)
    assert (await interaction.reply(number=1)).files == {"code.txt": b"123"}
    assert interaction.was_deferred
    assert not violations.all


async def test_an_edited_answer_remembers_what_it_was(interaction: Interaction) -> None:
    interaction.send(3.0, Violations())
    await interaction.acknowledge(MESSAGE, {"content": "Wait."}, {})

    await interaction.edit(None, {"content": "Done."}, {})

    assert (await interaction.reply()).content == "Done."
    assert interaction.messages[0].versions == ["Wait."]


async def test_an_answer_that_does_not_come_is_recorded(interaction: Interaction) -> None:
    violations = Violations()
    interaction.send(3.0, violations)

    with pytest.raises(TimeoutError):
        await interaction.reply(3.5)

    assert interaction.is_expired
    assert [violation.kind for violation in violations.all] == ["interaction_deadline"]
