"""Who says what to whom, as a table: the other account of `parley_contract.permissions`, for tests to hold it to.

Written from design sections 2 and 5, not from the code. `tests/contract` reads it against the permissions as values,
`tests/integration` against a real nats-server.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from parley_contract.services import SERVICES, Service
from parley_contract.subjects import ANY, CANNED, Subjects

Who = frozenset[Service]

_NOBODY: Final[Who] = frozenset()
_ASR: Final[Who] = frozenset({"asr"})
_AGENT: Final[Who] = frozenset({"agent"})
_TTS: Final[Who] = frozenset({"tts"})
_GATEWAY: Final[Who] = frozenset({"gateway"})


class Right(NamedTuple):
    """One subject: who may publish to it, who may listen, and who claims what is published as work."""

    subject: str
    """With values for all tokens."""
    pattern: str
    """With `*` for all tokens."""
    speakers: Who
    listeners: Who
    claimers: Who = _NOBODY

    @property
    def readers(self) -> Who:
        """Whoever reads what is published."""
        return self.listeners | self.claimers


def rights(assistant: str, *, session: str = "0a1b2c3d4e5f") -> dict[str, Right]:
    """Return the table by the name of the subject in `Subjects`; its subjects are of `session`."""
    exact = Subjects(assistant)
    utterance, turn, phrase = "1-0", 7, 2
    table: dict[str, Right] = {
        "audio": Right(exact.audio(session, utterance), exact.audio(ANY, ANY), _GATEWAY, _ASR),
        "voice": Right(exact.voice(session, turn, phrase), exact.voice(ANY, ANY, ANY), _TTS, _GATEWAY),
        "utterance_work": Right(
            exact.utterance_work(session, utterance), exact.utterance_work(ANY, ANY), _GATEWAY, _NOBODY, _ASR
        ),
        "phrase_work": Right(exact.phrase_work(session, turn), exact.phrase_work(ANY, ANY), _AGENT, _NOBODY, _TTS),
        "phrase_work.canned": Right(
            exact.phrase_work(CANNED, turn), exact.phrase_work(CANNED, ANY), _AGENT | _GATEWAY, _NOBODY, _TTS
        ),
        "speech": Right(exact.speech(session, utterance), exact.speech(ANY, ANY), _GATEWAY, _ASR | _AGENT),
        "transcript": Right(exact.transcript(session, utterance), exact.transcript(ANY, ANY), _ASR, _AGENT | _GATEWAY),
        "reply": Right(exact.reply(session, turn), exact.reply(ANY, ANY), _AGENT, _GATEWAY | _TTS),
        "phrase_outcome": Right(
            exact.phrase_outcome(session, turn, phrase), exact.phrase_outcome(ANY, ANY, ANY), _TTS, _GATEWAY | _AGENT
        ),
        "playback": Right(exact.playback(session, turn), exact.playback(ANY, ANY), _GATEWAY, _AGENT),
        "turn": Right(exact.turn(session, turn), exact.turn(ANY, ANY), _GATEWAY | _AGENT, _AGENT),
        "open_session": Right(exact.open_session(), exact.open_session(), _GATEWAY, _AGENT),
        "heartbeat": Right(exact.heartbeat(session), exact.heartbeat(ANY), _GATEWAY, _AGENT),
        "interrupt": Right(exact.interrupt(session), exact.interrupt(ANY), _GATEWAY, _AGENT),
        "door": Right(exact.door(), exact.door(), _GATEWAY, _AGENT),
        "resend": Right(exact.resend(session), exact.resend(ANY), _ASR, _GATEWAY),
        "voice_ready": Right(exact.voice_ready(), exact.voice_ready(), _TTS, _GATEWAY),
    }
    for service in SERVICES:
        table[f"dead.{service}"] = Right(exact.dead(service), exact.dead(service), frozenset({service}), _NOBODY)
    return table


FORBIDDEN_TO_ALL: Final = (
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.DELETE.{work}",
    "$JS.API.STREAM.MSG.DELETE.{events}",
    "$JS.API.STREAM.MSG.GET.{events}",
    "$JS.API.DIRECT.GET.{audio_out}",
    "$JS.API.DIRECT.GET.{work}",
    "$JS.API.STREAM.CREATE.SOMEBODY_ELSES",
    "$JS.API.STREAM.PURGE.SOMEBODY_ELSES",
    "$JS.API.CONSUMER.CREATE.{events}",
    "$JS.API.CONSUMER.CREATE.{audio_in}.spy",
    "$JS.API.CONSUMER.DELETE.{work}.asr",
    "$JS.API.CONSUMER.DURABLE.CREATE.{events}.spy",
    "$JS.API.SERVER.REMOVE",
    "$SYS.REQ.SERVER.PING",
)
"""Calls that no service may make; names in braces as in `CALLS`."""

_STREAMS: Final = ("{audio_in}", "{audio_out}", "{work}", "{events}", "{dead}", "KV_{leases}", "KV_{sessions}")

CALLS: Final[Mapping[str, Who]] = {
    **{f"$JS.API.STREAM.{verb}.{name}": _AGENT for verb in ("INFO", "CREATE", "UPDATE") for name in _STREAMS},
    **{f"$JS.API.STREAM.PURGE.{name}": _AGENT for name in ("{work}", "{events}")},
    **{
        f"$JS.API.CONSUMER.{verb}.{{work}}.{name}": _AGENT
        for verb in ("INFO", "DURABLE.CREATE")
        for name in ("asr", "tts")
    },
    "$JS.API.DIRECT.GET.{events}": _AGENT | _GATEWAY,
    "$JS.API.DIRECT.GET.{dead}": _AGENT,
    "$JS.API.DIRECT.GET.KV_{leases}.$KV.{leases}.0a1b2c3d4e5f": _AGENT,
    "$JS.API.DIRECT.GET.KV_{sessions}.$KV.{sessions}.0a1b2c3d4e5f": _AGENT,
    "$KV.{leases}.0a1b2c3d4e5f": _AGENT,
    "$KV.{sessions}.0a1b2c3d4e5f": _AGENT,
    "$JS.API.CONSUMER.MSG.NEXT.{work}.asr": _ASR,
    "$JS.ACK.{work}.asr.1.1.1.1.1": _ASR,
    "$JS.API.DIRECT.GET.{audio_in}": _ASR,
    "$JS.API.CONSUMER.MSG.NEXT.{work}.tts": _TTS,
    "$JS.ACK.{work}.tts.1.1.1.1.1": _TTS,
}
"""Calls to the broker, and the services that may make them; names in braces are streams of the layout."""
