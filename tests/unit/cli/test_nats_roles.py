"""The script for the admin of a NATS, run with an nsc that only notes what it is asked."""

import subprocess
from pathlib import Path

import pytest

from parley_cli.nats_roles import script
from parley_contract.permissions import permissions
from parley_contract.resource import load_manifest
from parley_contract.services import SERVICES, Service

MANIFEST = "apiVersion: parley.dev/v1alpha1\nkind: VoiceAssistant\nmetadata: {name: libra, namespace: voice}\n"
KEY = "A" + "B" * 55
NSC = f"""\
#!/bin/sh
printf '%s\\n' "$@" > "$(mktemp calls/XXXXXX)"
case "$1 $2" in "edit account") echo "[ OK ] added signing key {KEY}" >&2 ;; "generate creds") echo "of $6" ;; esac
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    folder = tmp_path_factory.mktemp("nsc")
    (folder / "calls").mkdir()
    (folder / "nsc").write_text(NSC)
    (folder / "nsc").chmod(0o755)
    (folder / "roles.sh").write_text(script(load_manifest(MANIFEST)))
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "ACCOUNT": "voices"}
    subprocess.run(["sh", "roles.sh"], cwd=folder, env=environment, check=True, timeout=30)
    return folder, [path.read_text().splitlines() for path in (folder / "calls").iterdir()]


@pytest.mark.parametrize("service", SERVICES)
def test_each_role_has_the_rights_of_its_service(asked: tuple[Path, list[list[str]]], service: Service) -> None:
    _, calls = asked
    rights = permissions("voice_libra", service)

    (edited,) = [call for call in calls if call[:2] == ["edit", "signing-key"] and f"voice_libra_{service}" in call]

    options = edited[2:]
    assert options[:6] == ["--account", "voices", "--sk", KEY, "--role", f"voice_libra_{service}"]
    assert options[6:] == [
        *(f"--allow-pub={subject}" for subject in rights.publish),
        *(f"--allow-sub={subject}" for subject in rights.subscribe),
        *(["--allow-pub-response"] if rights.may_respond else []),
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_gets_the_credentials_of_a_user_of_its_role(
    asked: tuple[Path, list[list[str]]], service: Service
) -> None:
    folder, calls = asked
    role = f"voice_libra_{service}"

    assert ["add", "user", "--account", "voices", "--name", role, "--private-key", role] in calls
    assert (folder / f"{service}.creds").read_text() == f"of {role}\n"


def test_without_the_name_of_an_account_nothing_is_done(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", script(load_manifest(MANIFEST))],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode != 0
    assert "name the account" in done.stderr
    assert list(tmp_path.iterdir()) == []
