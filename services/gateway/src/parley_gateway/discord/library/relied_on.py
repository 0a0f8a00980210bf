"""What must be so inside of discord.py for the pages beside this one to work; a contract test asks whether it is."""

from typing import Final

import discord
from discord.gateway import DiscordVoiceWebSocket
from discord.opus import Decoder, Encoder
from discord.voice_state import SocketReader, VoiceConnectionState

RELIED_ON: Final[dict[type, tuple[str, ...]]] = {
    VoiceConnectionState: (
        "_connect_websocket",
        "_create_socket",
        "_execute_transition",
        "_recover_from_invalid_commit",
        "can_encrypt",
        "disconnect",
        "state",
    ),
    DiscordVoiceWebSocket: (
        "from_connection_state",
        "initial_connection",
        "poll_event",
        "received_binary_message",
        "received_message",
        "send_heartbeat",
        "speak",
    ),
    SocketReader: ("pause", "register", "resume", "stop", "unregister"),
    discord.VoiceClient: ("create_connection_state", "supported_modes"),
}
"""Attributes of classes."""
RELIED_ON_INSTANCE: Final[dict[type, tuple[str, ...]]] = {
    VoiceConnectionState: (
        "_expecting_disconnect",
        "_runner",
        "_socket_reader",
        "_state",
        "dave_protocol_version",
        "dave_session",
        "mode",
        "secret_key",
        "socket",
        "ssrc",
        "ws",
    ),
    Decoder: ("_state",),
    Encoder: ("_state",),
}
"""Attributes of objects, which their __init__ sets."""
