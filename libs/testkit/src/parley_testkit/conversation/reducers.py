"""The reducers that a game checks, and the rules they go by in it. Used by all pages beside this one."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from parley_agent import takeover, turn_events, turn_state
from parley_agent import turns as agent_turns
from parley_agent.replies import Step
from parley_contract.messages import Message
from parley_gateway import cues
from parley_gateway import turn_events as gateway_events
from parley_gateway import turn_state as gateway_state
from parley_gateway import turns as gateway_turns

GATEWAY_RULES: Final = gateway_state.TurnRules(playback=cues.PlaybackRules(ahead_ms=40))
AGENT_RULES: Final = turn_state.Rules(
    language="en", system_prompt="", num_predict=60, max_context_turns=20, num_ctx=4096, speculation="tts"
)

GatewayStep = Callable[
    [gateway_state.Turns, gateway_events.Event, float], tuple[gateway_state.Turns, list[gateway_events.Effect]]
]
AgentStep = Callable[[turn_state.Conversation, turn_events.Event, float], Step]
TakeOver = Callable[[turn_state.Conversation, Sequence[Message], float], Step]


class Reducers(NamedTuple):
    """What is checked; a mutant replaces one of them."""

    gateway: GatewayStep = gateway_turns.step
    agent: AgentStep = agent_turns.step
    take_over: TakeOver = takeover.take_over


OURS: Final = Reducers()
