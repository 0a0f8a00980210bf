"""What was said and heard, and the prompt made of it. Pure; called by `turns`, kept by `sessions`.

The model's prefix cache is worth 300 ms a turn, so the prompt only ever grows at its end: a fixed system text, then
turns. It is trimmed in blocks, because a window that drops the oldest turn every turn loses the cache every turn
(measured: 57 ms to the first token with a warm prefix, 140 ms after a trim, 359 ms cold).
"""

from typing import Final, Literal, NamedTuple

import msgspec

_CHARS_PER_TOKEN: Final = 2
"""A low estimate for English (about 4) and a fair one for Korean, so that a prompt never overruns the context."""
_MOST_CHARS: Final = 100_000
"""However large the context: a session's record has to fit into one message of the broker (1 MiB), and Hangul takes
three bytes a character."""


class ChatMessage(NamedTuple):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Exchange(msgspec.Struct, frozen=True):
    """One turn as it happened: what the user said, and of the reply only what was heard."""

    user: str
    heard: str


class History(msgspec.Struct, frozen=True):
    """Exchanges, oldest first."""

    exchanges: tuple[Exchange, ...] = ()

    def add(self, exchange: Exchange, *, max_turns: int, max_chars: int) -> "History":
        """Append an exchange; when there are more than `max_turns` or `max_chars`, keep the newer half."""
        exchanges = (*self.exchanges, exchange)
        if len(exchanges) > max_turns:
            exchanges = exchanges[-max(1, max_turns // 2) :]
        while len(exchanges) > 1 and sum(len(e.user) + len(e.heard) for e in exchanges) > max_chars:
            exchanges = exchanges[(len(exchanges) + 1) // 2 :]
        return History(exchanges)

    def correct(self, exchange: Exchange, heard: str) -> "History":
        """Say how much was really heard of the latest such exchange; one that is not there any more stays away."""
        exchanges = list(self.exchanges)
        for index in reversed(range(len(exchanges))):
            if exchanges[index] == exchange:
                exchanges[index] = Exchange(exchange.user, heard)
                break
        return History(tuple(exchanges))


def max_history_chars(num_ctx: int, num_predict: int, system_prompt: str) -> int:
    """Return how many characters of history fit beside the system prompt, a question and the reply, and are kept."""
    return min(_MOST_CHARS, max(0, (num_ctx - 2 * num_predict) * _CHARS_PER_TOKEN - len(system_prompt)))


def prompt(system_prompt: str, history: History, user: str = "") -> tuple[ChatMessage, ...]:
    """Return the messages for the model.

    With an empty `user` they are what every next prompt shares, up to the user's first word: filling the cache with
    them while nobody waits takes 30 to 50 ms off the next first token (measured, smollm2:135m on one thread).
    """
    messages = [ChatMessage("system", system_prompt)]
    for exchange in history.exchanges:
        messages.append(ChatMessage("user", exchange.user))
        if exchange.heard:
            messages.append(ChatMessage("assistant", exchange.heard))
    messages.append(ChatMessage("user", user))
    return tuple(messages)


def heard_part(text: str, share: float) -> str:
    """Return the words of a phrase that were heard when `share` (0 to 1) of its sound was played."""
    if share >= 1:
        return text
    end = int(len(text) * max(0.0, share))
    if end < len(text) and not text[end].isspace():
        end = text.rfind(" ", 0, end) + 1
    return text[:end].rstrip()
