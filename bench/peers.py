"""`make bench NAME=peers`: the same dialogues with Parley and with Pipecat, in turns, from the same client.

The sound, the caller and the scoring are those of `turns`; the model files are the same: Whisper tiny.en for
CTranslate2, SmolLM2, Piper's joe. Both run at once and wait while the other is talked to; every dialogue is held with
both before the next one, and who begins alternates. Each has an Ollama process of its own, so that nothing that one of
them asked is in the prompt cache of the other. `_peer_pipecat.py` says how Pipecat is set up, and why.

Pipecat is installed once into the user's cache by uv, from requirements/pipecat.txt (760 MB). Figures go by
`peer_pipecat_e2ft_p50_ms` and the like, beside ours of the same run; a whole run brings docs/performance.md up to date.

    make bench NAME=peers                      # the test half: 72 turns with each, 23 minutes
    make bench NAME=peers ARGS="--turns 8"     # a quick look
"""

import asyncio
import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import _peer_process
import _performance
import _turn_figures
import _turn_tables
import msgspec
import uvloop
from _caller import Place, speak
from _corpus import Choice, Dialogue, Kind, chosen, read
from _rendering import Rendered, rendered
from _scores import Observed, judged
from cyclopts import App, Parameter
from turns import bench_assistant, run, taking_turns, versions

from parley_cli.interrupts import in_thread_of_its_own
from parley_cli.preparing import Wish
from parley_cli.screen import Screen
from parley_cli.starting import running
from parley_contract.resource import VoiceAssistant
from parley_testkit.ollama_server import running_ollama

PEER: Final = "peer_pipecat_"
_OLLAMA: Final = {"OLLAMA_KEEP_ALIVE": "-1", "OLLAMA_NUM_PARALLEL": "1", "OLLAMA_MAX_LOADED_MODELS": "1"}

app = App(help=__doc__, help_format="markdown")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure."""

    choice: Choice
    assistant: VoiceAssistant
    json_file: Path | None = None
    is_usual: bool
    """Whether our assistant is the one of the page, with nothing changed."""
    record: Path | None = None


@app.default
def main(
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    turns: Annotated[int | None, Parameter(help="At most so many turns with each.")] = None,
    only: Annotated[Kind | None, Parameter(help="Only turns of this kind.")] = None,
    endpointing: Annotated[Literal["silence", "smart"] | None, Parameter(help="Ours, instead of the sample's.")] = None,
    speculation: Annotated[
        Literal["tts", "llm", "asr", "off"] | None, Parameter(help="Ours, instead of the sample's.")
    ] = None,
    record: Annotated[Path | None, Parameter(help="Write all that was observed here, a turn a line.")] = None,
) -> int:
    """Measure, print the figures, and bring docs/performance.md up to date."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    changes = {"endpointing": endpointing, "speculation": speculation}
    plan = Plan(
        choice=Choice(half="test", kind=only, turns=turns),
        assistant=taking_turns(bench_assistant(name="peers"), changes),
        is_usual=not any(changes.values()),
        json_file=json_file,
        record=record,
    )
    return run(functools.partial(measure, plan))


async def measure(plan: Plan, hurry: asyncio.Event) -> int:
    """Run the benchmark."""
    screen = Screen()
    dialogues = await in_thread_of_its_own(functools.partial(rendered, chosen(read(), plan.choice), screen))
    python = await in_thread_of_its_own(functools.partial(_peer_process.environment, screen))
    expected_s = 2 * _turn_figures.expected_s([dialogue for dialogue, _ in dialogues])
    screen.say(f"{sum(len(lines) for _, lines in dialogues)} turns each, about {expected_s / 60:.0f} minutes")
    observed: dict[str, list[Observed]] = {"parley": [], "pipecat": []}
    figures: _turn_figures.Figures = {}
    os.environ.update(_OLLAMA)
    try:
        async with (
            ollama(screen) as ours,
            ollama(screen) as theirs,
            running(with_ollama(plan.assistant, ours), Wish(any_port=True), screen, hurry) as state,
            _peer_process.pipecat(python, theirs, plan.assistant, screen) as door,
        ):
            places = {"parley": Place(state.door, state.assistant), "pipecat": Place(door, "pipecat")}
            async for system, observation in in_turns(places, dialogues):
                observed[system].append(observation)
                screen.say(f"{system:8}{_turn_figures.told(observation, judged(observation))}")
    finally:
        # An interrupted run shows what it has.
        if any(observed.values()):
            figures = _reported(plan, observed, python, screen)
    if plan.is_usual and plan.choice == Choice(half="test"):
        _performance.regenerate("peers", _turn_tables.peers_table(figures))
    return 0


async def in_turns(
    places: Mapping[str, Place], dialogues: Sequence[tuple[Dialogue, Sequence[Rendered]]]
) -> AsyncGenerator[tuple[str, Observed], None]:
    """Hold each dialogue with everybody, who begins alternating, after a line to each that only warms up."""
    dialogue, lines = dialogues[0]
    for place in places.values():
        async with contextlib.aclosing(speak(place, dialogue, lines[:1])) as warming:
            async for _ in warming:
                pass
    order = list(places)
    for dialogue, lines in dialogues:
        for system in order:
            async with contextlib.aclosing(speak(places[system], dialogue, lines)) as observations:
                async for observation in observations:
                    yield system, observation
        order.reverse()


@contextlib.asynccontextmanager
async def ollama(screen: Screen) -> AsyncIterator[str]:
    """Run an Ollama of one's own while the block lasts, and yield its address."""
    with contextlib.ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "ollama.log"
        server = await asyncio.to_thread(stack.enter_context, running_ollama(log))
        screen.say(f"an Ollama listens at {server.url}")
        yield server.url


def with_ollama(assistant: VoiceAssistant, url: str) -> VoiceAssistant:
    """Return the assistant with an Ollama that runs already."""
    llm = msgspec.structs.replace(assistant.spec.llm, external_url=url)
    return msgspec.structs.replace(assistant, spec=msgspec.structs.replace(assistant.spec, llm=llm))


def _reported(
    plan: Plan, observed: Mapping[str, Sequence[Observed]], python: Path, screen: Screen
) -> _turn_figures.Figures:
    taking = plan.assistant.spec.turn_taking
    ours = [judged(observation) for observation in observed["parley"]]
    theirs = [judged(observation) for observation in observed["pipecat"]]
    figures: _turn_figures.Figures = {
        **_turn_figures.of_person(ours, "turns_"),
        **_turn_figures.of_person(theirs, PEER),
        **_turn_figures.compared(ours, theirs),
        "half": plan.choice.half,
        "endpointing": taking.endpointing,
        "speculation": taking.speculation,
        "endpoint_ms": taking.endpoint_ms,
        **versions(),
        **_peer_process.versions(python),
        **_performance.describe_machine(),
    }
    screen.say(_performance.write(figures, plan.json_file))
    if plan.record:
        lines = [
            msgspec.json.encode({"system": system, **msgspec.to_builtins(observation)})
            for system, observations in observed.items()
            for observation in observations
        ]
        plan.record.write_bytes(b"".join(b"%s\n" % line for line in lines))
    return figures


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
