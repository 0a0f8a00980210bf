"""Which words a WAV holds."""

from pathlib import Path

from parley_cli.questions import Question, question, sample_questions


def test_the_samples_hold_five_questions_or_more_each_with_its_words() -> None:
    questions = sample_questions()

    assert len(questions) >= 5
    assert all(asked.wav.is_file() and asked.expected for asked in questions)


def test_every_recording_of_the_samples_is_asked() -> None:
    questions = sample_questions()

    assert {asked.wav for asked in questions} == set(questions[0].wav.parent.glob("*.wav"))


def test_a_sample_is_known_by_its_path_too() -> None:
    first = sample_questions()[0]

    assert question(first.wav) == first


def test_a_text_beside_a_file_is_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello world\n")

    assert question(tmp_path / "hello.wav") == Question(tmp_path / "hello.wav", "hello world")


def test_nobody_knows_the_words_of_any_other_file(tmp_path: Path) -> None:
    assert question(tmp_path / "hello.wav").expected is None


def test_a_strangers_list_of_questions_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "questions.toml").write_text('title = "of another program"')

    assert question(tmp_path / "hello.wav").expected is None
