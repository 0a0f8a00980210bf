"""What the gateway is told, and why each thing can be told. Read from the environment by the lifecycle."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from parley_gateway.cues import PlaybackRules
from parley_gateway.endpointing import SmartRules
from parley_gateway.segments import Probability, SegmentRules
from parley_gateway.turn_state import TurnRules
from parley_gateway.utterance_state import UtteranceRules
from parley_runtime.settings import ServiceSettings

_Snowflake = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,20}$")]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class GatewaySettings(ServiceSettings, frozen=True, kw_only=True, rename="upper"):
    """The resource's `spec.turnTaking`, `spec.doors` and `spec.maxSessions`; the rest is for people who measure."""

    language: str = "en"
    """Told to clients; the gateway itself hears voices, not languages."""
    web_enabled: bool = True
    """Whether `/v1/talk` is open."""
    worker_shared_secret: str = ""
    """What a client has to know; empty lets everybody in who reaches the address."""
    max_sessions: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4
    """Sessions at once, those that wait for their client to come back included; more are refused with a sentence."""
    resume_grace_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 30.0
    """How long a session waits for a client whose connection was lost; as long as an agent remembers one."""

    discord_enabled: bool = False
    """Whether there is a Discord door."""
    discord_token: str = ""
    """Who the assistant is on Discord."""
    discord_token_file: Path | None = None
    """A file with the same, read where `discord_token` is empty."""
    discord_guild_ids: tuple[_Snowflake, ...] = ()
    """Servers in which commands are offered; without any, in all that invited the bot."""
    discord_auto_join: tuple[_Snowflake, ...] = ()
    """Voice channels that are joined when somebody is there."""
    discord_text_channel: Annotated[str, msgspec.Meta(pattern="^[0-9]{0,20}$")] = ""
    """Where is written what was not asked for; empty for where the bot was called."""
    discord_roles: tuple[_Snowflake, ...] = ()
    """Whose members may command; without any, everybody."""
    discord_leave_after_idle_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 300
    """Without a word, or alone, for so long the bot leaves a channel; 0 stays."""
    discord_api_base: str = ""
    """Where Discord's API is, with its version; empty for Discord's own."""
    discord_gateway_url: str = ""
    """Where Discord's gateway is; empty for Discord's own."""
    discord_ca_file: Path | None = None
    """PEM of the authority whose certificates are trusted there; without, the well-known ones."""

    endpoint_ms: Annotated[int, msgspec.Meta(ge=100, le=5000)] = 500
    """Silence after which the speaker has finished. The floor of E2FT, and what decides false cut-offs."""
    endpointing: Literal["silence", "smart"] = "silence"
    """What decides: `endpoint_ms` of silence alone, or also how the turn sounds, its last words and the speaker's own
    pauses; then `endpoint_ms` is what holds while nothing is known. `smart` loads the audio turn model (45 MiB)."""
    min_speech_ms: Annotated[int, msgspec.Meta(ge=32, le=2000)] = 100
    """Voice shorter than this is no speech. Below 100 ms clicks begin turns, above 250 ms "yes" is lost."""
    max_utterance_s: Annotated[float, msgspec.Meta(ge=5, le=90)] = 30.0
    """A longer utterance is cut at a pause and goes on in another of the same turn."""
    hangover_ms: Annotated[int, msgspec.Meta(ge=32, le=1000)] = 64
    """Silence after which a segment has ended, so that work on it may begin before the endpoint."""
    pre_roll_ms: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 300
    """Sound before the first voiced sample that belongs to the utterance."""
    stall_ms: Annotated[int, msgspec.Meta(ge=100, le=5000)] = 800
    """How long frames may stay away within a word before that counts as silence: a bad network pauses, too."""
    vad_enter: Probability = 0.5
    vad_exit: Probability = 0.35

    reopen_ms: Annotated[int, msgspec.Meta(ge=0, le=5000)] = 1000
    """Who goes on within this of the endpoint had not finished: their turn goes on, and what was said is taken back."""
    barge_in_ms: Annotated[int, msgspec.Meta(ge=0, le=5000)] = 500
    """Speech over a reply that lasts so long ends it; shorter speech does if it has words."""
    take_up_after_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 2.0
    """A reply that gave way to a sound without words goes on after so long, at the latest."""
    ahead_ms: Annotated[int, msgspec.Meta(ge=20, le=100)] = 100
    """Sound sent before it is due: what a client can lose to its network without a gap."""
    hold_after_s: _Seconds = 4.0
    """Whoever waits for so long after an endpoint is told that it takes a moment."""
    fail_after_s: _Seconds = 12.0
    """A turn without a sound for so long has failed, and that is said. Raised where models need longer."""

    def __repr__(self) -> str:
        """Say nothing of what is in here: two of the settings are secrets."""
        return "GatewaySettings(…)"

    def __post_init__(self) -> None:
        """Check what concerns two settings."""
        if self.vad_exit > self.vad_enter:
            raise ValueError("VAD_EXIT must not be above VAD_ENTER")
        if self.hangover_ms > self.endpoint_ms:
            raise ValueError("HANGOVER_MS must not be above ENDPOINT_MS")
        if self.hold_after_s >= self.fail_after_s:
            raise ValueError("HOLD_AFTER_S must be below FAIL_AFTER_S")
        if self.discord_enabled and not self.discord_token and self.discord_token_file is None:
            raise ValueError("DISCORD_TOKEN, or DISCORD_TOKEN_FILE with a file that holds it, is what Discord asks for")

    @property
    def utterance_rules(self) -> UtteranceRules:
        """How utterances begin and end."""
        return UtteranceRules(
            segments=SegmentRules(
                enter=self.vad_enter,
                exit=self.vad_exit,
                min_speech_ms=self.min_speech_ms,
                hangover_ms=self.hangover_ms,
            ),
            endpoint_ms=self.endpoint_ms,
            smart=SmartRules() if self.endpointing == "smart" else None,
            pre_roll_ms=self.pre_roll_ms,
            max_utterance_s=self.max_utterance_s,
            reopen_ms=self.reopen_ms,
            stall_ms=self.stall_ms,
        )

    @property
    def turn_rules(self) -> TurnRules:
        """How long turns may take, and how they are played."""
        return TurnRules(
            playback=PlaybackRules(ahead_ms=self.ahead_ms),
            max_utterance_s=self.max_utterance_s,
            hold_after_s=self.hold_after_s,
            fail_after_s=self.fail_after_s,
            # Only after the hangover is it certain that a voice has not fallen silent.
            barge_in_s=(self.barge_in_ms + self.hangover_ms) / 1000,
            take_up_after_s=self.take_up_after_s,
        )
