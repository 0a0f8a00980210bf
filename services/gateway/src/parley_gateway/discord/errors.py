"""What can go wrong between us and a voice channel, and what to do about it.

    RetryableError
    └── VoiceUnavailableError   Discord did not let us in now: too late, too often, a server that fell over
    PermanentError
    └── VoiceRefusedError       Discord does not let us in: trying again changes nothing

discord.py's own exceptions are translated into these once, in `translations`. `reason` is for programs (the bot says it
in the language of whoever asked), the message for owners. Missing permissions are the bot's to see before it connects.
"""

from typing import Final, Literal

from parley_contract.errors import PermanentError, RetryableError

Unavailable = Literal["timed_out", "server", "rate_limited", "busy"]
"""No voice server in time; one that closed on us; too many attempts; another connection in this guild."""
Refused = Literal["encryption", "not_allowed", "channel_gone", "no_codec"]
"""No common end-to-end or transport encryption; a voice server that does not take our word for who we are; no such
channel, or removed from it; libopus is not installed."""


class VoiceUnavailableError(RetryableError):
    """The same call may succeed later."""

    def __init__(self, reason: Unavailable, sentence: str) -> None:
        """Fail with a reason and a sentence that says what to do."""
        super().__init__(sentence)
        self.reason: Final = reason


class VoiceRefusedError(PermanentError):
    """The same call fails again."""

    def __init__(self, reason: Refused, sentence: str) -> None:
        """Fail with a reason and a sentence that says what to do."""
        super().__init__(sentence)
        self.reason: Final = reason
