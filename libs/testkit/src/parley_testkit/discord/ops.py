"""The numbers of Discord's three protocols: gateway opcodes and intents, voice opcodes, close codes, permissions.

From discord-api-docs (topics/gateway, opcodes-and-status-codes, voice-connections, permissions) and the DAVE white
paper, section "Voice Gateway Opcodes" (opcodes 11 and 13, and 21 to 31). Voice opcodes 18 and 20 are in neither:
Discord sends them all the same, and a client has to overlook them.
"""

from enum import IntEnum, IntFlag


class GatewayOp(IntEnum):
    """What is said on the main gateway."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    PRESENCE = 3
    VOICE_STATE = 4
    RESUME = 6
    RECONNECT = 7
    REQUEST_MEMBERS = 8
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


class GatewayClose(IntEnum):
    """Why the main gateway hangs up of its own accord; a test orders whatever code it likes."""

    UNKNOWN_OP = 4001
    NOT_AUTHENTICATED = 4003
    AUTHENTICATION_FAILED = 4004
    SESSION_TIMED_OUT = 4009
    DISALLOWED_INTENTS = 4014


class Intent(IntFlag):
    """What a bot asks to be told; the privileged ones have to be allowed first."""

    NOTHING = 0
    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_VOICE_STATES = 1 << 7
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    MESSAGE_CONTENT = 1 << 15


PRIVILEGED = Intent.GUILD_MEMBERS | Intent.GUILD_PRESENCES | Intent.MESSAGE_CONTENT


class VoiceOp(IntEnum):
    """What is said on the voice gateway; 25 to 30 are binary."""

    IDENTIFY = 0
    SELECT_PROTOCOL = 1
    READY = 2
    HEARTBEAT = 3
    SESSION_DESCRIPTION = 4
    SPEAKING = 5
    HEARTBEAT_ACK = 6
    RESUME = 7
    HELLO = 8
    RESUMED = 9
    CLIENTS_CONNECT = 11
    VIDEO = 12
    CLIENT_DISCONNECT = 13
    CLIENT_FLAGS = 18
    CLIENT_PLATFORM = 20
    PREPARE_TRANSITION = 21
    EXECUTE_TRANSITION = 22
    TRANSITION_READY = 23
    PREPARE_EPOCH = 24
    EXTERNAL_SENDER = 25
    KEY_PACKAGE = 26
    PROPOSALS = 27
    COMMIT_WELCOME = 28
    ANNOUNCE_COMMIT = 29
    WELCOME = 30
    INVALID_COMMIT = 31


class VoiceClose(IntEnum):
    """Why the voice gateway hangs up of its own accord, and the code after which it lets a client resume.

    Where both gateways have a number they may mean different things by it, as by 4014.
    """

    NOT_AUTHENTICATED = 4003
    AUTHENTICATION_FAILED = 4004
    SESSION_INVALID = 4006
    SESSION_TIMED_OUT = 4009
    DISCONNECTED = 4014
    SERVER_CRASHED = 4015
    UNKNOWN_ENCRYPTION = 4016
    E2EE_REQUIRED = 4017


class Permission(IntFlag):
    """What somebody may do; a channel can take it away from everyone."""

    NOTHING = 0
    STREAM = 1 << 9
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_HISTORY = 1 << 16
    CONNECT = 1 << 20
    SPEAK = 1 << 21
    MUTE_MEMBERS = 1 << 22
    USE_VAD = 1 << 25
    CHANGE_NICKNAME = 1 << 26
    USE_COMMANDS = 1 << 31
    SET_VOICE_STATUS = 1 << 48


EVERYONE = (
    Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_HISTORY
    | Permission.CONNECT
    | Permission.SPEAK
    | Permission.STREAM
    | Permission.USE_VAD
    | Permission.CHANGE_NICKNAME
    | Permission.USE_COMMANDS
    | Permission.SET_VOICE_STATUS
)
"""What a new server lets everyone do."""
