"""`make bench NAME=endpoints`: fits what `endpointing: smart` weighs, and says what would become of every pause.

Fitted on the corpus' training half, judged on both. Faster than life, and every pause counts: of each silence of the
rendered lines, those inside and those at the end, the evidence is made that a gateway would have. How it sounded is
judged with 100 ms of silence after the last voiced sample, its words are what Whisper hears of the line so far, and a
speaker's pauses are learned from those before. No assistant runs. The weights that are printed are a proposal:
docs/decisions/0011 says who decides. Figures: `endpoints_smart_cut_off_test`, `endpoints_fitted_wait_p50_ms_test`, …

    make bench NAME=endpoints                        # two minutes
    make bench NAME=endpoints ARGS="--endpoint-ms 700 --json FILE"
"""

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple, get_args

import _performance
import _turn_tables
import msgspec
import numpy as np
from _corpus import Choice, Dialogue, Half, chosen, read
from _endpoint_fit import LabelledPause, fit, judge
from _loudness import Samples
from _rendering import Rendered, Span, rendered
from _room import room_of
from asr import final
from cyclopts import App, Parameter
from rich.progress import track

from parley_asr.engines.whisper import LoadOptions, load
from parley_cli.reports import percentile
from parley_cli.screen import Screen
from parley_contract.catalogue import find_model
from parley_contract.endings import ending
from parley_contract.frames import RATE_HZ
from parley_gateway.endpointing import Evidence, SmartRules, Weights, learned
from parley_gateway.turn_judges import TurnModel
from parley_gateway.turn_model import SmartTurnModel
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull

ASR_MODEL: Final = "tiny.en"
TURN_MODEL: Final = "smart-turn-v3.2"
HALVES: Final[tuple[Half, ...]] = get_args(Half)
_WINDOW_S: Final = 10.0
_NOTICED_S: Final = 0.1
"""A segment has ended after so much silence, which is when sound and words of a pause are sent to be judged."""

app = App(help=__doc__, help_format="markdown")


class Judges(NamedTuple):
    """Who says what a pause is."""

    sound: TurnModel
    words: Callable[[Samples], str]
    """What is understood of sound at 16 kHz."""


@app.default
def main(
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    pauses: Annotated[Path | None, Parameter(help="Write the evidence here, a pause a line.")] = None,
    endpoint_ms: Annotated[int, Parameter(help="The silence that counts without evidence.")] = 500,
    reopen_ms: Annotated[int, Parameter(help="How long after its end a turn may be taken up again.")] = 600,
) -> int:
    """Fit, judge, print the figures and bring docs/performance.md up to date."""
    screen, store = Screen(), ModelStore.at()
    judges = _judges(store)
    found = {half: _of_half(half, judges, screen) for half in HALVES}
    if pauses:
        lines = (msgspec.json.encode(pause) for of_half in found.values() for pause in of_half)
        pauses.write_bytes(b"".join(b"%s\n" % line for line in lines))
    rules = SmartRules()
    weights = fit(found["training"], start=rules.weights, rules=rules)
    tried = {"silence": None, "smart": rules, "fitted": msgspec.structs.replace(rules, weights=weights)}
    figures: dict[str, float | int | str | None] = {"endpoint_ms": endpoint_ms, "reopen_ms": reopen_ms}
    for half, name in ((half, name) for half in HALVES for name in tried):
        outcome = judge(found[half], endpoint_ms=endpoint_ms, rules=tried[name], reopen_ms=reopen_ms)
        figures |= {
            f"endpoints_{name}_{key}_{half}": value
            for key, value in (
                ("cut_off", round(outcome.cut_off, 3)),
                ("taken_back", round(outcome.taken_back, 3)),
                ("wait_p50_ms", percentile(outcome.waits_ms, 0.5)),
                ("wait_p95_ms", percentile(outcome.waits_ms, 0.95)),
            )
        }
    figures |= {f"pauses_{half}": len(of_half) for half, of_half in found.items()}
    figures |= {f"weight_{name}": getattr(rules.weights, name) for name in Weights.__struct_fields__}
    figures |= {f"fitted_{name}": getattr(weights, name) for name in Weights.__struct_fields__}
    figures |= _performance.describe_machine()
    screen.say(_performance.write(figures, json_file))
    _performance.regenerate("endpoints", _turn_tables.endpoints_table(figures))
    return 0


def _judges(store: ModelStore) -> Judges:
    [model] = pull(store, find_model(TURN_MODEL)).glob("*.onnx")
    options = LoadOptions(
        name=ASR_MODEL,
        folder=pull(store, find_model(ASR_MODEL)),
        device="cpu",
        cpu_threads=1,
        window_s=_WINDOW_S,
        language="en",
    )
    return Judges(sound=SmartTurnModel(model), words=functools.partial(final, load(options)))


def _of_half(half: Half, judges: Judges, screen: Screen) -> list[LabelledPause]:
    dialogues = rendered(chosen(read(), Choice(half=half)), screen)
    told = track(dialogues, f"judging the {half} half", console=screen.console, transient=True)
    return [pause for dialogue, lines in told for pause in labelled(dialogue, lines, judges)]


def labelled(dialogue: Dialogue, lines: Iterable[Rendered], judges: Judges) -> Iterator[LabelledPause]:
    """Yield every pause of a dialogue with what would be known of it, in order."""
    own_pause_ms: float | None = None
    room = room_of(dialogue)
    for samples, annotation, _ in lines:
        silence = np.zeros(round(_NOTICED_S * RATE_HZ), dtype=np.float32)
        heard = np.concatenate((samples, silence))
        heard = heard + np.resize(room, len(heard))
        for number, span in enumerate(annotation.spans):
            so_far = heard[: span.end + len(silence)]
            evidence = Evidence(
                audio=judges.sound.judge(np.round(np.clip(so_far, -1, 1) * 32767).astype("<i2").tobytes()),
                ending=ending(judges.words(so_far), "en"),
            )
            length_ms = _length_ms(annotation.spans, number)
            yield LabelledPause(evidence=evidence, own_pause_ms=own_pause_ms, length_ms=length_ms)
            if length_ms is not None:
                own_pause_ms = learned(own_pause_ms, length_ms)


def _length_ms(spans: Sequence[Span], number: int) -> float | None:
    if number + 1 == len(spans):
        return None
    return (spans[number + 1].begin - spans[number].end) * 1000 / RATE_HZ


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
