"""Every game there is: from a world in small scope, all that can follow, each situation once.

Depth first, with the situations that were seen left out, so that it ends in seconds where the games themselves are
far more than anybody could play.
"""

from typing import NamedTuple

from parley_testkit.conversation.promises import broken
from parley_testkit.conversation.world import World


class Explored(NamedTuple):
    """What was found."""

    situations: int
    endings: int
    is_all: bool
    """False if `limit` ended it."""
    counterexample: tuple[str, ...] = ()
    """What was broken, after the steps that led there."""


def explore(world: World, *, limit: int) -> Explored:
    """Look at every situation that can follow, at most `limit` of them, until a promise is broken."""
    seen = {world.key()}
    waiting = [world]
    endings = 0
    while waiting:
        here = waiting.pop()
        moves = here.moves()
        if here.is_at_rest:
            endings += 1
            if found := broken(here):
                return Explored(len(seen), endings, is_all=False, counterexample=(*here.log, *found))
        for move in moves:
            there = here.copy()
            there.make(move)
            key = there.key()
            if key not in seen:
                if len(seen) >= limit:
                    return Explored(len(seen), endings, is_all=False)
                seen.add(key)
                waiting.append(there)
    return Explored(len(seen), endings, is_all=True)
