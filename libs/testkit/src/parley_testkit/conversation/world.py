"""One session: both reducers, everything between them, and a player who decides what happens next.

The gateway's and the agent's reducers are the real ones, with the real announcements, fences and takeover; asr, the
model, tts and the broker are a few lines each, at least as unruly as the real ones: nothing is ordered but what one
sender says on one subscription, what is recorded may come twice and much later, what is not may never come, whoever is
asked may refuse or stay silent, and a process dies after any effect. `moves` lists what can happen now, `make` lets it
happen; `settle` plays on without any more misfortune. What has happened stands in `record`, which `promises` judges.

Left out: the sound of speech (`inbound`, `utterances`), frames towards asr, sockets, and the bucket's leases: two
agents never lead a session at once here.
"""

import copy
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from parley_agent import takeover, turn_events, turn_state
from parley_agent import turns as agent_turns
from parley_agent.announcements import Speaker, announce
from parley_agent.engines import Usage
from parley_agent.replies import Step
from parley_contract import door
from parley_contract.frames import FRAME_SAMPLES, Flag, Frame
from parley_contract.messages import (
    CandidateTranscript,
    FinalTranscript,
    InterruptTurn,
    Message,
    PhraseFailed,
    PhraseSynthesized,
    ReplyDelta,
    SegmentEnded,
    SegmentStarted,
    SynthesizePhrase,
    TranscribeUtterance,
    TurnFields,
    TurnMessage,
    UtteranceEnded,
)
from parley_contract.subjects import Subjects
from parley_gateway import cues
from parley_gateway import turn_events as gateway_events
from parley_gateway import turn_state as gateway_state
from parley_gateway import turns as gateway_turns
from parley_gateway.canned import Canned
from parley_gateway.phrases import SILENCE
from parley_gateway.utterances import UtteranceRules
from parley_testkit.conversation.circumstances import NONE, Misfortune, Person, Record, TurnKey
from parley_testkit.conversation.listener import Listener, Sound
from parley_testkit.conversation.wiring import LISTENERS, Key, subscription
from parley_tts.fences import Fences

SESSION: Final = "0123456789ab"
PHRASES: Final = ("One two.", "Three four.")
GATEWAY_RULES: Final = gateway_state.TurnRules(playback=cues.PlaybackRules(ahead_ms=40))
_RULES: Final = turn_state.Rules(
    language="en", system_prompt="", num_predict=60, max_context_turns=20, num_ctx=4096, speculation="tts"
)
_REOPEN_S: Final = UtteranceRules().reopen_ms / 1000
_FIRST_VOICED: Final = 2
_VOICED_A_BREATH: Final = 3
_IDENTITY: Final = struct.Struct("<6h")
_CANNED_MARK: Final = -1
_UNRECORDED: Final = (Frame, InterruptTurn, ReplyDelta, CandidateTranscript, SegmentStarted)
"""What may be lost on its way."""

GatewayStep = Callable[
    [gateway_state.Turns, gateway_events.Event, float], tuple[gateway_state.Turns, list[gateway_events.Effect]]
]
AgentStep = Callable[[turn_state.Conversation, turn_events.Event, float], Step]
TakeOver = Callable[[turn_state.Conversation, Sequence[Message], float], Step]


class Reducers(NamedTuple):
    """What is checked; a mutant replaces one of them."""

    gateway: GatewayStep = gateway_turns.step
    agent: AgentStep = agent_turns.step
    take_over: TakeOver = takeover.take_over


OURS: Final = Reducers()


class _Saved(NamedTuple):
    epoch: int
    conversation: turn_state.Conversation


class _Mouth(NamedTuple):
    """Somebody who may speak."""

    speaker: str
    person: Person
    is_speaking: bool = False
    is_pausing: bool = False
    voiced_seq: int = _FIRST_VOICED
    """The last voiced frame of what is being said."""
    finished_at: float | None = None
    """When they had finished, as the gateway that is there found."""

    def spends(self, what: str) -> "_Mouth":
        return self._replace(person=self.person._replace(**{what: getattr(self.person, what) - 1}))


