"""What discord.py raises and voice servers close with, as errors of ours. Used by `handshakes` and `library`."""

import aiohttp
import discord

from parley_gateway.discord.closings import Verdict
from parley_gateway.discord.errors import VoiceRefusedError, VoiceUnavailableError


def error_of(verdict: Verdict) -> VoiceRefusedError | VoiceUnavailableError:
    """Make the error that a verdict is."""
    if verdict.kind == "refused":
        return VoiceRefusedError(verdict.refused, verdict.sentence)
    return VoiceUnavailableError(verdict.unavailable, verdict.sentence)


def translated(error: Exception) -> Exception:
    """Make one of ours of what discord.py raises; what is nobody's business here stays as it is."""
    match error:
        case VoiceRefusedError() | VoiceUnavailableError():
            return error
        case TimeoutError():
            return VoiceUnavailableError(
                "timed_out",
                "Discord gave us no voice server in time. Try again; if it lasts, change the channel's region.",
            )
        case discord.ConnectionClosed(code=code):
            return VoiceUnavailableError(
                "server", f"The voice server closed on us (close code {code}). Try again in a minute."
            )
        case discord.ClientException():
            return VoiceUnavailableError(
                "busy", "There is another voice connection in this guild. Disconnect it first."
            )
        case aiohttp.ClientError() | OSError():
            return VoiceUnavailableError(
                "server", f"The voice server cannot be reached ({type(error).__name__}). Try again in a minute."
            )
        case _:
            return error
