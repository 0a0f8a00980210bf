"""What `parley_gateway.discord.library` knows of the inside of discord.py is so in the version that is pinned."""

import inspect
from importlib.metadata import version
from pathlib import Path

import discord.opus
import pytest
from discord.gateway import DiscordVoiceWebSocket
from discord.voice_state import SocketReader, VoiceConnectionState

from parley_gateway.discord.library.relied_on import RELIED_ON, RELIED_ON_INSTANCE
from parley_gateway.discord.sockets import LoopReader

GATEWAY = Path(__file__).parents[2] / "services/gateway"


@pytest.mark.parametrize("owner, name", [(owner, name) for owner, names in RELIED_ON.items() for name in names])
def test_what_is_relied_on_is_there(owner: type, name: str) -> None:
    assert hasattr(owner, name)


@pytest.mark.parametrize(
    "owner, name", [(owner, name) for owner, names in RELIED_ON_INSTANCE.items() for name in names]
)
def test_an_object_has_what_is_relied_on(owner: type, name: str) -> None:
    assert f"self.{name}" in inspect.getsource(vars(owner)["__init__"])


def test_what_is_bound_of_libopus_can_be_called() -> None:
    assert {"opus_decode", "opus_encoder_ctl"} <= {name for name, *_ in discord.opus.exported_functions}
    assert "_lib" in vars(discord.opus)


def test_our_reader_has_all_that_a_connection_calls() -> None:
    source = inspect.getsource(VoiceConnectionState)

    called = {name for name in vars(SocketReader) if f"_socket_reader.{name}(" in source} - {"start"}

    assert called == {"pause", "register", "resume", "stop", "unregister"}
    assert all(callable(getattr(LoopReader, name)) for name in called)


def test_a_socket_is_paused_before_it_is_closed() -> None:
    """Or the event loop would read a number that is another file's by now."""
    for method in (VoiceConnectionState.disconnect, VoiceConnectionState.soft_disconnect):
        source = inspect.getsource(method)
        assert source.index("_socket_reader.pause()") < source.index("socket.close()")


def test_everything_is_asked_of_the_websocket_that_we_put_in_its_place() -> None:
    source = inspect.getsource(VoiceConnectionState)

    assert source.count("DiscordVoiceWebSocket.from_connection_state") == 1
    assert inspect.ismethod(DiscordVoiceWebSocket.from_connection_state)


def test_the_version_is_pinned() -> None:
    assert version("discord.py") == "2.7.1"
    assert '"discord.py==2.7.1"' in (GATEWAY / "pyproject.toml").read_text()
