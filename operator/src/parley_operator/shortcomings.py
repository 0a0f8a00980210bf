"""What is less than it could be of an assistant that may well answer all the same: the condition Degraded. Pure."""

from collections.abc import Iterator

from parley_operator import reasons
from parley_operator.seen import Seen


def shortcomings(seen: Seen) -> Iterator[tuple[str, str]]:
    """Return each, by its reason and in words that say what to do; what weighs most first."""
    if seen.judgement.refusals and seen.judgement.assistant is not None:
        yield (
            reasons.OLDER_SPEC_RUNS,
            f"generation {seen.judgement.generation} runs, for what was written since was refused: see Accepted",
        )
    for failure in seen.failures:
        yield failure.reason, f"{failure.component}: {failure.message}"
    model = (seen.agent or {}).get("model") or {}
    size, on_card = int(model.get("size_bytes") or 0), int(model.get("vram_bytes") or 0)
    ollama = seen.context.all_components["ollama"] if seen.context else None
    if ollama is not None and ollama.uses_gpu and model.get("loaded") and on_card < size:
        share = 100 * on_card // max(size, 1)
        advice = "make room on the card, or choose a smaller model or context"
        said = f"only {share} % of {seen.llm_name} is on the card, the rest computes on the CPU: {advice}"
        yield reasons.LLM_PARTIALLY_OFFLOADED, said
    for note in seen.judgement.notes:
        yield reasons.NOT_SUPPORTED_YET, note
