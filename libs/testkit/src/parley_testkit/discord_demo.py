"""`make demo-discord`: the assistant of docs/samples/discord-laptop.yaml on an emulated Discord, asked by a person.

Everything but Discord is real: the gateway with its bot, encryption and codec, Whisper, Ollama and the voice, run as
`parley up` runs them. The person calls the bot with `/join`, asks the samples' spoken questions (or the WAVs named),
and hears the answers, which become WAVs; each turn is drawn as `make demo` draws it. Exits with 1 if a question got no
spoken answer, or the bot did what Discord would not have taken well.
"""

import asyncio
import io
import os
import re
import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
from msgspec.structs import replace

from parley_cli.audio import read_frames, write_wav
from parley_cli.exits import FAILED, tell
from parley_cli.interrupts import run_until_interrupted
from parley_cli.looking import ask_agent
from parley_cli.manifests import SAMPLES, read_manifest
from parley_cli.places import Running
from parley_cli.preparing import Wish
from parley_cli.questions import Question, question, sample_questions
from parley_cli.refusals import BOT_CA_FILE, BOT_TOKEN
from parley_cli.screen import Screen
from parley_cli.starting import running
from parley_cli.waterfall import Waterfall
from parley_contract.errors import ParleyError
from parley_contract.frames import RATE_HZ
from parley_contract.messages import TurnReport
from parley_contract.resource import DiscordEndpoint, VoiceAssistant
from parley_testkit.discord import DiscordEmulator, EmulatedHuman

SAMPLE: Final = SAMPLES / "discord-laptop.yaml"
_OUT: Final = Path("out/discord")
_LOUNGE: Final = "Lounge"
_ANSWER_S: Final = 60.0
_QUIET_S: Final = 1.0
_LOOK_S: Final = 0.2


async def demo(questions: Sequence[Question], screen: Screen, hurry: asyncio.Event, *, out: Path = _OUT) -> int:
    """Do it all; 1 if a question got no spoken answer."""
    async with DiscordEmulator() as discord:
        os.environ[BOT_TOKEN], os.environ[BOT_CA_FILE] = discord.bot.token, str(discord.ca_file)
        assistant = pointed_at(discord, read_manifest(SAMPLE))
        lounge = discord.voice_channel(discord.guild("Home"), _LOUNGE)
        async with running(assistant, Wish(any_port=True), screen, hurry) as state:
            mina = await discord.human("Mina", lounge)
            screen.say(f"Mina  /join     {await _told(mina, 'join')}")
            await discord.connected()
            answered = [await _ask(state, mina, each, screen, out) for each in questions]
            screen.say(f"\nMina  /status   {await _told(mina, 'status')}")
            screen.say(f"Mina  /leave    {await _told(mina, 'leave')}")
        for violation in discord.violations.all:
            screen.say(f"Discord would not have liked: {violation.kind}: {violation.what}")
        # A busy machine lets the emulated ear be late as well.
        return 0 if all(answered) and not discord.violations.but("pacing") else 1


def pointed_at(discord: DiscordEmulator, assistant: VoiceAssistant) -> VoiceAssistant:
    """Return an assistant whose Discord is the emulated one."""
    door = assistant.spec.doors.discord
    assert door is not None  # noqa: S101  # for the type checker: the sample has one
    ca = replace(door.token_secret_ref, key="ca.crt")
    endpoint = DiscordEndpoint(api_base=discord.api_base, gateway_url=discord.gateway_url, ca_secret_ref=ca)
    doors = replace(assistant.spec.doors, discord=replace(door, endpoint=endpoint))
    return replace(assistant, spec=replace(assistant.spec, doors=doors))


async def _told(human: EmulatedHuman, command: str) -> str:
    reply = await (await human.invoke(command)).reply(timeout_s=_ANSWER_S)
    said = reply.content.replace("\n", "\n                ")
    return re.sub(r"<#\d+>", f"#{_LOUNGE}", said)


async def _ask(state: Running, human: EmulatedHuman, asked: Question, screen: Screen, out: Path) -> bool:
    """Ask one question; say what was heard of the answer."""
    screen.say(f"\n{asked.wav.name}  “{asked.expected or '?'}”")
    before, known = len(human.heard().pcm), {_key(turn) for turn in (await ask_agent(state)).turns}
    await human.say(b"".join(read_frames(asked.wav, str(asked.wav))))
    report = await _report(state, known)
    if report is None:
        screen.say("  no turn came of it")
        return False
    heard = await _until_quiet(human, before)
    if heard:
        wav = out / f"{asked.wav.stem}.reply.wav"
        write_wav(wav, heard)
        screen.say(f"  Libra    {await _transcript(state, heard)}")
        screen.say(f"           {len(heard) / 2 / RATE_HZ:.1f} s heard, in {wav}; {report.outcome}")
    else:
        screen.say(f"  nothing was heard; {report.outcome} {report.reason}")
    screen.show(Waterfall(report))
    return bool(heard)


def _key(report: TurnReport) -> tuple[str, int, int]:
    return report.session, report.epoch, report.turn


async def _report(state: Running, known: set[tuple[str, int, int]]) -> TurnReport | None:
    """Return the report of a turn that is not among the known ones; the agent remembers those of earlier days."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            while True:
                for report in (await ask_agent(state)).turns:
                    if _key(report) not in known:
                        return report
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        return None


async def _until_quiet(human: EmulatedHuman, before: int) -> bytes:
    """Return what was heard since, once no more comes."""
    heard = human.heard().pcm
    while True:
        await asyncio.sleep(_QUIET_S)
        if len(now := human.heard().pcm) == len(heard):
            return now[before:]
        heard = now


async def _transcript(state: Running, pcm: bytes) -> str:
    """Have the assistant's own ears say what was said to the person."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE_HZ)
        sound.writeframes(pcm)
    async with httpx.AsyncClient(trust_env=False, timeout=_ANSWER_S) as client:
        answer = await client.post(
            f"{state.url('asr')}/v1/audio/transcriptions",
            files={"file": ("reply.wav", file.getvalue())},
            data={"model": "whisper-1"},
        )
    return str(answer.json().get("text", "")).strip() if answer.is_success else "(not transcribed)"


def main() -> int:
    """Run it from the command line."""
    code = FAILED
    try:
        questions = [question(Path(name)) for name in sys.argv[1:]] or sample_questions()
        code = run_until_interrupted(lambda hurry: demo(questions, Screen(), hurry))
    except* ParleyError as group:
        code = tell(group)
    return code


if __name__ == "__main__":
    sys.exit(main())
