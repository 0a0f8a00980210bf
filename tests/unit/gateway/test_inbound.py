"""Inbound: what a microphone gives to the bus is what was said, frame by frame, with the times it was said at."""

import struct

import pytest

from parley_contract.frames import Frame
from parley_gateway.endpointing import SmartRules
from parley_gateway.inbound import Microphone
from parley_gateway.utterance_events import Ended
from parley_gateway.utterance_state import UtteranceRules
from parley_testkit.loudness import LoudnessDetector


class Notes:
    """Ears that keep everything."""

    def __init__(self) -> None:
        self.began: list[tuple[float, bool]] = []
        self.paused: list[int] = []
        self.resumed: list[float] = []
        self.ended: list[tuple[int, float, str]] = []
        self.frames: dict[str, list[Frame]] = {}

    def speech_began(self, speaker: str, voiced_at: float, *, continues: bool, reopens: bool) -> str:
        self.began.append((voiced_at, continues))
        return f"1-{len(self.began) - 1}"

    def speech_paused(self, speaker: str, last_seq: int, voiced_until: float) -> None:
        self.paused.append(last_seq)

    def speech_resumed(self, speaker: str, latest_seq: int, voiced_at: float) -> None:
        self.resumed.append(voiced_at)

    def speech_ended(self, speaker: str, ended: Ended, voiced_until: float) -> None:
        self.ended.append((ended.last_seq, voiced_until, ended.reason))

    def utterance_frame(self, utterance: str, frame: Frame) -> None:
        self.frames.setdefault(utterance, []).append(frame)


class Talk:
    """A microphone on virtual time; every frame it is given can be told from all others."""

    def __init__(self, rules: UtteranceRules | None = None) -> None:
        self.notes = Notes()
        self.microphone = Microphone("user", self.notes, rules or UtteranceRules(), epoch=3)
        self.detector = LoudnessDetector()
        self.now = 50.0
        self.sent: list[bytes] = []

    def hear(self, duration_s: float, *, voice: bool) -> None:
        for _ in range(round(duration_s * 50)):
            self.now += 0.02
            number = len(self.sent)
            # Quiet frames differ in their last bits only, which is far below any loudness.
            samples = [8000 + number % 100] * 320 if voice else [number % 60] * 320
            self.sent.append(struct.pack("<320h", *samples))
            self.microphone.hear(self.sent[-1], self.detector.feed(self.sent[-1]), self.now)


def test_an_utterance_is_what_was_said_from_the_pre_roll_to_the_endpoint() -> None:
    talk = Talk()

    talk.hear(1.92, voice=False)
    talk.hear(0.96, voice=True)
    talk.hear(1.0, voice=False)

    *audio, end = talk.notes.frames["1-0"]
    first = (1920 - 300) // 20
    assert [frame.pcm for frame in audio] == talk.sent[first : first + len(audio)]
    assert [frame.sequence for frame in audio] == list(range(len(audio)))
    assert end.is_end
    assert end.sequence == len(audio)
    [(last_seq, voiced_until, reason)] = talk.notes.ended
    assert (last_seq, reason) == (len(audio) - 1, "endpoint")
    assert voiced_until == pytest.approx(50 + 1.92 + 0.96, abs=0.001)


