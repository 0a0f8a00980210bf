"""Finding nats-server and Ollama: on PATH in the supported range, else the newest that was built."""

from pathlib import Path
from typing import NoReturn

import pytest

from parley_runtime.tools import HomelessError, Tool, ToolMissingError, cache_dir, find_tool, is_supported, tool_version

OLLAMA_WITHOUT_SERVER = "Warning: could not connect to a running Ollama instance\nWarning: client version is 0.34.2"
OLLAMA_WITH_OLDER_SERVER = "ollama version is 0.29.1\nWarning: client version is 0.34.2"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH (`bin`) and an empty cache below one folder."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def install(path: Path, says: str, *, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return path


def build(place: Path, tool: Tool, version: str) -> Path:
    return install(place / "cache" / "parley" / "bin" / f"{tool}-{version}" / "bin" / tool, version)


@pytest.mark.parametrize(
    "says, version",
    [
        ("nats-server: v2.15.2", (2, 15, 2)),
        ("nats-server: v2.15.2-RC.1", (2, 15, 2)),
        ("ollama version is 0.34.2", (0, 34, 2)),
        (OLLAMA_WITHOUT_SERVER, (0, 34, 2)),
        (OLLAMA_WITH_OLDER_SERVER, (0, 34, 2)),
        ("unknown", None),
    ],
)
def test_a_version_is_the_programs_own(tmp_path: Path, says: str, version: tuple[int, ...] | None) -> None:
    assert tool_version(install(tmp_path / "tool", says)) == version


def test_what_cannot_be_run_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("no program")

    assert tool_version(tmp_path / "tool") is None


@pytest.mark.parametrize(
    "tool, version, supported",
    [
        ("nats-server", (2, 11, 9), False),
        ("nats-server", (2, 12, 0), True),
        ("nats-server", (2, 99, 0), True),
        ("nats-server", (3, 0, 0), False),
        ("ollama", (0, 29, 9), False),
        ("ollama", (0, 30, 0), True),
        ("ollama", (1, 0, 0), False),
        ("ollama", (), False),
    ],
)
def test_a_range_begins_with_its_first_version_and_ends_before_the_next_major(
    tool: Tool, version: tuple[int, ...], *, supported: bool
) -> None:
    assert is_supported(tool, version) is supported


def test_a_supported_tool_on_path_is_taken_before_a_built_one(place: Path) -> None:
    build(place, "nats-server", "2.15.2")
    on_path = install(place / "bin" / "nats-server", "nats-server: v2.12.4")

    assert find_tool("nats-server") == on_path


def test_an_old_tool_on_path_gives_way_to_a_built_one(place: Path) -> None:
    install(place / "bin" / "nats-server", "nats-server: v2.9.10")
    built = build(place, "nats-server", "2.15.2")

    assert find_tool("nats-server") == built


def test_of_several_built_ones_the_newest_is_taken_by_number(place: Path) -> None:
    for version in ("2.9.1", "2.15.2", "2.15.10", "2.13.0"):
        build(place, "nats-server", version)

    assert find_tool("nats-server") == cache_dir() / "bin" / "nats-server-2.15.10" / "bin" / "nats-server"


def test_a_missing_tool_is_an_error_that_says_how_to_get_it(place: Path) -> None:
    with pytest.raises(ToolMissingError) as caught:
        find_tool("nats-server")

    assert str(caught.value) == (
        f"nats-server 2.12 or newer (below 3.0) was not found on PATH nor in {place / 'cache' / 'parley' / 'bin'}: "
        "run tools/setup, or install it and put it on PATH"
    )


def test_an_old_tool_alone_is_named_in_the_error(place: Path) -> None:
    on_path = install(place / "bin" / "nats-server", "nats-server: v2.9.10")

    with pytest.raises(ToolMissingError, match=rf"\({on_path} is version 2.9.10\)"):
        find_tool("nats-server")


def test_without_a_cache_of_the_systems_it_is_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_dir() == tmp_path / ".cache" / "parley"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> NoReturn:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)

    with pytest.raises(HomelessError, match="set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME"):
        cache_dir()
