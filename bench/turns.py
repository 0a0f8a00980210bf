"""`make bench NAME=turns`: how fast turns are taken, and how often somebody is cut short.

Starts the assistant as `parley up` does (the laptop sample with short replies, or `--file`) and holds dialogues with it
in real time: a corpus of 144 lines with questions, commands, single words, numbers, fillers, monologues and pauses of
0.4 to 1.2 s inside sentences, clean and in noise of 12 dB, whose end of speech the renderer knows. Everything is
measured where a person would: from that end, at the client's end of the line. One flat object of figures
(`turns_e2ft_p50_ms`, `false_cutoff_rate`, …) is printed; a whole run, with nothing changed, brings docs/performance.md
up to date.

What a false cut-off, a reply taken back and a late endpoint are, stands in `_scores.py`; the words in `_corpus.toml`.

    make bench NAME=turns                        # the test half: 72 turns, ten minutes
    make bench NAME=turns ARGS="--turns 8"       # a quick look
    make bench NAME=turns ARGS="--only pause --record pauses.jsonl"
    make bench NAME=turns ARGS="--speculation off --endpointing silence"
    make bench NAME=turns ARGS="--curve"         # five endpoint delays, 24 turns each, 18 minutes
    make bench NAME=turns ARGS="--pauses FILE"   # as the gateway saw them
"""

import asyncio
import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final, Literal

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

from parley_cli.errors import BadRequestError
from parley_cli.exits import tell
from parley_cli.interrupts import Command, in_thread_of_its_own, run_until_interrupted
from parley_cli.manifests import read_manifest
from parley_cli.places import Running
from parley_cli.preparing import Wish
from parley_cli.screen import Screen
from parley_cli.starting import running
from parley_contract.errors import ParleyError
from parley_contract.resource import TurnTaking, VoiceAssistant
from parley_runtime.tools import find_tool, tool_version

CURVE_MS: Final = (200, 300, 500, 800, 1300)
CURVE_TURNS: Final = 24
_NUM_PREDICT: Final = 24
"""Short replies: the small model rambles after a few long ones, and every reply is listened to."""

app = App(help=__doc__, help_format="markdown")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure, and what to do with it."""

    choice: Choice
    assistant: VoiceAssistant
    is_usual: bool
    """Whether the assistant is the one of the page, with nothing changed."""
    endpoints_ms: tuple[int, ...] = ()
    """Of the curve; empty for the one that the assistant has."""
    json_file: Path | None = None
    record: Path | None = None
    pauses: Path | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the figures are fit for the page."""
        turns = self.choice.turns
        is_enough = turns is None or (bool(self.endpoints_ms) and turns >= CURVE_TURNS)
        return is_enough and self.is_usual and self.choice.half == "test" and self.choice.kind is None


