"""The agent's settings; `parley_contract.components` fills them."""

from typing import Annotated

from msgspec import Meta

from parley_agent.turn_state import Rules
from parley_contract.resource import Speculation
from parley_runtime.settings import Port, ServiceSettings


class AgentSettings(ServiceSettings, frozen=True, kw_only=True, rename="upper"):
    """What the agent is told beside the common things."""

    port: Port = 5006
    language: str = "en"
    system_prompt: str
    """Fixed text before every conversation; anything volatile in it would cost the model's prefix cache."""
    ollama_url: str
    llm_model: str
    llm_num_predict: Annotated[int, Meta(ge=1)] = 60
    """Most tokens of one reply."""
    max_context_turns: Annotated[int, Meta(ge=1)] = 6
    num_ctx: Annotated[int, Meta(ge=512)] = 4096
    num_thread: Annotated[int, Meta(ge=1)] | None = None
    """CPU threads of the model; unset leaves it to Ollama."""
    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.7
    keep_alive: str = "-1"
    """How long the model stays loaded without a question; -1 for ever, because a load costs the first turn seconds."""
    speculation: Speculation = "off"
    """From `llm` on the model is asked before it is certain that somebody has finished; with `tts` the voice, too."""
    num_parallel: Annotated[int, Meta(ge=1)] = 1
    """Requests that the model's server works on at once: a speculation takes a free place only."""
    keep_events_s: Annotated[float, Meta(ge=0)] = 86_400
    """How long what was said is kept; 0 purges it when the session ends."""

    @property
    def rules(self) -> Rules:
        """What the turns are decided by."""
        return Rules(
            language=self.language,
            system_prompt=self.system_prompt,
            num_predict=self.llm_num_predict,
            max_context_turns=self.max_context_turns,
            num_ctx=self.num_ctx,
            speculation=self.speculation,
        )
