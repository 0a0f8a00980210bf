"""Each of the emulator's assertions finds what it is for, and finds nothing in a bot that behaves."""

from collections.abc import Iterable

import pytest

from parley_testkit.discord.rtp import SAMPLES, SILENCE, Header
from parley_testkit.discord.violations import Kind, Violations
from parley_testkit.discord.watch import SpeechWatch

SPEECH = b"opus\xfa\xfa"


class Bot:
    """Says frames at the right time, unless it is told otherwise."""

    def __init__(self, *, may_stall: bool = False) -> None:
        self.violations = Violations()
        self.watch = SpeechWatch("Libra", self.violations, 100.0, may_stall=may_stall)
        self.now_s = 50.0
        self.sequence = 65_530
        self.timestamp = 2**32 - 3 * SAMPLES
        self.is_protected = True
        self.may_be_plain = False

    def say(self, *payloads: bytes, every_s: float = 0.02) -> None:
        for payload in payloads:
            header = Header(
                self.sequence % 2**16,
                self.timestamp % 2**32,
                1,
                120,
                is_marked=False,
                clear_bytes=12,
                extension_bytes=0,
                is_padded=False,
            )
            self.watch.frame(
                header, payload, self.now_s, is_protected=self.is_protected, may_be_plain=self.may_be_plain
            )
            self.watch.tick(self.now_s)
            self.sequence += 1
            self.timestamp += SAMPLES
            self.now_s += every_s

    def pause(self, seconds: float, *, with_clock: bool = True) -> None:
        for _ in range(round(seconds / 0.1)):
            self.now_s += 0.1
            self.watch.tick(self.now_s)
        if with_clock:
            self.timestamp += round(seconds * 50) * SAMPLES

    def speak(self, frames: int = 20) -> None:
        self.watch.speaking(1)
        self.say(*[SPEECH] * frames, *[SILENCE] * 5)
        self.watch.speaking(0)

    @property
    def kinds(self) -> list[Kind]:
        return [violation.kind for violation in self.violations.all]


@pytest.fixture
def bot() -> Bot:
    return Bot()


def test_a_bot_that_behaves_is_left_alone(bot: Bot) -> None:
    bot.speak()
    bot.pause(3)
    bot.speak()
    bot.pause(1)

    assert bot.kinds == []
    assert max(map(abs, bot.watch.pacing_ms)) < 1


def test_a_speaker_who_does_not_say_so_is_noticed_once(bot: Bot) -> None:
    bot.say(*[SPEECH] * 20, *[SILENCE] * 5)

    assert bot.kinds == ["speaking"]


def test_speaking_may_be_read_a_moment_after_the_first_datagram(bot: Bot) -> None:
    bot.say(SPEECH)
    bot.speak()

    assert bot.kinds == []


def test_plain_speech_is_noticed_wherever_somebody_cannot_hear_it(bot: Bot) -> None:
    bot.watch.speaking(1)

    bot.say(b"plain", SPEECH)
    bot.is_protected = False
    bot.say(b"plain", SPEECH)

    assert bot.kinds == ["unencrypted", "unencrypted"]


def test_plain_speech_is_right_without_a_group_to_encrypt_for(bot: Bot) -> None:
    bot.is_protected, bot.may_be_plain = False, True

    bot.watch.speaking(1)
    bot.say(b"plain")

    assert bot.kinds == []


@pytest.mark.parametrize("every_s", [0.001, 0.03])
def test_a_burst_and_a_crawl_are_noticed(bot: Bot, every_s: float) -> None:
    bot.watch.speaking(1)

    bot.say(*[SPEECH] * 12, every_s=every_s)

    assert set(bot.kinds) == {"pacing"}


@pytest.mark.parametrize(
    "ends, kinds", [([], ["silence"]), ([SILENCE] * 4, ["silence"]), ([SILENCE] * 5, []), ([SILENCE] * 9, [])]
)
def test_speech_ends_with_five_frames_of_silence(bot: Bot, ends: Iterable[bytes], kinds: list[Kind]) -> None:
    bot.watch.speaking(1)
    bot.say(SPEECH, SPEECH, *ends)
    bot.watch.speaking(0)

    bot.pause(1)

    assert bot.kinds == kinds


def test_speech_that_ends_is_said_to_have_ended(bot: Bot) -> None:
    bot.watch.speaking(1)
    bot.say(SPEECH, *[SILENCE] * 5)

    bot.pause(1)

    assert bot.kinds == ["silence"]


def test_whoever_speaks_to_nobody_and_sends_silence_alone_is_left_alone(bot: Bot) -> None:
    bot.say(*[SILENCE] * 5)
    bot.watch.speaking(1)

    bot.pause(1)

    assert bot.kinds == []


def test_a_clock_that_stands_still_in_pauses_is_noticed(bot: Bot) -> None:
    bot.speak()
    bot.pause(3, with_clock=False)
    bot.speak()

    assert bot.kinds == ["timestamps"]


def test_a_hole_in_the_sequence_is_noticed(bot: Bot) -> None:
    bot.watch.speaking(1)
    bot.say(SPEECH)
    bot.sequence += 1
    bot.say(SPEECH)

    assert bot.kinds == ["sequence"]


def test_a_jump_of_the_clock_between_two_frames_is_noticed(bot: Bot) -> None:
    bot.watch.speaking(1)
    bot.say(SPEECH)
    bot.timestamp += SAMPLES
    bot.say(SPEECH)

    assert bot.kinds == ["sequence"]


@pytest.mark.parametrize("frames, kinds", [(-1, ["sequence"]), (4, []), (5, ["sequence"])])
def test_whoever_may_stall_lets_the_clock_go_on_for_as_long_as_the_tolerance(frames: int, kinds: list[Kind]) -> None:
    bot = Bot(may_stall=True)

    bot.watch.speaking(1)
    bot.say(SPEECH)
    bot.timestamp += frames * SAMPLES
    bot.say(SPEECH)

    assert bot.kinds == kinds