def test_frames_carry_the_epoch_and_their_place_on_the_media_clock() -> None:
    talk = Talk()

    talk.hear(1.92, voice=False)
    talk.hear(0.96, voice=True)

    frame = talk.notes.frames["1-0"][5]
    assert (frame.epoch, frame.media_samples) == (3, ((1920 - 300) // 20 + 5) * 320)


def test_times_are_those_of_the_voice_not_of_the_decision() -> None:
    talk = Talk()

    talk.hear(1.92, voice=False)
    talk.hear(0.96, voice=True)

    [(voiced_at, _)] = talk.notes.began
    assert voiced_at == pytest.approx(50 + 1.92, abs=0.001)


def test_a_cut_utterance_goes_on_without_losing_or_repeating_a_frame() -> None:
    talk = Talk(UtteranceRules(max_utterance_s=5))

    talk.hear(12, voice=True)
    talk.hear(1, voice=False)

    audio = [frame.pcm for name in talk.notes.frames for frame in talk.notes.frames[name] if frame.pcm]
    assert audio == talk.sent[: len(audio)]
    assert [continues for _, continues in talk.notes.began] == [False, True, True]


def test_frames_can_be_had_again_until_they_are_forgotten() -> None:
    talk = Talk()
    talk.hear(0.96, voice=True)
    talk.hear(1, voice=False)

    again = list(talk.microphone.again("1-0", 3, 5))
    rest = list(talk.microphone.again("1-0", 60, None))
    talk.microphone.forget("1-0")

    assert again == talk.notes.frames["1-0"][3:6]
    assert rest == talk.notes.frames["1-0"][60:]
    assert rest[-1].is_end
    assert list(talk.microphone.again("1-0", 0, None)) == []


def test_a_frame_of_another_size_is_refused_and_changes_nothing() -> None:
    talk = Talk()

    with pytest.raises(ValueError, match="640 bytes"):
        talk.microphone.hear(bytes(642), (), talk.now)

    talk.hear(0.96, voice=True)
    assert len(talk.notes.frames["1-0"]) == 48


def test_after_a_closed_door_the_same_microphone_hears_again() -> None:
    talk = Talk()

    talk.hear(0.96, voice=True)
    talk.microphone.close(talk.now)
    talk.now += 20
    talk.hear(0.96, voice=True)

    assert [reason for _, _, reason in talk.notes.ended] == ["closed"]
    assert talk.notes.began[1][0] == pytest.approx(50 + 0.96 + 20, abs=0.04)


# What is known of a pause.

SMART = UtteranceRules(smart=SmartRules())


def test_the_sound_of_a_turn_is_all_of_it_from_the_pre_roll_to_now() -> None:
    talk = Talk(SMART)

    talk.hear(1.92, voice=False)
    talk.hear(0.96, voice=True)
    talk.hear(0.2, voice=False)

    sound = talk.microphone.turn_sound()
    assert sound is not None
    assert sound.pcm == b"".join(talk.sent[(1920 - 300) // 20 :])
    assert sound.until == pytest.approx((1.92 + 0.96) * 16_000, abs=1)


def test_the_sound_of_a_long_turn_is_its_last_8_s_across_a_cut() -> None:
    talk = Talk(UtteranceRules(max_utterance_s=5, smart=SmartRules()))

    talk.hear(12, voice=True)

    sound = talk.microphone.turn_sound()
    assert sound is not None
    assert sound.pcm == b"".join(talk.sent[-400:])


def test_the_next_turn_has_its_own_sound() -> None:
    talk = Talk(SMART)

    talk.hear(0.96, voice=True)
    talk.hear(2, voice=False)
    between = talk.microphone.turn_sound()
    talk.hear(0.96, voice=True)

    sound = talk.microphone.turn_sound()
    assert between is None
    assert sound is not None
    assert 48 < len(sound.pcm) // 640 <= 48 + 17
    assert b"".join(talk.sent).endswith(sound.pcm)


def test_a_turn_that_is_taken_up_again_still_has_the_sound_before() -> None:
    talk = Talk(SMART)

    talk.hear(0.96, voice=True)
    talk.hear(0.8, voice=False)
    talk.hear(0.96, voice=True)

    sound = talk.microphone.turn_sound()
    assert sound is not None
    assert sound.pcm.startswith(b"".join(talk.sent[:48]))
    assert sound.pcm.endswith(b"".join(talk.sent[-48:]))


def test_the_words_of_the_running_utterance_end_it_and_those_of_another_do_not() -> None:
    talk = Talk(SMART)
    talk.hear(0.96, voice=True)
    talk.hear(0.4, voice=False)

    talk.microphone.words_judged("1-7", 60, "complete", talk.now)
    before = list(talk.notes.ended)
    talk.microphone.words_judged("1-0", talk.notes.paused[0], "complete", talk.now)

    assert before == []
    assert [reason for _, _, reason in talk.notes.ended] == ["endpoint"]


def test_words_up_to_an_earlier_pause_are_no_evidence() -> None:
    talk = Talk(SMART)
    talk.hear(0.96, voice=True)
    talk.hear(0.2, voice=False)
    talk.hear(0.96, voice=True)
    talk.hear(0.4, voice=False)

    talk.microphone.words_judged("1-0", talk.notes.paused[0] + 6, "complete", talk.now)

    assert talk.notes.ended == []


def test_how_a_turn_sounds_is_known_of_the_pause_it_was_asked_about() -> None:
    talk = Talk(SMART)
    talk.hear(0.96, voice=True)
    talk.hear(0.14, voice=False)
    sound = talk.microphone.turn_sound()
    assert sound is not None

    talk.microphone.sound_judged(sound.until, 0.97, talk.now)
    talk.hear(0.34, voice=False)

    assert [reason for _, _, reason in talk.notes.ended] == ["endpoint"]
