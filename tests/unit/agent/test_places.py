"""Places at the model's server: replies always get one, guesses only while nobody else needs it."""

from parley_agent.places import Places


class Guess:
    """Somebody who asks early, or only warms, and may be broken off."""

    def __init__(self, places: Places, *, is_warming: bool = False) -> None:
        self.is_broken_off = False
        self.place = places.take(self.break_off, is_warming=is_warming)

    def break_off(self) -> None:
        self.is_broken_off = True


def test_a_guess_takes_a_free_place_and_no_other() -> None:
    places = Places(1)

    first, second = Guess(places), Guess(places)

    assert first.place is not None
    assert second.place is None


def test_a_reply_breaks_off_the_latest_guess_where_there_is_no_place() -> None:
    places = Places(2)
    first, second = Guess(places), Guess(places)

    reply = places.take()

    assert reply is not None
    assert (first.is_broken_off, second.is_broken_off) == (False, True)


def test_a_reply_breaks_nobody_off_where_there_is_a_place() -> None:
    places = Places(2)
    guess = Guess(places)

    places.take()

    assert not guess.is_broken_off


def test_a_guess_that_was_right_is_not_broken_off_and_the_server_lets_the_other_wait() -> None:
    places = Places(1)
    guess = Guess(places)
    assert guess.place is not None
    guess.place.keep()

    assert places.take() is not None

    assert not guess.is_broken_off


def test_a_place_is_free_again_once_however_often_it_is_left() -> None:
    places = Places(1)
    guess = Guess(places)
    assert guess.place is not None

    guess.place.leave()
    guess.place.leave()

    assert places.are_free
    assert Guess(places).place is not None
    assert not places.are_free


def test_warming_takes_a_place_only_where_nobody_asks_anything() -> None:
    places = Places(2)
    Guess(places)

    assert Guess(places, is_warming=True).place is None


def test_of_two_who_would_warm_the_model_one_does() -> None:
    places = Places(2)

    first, second = Guess(places, is_warming=True), Guess(places, is_warming=True)

    assert first.place is not None
    assert second.place is None


def test_warming_gives_way_to_a_guess() -> None:
    places = Places(1)
    warming = Guess(places, is_warming=True)

    guess, another = Guess(places), Guess(places)

    assert warming.is_broken_off
    assert guess.place is not None
    assert another.place is None


def test_warming_gives_way_to_a_reply_before_any_guess_does() -> None:
    places = Places(2)
    warming = Guess(places, is_warming=True)
    guess = Guess(places)

    assert places.take() is not None

    assert (warming.is_broken_off, guess.is_broken_off) == (True, False)