_WHO: Final = ("person", "other")
"""How moves call who is there; the first one has the connection."""


class World:
    """One session."""

    def __init__(
        self, *people: Person, phrases: int = 2, frames: int = 4, may: Misfortune = NONE, of: Reducers = OURS
    ) -> None:
        """Begin with an open session and one or two who will speak.

        Args:
            people: who speaks; it is the first who leaves, interrupts and says goodbye.
            phrases: of a reply.
            frames: of a phrase; two are sent ahead of time.
            may: what may go wrong.
            of: the reducers.
        """
        self.now = 0.0
        self.log: tuple[str, ...] = ()
        """What happened, for people."""
        self.record = Record()
        self.listener = Listener()
        self.may = may
        self.is_closed = False
        self._of = of
        self._mouths = tuple(_Mouth(who, person) for who, person in zip(_WHO, people, strict=False))
        self._phrases = phrases
        self.frames = frames
        self._is_away = False
        self._places: Mapping[TurnKey, int] = {}
        """Each turn's place in the order in which speakers had finished, as the gateway has it."""
        self._anticipated: frozenset[tuple[str, int]] = frozenset()
        self._queues: dict[Key, tuple[Message | Frame, ...]] = {}
        """What waits for a receiver, by (receiver, sender, subscription…)."""
        self._outbox: tuple[tuple[Message, str], ...] = ()
        self._ids: frozenset[str] = frozenset()
        self._asr: tuple[tuple[TranscribeUtterance, int], ...] = ()
        self._tts: tuple[tuple[SynthesizePhrase, int], ...] = ()
        self._learned: frozenset[TurnMessage] = frozenset()
        """What tts has heard of replies that makes something stale."""
        self.generations: dict[int, tuple[turn_events.Event, ...]] = {}
        self._guesses: frozenset[int] = frozenset()
        """Turns whose generation has a place only as long as nobody else needs it."""
        self.agent: turn_state.Conversation | None = turn_state.Conversation(rules=_RULES, epoch=1)
        self._saved = _Saved(1, self.agent)
        self.gateway: gateway_state.Turns | None = _gateway(1, 1)

    def copy(self) -> "World":
        """Return a world that goes on from here by itself."""
        return copy.copy(self)  # All that it holds is replaced, never changed.

    def key(self) -> int:
        """Return a number that is another one for every world in which something else may follow."""
        return hash(
            (
                self.now,
                self.may,
                self.is_closed,
                self._mouths,
                self._anticipated,
                self._is_away,
                self.agent,
                self._saved,
                None if self.gateway is None else msgspec.msgpack.encode(self.gateway),
                self.listener,
                tuple(self.record.decided.items()),
                tuple(self.record.concluded.items()),
                self.record.concealed,
                self.record.events if self._is_order_of_record_felt else frozenset(self.record.events),
                frozenset((key, queue) for key, queue in self._queues.items() if queue),
                self._outbox,
                self._asr,
                self._tts,
                self._learned,
                frozenset(self.generations.items()),
                self._guesses,
            )
        )

    @property
    def _is_order_of_record_felt(self) -> bool:
        """Whether somebody may yet read again what was kept, or die before it was."""
        return bool(self.may.crashes or self.may.echoes or self.agent is None or self.gateway is None)

    # What can happen.

    def moves(self) -> list[str]:
        """Return what can happen now; what a quiet machine would do first stands first, misfortunes stand last."""
        return [*self._usual(), *self._misfortunes()]

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing can happen any more but misfortunes."""
        return not self._usual()

    def _usual(self) -> list[str]:
        if self._outbox and not self._is_order_of_record_felt:
            # It only makes more possible, so doing it later leads nowhere else.
            return ["gateway records"]
        usual = [*self._processes(), *self._deliveries("deliver")]
        if self._due() is not None and (not usual or self.may.delays):
            usual.append("time passes")
        return [*usual, *self._persons_moves()]

    def _persons_moves(self) -> list[str]:
        if self.gateway is None:
            return []
        if self._is_away:
            return ["person returns"]
        able = []
        for mouth in self._mouths:
            who = mouth.speaker
            if mouth.is_speaking:
                able.append(f"{who} stops speaking")
                if mouth.person.breaths:
                    able.append(f"{who} speaks on")
                if mouth.is_pausing:
                    able.append(f"{who} continues")
                elif mouth.person.pauses:
                    able.append(f"{who} pauses")
            else:
                able += [f"{who} speaks"] if mouth.person.questions else []
        first = self._mouths[0]
        able += (
            ["person wants quiet"] if self.gateway.turns and first.person.interrupts and not first.is_speaking else []
        )
        able += ["person leaves"] if first.person.absences else []
        return [*able, *(["person says goodbye"] if first.person.says_goodbye else [])]

    def _processes(self) -> list[str]:
        able = []
        if self.agent is None:
            able.append("agent takes over")
        elif self.gateway is None and not self.is_closed:
            able.append("gateway resumes")
        if self._outbox:
            able.append("gateway records")
        able += [f"asr transcribes {utterance}" for utterance in self._heard()]
        able += [f"asr anticipates {utterance} {seq}" for utterance, seq in self._pauses()]
        if self.agent is not None:
            able += [f"model goes on with {turn}" for turn, events in self.generations.items() if events]
        if self._tts:
            able.append("tts speaks")
        return able

    def _heard(self) -> list[str]:
        ended = {event.utterance for event in self.record.events if isinstance(event, UtteranceEnded)}
        return [asked.utterance for asked, _ in self._asr if asked.utterance in ended]

    def _pauses(self) -> list[tuple[str, int]]:
        running = {asked.utterance for asked, _ in self._asr} - set(self._heard())
        pauses = {e.utterance: e.last_seq for e in self.record.events if isinstance(e, SegmentEnded)}
        return [pause for pause in pauses.items() if pause[0] in running and pause not in self._anticipated]

    def _deliveries(self, verb: str, *, lost: bool = False) -> list[str]:
        return [
            f"{verb} {' '.join(key)}"
            for key, queue in self._queues.items()
            if queue and (not lost or isinstance(queue[0], _UNRECORDED))
        ]

    def _misfortunes(self) -> list[str]:
        found: list[str] = []
        if self.may.crashes:
            if self.agent is not None:
                found.append("agent dies")
                found += [f"{move}, agent dies after {n}" for move in self._agents_moves() for n in (0, 1, 2)]
            found += ["gateway dies"] if self.gateway is not None else []
            found += [f"asr dies-having-transcribed {utterance}" for utterance in self._heard()]
            found += ["tts dies speaking", "tts dies before it acknowledges"] if self._tts else []
        if self.may.losses:
            found += self._deliveries("lose", lost=True)
        if self.may.repetitions:
            found += self._deliveries("repeat")
        if self.may.echoes:
            found += [
                f"echo {receiver} {number}"
                for number, event in enumerate(self.record.events)
                for receiver in LISTENERS[subscription(event)[0]]
                if (self.agent if receiver == "agent" else receiver == "tts" or self.gateway)
            ]
        if self.may.refusals:
            found += [f"asr {how} {asked.utterance}" for asked, _ in self._asr for how in ("fails", "forgets")]
            found += [f"asr finds-nothing-in {utterance}" for utterance in self._heard()]
            running = [turn for turn, events in self.generations.items() if events]
            found += [f"model {how} {turn}" for turn in running for how in ("fails", "hangs", "breaks-off")]
            found += [f"model refuses {turn}" for turn in self.generations if turn in self._guesses]
            found += ["tts fails", "tts forgets"] if self._tts else []
        return found

    def _agents_moves(self) -> list[str]:
        return [
            *(f"model goes on with {turn}" for turn, events in self.generations.items() if events),
            *(move for move in self._deliveries("deliver") if move.startswith("deliver agent")),
        ]

    # Letting it happen.

    def make(self, move: str) -> None:
        """Let one of `moves` happen."""
        self.log = (*self.log, f"{self.now:6.2f} {move}")
        move, _, fatal = move.partition(", agent dies after ")
        if fatal:
            self._spend(crashes=1)
        match move.split(" "):
            case ["deliver" | "repeat" | "lose" as how, *key]:
                self._deliver(how, tuple(key), fatal)
            case ["echo", receiver, number]:
                self._spend(echoes=1)
                self._hand_over((receiver,), self.record.events[int(number)], "")
            case ["time", _]:
                if self._processes() or self._deliveries("deliver"):
                    self._spend(delays=1)
                self._let_time_pass(self._due() or 0.0)
            case ["model", verb, *_, turn]:
                self._model_does(verb, int(turn), fatal)
            case [who, verb, *rest]:
                self._does(who, verb, rest)
            case _:
                raise ValueError(move)

    def _does(self, who: str, verb: str, rest: Sequence[str]) -> None:
        match who:
            case "person" | "other":
                self._person_does(_WHO.index(who), verb, rest)
            case "asr":
                self._asr_does(verb, rest[0], rest[1:])
            case "tts":
                self._tts_does(verb, rest)
            case "gateway":
                self._gateway_does(verb)
            case _:
                self._agent_does(verb)

    def _spend(self, **what: int) -> None:
        self.may = self.may._replace(**{name: getattr(self.may, name) - count for name, count in what.items()})

    def settle(self) -> None:
        """Play on without any more misfortune until nothing can happen."""
        self.may = NONE
        for _ in range(10_000):
            moves = self.moves()
            if not moves:
                return
            self.make(moves[0])
        raise AssertionError("it never comes to rest")

    def _due(self) -> float | None:
        return None if self.gateway is None else gateway_state.due(self.gateway)

    def _let_time_pass(self, due: float) -> None:
        self.now = max(self.now, due)
        self._gateway_takes(cues.TimePassed())

    # Who speaks.

    def _person_does(self, number: int, verb: str, rest: Sequence[str]) -> None:
        mouth = self._mouths[number]
        who = mouth.speaker
        match verb, rest:
            case "speaks", []:
                reopens = mouth.finished_at is not None and self.now - mouth.finished_at <= _REOPEN_S
                mouth = mouth.spends("questions")._replace(is_speaking=True, is_pausing=False, voiced_seq=_FIRST_VOICED)
                self._now_is(mouth)
                self._gateway_takes(gateway_events.SpeechBegan(speaker=who, voiced_at=self.now, reopens=reopens))
            case "speaks", _:
                self._now_is(mouth.spends("breaths"))
                self._speech_ends(mouth, "max_length")
                self._now_is(mouth.spends("breaths")._replace(is_pausing=False, voiced_seq=_FIRST_VOICED))
                self._gateway_takes(gateway_events.SpeechBegan(speaker=who, voiced_at=self.now, continues=True))
            case "pauses", _:
                self._now_is(mouth.spends("pauses")._replace(is_pausing=True))
                paused = gateway_events.SpeechPaused(speaker=who, last_seq=mouth.voiced_seq, voiced_until=self.now)
                self._gateway_takes(paused)
            case "continues", _:
                voiced_seq = mouth.voiced_seq + _VOICED_A_BREATH
                self._now_is(mouth._replace(is_pausing=False, voiced_seq=voiced_seq))
                resumed = gateway_events.SpeechResumed(speaker=who, latest_seq=voiced_seq - 1, voiced_at=self.now)
                self._gateway_takes(resumed)
            case "stops", _:
                self._now_is(mouth._replace(is_speaking=False, finished_at=self.now))
                self._speech_ends(mouth, "endpoint")
            case _:
                self._client_does(mouth, verb)

    def _client_does(self, mouth: _Mouth, verb: str) -> None:
        match verb:
            case "wants":
                self._now_is(mouth.spends("interrupts"))
                self._gateway_takes(gateway_events.ClientInterrupted())
            case "leaves":
                self._now_is(mouth.spends("absences"))
                self._hang_up()
                self._gateway_takes(gateway_events.ListenerLeft())
            case "returns":
                self._is_away = False
                if self.gateway is not None:
                    self._waits_again(self.gateway)
                self._gateway_takes(gateway_events.ListenerJoined())
            case _:
                for each in self._mouths:
                    self._now_is(each._replace(person=Person(questions=0)))
                self._hang_up()
                self._gateway_takes(gateway_events.SessionClosed())
                self.gateway, self.is_closed = None, True
                self._drop_queues("gateway")

    def _now_is(self, mouth: _Mouth) -> None:
        self._mouths = tuple(mouth if each.speaker == mouth.speaker else each for each in self._mouths)

    def _speech_ends(self, mouth: _Mouth, reason: Literal["endpoint", "max_length", "closed"]) -> None:
        """A second of speech later."""
        until = self.now + 1.0
        while (due := self._due()) is not None and due <= until:
            self._let_time_pass(due)
        self.now = until
        self._gateway_takes(self._speech_ended(mouth, reason))

    def _speech_ended(
        self, mouth: _Mouth, reason: Literal["endpoint", "max_length", "closed"]
    ) -> gateway_events.SpeechEnded:
        return gateway_events.SpeechEnded(
            speaker=mouth.speaker, last_seq=9, voiced_seq=mouth.voiced_seq, voiced_until=self.now, reason=reason
        )

    def _hang_up(self) -> None:
        self.listener = self.listener.leave(self.now)
        self._is_away = True
        for mouth in self._mouths:
            if mouth.is_speaking:
                self._now_is(mouth._replace(is_speaking=False))
                self._gateway_takes(self._speech_ended(mouth, "closed"))

    def _waits_again(self, gateway: gateway_state.Turns) -> None:
        decided = {key: at if key[1] not in gateway.turns else self.now for key, at in self.record.decided.items()}
        self.record = self.record._replace(decided=decided)

    # The gateway.

    def _gateway_does(self, verb: str) -> None:
        if verb == "records":
            (message, message_id), *rest = self._outbox
            self._outbox = tuple(rest)
            self._keep("gateway", message, message_id)
        elif verb == "dies":
            self._spend(crashes=1)
            self.gateway, self._is_away = None, False
            for mouth in self._mouths:
                self._now_is(mouth._replace(is_speaking=False, finished_at=None))
            self.listener = Listener(before=self.listener.sounds, dry_at=self.now)
            self._outbox = ()
            self._drop_queues("gateway")
        elif self.agent is not None:
            self.agent = takeover.recall(self.agent, self.record.events, self.now)
            open_turns = {turn.number for turn in self.agent.turns}
            self.generations = {turn: events for turn, events in self.generations.items() if turn in open_turns}
            self._agent_takes(turn_events.GatewayLost(), "")
            self.agent = replace(self.agent, epoch=self.agent.epoch + 1)
            self._saved = _Saved(self.agent.epoch, self.agent)
            self.gateway = _gateway(self.agent.epoch, self.agent.latest + 1)

    def _gateway_takes(self, event: gateway_events.Event) -> None:
        if self.gateway is None:
            return
        self.gateway, effects = self._of.gateway(self.gateway, event, self.now)
        epoch = self.gateway.epoch
        self._places = {**self._places, **{(epoch, turn.number): turn.place for turn in self.gateway.turns.values()}}
        for turn in self.gateway.turns.values():
            decided = dict(self.record.decided)
            if turn.is_committed:
                decided.setdefault((epoch, turn.number), self.now)
            else:
                decided.pop((epoch, turn.number), None)
            self.record = self.record._replace(decided=decided)
        for effect in effects:
            self._gateway_acts(effect, epoch)

    def _gateway_acts(self, effect: gateway_events.Effect, epoch: int) -> None:
        match effect:
            case gateway_events.Record(message, message_id):
                self._outbox = (*self._outbox, (message, message_id))
            case gateway_events.Say(message):
                self._publish("gateway", message)
            case gateway_events.Play(pcm) if not self._is_away:
                sound = self._sound(pcm, epoch)
                self._note_overtaken(sound)
                self.listener = self.listener.take(sound, self.now)
                if pcm == SILENCE:
                    self.record = self.record._replace(concealed=self.record.concealed + 1)
            case gateway_events.Tell(door.Cut(at_ms=at_ms)) if not self._is_away:
                self.listener = self.listener.cut(at_ms, self.now)
            case gateway_events.Conclude(report):
                concluded = {(epoch, report.turn): self.now, **self.record.concluded}
                self.record = self.record._replace(concluded=concluded)
                self._outbox = (*self._outbox, (report, f"{SESSION}-{epoch}-{report.turn}-report"))
            case _:
                pass

    def _note_overtaken(self, sound: Sound | None) -> None:
        turn = self.gateway.turns.get(sound.turn) if self.gateway and sound else None
        if sound is not None and turn is not None and sound.revision < turn.revision:
            self.record = self.record._replace(overtaken=(*self.record.overtaken, (sound.epoch, sound.turn)))

    def _sound(self, pcm: bytes, epoch: int) -> Sound | None:
        turn, revision, phrase, attempt, sequence, _ = _IDENTITY.unpack_from(pcm)
        place = self._places.get((epoch, turn), 0)
        return Sound(0.0, epoch, turn, revision, phrase, attempt, sequence, place) if turn > 0 else None

    # The agent and its model.

    def _agent_does(self, verb: str) -> None:
        if verb == "dies":
            self._spend(crashes=1)
            self._kill_agent()
            return
        saved = self._saved.conversation
        self.agent = turn_state.Conversation(
            rules=_RULES,
            epoch=self._saved.epoch,
            history=saved.history,
            over=saved.over,
            behind=saved.still_open,
            unaccounted=saved.unaccounted,
            latest_replies=saved.latest_replies,
        )
        self.agent, effects = self._of.take_over(self.agent, self.record.events, self.now)
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
        self.generations, self._guesses = {}, frozenset()
        self._drop_queues("agent")

    def _agent_acts(self, effect: turn_events.Effect) -> None:
        if self.agent is None:
            return
        match effect:
            case turn_events.Generate():
                self.generations = {**self.generations, effect.turn: self._reply(effect)}
                self._guesses = self._guesses - {effect.turn} | ({effect.turn} if effect.is_speculative else set())
            case turn_events.CancelGeneration():
                self._stop_generation(effect.turn)
            case turn_events.KeepHistory():
                self._saved = _Saved(self.agent.epoch, self.agent)
            case turn_events.DropPhrases():
                self._purge(effect.turn)
            case turn_events.Commit():
                self._guesses -= {effect.turn}
            case turn_events.Warm():
                pass
            case _:
                speaker = Speaker(Subjects("w"), SESSION, self.agent.epoch, "en", "scripted")
                said = announce(effect, speaker, usage=Usage(), at=self.now)
                if isinstance(effect, turn_events.SayInterrupted):
                    self._purge(effect.turn)
                if said.message_id is None:
                    self._publish("agent", said.message)
                else:
                    self._keep("agent", said.message, said.message_id)

    def _purge(self, turn: int) -> None:
        self._tts = tuple((work, attempt) for work, attempt in self._tts if work.turn != turn)

    def _stop_generation(self, turn: int) -> None:
        self.generations = {other: events for other, events in self.generations.items() if other != turn}

    def _reply(self, asked: turn_events.Generate) -> tuple[turn_events.Event, ...]:
        turn, revision, texts = asked.turn, asked.revision, PHRASES[: self._phrases]
        tokens = [turn_events.Tokens(turn=turn, revision=revision, text=f"{text} ") for text in texts]
        return (*tokens, turn_events.GenerationEnded(turn=turn, revision=revision, outcome="stop"))

    def _refuse(self, turn: int) -> None:
        """Somebody else needs the place of a guess; it may be certain by the time at which the agent learns of that."""
        assert self.agent is not None  # noqa: S101  # for the type checker
        asked = self.agent.find(turn)
        refused = turn_events.GenerationEnded(turn=turn, revision=asked.revision if asked else 0, outcome="refused")
        self._spend(refusals=1)
        self.generations, self._guesses = {**self.generations, turn: (refused,)}, self._guesses - {turn}

    def _model_does(self, verb: str, turn: int, fatal: str) -> None:
        if verb == "refuses":
            self._refuse(turn)
            return
        event, *rest = self.generations[turn]
        assert isinstance(event, turn_events.Tokens | turn_events.GenerationEnded)  # noqa: S101  # for the type checker
        ended = turn_events.GenerationEnded(turn=turn, revision=event.revision, outcome="length")
        match verb:
            case "hangs":
                self._spend(refusals=1)
                self.generations = {**self.generations, turn: ()}
                return
            case "fails":
                self._spend(refusals=1)
                event, rest = replace(ended, outcome="failed", reason="model_failed"), []
            case "breaks-off":
                self._spend(refusals=1)
                event, rest = ended, []
            case _:
                pass
        self.generations = {**self.generations, turn: tuple(rest)}
        if not rest:
            self._stop_generation(turn)
        self._agent_takes(event, fatal)

    # Asr and tts.

    def _asr_does(self, verb: str, utterance: str, rest: Sequence[str]) -> None:
        [(asked, attempt)] = [each for each in self._asr if each[0].utterance == utterance]
        if verb == "anticipates":
            self._anticipate(asked, int(rest[0]), attempt)
            return
        self._asr = tuple(other for other in self._asr if other[0] is not asked)
        if verb == "dies-having-transcribed":
            self._spend(crashes=1)
            self._asr += ((asked, attempt + 1),)
        elif verb != "transcribes":
            self._spend(refusals=1)
        if verb == "forgets":
            return
        final = FinalTranscript(
            session=SESSION,
            epoch=asked.epoch,
            turn=asked.turn,
            utterance=utterance,
            speaker=asked.speaker,
            outcome="speech",
            text=_said(asked, self._voiced_until(utterance), attempt),
            last_seq=9,
        )
        match verb:
            case "fails":
                final = replace(final, outcome="failed", text="", reason="it broke")
            case "finds-nothing-in":
                final = replace(final, outcome="silence", text="")
            case _:
                pass
        self._keep("asr", final, f"{utterance}-final")

    def _voiced_until(self, utterance: str) -> int:
        ends = (e for e in self.record.events if isinstance(e, UtteranceEnded) and e.utterance == utterance)
        return next((ended.voiced_seq or 0 for ended in ends), 0)

    def _anticipate(self, asked: TranscribeUtterance, seq: int, attempt: int) -> None:
        self._anticipated |= {(asked.utterance, seq)}
        candidate = CandidateTranscript(
            session=SESSION,
            epoch=asked.epoch,
            turn=asked.turn,
            utterance=asked.utterance,
            speaker=asked.speaker,
            text=_said(asked, seq, attempt),
            covers_seq=seq,
        )
        self._keep("asr", candidate, f"{asked.utterance}-{seq}-{attempt}-candidate")

    def _tts_does(self, verb: str, rest: Sequence[str]) -> None:
        (asked, attempt), *others = self._tts
        self._tts = tuple(others)
        if verb in {"fails", "forgets"}:
            self._spend(refusals=1)
        dies_early, dies = rest == ["speaking"], verb == "dies"
        if dies:
            self._spend(crashes=1)
            self._tts = ((asked, attempt + 1), *self._tts)
        if verb == "forgets" or self._is_stale(asked):
            return
        fence = TurnFields(session=SESSION, epoch=asked.epoch, turn=asked.turn, revision=asked.revision)
        if verb == "fails":
            self._keep("tts", PhraseFailed(**fence, phrase=asked.phrase, reason="it broke"), _outcome_id(asked))
            return
        self._send(asked, attempt, 1 if dies_early else self.frames + 1)
        if not dies_early:
            done = PhraseSynthesized(
                **fence, phrase=asked.phrase, frames=self.frames, engine="toy", first_audio_s=0.0, synthesis_s=0.0
            )
            self._keep("tts", done, _outcome_id(asked))

    def _is_stale(self, asked: SynthesizePhrase) -> bool:
        fences = Fences()
        for message in self._learned:
            fences.learn(message)
        return fences.is_stale(asked)

    def _send(self, asked: SynthesizePhrase, attempt: int, frames: int) -> None:
        for sequence in range(frames):
            is_end = sequence == self.frames
            frame = Frame(
                sequence=sequence,
                media_samples=sequence * FRAME_SAMPLES,
                pcm=b"" if is_end else _pcm(asked.turn, asked.revision, asked.phrase, attempt, sequence),
                epoch=asked.epoch,
                revision=asked.revision,
                attempt=attempt,
                flags=Flag.END if is_end else Flag.NONE,
            )
            self._enqueue(("gateway", "tts", "voice", str(asked.turn), str(asked.phrase)), frame)

    # The broker.

    def _keep(self, sender: str, message: Message, message_id: str) -> None:
        """Keep it once under its id; those who listen hear it all the same."""
        is_new = message_id not in self._ids
        self._ids |= {message_id}
        match message:
            case TranscribeUtterance():
                self._asr += ((message, 1),) if is_new else ()
                return
            case SynthesizePhrase():
                self._tts += ((message, 1),) if is_new else ()
                return
            case _ if is_new:
                self.record = self.record._replace(events=(*self.record.events, message))
            case _:
                pass
        self._publish(sender, message)

    def _publish(self, sender: str, message: Message) -> None:
        subscribed = subscription(message)
        for receiver in LISTENERS[subscribed[0]]:
            if receiver == "tts" and isinstance(message, TurnMessage) and (message.epoch, message.revision) == (1, 0):
                continue  # There is nothing that it could make stale.
            if receiver != sender:
                self._enqueue((receiver, sender, *subscribed), message)

    def _enqueue(self, key: Key, what: Message | Frame) -> None:
        if (key[0] == "gateway" and self.gateway is None) or (key[0] == "agent" and self.agent is None):
            return
        self._queues = {**self._queues, key: (*self._queues.get(key, ()), what)}

    def _deliver(self, how: str, key: Key, fatal: str) -> None:
        first, *rest = self._queues[key]
        if how == "repeat":
            self._spend(repetitions=1)
        else:
            self._queues = {**self._queues, key: tuple(rest)}
        if how == "lose":
            self._spend(losses=1)
        else:
            self._hand_over(key, first, fatal)

    def _hand_over(self, key: Key, what: Message | Frame, fatal: str) -> None:
        match key[0], what:
            case "gateway", Frame():
                self._gateway_takes(cues.FrameArrived(int(key[3]), int(key[4]), what))
            case "gateway", Message():
                self._gateway_takes(what)
            case "agent", Message():
                self._agent_takes(what, fatal)
            case "tts", TurnMessage():
                self._learned |= {what}
            case _:
                raise ValueError(key)

    def _drop_queues(self, receiver: str) -> None:
        self._queues = {key: queue for key, queue in self._queues.items() if key[0] != receiver}


def played(world: World, choices: Iterable[int]) -> World:
    """Make one of the possible moves for each choice, then play on to the end."""
    for choice in choices:
        moves = world.moves()
        if not moves:
            break
        world.make(moves[choice % len(moves)])
    world.settle()
    return world


def _said(asked: TranscribeUtterance, voiced_seq: int, attempt: int) -> str:
    return f"{asked.epoch}-{asked.turn}-{asked.utterance}-{voiced_seq}-{attempt}"


def _outcome_id(asked: SynthesizePhrase) -> str:
    return f"{asked.epoch}-{asked.turn}-{asked.revision}-phrase-{asked.phrase}"


def _gateway(epoch: int, next_turn: int) -> gateway_state.Turns:
    canned = Canned("", (_pcm(_CANNED_MARK, 0, 0, 0, 0),))
    return gateway_state.Turns(
        rules=GATEWAY_RULES,
        session=SESSION,
        epoch=epoch,
        unix_offset_s=0.0,
        next_turn=next_turn,
        canned={"hold": canned, "apology": canned},
    )


def _pcm(turn: int, revision: int, phrase: int, attempt: int, sequence: int) -> bytes:
    loud = 9999
    return _IDENTITY.pack(turn, revision, phrase, attempt, sequence, loud).ljust(2 * FRAME_SAMPLES, b"\0")
