"""What the benchmark of deaths makes of what was heard."""

import chaos
import pytest

from parley_testkit.blows import Blow
from parley_testkit.persons import Heard, Struck

FINE = Heard("What is a bee?", "What is a bee?", "answered", wait_ms=1000.0, sounded=True, was_struck=True)
SORRY = FINE._replace(outcome="failed", reason="model_failed", wait_ms=900.0, apologized=True)
LOST = FINE._replace(outcome="lost", wait_ms=0.0, sounded=False, away_ms=800.0)


def test_time_added_is_over_the_usual_wait_and_at_the_gateways_death_the_time_away() -> None:
    struck = [
        Struck(Blow("agent", "thinking"), FINE._replace(wait_ms=5500.0), FINE),
        Struck(Blow("ollama", "writing"), SORRY, FINE),
        Struck(Blow("gateway", "speaking"), LOST, FINE),
    ]

    figures = chaos.costs([FINE], struck)

    assert [figures[f"added_p95_ms_{victim}"] for victim in ("agent", "ollama", "gateway")] == [4500.0, 0.0, 800.0]
    assert [figures[name] for name in ("kills", "turns_lost", "apologies_ollama", "in_the_air_gateway")] == [3, 0, 1, 1]


@pytest.mark.parametrize(
    "hit", [FINE._replace(sounded=False), FINE._replace(outcome="none", sounded=False), LOST._replace(away_ms=100.0)]
)
def test_a_question_that_led_to_neither_reply_nor_apology_is_a_turn_lost(hit: Heard) -> None:
    figures = chaos.costs([FINE], [Struck(Blow("asr", "deciding"), hit, FINE)])

    assert figures["turns_lost"] == 1
