"""One moment of a session: all that its processes, people and broker know, and what waits between them.

A world is one with moves (`world`). What it holds is replaced, never changed, by the pages that say who does what:
`people`, `gateways`, `agents`, `workers` and `broker`, whose functions take the situation that is `here`.
"""

import copy
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec

from parley_agent import turn_events, turn_state
from parley_gateway import turn_state as gateway_state
from parley_gateway.canned import Canned
from parley_testkit.conversation.circumstances import NONE, Misfortune, Person, Record, TurnKey
from parley_testkit.conversation.listener import CANNED, Listener
from parley_testkit.conversation.reducers import AGENT_RULES, GATEWAY_RULES, OURS, Reducers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parley_contract.frames import Frame
    from parley_contract.messages import Message, SynthesizePhrase, TranscribeUtterance, TurnMessage
    from parley_testkit.conversation.wiring import Key

SESSION: Final = "0123456789ab"
FIRST_VOICED: Final = 2
"""The last voiced frame of a speech without a pause."""
_WHO: Final = ("person", "other")
"""How moves call who is there; the first one has the connection."""


class Saved(NamedTuple):
    """What an agent has kept in its bucket."""

    epoch: int
    conversation: turn_state.Conversation


class Mouth(NamedTuple):
    """Somebody who may speak."""

    speaker: str
    person: Person
    is_speaking: bool = False
    is_pausing: bool = False
    voiced_seq: int = FIRST_VOICED
    """The last voiced frame of what is being said."""
    finished_at: float | None = None
    """When they had finished, as the gateway that is there found."""

    def spends(self, what: str) -> "Mouth":
        """Do once what can be done so often."""
        return self._replace(person=self.person._replace(**{what: getattr(self.person, what) - 1}))


class Situation:
    """One moment of a session."""

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
        self.of = of
        """What is checked."""
        self.mouths = tuple(Mouth(who, person) for who, person in zip(_WHO, people, strict=False))
        self.phrases = phrases
        self.frames = frames
        self.is_away = False
        """Whether the connection is gone, and its gateway is not."""
        self.places: Mapping[TurnKey, int] = {}
        """Each turn's place in the order in which speakers had finished, as the gateway has it."""
        self.anticipated: frozenset[tuple[str, int]] = frozenset()
        """Utterance and last frame of each pause that has its candidate."""
        self.queues: dict[Key, tuple[Message | Frame, ...]] = {}
        """What waits for a receiver, by (receiver, sender, subscription…)."""
        self.outbox: tuple[tuple[Message, str], ...] = ()
        """What the gateway has yet to record, and under which id."""
        self.ids: frozenset[str] = frozenset()
        """Under which something was recorded."""
        self.asr: tuple[tuple[TranscribeUtterance, int], ...] = ()
        """Work that waits, with the how-manieth attempt the next will be; so in `tts`."""
        self.tts: tuple[tuple[SynthesizePhrase, int], ...] = ()
        self.learned: frozenset[TurnMessage] = frozenset()
        """What tts has heard of replies that makes something stale."""
        self.generations: dict[int, tuple[turn_events.Event, ...]] = {}
        self.guesses: frozenset[int] = frozenset()
        """Turns whose generation has a place only as long as nobody else needs it."""
        """What the model has yet to say, by turn; nothing of one that hangs."""
        self.agent: turn_state.Conversation | None = turn_state.Conversation(rules=AGENT_RULES, epoch=1)
        self.saved = Saved(1, self.agent)
        self.gateway: gateway_state.Turns | None = new_gateway(1, 1)

    def copy(self) -> Self:
        """Return one that goes on from here by itself."""
        return copy.copy(self)

    def key(self) -> int:
        """Return a number that is another one for every situation in which something else may follow."""
        return hash(
            (
                self.now,
                self.may,
                self.is_closed,
                self.mouths,
                self.anticipated,
                self.is_away,
                self.agent,
                self.saved,
                None if self.gateway is None else msgspec.msgpack.encode(self.gateway),
                self.listener,
                tuple(self.record.decided.items()),
                tuple(self.record.concluded.items()),
                self.record.concealed,
                self.record.events if self.is_order_of_record_felt else frozenset(self.record.events),
                frozenset((key, queue) for key, queue in self.queues.items() if queue),
                self.outbox,
                self.asr,
                self.tts,
                self.learned,
                frozenset(self.generations.items()),
                self.guesses,
            )
        )

    @property
    def is_order_of_record_felt(self) -> bool:
        """Whether somebody may yet read again what was kept, or die before it was."""
        return bool(self.may.crashes or self.may.echoes or self.agent is None or self.gateway is None)

    def due(self) -> float | None:
        """Return when the gateway's timer goes off; None while it has none."""
        return None if self.gateway is None else gateway_state.due(self.gateway)

    def mouth(self, who: str) -> Mouth:
        """Return somebody, by what moves call them."""
        return self.mouths[_WHO.index(who)]

    def becomes(self, mouth: Mouth) -> None:
        """Somebody has done something."""
        self.mouths = tuple(mouth if each.speaker == mouth.speaker else each for each in self.mouths)

    def spend(self, **what: int) -> None:
        """A misfortune has happened: it can happen less often from now on."""
        self.may = self.may._replace(**{name: getattr(self.may, name) - count for name, count in what.items()})


def new_gateway(epoch: int, next_turn: int) -> gateway_state.Turns:
    """Return what a gateway begins with that was just granted the session."""
    canned = Canned("", (CANNED,))
    return gateway_state.Turns(
        rules=GATEWAY_RULES,
        session=SESSION,
        epoch=epoch,
        unix_offset_s=0.0,
        next_turn=next_turn,
        canned={"hold": canned, "apology": canned},
    )
