"""`parley demo`: a whole assistant comes up, is asked, and goes down; what happened is printed and written down."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from parley_cli.audio import check_sound
from parley_cli.captions import Captions
from parley_cli.narration import duration
from parley_cli.outputs import prepare_file, prepare_folder
from parley_cli.places import Running
from parley_cli.preparing import Wish
from parley_cli.questions import Question
from parley_cli.reports import DemoRecord, Summary, TurnRecord, demo_record, turn_record, unheard_record
from parley_cli.screen import Screen
from parley_cli.starting import running
from parley_cli.talk_command import PATIENCE_S, display_name, frames_of, read_token
from parley_cli.talking import connected
from parley_contract.resource import VoiceAssistant


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What a demo is to do."""

    questions: Sequence[Question]
    replies: Path
    """Folder for the WAVs of the replies."""
    json: Path | None = None
    """Where to write the record."""


async def demo(assistant: VoiceAssistant, wish: Wish, errand: Errand, screen: Screen, hurry: asyncio.Event) -> int:
    """Do it all; 1 if a question got no spoken answer."""
    began_at = time.monotonic()
    for question in errand.questions:
        check_sound(question.wav)
    prepare_folder(errand.replies)
    if errand.json:
        prepare_file(errand.json)
    async with running(assistant, wish, screen, hurry) as state:
        screen.say(f"the first question after {duration(time.monotonic() - began_at)}")
        record = demo_record(await ask(state, errand, screen), errand.replies)
    screen.show(_drawn(record.summary))
    if errand.json:
        errand.json.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    return 0 if all_answered(record) else 1


async def ask(state: Running, errand: Errand, screen: Screen) -> list[TurnRecord]:
    """Ask every question in one conversation, each when the answer before has been heard."""
    captions = Captions(screen, assistant=display_name(state), replies=errand.replies)
    records: list[TurnRecord] = []
    async with connected(state.door, captions.take, token=read_token(state)) as conversation:
        for number, question in enumerate(errand.questions, 1):
            wav = str(question.wav)
            screen.say(f"\n{number}  {question.wav.name}{f'  “{question.expected}”' if question.expected else ''}")
            turns = await conversation.speak(wav, frames_of(wav), patience_s=PATIENCE_S)
            if not turns:
                screen.say("  nobody was heard to speak")
                records.append(unheard_record(wav=wav, expected=question.expected))
            records += [
                turn_record(turn, wav=wav, expected=question.expected, reply_wav=captions.reply_wavs.get(turn.number))
                for turn in turns
            ]
    return records


def all_answered(record: DemoRecord) -> bool:
    """Whether every file got a spoken answer, be it to one of several turns."""
    return {turn.wav for turn in record.turns} == {turn.wav for turn in record.turns if turn.reply_wav}


def _drawn(summary: Summary) -> Table:
    table = Table(title=f"{summary.answered} of {summary.turns} turns answered", title_justify="left", box=None)
    table.add_column("")
    for column in ("p50", "p95"):
        table.add_column(column, justify="right")
    table.add_column("")
    rows = (
        ("E2FT", summary.e2ft_p50_ms, summary.e2ft_p95_ms, "last voiced sample to the model's first token"),
        ("E2FA", summary.e2fa_p50_ms, summary.e2fa_p95_ms, "last voiced sample to the first audible sample"),
    )
    for name, p50_ms, p95_ms, meaning in rows:
        table.add_row(name, milliseconds(p50_ms), milliseconds(p95_ms), meaning, style="")
    table.caption = f"The replies can be listened to: {summary.replies}"
    table.caption_justify = "left"
    return table


def milliseconds(value_ms: float | None) -> str:
    """Write a time, or a dash where there is none."""
    return "–" if value_ms is None else f"{value_ms:.0f} ms"
