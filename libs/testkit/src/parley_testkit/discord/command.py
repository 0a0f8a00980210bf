"""`parley-discord-emulator`: the emulated Discord by hand, with one person who calls a bot and speaks files to it."""

import asyncio
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from parley_cli.audio import check_sound, write_wav
from parley_cli.exits import FAILED, tell
from parley_cli.interrupts import run_until_interrupted
from parley_cli.screen import Screen
from parley_contract.errors import ParleyError
from parley_testkit.discord.emulator import DiscordEmulator
from parley_testkit.discord.members import Library
from parley_testkit.discord.people import EmulatedHuman

_QUIET_S: Final = 1.5
"""A reply is over when nothing of it came for so long."""
_REPLY_S: Final = 30.0
"""How long a reply is waited for."""
_LOOK_S: Final = 0.1

app: Final = App(
    name="parley-discord-emulator",
    help="""Discord on this machine, to try a bot against without Discord, an account or the Internet.

    Prints where its REST API and its gateway are, the authority that its voice server's certificate is signed by, and a
    bot's token. Point a bot there; for Parley these are `spec.doors.discord.endpoint` and the token's Secret. It has
    one server with a text and a voice channel, and in it a person whose client encrypts end to end, as Discord's do.

    When the bot has registered the slash command `/join`, the person gives it, and speaks the files, one after the
    other, waiting for what the bot answers. What the bot says becomes a WAV. On Ctrl-C, or after the last file with
    `--once`, it tells what the bot did that Discord would not have taken well.

    Examples: `parley-discord-emulator`; `parley-discord-emulator question.wav --out heard`;
    `parley-discord-emulator question.wav --token abc --json --once`.
    """,
    help_format="markdown",
    version_flags=[],
)


@app.default
def emulate(
    *files: Annotated[Path, Parameter(help="Sound files of any kind that the person says.")],
    name: Annotated[str, Parameter(help="The person's name.")] = "Mina",
    token: Annotated[str, Parameter(help="The bot's token; a new one if none is given.")] = "",
    join: Annotated[str, Parameter(help="Slash command that calls the bot; empty for none.")] = "join",
    library: Annotated[
        Library, Parameter(help="Whose end-to-end encryption the person's client has: Discord's own, or davey's.")
    ] = Library.LIBDAVE,
    out: Annotated[Path, Parameter(help="Folder for what the bot says.")] = Path("out"),
    once: Annotated[
        bool, Parameter(negative="", help="End after the last file; with 1 if the bot misbehaved.")
    ] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="Print the addresses as JSON.")] = False,
) -> int:
    """Run until Ctrl-C."""
    for file in files:
        check_sound(file)
    screen = Screen()

    async def run(_hurry: asyncio.Event) -> int:
        async with DiscordEmulator() as discord:
            discord.bot.token = token or discord.bot.token
            guild = discord.guild("Home")
            human = await discord.human(name, discord.voice_channel(guild, "Lounge"), library=library)
            _tell_addresses(discord, screen, as_json=as_json)
            try:
                await _converse(discord, human, files, screen, out=out, join=join)
                if not once:
                    await asyncio.Event().wait()
            finally:
                for violation in discord.violations.all:
                    screen.say(f"{violation.kind}: {violation.what}")
            return FAILED if discord.violations.all else 0

    return run_until_interrupted(run, when_interrupted=0)


def _tell_addresses(discord: DiscordEmulator, screen: Screen, *, as_json: bool) -> None:
    addresses = {
        "apiBase": discord.api_base,
        "gatewayUrl": discord.gateway_url,
        "caFile": str(discord.ca_file),
        "token": discord.bot.token,
    }
    if as_json:
        screen.say(json.dumps(addresses))
        return
    for key, value in addresses.items():
        screen.say(f"{key:<12}{value}")


async def _converse(
    discord: DiscordEmulator, human: EmulatedHuman, files: tuple[Path, ...], screen: Screen, *, out: Path, join: str
) -> None:
    if not join and not files:
        return
    channel = human.channel
    if join and channel:
        await _call(discord, human, join, screen)
    await discord.until(
        "the bot is here",
        lambda: discord.is_connected(discord.bot) and discord.link().state.channel is channel,
        timeout_s=math.inf,
    )
    screen.say(f"{discord.bot.name} is in {channel.name if channel else 'no channel'}; {human.privacy_code}")
    for number, file in enumerate(files, 1):
        screen.say(f"{human.account.name} says {file}")
        before = len(human.heard().frames)
        await human.say_file(file)
        await _listen(human, before)
        pcm = b"".join(frame.pcm for frame in human.heard().frames[before:] if not frame.is_silence)
        reply = out / f"discord-{number}-{file.stem}.wav"
        write_wav(reply, pcm)
        screen.say(f"{discord.bot.name} said {len(pcm) / 32_000:.1f} s: {reply}")


async def _call(discord: DiscordEmulator, human: EmulatedHuman, join: str, screen: Screen) -> None:
    """Give the command when there is one, and tell the answer."""

    def is_ready() -> bool:
        commands = [command["name"] for place in discord.bot.commands.values() for command in place]
        return join in commands and bool(discord.gateway.sessions_of(discord.bot))

    await discord.until("the bot is ready", is_ready, timeout_s=math.inf)
    screen.say(f"{human.account.name} gives /{join}")
    reply = await (await human.invoke(join)).reply(_REPLY_S)
    screen.say(f"{discord.bot.name} answers: {reply.content}")


async def _listen(human: EmulatedHuman, before: int) -> None:
    """Wait until a reply has come and gone."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _REPLY_S
    quiet_until_s, seen = deadline_s, before
    while loop.time() < min(deadline_s, quiet_until_s):
        await asyncio.sleep(_LOOK_S)
        if (now := len(human.heard().frames)) > seen:
            seen, quiet_until_s, deadline_s = now, loop.time() + _QUIET_S, loop.time() + _REPLY_S


def main() -> None:
    """Run the command and exit."""
    code = FAILED
    try:
        code = int(app(sys.argv[1:], result_action="return_value") or 0)
    except* ParleyError as group:
        code = tell(group)
    sys.exit(code)
