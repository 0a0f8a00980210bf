"""The files of an assistant's own broker: keys are made once and are their owner's alone."""

import stat
from pathlib import Path

import pytest

from parley_contract.errors import PermanentError
from parley_contract.services import SERVICES
from parley_runtime.broker import new_seed, public_key, write_broker_files


def test_every_service_has_a_seed_and_its_key_stands_in_the_configuration(tmp_path: Path) -> None:
    files = write_broker_files(tmp_path / "nats", "a_b", port=4999)

    config = files.config.read_text()
    keys = {service: public_key(path.read_text()) for service, path in files.seeds.items()}
    assert set(keys) == set(SERVICES)
    assert len(set(keys.values())) == len(SERVICES)
    assert all(key in config for key in keys.values())
    assert '"listen": "127.0.0.1:4999"' in config


def test_no_seed_stands_in_the_configuration(tmp_path: Path) -> None:
    files = write_broker_files(tmp_path, "a_b", port=4999)

    config = files.config.read_text()
    assert not any(path.read_text() in config for path in files.seeds.values())


def test_seeds_are_their_owners_alone(tmp_path: Path) -> None:
    files = write_broker_files(tmp_path, "a_b", port=4999)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in files.seeds.values()}
    folders = {stat.S_IMODE(path.parent.stat().st_mode) for path in files.seeds.values()}
    assert (modes, folders) == ({0o600}, {0o700})


def test_seeds_that_exist_stay(tmp_path: Path) -> None:
    before = {service: path.read_text() for service, path in write_broker_files(tmp_path, "a_b", port=1).seeds.items()}

    after = {service: path.read_text() for service, path in write_broker_files(tmp_path, "a_b", port=2).seeds.items()}

    assert after == before


def test_deleting_one_seed_rotates_it_and_no_other(tmp_path: Path) -> None:
    files = write_broker_files(tmp_path, "a_b", port=1)
    before = {service: path.read_text() for service, path in files.seeds.items()}
    files.seeds["tts"].unlink()

    after = {service: path.read_text() for service, path in write_broker_files(tmp_path, "a_b", port=1).seeds.items()}

    assert [service for service in SERVICES if after[service] != before[service]] == ["tts"]
    assert public_key(after["tts"]) in files.config.read_text()
    assert public_key(before["tts"]) not in files.config.read_text()


def test_a_seed_that_ends_in_a_new_line_is_read_all_the_same(tmp_path: Path) -> None:
    files = write_broker_files(tmp_path, "a_b", port=1)
    key = public_key(files.seeds["asr"].read_text())
    files.seeds["asr"].write_text(files.seeds["asr"].read_text() + "\n")

    write_broker_files(tmp_path, "a_b", port=1)

    assert key in files.config.read_text()


def test_no_two_seeds_are_alike() -> None:
    seeds = {new_seed() for _ in range(20)}

    assert len(seeds) == 20
    assert all(seed.startswith("SU") and public_key(seed).startswith("U") for seed in seeds)


@pytest.mark.parametrize("text", ["", "SU", "hello", "U" * 58, "ü"])
def test_what_is_no_seed_is_an_error_that_says_what_one_is(text: str) -> None:
    with pytest.raises(PermanentError, match="begins with SU"):
        public_key(text)
