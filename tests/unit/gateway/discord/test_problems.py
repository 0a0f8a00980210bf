"""What keeps the bot from Discord, in the words of the operator's conditions, with what to do and without secrets."""

from unittest.mock import Mock

import aiohttp
import discord
import pytest

from parley_gateway.discord.client import CertificateError, problem_of


def closed(code: int) -> discord.ConnectionClosed:
    return discord.ConnectionClosed(Mock(close_code=code), shard_id=None, code=code)


def hidden(error: Exception) -> BaseException:
    """An error of discord.py's own, over another one."""
    stumbled = AttributeError("'NoneType' object has no attribute 'sequence'")
    stumbled.__context__ = error
    return stumbled


@pytest.mark.parametrize(
    "error, reason, says",
    [
        (discord.LoginFailure("hush"), "TokenRefused", "make a new one"),
        (closed(4004), "TokenRefused", "make a new one"),
        (closed(4013), "IntentsRefused", "need no leave"),
        (discord.PrivilegedIntentsRequired(None), "IntentsRefused", "need no leave"),
        (closed(4000), "DiscordUnreachable", "code 4000"),
        (CertificateError("/ca.pem: no certificate can be read there"), "DiscordUnreachable", "/ca.pem"),
        (discord.HTTPException(Mock(status=503, reason="x"), "hush"), "DiscordUnreachable", "status 503"),
        (TimeoutError("hush"), "DiscordUnreachable", "(TimeoutError)"),
        (hidden(aiohttp.ClientError("hush")), "DiscordUnreachable", "(ClientError)"),
    ],
)
def test_an_error_becomes_a_reason_and_what_to_do(error: BaseException, reason: str, says: str) -> None:
    problem = problem_of(error)

    assert problem.reason == reason
    assert says in problem.sentence
    assert "hush" not in problem.sentence
