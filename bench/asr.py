"""`make bench NAME=asr`: speech to text against stock faster-whisper with the same model, and what uploads cost others.

In this process, with the real model and the real decoder: how often words are wrong on known speech, how long a short
final takes, how much faster eight that wait together are decoded, and how much longer finals take while a file of half
an hour is transcribed. What is compared is run in turns, on as many threads, so that the ratios hold on a busy machine.
"""

import asyncio
import contextlib
import functools
import itertools
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import _part_tables
import _performance
import numpy as np
from _processes import resident_mib
from _spoken import Spoken, corpus
from cyclopts import App, Parameter
from faster_whisper import WhisperModel

from parley_asr.decoder import Decoder, Priority, decoder_threads
from parley_asr.engines import Decoded, Decoding, Samples
from parley_asr.engines.whisper import SAFE_WINDOW_S, LoadOptions, WhisperTranscriber, load
from parley_asr.hearing import Hearing, Listening
from parley_asr.uploads import transcribe
from parley_asr.windows import limits
from parley_cli.reports import percentile
from parley_cli.scoring import Score, scored
from parley_contract.catalogue import find_model
from parley_contract.frames import RATE_HZ
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_runtime.telemetry import Telemetry

MODEL: Final = "tiny.en"
WINDOWS_S: Final = (10.0, 30.0)
_SHORT_S: Final = 3.0
"""How long the final is whose time is compared: a question."""
_TOGETHER: Final = 8
_UPLOAD_S: Final = 1800.0

app = App(help=__doc__)


@app.default
def main(
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    repeats: Annotated[int, Parameter(help="How often each time is measured.")] = 40,
    threads: Annotated[int, Parameter(help="Threads of each decode.")] = 1,
) -> int:
    """Measure, print the figures, and bring docs/performance.md up to date."""
    store = ModelStore.at()
    folder = pull(store, find_model(MODEL))
    speech = corpus(store)
    stock = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)
    ours = {
        window_s: load(
            LoadOptions(name=MODEL, folder=folder, device="cpu", cpu_threads=threads, window_s=window_s, language="en")
        )
        for window_s in WINDOWS_S
    }
    short = ours[WINDOWS_S[0]]
    figures: dict[str, float | int | str | None] = {
        "utterances": len(speech),
        "threads": threads,
        **wrong_words(speech, ours, stock),
        **times(shortest_question(speech), short, stock, repeats),
        **together(speech, short, repeats),
        **asyncio.run(beside_an_upload(speech, short, repeats)),
        "asr_rss_mib": resident_mib([os.getpid()])[0],
        **_performance.describe_machine(),
    }
    print(_performance.write(figures, json_file))
    _performance.regenerate("asr", _part_tables.asr_table(figures))
    return 0


def wrong_words(
    speech: Sequence[Spoken], ours: Mapping[float, WhisperTranscriber], stock: WhisperModel
) -> dict[str, float]:
    """Return the word error rates of ours at each window and of stock."""

    def rate(understand: Callable[[Samples], str]) -> float:
        scores = [scored(spoken.text, understand(spoken.samples), language="en") for spoken in speech]
        return round(sum(scores, Score()).words.rate or 0.0, 4)

    at_10_s, at_30_s = (rate(functools.partial(final, engine)) for engine in ours.values())
    return {"asr_wer": at_10_s, "asr_wer_30": at_30_s, "asr_wer_stock": rate(lambda samples: _stock(stock, samples))}


def final(engine: WhisperTranscriber, samples: Samples) -> str:
    """Return what the asr service would understand of an utterance."""

    async def decode(window: Samples, how: Decoding) -> Decoded:
        return engine.transcribe([window], how)[0]

    return asyncio.run(Hearing(_listening(engine)).final(samples, decode)).text


def _stock(model: WhisperModel, samples: Samples) -> str:
    segments, _ = model.transcribe(samples, language="en", beam_size=1, condition_on_previous_text=False)
    return " ".join(segment.text.strip() for segment in segments)


def _listening(engine: WhisperTranscriber) -> Listening:
    window_s = engine.engine.window_s
    return Listening(
        limits=limits(encoder_window_s=window_s, overlap_ms=120),
        language="en",
        has_safe_mode=window_s < SAFE_WINDOW_S,
    )


def shortest_question(speech: Sequence[Spoken]) -> Samples:
    """Return speech of about three seconds, cut or filled up with silence to just that."""
    nearest = min(speech, key=lambda spoken: abs(len(spoken.samples) / RATE_HZ - _SHORT_S)).samples
    length = round(_SHORT_S * RATE_HZ)
    return np.pad(nearest[:length], (0, max(0, length - len(nearest))))


