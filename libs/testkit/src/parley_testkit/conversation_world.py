"""A conversation as a game: both reducers, everything between them, and a player who decides what happens next.

For the model checker (`tests/unit/conversation`). The gateway's and the agent's reducers are the real ones, with the
real announcements, fences and takeover; asr, the model, tts and the broker are a few lines each, at least as unruly as
the real ones: nothing is ordered but what one sender says on one subject, what is recorded may come twice, what is not
may never come, and a process dies after any effect. `moves` lists what can happen now, `make` lets it happen; `settle`
plays on without any more misfortune. `complaints` says which promises of design section 2 were broken.

Left out: the sound of speech (`inbound`, `utterances`), frames towards asr, sockets, and the bucket's leases: two
agents never lead a session at once here.
"""

import struct
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from msgspec.structs import replace

from parley_agent import takeover, turn_events, turn_state
from parley_agent import turns as agent_turns
from parley_agent.announcements import Speaker, announce
from parley_agent.engines import Usage
from parley_agent.turns import Step
from parley_contract.frames import FRAME_SAMPLES, Flag, Frame
from parley_contract.messages import (
    FinalTranscript,
    InterruptTurn,
    Message,
    PhraseSynthesized,
    SpeechMessage,
    SynthesizePhrase,
    TranscribeUtterance,
    TurnMessage,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_contract.reasons import REASONS
from parley_contract.subjects import Subjects
from parley_gateway import cues
from parley_gateway import turn_events as gateway_events
from parley_gateway import turn_state as gateway_state
from parley_gateway import turns as gateway_turns
from parley_gateway.canned import Canned
from parley_tts.fences import Fences

SESSION: Final = "0123456789ab"
PHRASES: Final = ("One.", "Two.")
FRAMES: Final = 4
"""Of each phrase; two phrases are more than is sent ahead of time."""
_SPEECH: Final = ("speech", "transcript", "reply", "outcome", "playback", "turn")
_RULES: Final = turn_state.Rules(language="en", system_prompt="", num_predict=60, max_context_turns=20, num_ctx=4096)
_IDENTITY: Final = struct.Struct("<6h")
_CANNED_MARK: Final = -1

GatewayStep = Callable[
    [gateway_state.Turns, gateway_events.Event, float], tuple[gateway_state.Turns, list[gateway_events.Effect]]
]
AgentStep = Callable[[turn_state.Conversation, turn_events.Event, float], Step]
TakeOver = Callable[[turn_state.Conversation, Sequence[Message], float], Step]


class Sound(NamedTuple):
    """A frame of a reply as it was sent to the listener."""

    at: float
    epoch: int
    turn: int
    revision: int
    phrase: int
    attempt: int
    sequence: int


class Misfortune(NamedTuple):
    """How much of what must not be counted on can still happen."""

    crashes: int = 0
    losses: int = 0
    repetitions: int = 0


class Reducers(NamedTuple):
    """What is checked; a mutant replaces one of them."""

    gateway: GatewayStep = gateway_turns.step
    agent: AgentStep = agent_turns.step
    take_over: TakeOver = takeover.take_over


NONE: Final = Misfortune()
OURS: Final = Reducers()


class _Saved(NamedTuple):
    epoch: int
    conversation: turn_state.Conversation


class World:
    """One session."""

    def __init__(
        self,
        *,
        questions: int,
        interrupts: int = 0,
        phrases: int = 2,
        may: Misfortune = NONE,
        of: Reducers = OURS,
    ) -> None:
        """Begin with an open session and a person who will ask so many questions, and say stop so often."""
        self.now = 0.0
        self.log: list[str] = []
        """What happened, for people."""
        self.heard: list[Sound] = []
        self.reports: list[TurnReport] = []
        """Those that the stream has kept."""
        self.may = may
        self._of = of
        self._questions, self._interrupts, self._phrases = questions, interrupts, PHRASES[:phrases]
        self._is_speaking = False
        self._begun: set[tuple[int, int]] = set()
        self._decided_at: dict[tuple[int, int], float] = {}
        self._told_at: dict[tuple[int, int], float] = {}
        self._quiet: dict[tuple[int, int], int] = {}
        """How many frames had been heard when a turn was over."""
        self._queues: dict[tuple[str, ...], deque[Message | Frame]] = defaultdict(deque)
        """What waits for a receiver, by (receiver, sender, subject…)."""
        self._outbox: deque[tuple[Message, str]] = deque()
        self._events: list[Message] = []
        self._ids: set[str] = set()
        self._asr: list[TranscribeUtterance] = []
        self._ended: set[str] = set()
        self._tts: list[tuple[SynthesizePhrase, int]] = []
        self._fences = Fences()
        self._generations: dict[int, deque[turn_events.Event]] = {}
        self.agent: turn_state.Conversation | None = turn_state.Conversation(rules=_RULES, epoch=1)
        self._saved = _Saved(1, self.agent)
        self.gateway: gateway_state.Turns | None = self._new_gateway(1, 1)

    def _new_gateway(self, epoch: int, next_turn: int) -> gateway_state.Turns:
        canned = Canned("", (_pcm(_CANNED_MARK, 0, 0, 0, 0),))
        return gateway_state.Turns(
            rules=gateway_state.TurnRules(),
            session=SESSION,
            epoch=epoch,
            unix_offset_s=0.0,
            next_turn=next_turn,
            canned={"hold": canned, "apology": canned},
        )

    # What can happen.

    def moves(self) -> list[str]:
        """Return what can happen now; what a quiet machine would do first stands first, misfortunes stand last."""
        usual = [*self._processes(), *self._deliveries("deliver")]
        if self.gateway is not None and gateway_state.due(self.gateway) is not None:
            usual.append("time passes")
        return [*usual, *self._person(), *self._misfortunes()]

    def _person(self) -> list[str]:
        if self.gateway is None:
            return []
        if self._is_speaking:
            return ["person stops speaking"]
        asks = ["person speaks"] if self._questions else []
        return [*asks, *(["person wants quiet"] if self._interrupts and self.gateway.turns else [])]

    def _processes(self) -> list[str]:
        able = []
        if self.agent is None:
            able.append("agent takes over")
        elif self.gateway is None:
            able.append("gateway resumes")
        if self._outbox:
            able.append("gateway records")
        able += [f"asr transcribes {asked.utterance}" for asked in self._asr if asked.utterance in self._ended]
        if self.agent is not None:
            able += [f"model goes on with {turn}" for turn in self._generations]
        if self._tts:
            able.append("tts speaks")
        return able

    def _deliveries(self, verb: str, *, lost: bool = False) -> list[str]:
        return [
            f"{verb} {' '.join(key)}"
            for key, queue in self._queues.items()
            if queue and (not lost or isinstance(queue[0], Frame | InterruptTurn))
        ]

    def _misfortunes(self) -> list[str]:
        found: list[str] = []
        if self.may.crashes:
            if self.agent is not None:
                found.append("agent dies")
                found += [f"{move}, agent dies after {n}" for move in self._agents_moves() for n in (0, 1, 2)]
            if self.gateway is not None:
                found.append("gateway dies")
            if self._tts:
                found.append("tts dies speaking")
        if self.may.losses:
            found += self._deliveries("lose", lost=True)
        if self.may.repetitions:
            found += self._deliveries("repeat")
        return found

    def _agents_moves(self) -> list[str]:
        return [
            *(f"model goes on with {turn}" for turn in self._generations),
            *(move for move in self._deliveries("deliver") if move.startswith("deliver agent")),
        ]

    # Letting it happen.

    def make(self, move: str) -> None:
        """Let one of `moves` happen."""
        self.log.append(f"{self.now:6.2f} {move}")
        move, _, fatal = move.partition(", agent dies after ")
        if fatal:
            self.may = self.may._replace(crashes=self.may.crashes - 1)
        what, *about = move.split(" ")
        if what in {"deliver", "repeat", "lose"}:
            self._deliver(what, tuple(about), fatal)
            return
        match what, about:
            case "person", [verb, *rest]:
                self._person_does(verb, rest)
            case "time", _:
                self._let_time_pass()
            case "model", [*_, turn]:
                self._agent_takes(self._next_of_reply(int(turn)), fatal)
            case "asr", [_, utterance]:
                self._transcribe(utterance)
            case "tts", [verb, *_]:
                self._speak(dies=verb == "dies")
            case "gateway", [verb]:
                self._gateway_does(verb)
            case "agent", [verb, *_]:
                self._agent_does(verb)
            case _:
                raise ValueError(move)

    def _deliver(self, how: str, key: tuple[str, ...], fatal: str) -> None:
        queue = self._queues[key]
        if how == "repeat":
            self.may = self.may._replace(repetitions=self.may.repetitions - 1)
            self._hand_over(key, queue[0], "")
        elif how == "lose":
            self.may = self.may._replace(losses=self.may.losses - 1)
            queue.popleft()
        else:
            self._hand_over(key, queue.popleft(), fatal)

    def settle(self) -> None:
        """Play on without any more misfortune until nothing can happen."""
        self.may = NONE
        for _ in range(10_000):
            moves = self.moves()
            if not moves:
                return
            self.make(moves[0])
        raise AssertionError("it never comes to rest")

    # Everybody's part.

    def _let_time_pass(self) -> None:
        due = gateway_state.due(self.gateway) if self.gateway else None
        self.now = max(self.now, due or 0.0)
        self._gateway_takes(cues.TimePassed())

    def _reply(self, turn: int, revision: int) -> list[turn_events.Event]:
        tokens = [turn_events.Tokens(turn=turn, revision=revision, text=f"{text} ") for text in self._phrases]
        return [*tokens, turn_events.GenerationEnded(turn=turn, revision=revision, outcome="stop")]

    def _next_of_reply(self, turn: int) -> turn_events.Event:
        event = self._generations[turn].popleft()
        if not self._generations[turn]:
            del self._generations[turn]
        return event

    def _person_does(self, verb: str, rest: Sequence[str]) -> None:
        if verb == "wants":
            self._interrupts -= 1
            self._gateway_takes(gateway_events.ClientInterrupted())
            return
        if not rest:
            self._questions -= 1
            self._is_speaking = True
            self._gateway_takes(gateway_events.SpeechBegan(speaker="me", voiced_at=self.now, continues=False))
            return
        self._is_speaking = False
        self.now += 1.0
        self._gateway_takes(
            gateway_events.SpeechEnded(speaker="me", last_seq=9, voiced_until=self.now, reason="endpoint")
        )

    def _gateway_does(self, verb: str) -> None:
        if verb == "records":
            message, message_id = self._outbox.popleft()
            self._record("gateway", message, message_id)
        elif verb == "dies":
            self.may = self.may._replace(crashes=self.may.crashes - 1)
            self.gateway, self._is_speaking = None, False
            self._outbox.clear()
            self._drop_queues("gateway")
        elif self.agent is not None:
            self.agent = takeover.recall(self.agent, self._events, self.now)
            self._agent_takes(turn_events.GatewayLost(), "")
            self.agent = replace(self.agent, epoch=self.agent.epoch + 1)
            self._saved = _Saved(self.agent.epoch, self.agent)
            self.gateway = self._new_gateway(self.agent.epoch, self.agent.latest + 1)

    def _gateway_takes(self, event: gateway_events.Event) -> None:
        if self.gateway is None:
            return
        self.gateway, effects = self._of.gateway(self.gateway, event, self.now)
        epoch = self.gateway.epoch
        for turn in self.gateway.turns.values():
            if turn.is_committed:
                self._decided_at.setdefault((epoch, turn.number), self.now)
        for effect in effects:
            match effect:
                case gateway_events.Record(message, message_id):
                    self._outbox.append((message, message_id))
                case gateway_events.Say(message):
                    self._publish("gateway", message)
                case gateway_events.Play(pcm):
                    self._hear(pcm)
                case gateway_events.Conclude(report):
                    key = (report.epoch, report.turn)
                    self._told_at.setdefault(key, self.now)
                    self._quiet[key] = len(self.heard)
                    self._outbox.append((report, f"{SESSION}-{report.epoch}-{report.turn}-report"))
                case _:
                    pass

    def _hear(self, pcm: bytes) -> None:
        turn, revision, phrase, attempt, sequence, _ = _IDENTITY.unpack_from(pcm)
        if turn > 0 and self.gateway is not None:
            self._told_at.setdefault((self.gateway.epoch, turn), self.now)
            self.heard.append(Sound(self.now, self.gateway.epoch, turn, revision, phrase, attempt, sequence))

    def _agent_does(self, verb: str) -> None:
        if verb == "dies":
            self.may = self.may._replace(crashes=self.may.crashes - 1)
            self._kill_agent()
            return
        self.agent = replace(self._saved.conversation, epoch=self._saved.epoch, turns=())
        self.agent, effects = self._of.take_over(self.agent, self._events, self.now)
        self._carry_out(effects, "")

    def _agent_takes(self, event: turn_events.Event, fatal: str) -> None:
        if self.agent is None:
            return
        self.agent, effects = self._of.agent(self.agent, event, self.now)
        self._carry_out(effects, fatal)

    def _carry_out(self, effects: Sequence[turn_events.Effect], fatal: str) -> None:
        for number, effect in enumerate(effects):
            if fatal and number >= int(fatal):
                break
            self._agent_acts(effect)
        if fatal:
            self._kill_agent()

    def _kill_agent(self) -> None:
        self.agent = None
        self._generations.clear()
        self._drop_queues("agent")

    def _agent_acts(self, effect: turn_events.Effect) -> None:
        if self.agent is None:
            return
        match effect:
            case turn_events.Generate():
                self._generations[effect.turn] = deque(self._reply(effect.turn, effect.revision))
            case turn_events.CancelGeneration():
                self._generations.pop(effect.turn, None)
            case turn_events.KeepHistory():
                self._saved = _Saved(self.agent.epoch, self.agent)
            case _:
                speaker = Speaker(Subjects("w"), SESSION, self.agent.epoch, "en", "scripted")
                said = announce(effect, speaker, usage=Usage(), at=self.now)
                if isinstance(effect, turn_events.SayInterrupted):
                    self._tts = [(work, attempt) for work, attempt in self._tts if work.turn != effect.turn]
                if said.message_id is None:
                    self._publish("agent", said.message)
                else:
                    self._record("agent", said.message, said.message_id)

    def _transcribe(self, utterance: str) -> None:
        [asked] = [asked for asked in self._asr if asked.utterance == utterance]
        self._asr.remove(asked)
        final = FinalTranscript(
            session=SESSION,
            epoch=asked.epoch,
            turn=asked.turn,
            utterance=utterance,
            speaker=asked.speaker,
            outcome="speech",
            text=_question(asked.epoch, asked.turn),
            last_seq=9,
        )
        self._record("asr", final, f"{utterance}-final")

    def _speak(self, *, dies: bool) -> None:
        asked, attempt = self._tts.pop(0)
        if dies:
            self.may = self.may._replace(crashes=self.may.crashes - 1)
            self._tts.insert(0, (asked, attempt + 1))
        if self._fences.is_stale(asked):
            return
        key = ("gateway", "tts", "voice", str(asked.turn), str(asked.phrase))
        for sequence in range(1 if dies else FRAMES + 1):
            is_end = sequence == FRAMES
            frame = Frame(
                sequence=sequence,
                media_samples=sequence * FRAME_SAMPLES,
                pcm=b"" if is_end else _pcm(asked.turn, asked.revision, asked.phrase, attempt, sequence),
                epoch=asked.epoch,
                revision=asked.revision,
                attempt=attempt,
                flags=Flag.END if is_end else Flag.NONE,
            )
            if self.gateway is not None:
                self._queues[key].append(frame)
        if not dies:
            done = PhraseSynthesized(
                session=SESSION,
                epoch=asked.epoch,
                turn=asked.turn,
                revision=asked.revision,
                phrase=asked.phrase,
                frames=FRAMES,
                engine="toy",
                first_audio_s=0.0,
                synthesis_s=0.0,
            )
            self._record("tts", done, f"{asked.epoch}-{asked.turn}-{asked.revision}-{asked.phrase}-done")

    # The broker.

    def _record(self, sender: str, message: Message, message_id: str) -> None:
        """Keep it once under its id; those who listen hear it all the same."""
        is_new = message_id not in self._ids
        self._ids.add(message_id)
        match message:
            case TranscribeUtterance():
                if is_new:
                    self._asr.append(message)
                return
            case SynthesizePhrase():
                if is_new:
                    self._tts.append((message, 1))
                return
            case UtteranceStarted():
                # Of what a gateway did not get to say before it died nobody knows.
                self._begun.add((message.epoch, message.turn))
            case UtteranceEnded():
                self._ended.add(message.utterance)
            case TurnReport() if is_new:
                self.reports.append(message)
            case _:
                pass
        if is_new:
            self._events.append(message)
        self._publish(sender, message)

    def _publish(self, sender: str, message: Message) -> None:
        subject = _subject(sender, message)
        for receiver in _LISTENERS[subject[0]]:
            if receiver == sender:
                continue
            if (receiver == "gateway" and self.gateway is None) or (receiver == "agent" and self.agent is None):
                continue
            self._queues[receiver, sender, *subject].append(message)

    def _hand_over(self, key: tuple[str, ...], what: Message | Frame, fatal: str) -> None:
        match key[0], what:
            case "gateway", Frame():
                self._gateway_takes(cues.FrameArrived(int(key[3]), int(key[4]), what))
            case "gateway", Message():
                self._gateway_takes(what)
            case "agent", Message():
                self._agent_takes(what, fatal)
            case "tts", TurnMessage():
                self._fences.learn(what)
            case _:
                raise ValueError(key)

    def _drop_queues(self, receiver: str) -> None:
        for key in [key for key in self._queues if key[0] == receiver]:
            del self._queues[key]

    # What must hold.

    def complaints(self) -> list[str]:
        """Return what is wrong; ask after `settle`."""
        return [*self._about_outcomes(), *self._about_sound(), *self._about_history()]

    def _about_outcomes(self) -> list[str]:
        reported = [(report.epoch, report.turn) for report in self.reports]
        wrong = [f"turn {key} has {reported.count(key)} outcomes" for key in self._begun if reported.count(key) != 1]
        wrong += [f"turn {r.turn} failed for {r.reason!r}" for r in self.reports if r.reason not in REASONS]
        wrong += [
            f"turn {r.turn} failed without a reason" for r in self.reports if r.outcome == "failed" and not r.reason
        ]
        fail_after_s = gateway_state.TurnRules().fail_after_s
        for key, decided_at in self._decided_at.items():
            if self._told_at.get(key, self.now) - decided_at > fail_after_s + 0.01 and key[0] == self._epoch:
                wrong.append(f"turn {key} left somebody in silence")
        if self.agent is None or self.gateway is None:
            return [*wrong, "somebody never came back"]
        wrong += [f"the agent never closed turn {turn.number}" for turn in self.agent.turns]
        wrong += [f"the model goes on with turn {turn}" for turn in self._generations]
        return wrong

    @property
    def _epoch(self) -> int:
        return self.gateway.epoch if self.gateway else 0

    def _about_sound(self) -> list[str]:
        wrong = [
            f"a frame of turn {key[1]} was heard after its end"
            for key, count in self._quiet.items()
            if any((sound.epoch, sound.turn) == key for sound in self.heard[count:])
        ]
        for earlier, later in pairwise(self.heard):
            if later[1:3] == earlier[1:3] and (later.revision, later.phrase, later.sequence) <= (
                earlier.revision,
                earlier.phrase,
                earlier.sequence,
            ):
                wrong.append(f"{later} was heard after {earlier}")
            if later[1:3] < earlier[1:3]:
                wrong.append(f"turn {later.turn} was heard after turn {earlier.turn}")
            if later[1:5] == earlier[1:5] and later.attempt != earlier.attempt:
                wrong.append(f"two attempts of phrase {later.phrase} were glued together")
        return wrong

    def _about_history(self) -> list[str]:
        if self.agent is None:
            return []
        exchanges = self.agent.history.exchanges
        asked = [exchange.user for exchange in exchanges]
        wrong = [f"{user!r} is in the history twice" for user in set(asked) if asked.count(user) > 1]
        wrong += [
            f"turn {report.turn} was answered and is not in the history"
            for report in self.reports
            if report.outcome == "answered" and _question(report.epoch, report.turn) not in asked
        ]
        sounded = {(sound.epoch, sound.turn, sound.phrase) for sound in self.heard}
        for exchange in exchanges:
            epoch, turn = map(int, exchange.user.split("-"))
            said = {phrase for phrase, text in enumerate(PHRASES) if text in exchange.heard}
            wrong += [
                f"phrase {phrase} of turn {turn} is in the history and was not heard"
                for phrase in said
                if (epoch, turn, phrase) not in sounded
            ]
        return wrong


_LISTENERS: Final = {
    "speech": ("agent",),
    "transcript": ("agent", "gateway"),
    "reply": ("gateway", "tts"),
    "outcome": ("agent", "gateway"),
    "playback": ("agent",),
    "turn": ("agent",),
    "interrupt": ("agent",),
}


def _subject(sender: str, message: Message) -> tuple[str, ...]:
    match message:
        case InterruptTurn():
            return ("interrupt",)
        case TurnReport():
            return "turn", str(message.turn)
        case SpeechMessage():
            return ("speech" if sender == "gateway" else "transcript"), message.utterance
        case PhraseSynthesized():
            return "outcome", str(message.turn), str(message.phrase)
        case TurnMessage():
            return ("playback" if sender == "gateway" else "reply"), str(message.turn)
        case _:
            raise TypeError(message)


def _question(epoch: int, turn: int) -> str:
    return f"{epoch:03}-{turn:03}"


def _pcm(turn: int, revision: int, phrase: int, attempt: int, sequence: int) -> bytes:
    loud = 9999
    return _IDENTITY.pack(turn, revision, phrase, attempt, sequence, loud).ljust(2 * FRAME_SAMPLES, b"\0")
