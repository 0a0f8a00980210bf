"""`parley status` and `parley trace`: what the parts of a running assistant say about themselves."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec
from rich.table import Table
from rich.text import Text

from parley_cli.captions import anticipation, decision, ending
from parley_cli.demo_command import milliseconds
from parley_cli.launches import READYZ
from parley_cli.narration import reasons
from parley_cli.places import Part, Running
from parley_cli.probes import answers
from parley_cli.screen import Screen
from parley_cli.waterfall import Waterfall
from parley_contract.errors import RetryableError
from parley_contract.messages import TurnReport
from parley_contract.reasons import sentence

_READY_PATHS: Final = {"nats": "", "ollama": "/api/version"}


class AgentSilentError(RetryableError):
    """The agent does not tell of its turns."""


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Of the latest turns, in ms."""

    p50_ms: float | None = None
    p95_ms: float | None = None
    turns: int = 0


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent's `/status` says, as far as we show it."""

    sessions: int = 0
    e2ft: Percentiles = Percentiles()
    e2fa: Percentiles = Percentiles()
    turns: list[TurnReport] = []
    """Oldest first."""


async def show_status(running: Running, screen: Screen) -> int:
    """Draw every part and the figures of the latest turns; 1 unless all parts are ready."""
    async with _client() as client:
        lacking = await asyncio.gather(
            *(answers(part.url, ready_path(part), client, pid=part.pid) for part in running.parts)
        )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("part", "process", "state", "address"):
        table.add_column(column, no_wrap=column in {"part", "process"}, overflow="fold")
    for part, missing in zip(running.parts, lacking, strict=True):
        state = Text(f"waits for {reasons(missing)}" if missing is not None else _silent(part, running), style="red")
        if missing is not None and not missing:
            state = Text("ready", style="green")
        table.add_row(part.name, str(part.pid or "not ours"), state, part.url)
    screen.say(f"{running.assistant}, process {running.pid}; logs in {running.logs}")
    screen.show(table)
    is_ready = all(missing is not None and not missing for missing in lacking)
    try:
        status = await ask_agent(running)
    except AgentSilentError:
        return 1
    screen.say(
        f"{status.sessions} sessions; latest {status.e2ft.turns} turns: "
        f"E2FT p50 {milliseconds(status.e2ft.p50_ms)}, p95 {milliseconds(status.e2ft.p95_ms)}; "
        f"E2FA p50 {milliseconds(status.e2fa.p50_ms)}, p95 {milliseconds(status.e2fa.p95_ms)}"
    )
    for line in failures(status.turns):
        screen.say(line)
    return 0 if is_ready else 1


def failures(turns: Sequence[TurnReport]) -> list[str]:
    """Say which of the latest turns failed, a line for each reason with what to do, the most frequent first."""
    failed = Counter(report.reason for report in turns if report.outcome == "failed")
    return [
        f"{count} of the latest {len(turns)} turns failed, {reason}: {sentence(reason)}"
        for reason, count in failed.most_common()
    ]


async def show_turns(running: Running, number: int, screen: Screen) -> int:
    """Draw the latest turns as waterfalls, the newest last."""
    turns = (await ask_agent(running)).turns[-number:]
    for report in turns:
        speech_s = report.speech_ms / 1000
        screen.say(
            f"turn {report.turn} of session {report.session}: {speech_s:.1f} s of speech, "
            f"{report.phrases} phrases, {report.played_ms / 1000:.1f} s played, trace {report.trace_id or 'not kept'}; "
            f"{ending(report)}"
        )
        screen.say(f"  {'; '.join(filter(None, (decision(report.endpoint), anticipation(report))))}")
        screen.show(Waterfall(report))
    if not turns:
        screen.say("there were no turns yet: say something with `parley talk FILE.wav`")
    return 0


async def ask_agent(running: Running) -> AgentStatus:
    """Return what the agent knows of the assistant.

    Raises:
        AgentSilentError: it does not answer, or not what we understand.
    """
    url = running.url("agent")
    try:
        async with _client() as client:
            answer = await client.get(f"{url}/status")
        return msgspec.json.decode(answer.content, type=AgentStatus)
    except httpx.HTTPError as error:
        raise AgentSilentError(f"the agent at {url} does not answer ({type(error).__name__})") from error
    except msgspec.DecodeError as error:
        raise AgentSilentError(f"the agent at {url} says what this version does not understand: {error}") from error


def _silent(part: Part, running: Running) -> str:
    log = Path(running.logs) / f"{part.name}.log"
    return f"does not answer: see {log}" if log.exists() else "does not answer: is it running?"


def ready_path(part: Part) -> str:
    """Return where a part says whether it is ready."""
    return _READY_PATHS.get(part.name, READYZ)


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=2.0)
