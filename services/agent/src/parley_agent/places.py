"""Who may ask the model: replies always, guesses only where a place at its server is free, warming where all are.

One for all sessions of the process, made by `app`. Who finds no place has whoever only warms the model broken off; a
reply also has a guess, the latest first, and beyond that the server has a queue of its own. Of several agent processes
each knows its own questions alone.
"""

from collections.abc import Callable
from typing import Final


class Place:
    """One question at the server."""

    def __init__(self, places: "Places", break_off: Callable[[], None] | None, *, is_warming: bool) -> None:
        """Stand there; `Places.take` is the way in."""
        self.break_off = break_off
        """How to end it for somebody else's sake; None for what is not to be ended."""
        self.is_warming: Final = is_warming
        self._places: Final = places

    def keep(self) -> None:
        """The guess was right: nobody breaks it off any more."""
        self.break_off = None

    def leave(self) -> None:
        """It is answered, or given up."""
        self._places.leave(self)


class Places:
    """All questions of this process."""

    def __init__(self, count: int) -> None:
        """Share `count` places: what the server works on at once."""
        self._count: Final = count
        self._taken: list[Place] = []

    @property
    def are_free(self) -> bool:
        """Whether nobody asks anything."""
        return not self._taken

    def take(self, break_off: Callable[[], None] | None = None, *, is_warming: bool = False) -> Place | None:
        """Take a place for a reply or, with `break_off`, for a guess or for warming; None if there is none for that."""
        if is_warming and not self.are_free:
            return None
        if len(self._taken) >= self._count and not self._make_room(for_reply=break_off is None):
            return None
        place = Place(self, break_off, is_warming=is_warming)
        self._taken.append(place)
        return place

    def _make_room(self, *, for_reply: bool) -> bool:
        """Break off who has to give way; return whether whoever asks may."""
        warming = [place for place in self._taken if place.is_warming]
        guesses = [place for place in reversed(self._taken) if place.break_off is not None]
        for place in (*warming, *(guesses if for_reply else ()))[:1]:
            self.leave(place)
            if place.break_off is not None:
                place.break_off()
        return for_reply or bool(warming)

    def leave(self, place: Place) -> None:
        """Give a place back; twice does no harm."""
        if place in self._taken:
            self._taken.remove(place)