def times(question: Samples, ours: WhisperTranscriber, stock: WhisperModel, repeats: int) -> dict[str, float]:
    """Return how long a final of three seconds takes here and with stock, in turns."""
    here, there = list[float](), list[float]()
    for samples in (_varied(question, number) for number in range(repeats + 1)):
        here.append(_took_ms(functools.partial(final, ours, samples)))
        there.append(_took_ms(functools.partial(_stock, stock, samples)))
    ours_ms, stock_ms = statistics.median(here[1:]), statistics.median(there[1:])
    return {
        "asr_final_p50_ms": round(ours_ms, 1),
        "asr_stock_p50_ms": round(stock_ms, 1),
        "asr_final_share_of_stock": round(ours_ms / stock_ms, 3),
    }


def together(speech: Sequence[Spoken], ours: WhisperTranscriber, repeats: int) -> dict[str, float]:
    """Return how many times faster utterances are decoded together than one after the other, in turns."""
    windows = [spoken.samples for spoken in speech if len(spoken.samples) < 5 * RATE_HZ][:_TOGETHER]
    how, ratios = Decoding(language="en"), list[float]()
    for number in range(repeats // 4 + 1):
        varied = [_varied(window, number) for window in windows]
        apart = _took_ms(functools.partial(_one_by_one, ours, varied, how))
        ratios.append(apart / _took_ms(functools.partial(ours.transcribe, varied, how)))
    return {"asr_batch_speedup": round(statistics.median(ratios[1:]), 2)}


async def beside_an_upload(speech: Sequence[Spoken], ours: WhisperTranscriber, repeats: int) -> dict[str, float]:
    """Return how long finals take alone, and while a file of half an hour is transcribed."""
    file = itertools.cycle(np.pad(spoken.samples, (0, RATE_HZ // 2)) for spoken in speech)
    question = shortest_question(speech)
    with decoder_threads() as offload:
        decoder = Decoder(ours, Telemetry("asr", "bench_asr"), offload=offload)
        async with _running(decoder):
            alone = await _finals(decoder, ours, question, repeats)
            async with _uploading(decoder, ours, file):
                beside = await _finals(decoder, ours, question, repeats)
    return {
        "asr_final_p95_ms_alone": _p95(alone),
        "asr_final_p95_ms_with_upload": _p95(beside),
        "asr_final_ratio_with_upload": round(_p95(beside) / _p95(alone), 2),
    }


@contextlib.asynccontextmanager
async def _running(decoder: Decoder) -> AsyncIterator[None]:
    running = asyncio.ensure_future(decoder.run())
    yield
    running.cancel()
    await asyncio.wait({running})


@contextlib.asynccontextmanager
async def _uploading(
    decoder: Decoder, ours: WhisperTranscriber, file: "itertools.cycle[Samples]"
) -> AsyncIterator[None]:
    """Transcribe half an hour while the block lasts, in windows as the API does it.

    Raises:
        RuntimeError: it was over before the block.
    """

    async def sound() -> AsyncIterator[Samples]:
        left_s = _UPLOAD_S
        while left_s > 0:
            block = next(file)
            left_s -= len(block) / RATE_HZ
            yield block

    async def decode(window: Samples, how: Decoding) -> Decoded:
        return (await decoder.decode(window, how, priority=Priority.UPLOAD)).decoded

    async def upload() -> None:
        async for _ in transcribe(sound(), _listening(ours), Decoding(language="en", timing="segments"), decode):
            pass

    uploading = asyncio.ensure_future(upload())
    yield
    if uploading.done():
        raise RuntimeError("the upload was over too soon")
    uploading.cancel()
    await asyncio.wait({uploading})


async def _finals(decoder: Decoder, ours: WhisperTranscriber, question: Samples, repeats: int) -> list[float]:
    async def decode(window: Samples, how: Decoding) -> Decoded:
        return (await decoder.decode(window, how, priority=Priority.FINAL)).decoded

    took = list[float]()
    pauses = random.Random(1)  # noqa: S311  # in no step with the windows of the file
    for number in range(repeats + 1):
        await asyncio.sleep(pauses.uniform(0.05, 0.35))
        began_at = time.perf_counter()
        await Hearing(_listening(ours)).final(_varied(question, number), decode)
        took.append(1000 * (time.perf_counter() - began_at))
    return took[1:]


def _varied(samples: Samples, number: int) -> Samples:
    """Return the same speech with one sample more of silence before it each time: what was encoded is kept."""
    return np.concatenate((np.zeros(number, dtype=np.float32), samples))


def _one_by_one(engine: WhisperTranscriber, windows: Sequence[Samples], how: Decoding) -> None:
    for window in windows:
        engine.transcribe([window], how)


def _took_ms(call: Callable[[], object]) -> float:
    began_at = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began_at)


def _p95(values: Sequence[float]) -> float:
    return round(percentile(list(values), 0.95) or 0.0, 1)


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