@app.default
def main(  # noqa: PLR0913  # a command's options
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    turns: Annotated[int | None, Parameter(help="At most so many turns.")] = None,
    only: Annotated[Kind | None, Parameter(help="Only turns of this kind.")] = None,
    half: Annotated[Literal["training", "test", "all"], Parameter(help="Which half of the corpus.")] = "test",
    file: Annotated[Path | None, Parameter(name=["--file", "-f"], help="The manifest to run; as it is.")] = None,
    endpointing: Annotated[Literal["silence", "smart"] | None, Parameter(help="Instead of the manifest's.")] = None,
    speculation: Annotated[
        Literal["tts", "llm", "asr", "off"] | None, Parameter(help="Instead of the manifest's.")
    ] = None,
    endpoint_ms: Annotated[int | None, Parameter(help="Instead of the manifest's.")] = None,
    reopen_ms: Annotated[int | None, Parameter(help="Instead of the manifest's.")] = None,
    curve: Annotated[
        bool, Parameter(help="Measure at several endpoint delays, fewer turns each.", negative="")
    ] = False,
    record: Annotated[
        Path | None, Parameter(help="Write all that was observed here, a turn a line, to look closer.")
    ] = None,
    pauses: Annotated[
        Path | None,
        Parameter(
            help="Speak the training half instead, and write each of its pauses here, a line each: whether the speaker "
            "had finished, and what the gateway made of it. A reply that is taken back shares the report of its turn: "
            "with --reopen-ms 0 every decision has its own. `make bench NAME=endpoints` does without a gateway."
        ),
    ] = None,
) -> int:
    """Measure, print the figures, and bring docs/performance.md up to date."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    changes = {
        "endpointing": endpointing,
        "speculation": speculation,
        "endpoint_ms": endpoint_ms,
        "reopen_ms": reopen_ms,
    }
    choice = Choice(half="training" if pauses else half, kind=only, turns=turns or (CURVE_TURNS if curve else None))

    async def command(hurry: asyncio.Event) -> int:
        plan = Plan(
            choice=choice,
            assistant=taking_turns(bench_assistant(file), changes),
            is_usual=file is None and all(value is None for value in changes.values()),
            endpoints_ms=CURVE_MS if curve else (),
            json_file=json_file,
            record=record,
            pauses=pauses,
        )
        return await measure(plan, hurry)

    return run(command)


def run(command: Command) -> int:
    """Run a benchmark to its end, or until it has to say in a sentence why it cannot."""
    code = 0
    try:
        code = run_until_interrupted(command)
    except* ParleyError as group:
        code = tell(group)
    return code


def bench_assistant(file: Path | None = None, *, name: str = "turns") -> VoiceAssistant:
    """Return the assistant of a manifest, or the laptop sample with short replies, under a name of its own."""
    assistant = read_manifest(file)
    if file:
        return assistant
    return msgspec.structs.replace(
        assistant,
        metadata=msgspec.structs.replace(assistant.metadata, name=name),
        spec=msgspec.structs.replace(
            assistant.spec, llm=msgspec.structs.replace(assistant.spec.llm, num_predict=_NUM_PREDICT)
        ),
    )


def taking_turns(assistant: VoiceAssistant, changes: Mapping[str, object]) -> VoiceAssistant:
    """Return the assistant with other settings of `turnTaking`; None leaves one as it is.

    Raises:
        BadRequestError: a setting is out of its range.
    """
    wanted = {name: value for name, value in changes.items() if value is not None}
    taking = msgspec.structs.replace(assistant.spec.turn_taking, **wanted)
    # What replaces fields does not check them; what reads a manifest does.
    try:
        taking = msgspec.convert(msgspec.to_builtins(taking), TurnTaking)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"spec.turnTaking: {error}") from error
    return msgspec.structs.replace(assistant, spec=msgspec.structs.replace(assistant.spec, turn_taking=taking))


async def measure(plan: Plan, hurry: asyncio.Event) -> int:
    """Run the benchmark."""
    screen = Screen()
    dialogues = await in_thread_of_its_own(functools.partial(rendered, chosen(read(), plan.choice), screen))
    points = plan.endpoints_ms or (plan.assistant.spec.turn_taking.endpoint_ms,)
    expected_s = len(points) * _turn_figures.expected_s([dialogue for dialogue, _ in dialogues])
    screen.say(f"{len(points) * sum(len(lines) for _, lines in dialogues)} turns, about {expected_s / 60:.0f} minutes")
    observed: dict[int, list[Observed]] = {point: [] for point in points}
    figures: _turn_figures.Figures = {}
    try:
        for point in points:
            if len(points) > 1:
                screen.say(f"endpointMs {point}")
            async with running(
                taking_turns(plan.assistant, {"endpoint_ms": point}), Wish(any_port=True), screen, hurry
            ) as state:
                async for observation in held(state, dialogues):
                    observed[point].append(observation)
                    screen.say(_turn_figures.told(observation, judged(observation)))
    finally:
        # An interrupted run shows what it has.
        if any(observed.values()):
            figures = _reported(plan, observed, screen)
    if plan.is_whole:
        name, section = (
            ("turns-curve", _turn_tables.curve_table(figures))
            if plan.endpoints_ms
            else ("turns", _turn_tables.turns_tables(figures))
        )
        _performance.regenerate(name, section)
    return 0


async def held(state: Running, dialogues: Sequence[tuple[Dialogue, Sequence[Rendered]]]) -> AsyncIterator[Observed]:
    """Hold dialogues one after the other, after a first line that only warms up."""
    place = Place(state.door, state.assistant)
    first, lines = dialogues[0]
    async with contextlib.aclosing(speak(place, first, lines[:1])) as warming:
        async for _ in warming:
            pass
    for dialogue, lines in dialogues:
        async with contextlib.aclosing(speak(place, dialogue, lines)) as observations:
            async for observation in observations:
                yield observation


def _reported(plan: Plan, observed: dict[int, list[Observed]], screen: Screen) -> _turn_figures.Figures:
    """Make the figures, print and write them, with what else was asked for."""
    everything = [observation for of_point in observed.values() for observation in of_point]
    taking = plan.assistant.spec.turn_taking
    figures: _turn_figures.Figures = {
        **(_turn_figures.curve(observed) if plan.endpoints_ms else _turn_figures.figures(everything)),
        "half": plan.choice.half,
        "endpointing": taking.endpointing,
        "speculation": taking.speculation,
        "endpoint_ms": None if plan.endpoints_ms else taking.endpoint_ms,
        "reopen_ms": taking.reopen_ms,
        **versions(),
        **_performance.describe_machine(),
    }
    screen.say(_performance.write(figures, plan.json_file))
    if plan.record:
        plan.record.write_bytes(b"".join(b"%s\n" % msgspec.json.encode(observation) for observation in everything))
    if plan.pauses:
        plan.pauses.write_bytes(_turn_figures.labelled_pauses(everything))
    return figures


def versions() -> dict[str, str]:
    """Say which versions were measured."""
    ollama = ".".join(map(str, tool_version(find_tool("ollama")) or ("unknown",)))
    return {
        "version_parley": metadata.version("parley-gateway"),
        "version_faster_whisper": metadata.version("faster-whisper"),
        "version_ollama": ollama,
        "version_onnxruntime": metadata.version("onnxruntime"),
    }


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
