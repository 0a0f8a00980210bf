"""One session: both reducers, everything between them, and a player who decides what happens next.

The gateway's and the agent's reducers are the real ones, with the real announcements, fences and takeover; asr, the
model, tts and the broker are a few lines each, at least as unruly as the real ones: nothing is ordered but what one
sender says on one subscription, what is recorded may come twice and much later, what is not may never come, whoever is
asked may refuse or stay silent, and a process dies after any effect. `moves` lists what can happen now, `make` lets it
happen; `settle` plays on without any more misfortune. What has happened stands in `record`, which `promises` judges.

Left out: the sound of speech (`inbound`, `utterances`), frames towards asr, sockets, and the bucket's leases: two
agents never lead a session at once here.
"""

from collections.abc import Iterable, Sequence

from parley_contract.frames import Frame
from parley_contract.messages import Message, TurnMessage
from parley_gateway import cues
from parley_testkit.conversation import agents, gateways, moves, people, workers
from parley_testkit.conversation.circumstances import NONE
from parley_testkit.conversation.situations import Situation
from parley_testkit.conversation.wiring import Key


class World(Situation):
    """One session that can go on."""

    def moves(self) -> list[str]:
        """Return what can happen now; what a quiet machine would do first stands first, misfortunes stand last."""
        return [*moves.usual(self), *moves.misfortunes(self)]

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing can happen any more but misfortunes."""
        return not moves.usual(self)

    def make(self, move: str) -> None:
        """Let one of `moves` happen."""
        self.log = (*self.log, f"{self.now:6.2f} {move}")
        move, _, fatal = move.partition(", agent dies after ")
        if fatal:
            self.spend(crashes=1)
        match move.split(" "):
            case ["deliver" | "repeat" | "lose" as how, *key]:
                self._deliver(how, tuple(key), fatal)
            case ["echo", receiver, number]:
                self.spend(echoes=1)
                self._hand_over((receiver,), self.record.events[int(number)], "")
            case ["time", _]:
                if moves.of_processes(self) or moves.deliveries(self, "deliver"):
                    self.spend(delays=1)
                gateways.let_time_pass(self, self.due() or 0.0)
            case ["model", verb, *_, turn]:
                agents.model_does(self, verb, int(turn), fatal)
            case [who, verb, *rest]:
                self._does(who, verb, rest)
            case _:
                raise ValueError(move)

    def _does(self, who: str, verb: str, rest: Sequence[str]) -> None:
        match who:
            case "person" | "other":
                people.do(self, who, verb, rest)
            case "asr":
                workers.asr_does(self, verb, rest[0], rest[1:])
            case "tts":
                workers.tts_does(self, verb, rest)
            case "gateway":
                gateways.do(self, verb)
            case _:
                agents.do(self, verb)

    def settle(self) -> None:
        """Play on without any more misfortune until nothing can happen."""
        self.may = NONE
        for _ in range(10_000):
            able = self.moves()
            if not able:
                return
            self.make(able[0])
        raise AssertionError("it never comes to rest")

    def _deliver(self, how: str, key: Key, fatal: str) -> None:
        first, *rest = self.queues[key]
        if how == "repeat":
            self.spend(repetitions=1)
        else:
            self.queues = {**self.queues, key: tuple(rest)}
        if how == "lose":
            self.spend(losses=1)
        else:
            self._hand_over(key, first, fatal)

    def _hand_over(self, key: Key, what: Message | Frame, fatal: str) -> None:
        match key[0], what:
            case "gateway", Frame():
                gateways.take(self, cues.FrameArrived(int(key[3]), int(key[4]), what))
            case "gateway", Message():
                gateways.take(self, what)
            case "agent", Message():
                agents.take(self, what, fatal)
            case "tts", TurnMessage():
                self.learned |= {what}
            case _:
                raise ValueError(key)


def played(world: World, choices: Iterable[int]) -> World:
    """Make one of the possible moves for each choice, then play on to the end."""
    for choice in choices:
        able = world.moves()
        if not able:
            break
        world.make(able[choice % len(able)])
    world.settle()
    return world
