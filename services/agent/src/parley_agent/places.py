"""Who may ask the model: replies always, guesses only where a place at its server is free.

One for all sessions of the process, made by `app`. A reply that finds no place breaks a guess off, the latest first;
beyond that the server has a queue of its own. Of several agent processes each knows its own questions alone.
"""

from collections.abc import Callable
from typing import Final


class Place:
    """One question at the server."""

    def __init__(self, places: "Places", break_off: Callable[[], None] | None) -> None:
        """Stand there; `Places.take` is the way in."""
        self.break_off = break_off
        """How to end it for somebody else's sake; None for what is not to be ended."""
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

    def take(self, break_off: Callable[[], None] | None = None) -> Place | None:
        """Take a place for a reply or, with `break_off`, for a guess; None if there is none for that."""
        if len(self._taken) >= self._count:
            guess = next((place for place in reversed(self._taken) if place.break_off is not None), None)
            if break_off is not None:
                return None
            if guess is not None and guess.break_off is not None:
                self.leave(guess)
                guess.break_off()
        place = Place(self, break_off)
        self._taken.append(place)
        return place

    def leave(self, place: Place) -> None:
        """Give a place back; twice does no harm."""
        if place in self._taken:
            self._taken.remove(place)
