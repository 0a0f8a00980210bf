"""What is refused before anybody is called."""

from pathlib import Path

import pytest

from parley_cli.audio import UnreadableAudioError
from parley_cli.places import Running
from parley_cli.screen import Screen
from parley_cli.talk_command import STDIN, DoorClosedError, talk

RUNNING = Running(assistant="default_libra", pid=1, started_at=0, door="ws://127.0.0.1:1", logs="", parts=())
QUESTION = Path(__file__).parents[3] / "docs/samples/questions/capital.wav"


async def test_standard_input_from_which_no_sound_can_come_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudioError, match="no sound on standard input: name a file"):
        await talk(RUNNING, [str(QUESTION), STDIN], replies=tmp_path / "out", screen=Screen())

    assert not (tmp_path / "out").exists()


async def test_without_a_web_door_nothing_is_made(tmp_path: Path) -> None:
    shut = Running(assistant="default_libra", pid=1, started_at=0, door="", logs="", parts=())

    with pytest.raises(DoorClosedError, match="libra has no web door"):
        await talk(shut, [str(QUESTION)], replies=tmp_path / "out", screen=Screen())

    assert not (tmp_path / "out").exists()
