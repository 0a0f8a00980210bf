"""What pages and samples say to type is typed: every kubectl command of theirs, on a real API server.

The page about installing has a test of its own, in tests/chart.
"""

import re
import shlex
from pathlib import Path

import pytest

from parley_contract.services import SERVICES
from parley_testkit.control_plane.assistants import assistant, until_ready
from parley_testkit.control_plane.namespaces import Namespace

ROOT = Path(__file__).parents[2]
CONDITIONS = (ROOT / "docs/reference/conditions.md").read_text()
ASKED = sorted(set(re.findall(r"`kubectl ([^`]+)`", CONDITIONS)))
NEVER_TRIED = "logs"
"""What the page says of itself: no container runs here."""


def made_in(sample: Path) -> list[str]:
    """Return the commands in the comments of a sample, of which each may go over several lines."""
    comments = "\n".join(line.removeprefix("#") for line in sample.read_text().splitlines() if line.startswith("#"))
    return re.findall(r"^ +kubectl ((?:.*\\\n)*.*)$", comments, re.MULTILINE)


SAMPLES = [(path.name, command) for path in sorted((ROOT / "docs/samples").glob("*.yaml")) for command in made_in(path)]


@pytest.mark.usefixtures("operator")
def test_what_the_page_of_conditions_says_to_type_can_be_typed(namespace: Namespace) -> None:
    namespace.apply(assistant())
    until_ready(namespace)

    for command in ASKED:
        if command.partition(" ")[0] != NEVER_TRIED:
            assert namespace.kubectl(*command.replace("NAME", "libra").split())

    assert len(ASKED) > 6


@pytest.mark.usefixtures("voice_assistants")
@pytest.mark.parametrize("name, command", SAMPLES)
def test_the_secrets_that_samples_say_to_make_are_those_that_they_name(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, command: str
) -> None:
    for service in SERVICES:
        (tmp_path / f"{service}.creds").write_text("creds")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("\\\n", " "))

    namespace.kubectl(*words)

    assert words[:3] == ["create", "secret", "generic"]
    sample = (ROOT / "docs/samples" / name).read_text()
    made = namespace.get("v1/secrets", words[3])["data"]
    assert f"name: {words[3]}" in sample
    assert all(f"key: {key}" in sample or key.removesuffix(".creds") in SERVICES for key in made)
