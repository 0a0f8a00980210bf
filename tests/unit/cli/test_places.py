"""The folder of a local assistant, and how others find it."""

import stat
from pathlib import Path

import pytest

from parley_cli.places import AlreadyRunningError, NotRunningError, Part, Place, Running, find_running


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def state(assistant: str, pid: int = 4711) -> Running:
    return Running(
        assistant=assistant,
        pid=pid,
        started_at=0,
        door="ws://127.0.0.1:8001/v1/talk",
        logs="/logs",
        parts=(Part(name="agent", url="http://127.0.0.1:5006", pid=1),),
    )


def test_a_running_assistant_is_found_by_its_name_its_key_and_by_being_the_only_one() -> None:
    place = Place("default_libra")

    with place.held():
        place.write(state("default_libra"))

        assert find_running("libra") == find_running("default_libra") == find_running() == state("default_libra")


def test_an_assistant_that_has_stopped_is_not_found() -> None:
    with Place("default_libra").held():
        Place("default_libra").write(state("default_libra"))

    with pytest.raises(NotRunningError, match="start one with `parley up`"):
        find_running()


def test_a_state_file_left_by_a_crash_fools_nobody() -> None:
    place = Place("default_libra")
    with place.held():
        pass
    place.write(state("default_libra"))

    with pytest.raises(NotRunningError):
        find_running("libra")


def test_a_second_run_of_the_same_assistant_is_refused_and_names_the_first() -> None:
    with Place("default_libra").held():
        Place("default_libra").write(state("default_libra", pid=4711))

        with pytest.raises(AlreadyRunningError, match=r"process 4711.*stop it first"), Place("default_libra").held():
            pass


def test_being_looked_at_does_not_hold_the_lock() -> None:
    place = Place("default_libra")
    with place.held():
        pass

    assert place.read() is None
    with place.held():
        pass


def test_among_several_one_has_to_be_named() -> None:
    with Place("default_libra").held(), Place("default_vega").held():
        Place("default_libra").write(state("default_libra"))
        Place("default_vega").write(state("default_vega"))

        assert find_running("vega").assistant == "default_vega"
        with pytest.raises(NotRunningError, match=r"default_libra, default_vega.*--assistant"):
            find_running()
        with pytest.raises(NotRunningError, match=r"no assistant 'mira'.*default_libra, default_vega"):
            find_running("mira")


def test_the_folder_is_the_owners_alone() -> None:
    place = Place("default_libra")

    with place.held():
        mode = stat.S_IMODE(place.folder.stat().st_mode)

    assert mode == 0o700


def test_the_log_of_the_run_before_is_kept_once() -> None:
    place = Place("default_libra")
    with place.held():
        for run in ("first", "second", "third"):
            place.fresh_log("asr").write_text(run)

        kept = {path.name: path.read_text() for path in place.logs.iterdir()}

    assert kept == {"asr.log": "third", "asr.log.1": "second"}
