"""The catalogue's promises, what a pull plans, and what the store says about files. No network, no real model."""

import hashlib
import math
import os
from pathlib import Path

import msgspec
import pytest

from parley_contract.catalogue import Hub, Model, ModelFile, UnknownModelError, Wheel, Wheels, catalogue, find_model
from parley_contract.profiles import LANGUAGES, PROFILES
from parley_runtime import piper_voices
from parley_runtime.models import ModelDamagedError, ModelMissingError, ModelStore, record
from parley_runtime.pulls import plan

CONTENT = {"model.bin": b"weights" * 100, "config.json": b"{}"}
HUB = Hub(repo="somebody/tiny", revision="0" * 40)
WHEELS = Wheels(wheels=(Wheel(name="tiny-data", version="1.0", size=9, sha256="ab" * 32),), folder="tiny_data")


def a_model(**changes: object) -> Model:
    files = tuple(
        ModelFile(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for path, data in CONTENT.items()
    )
    model = Model(name="tiny:en", kind="asr", licence="MIT", note="", files=files, sources=(HUB,))
    return msgspec.structs.replace(model, **changes)


def put(store: ModelStore, model: Model) -> Path:
    folder = store.folder(model)
    folder.mkdir(parents=True)
    for path, data in CONTENT.items():
        (folder / path).write_bytes(data)
    return folder


class TestCatalogue:
    def test_every_model_has_a_name_and_a_folder_of_its_own(self) -> None:
        store = ModelStore(Path("/store"))

        names, folders = {m.name for m in catalogue()}, {store.folder(m) for m in catalogue()}

        assert len(names) == len(folders) == len(catalogue())

    def test_every_wheel_and_all_but_a_few_files_are_pinned_by_a_sha256(self) -> None:
        pins = [(file.sha256, file.size) for model in catalogue() for file in model.files if file.sha256]
        sources = [source for model in catalogue() for source in model.sources if isinstance(source, Wheels)]
        pins += [(wheel.sha256, wheel.size) for source in sources for wheel in source.wheels]

        assert all(len(bytes.fromhex(sha256)) == 32 and size > 0 for sha256, size in pins)
        assert {model.name: len(model.unpinned) for model in catalogue() if model.unpinned} == {
            "large-v1": 4,
            "distil-small.en": 2,
            "distil-medium.en": 2,
            "distil-large-v3.5": 3,
        }

    def test_files_without_a_hash_come_from_a_commit_of_the_hub(self) -> None:
        sources = [source for model in catalogue() if model.unpinned for source in model.sources]

        assert all(isinstance(source, Hub) and len(bytes.fromhex(source.revision)) == 20 for source in sources)

    def test_every_model_names_a_licence_and_a_source(self) -> None:
        assert all(model.licence and model.sources for model in catalogue())

    def test_pieces_are_only_declared_for_files_that_the_model_has(self) -> None:
        stray = [
            path
            for model in catalogue()
            for source in model.sources
            if isinstance(source, Wheels)
            for path in source.parts
            if path not in {file.path for file in model.files}
        ]

        assert stray == []

    @pytest.mark.parametrize("profile", sorted(PROFILES))
    def test_the_speech_model_of_every_profile_is_there(self, profile: str) -> None:
        asr = PROFILES[profile]["asr"]

        assert isinstance(asr, dict)
        assert find_model(asr["model"], "asr").name == asr["model"]

    def test_the_english_voice_of_the_profiles_is_there(self) -> None:
        tts = LANGUAGES["en"]["tts"]

        assert isinstance(tts, dict)
        assert find_model(tts["voice"], "voice").kind == "voice"

    @pytest.mark.parametrize("profile", sorted(PROFILES))
    def test_the_language_model_of_every_profile_is_there(self, profile: str) -> None:
        llm = PROFILES[profile]["llm"]

        assert isinstance(llm, dict)
        assert find_model(llm["model"], "llm").vram_mib

    def test_a_language_model_with_files_says_how_to_chat_with_it(self) -> None:
        models = [model for model in catalogue() if model.kind == "llm"]

        assert all((model.chat is None) == model.is_ollamas for model in models)

    def test_every_model_says_which_languages_it_knows(self) -> None:
        assert all(model.languages for model in catalogue())

    def test_a_misspelt_name_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(UnknownModelError, match=r"did you mean tiny\.en\?"):
            find_model("tiny-en")

    def test_a_name_of_another_kind_is_unknown(self) -> None:
        with pytest.raises(UnknownModelError, match="no voice 'base' is in the catalogue"):
            find_model("base", "voice")


SHAPES = {
    "tiny": (4, 384),
    "base": (6, 512),
    "small": (12, 768),
    "medium": (24, 1024),
    "large-v1": (32, 1280),
    "large-v2": (32, 1280),
    "large-v3": (32, 1280),
    "large-v3-turbo": (4, 1280),
    "distil-small": (4, 768),
    "distil-medium": (2, 1024),
    "distil-large-v3": (2, 1280),
    "distil-large-v3.5": (2, 1280),
}
"""Decoder layers and width (openai/whisper's model card; huggingface/distil-whisper's README)."""


def estimated_vram(model: Model) -> dict[str, int]:
    """The formula that the page gives for what nobody measured."""
    layers, width = SHAPES[model.name.removesuffix(".en")]
    weights = model.files[0].size / 2**20
    int8 = weights / 2 + 700 + 0.019 * layers * width
    estimates = {
        "int8": int8,
        "int8_float16": int8,
        "float16": weights + 900 + 0.017 * layers * width,
        "float32": 2 * weights + 900 + 2 * 0.017 * layers * width,
    }
    return {kind: math.ceil(mib / 10) * 10 for kind, mib in estimates.items()}


@pytest.mark.parametrize("model", [model for model in catalogue() if model.kind == "asr"], ids=lambda model: model.name)
class TestVram:
    def test_what_was_not_measured_is_the_estimate(self, model: Model) -> None:
        estimate = estimated_vram(model)

        assert {**model.vram_mib, **{kind: estimate[kind] for kind in model.vram_measured}} == estimate

    def test_the_estimate_is_within_five_percent_of_what_was_measured(self, model: Model) -> None:
        measured = {kind: model.vram_mib[kind] for kind in model.vram_measured}

        assert {kind: estimated_vram(model)[kind] for kind in measured} == pytest.approx(measured, rel=0.05)


class TestSources:
    def test_a_wheels_requirement_admits_that_wheel_alone(self) -> None:
        assert WHEELS.wheels[0].requirement == f"tiny-data==1.0 --hash=sha256:{'ab' * 32}"

    def test_a_whole_file_lies_in_the_sources_folder(self) -> None:
        assert WHEELS.pieces("config.json") == ("tiny_data/config.json",)

    def test_a_cut_file_lies_where_its_pieces_are(self) -> None:
        source = msgspec.structs.replace(WHEELS, parts={"model.bin": ("one/a", "two/b")})

        assert source.pieces("model.bin") == ("one/a", "two/b")

    @pytest.mark.parametrize("folder, location", [("", "a.onnx"), ("en/joe", "en/joe/a.onnx")])
    def test_a_hub_file_lies_in_the_sources_folder(self, folder: str, location: str) -> None:
        assert msgspec.structs.replace(HUB, folder=folder).location("a.onnx") == location


class TestPlan:
    def test_what_is_there_is_not_fetched(self) -> None:
        assert plan(a_model(), "present").sources == ()

    @pytest.mark.parametrize("state, again", [("missing", False), ("incomplete", False), ("present", True)])
    def test_all_sources_are_tried_in_their_order(self, state: str, *, again: bool) -> None:
        model = a_model(sources=(WHEELS, HUB))

        assert plan(model, state, again=again).sources == (WHEELS, HUB)  # type: ignore[arg-type]

    def test_what_ollama_pulls_is_not_fetched(self) -> None:
        assert plan(find_model("qwen2.5:7b-instruct"), "missing").sources == ()

    def test_wheels_need_room_for_what_is_unpacked_too(self) -> None:
        from_hub, from_wheels = plan(a_model(), "missing"), plan(a_model(sources=(WHEELS,)), "missing")

        assert from_wheels.needs_bytes - from_hub.needs_bytes == a_model().size


class TestStore:
    def test_a_model_that_was_never_pulled_is_missing(self, tmp_path: Path) -> None:
        assert ModelStore(tmp_path / "nowhere").state(a_model()) == "missing"

    def test_a_model_with_all_its_files_is_present(self, tmp_path: Path) -> None:
        store = ModelStore(tmp_path)
        put(store, a_model())

        assert store.state(a_model()) == "present"
        assert store.problems(a_model()) == []

    def test_a_cut_file_makes_a_model_incomplete(self, tmp_path: Path) -> None:
        store = ModelStore(tmp_path)
        (put(store, a_model()) / "model.bin").write_bytes(b"weights")

        assert store.state(a_model()) == "incomplete"
        assert store.problems(a_model()) == ["model.bin: has 7 bytes instead of 700"]

    def test_a_lost_file_makes_a_model_incomplete(self, tmp_path: Path) -> None:
        store = ModelStore(tmp_path)
        (put(store, a_model()) / "config.json").unlink()

        assert store.state(a_model()) == "incomplete"
        assert store.problems(a_model()) == ["config.json: is not here"]

    def test_verifying_finds_a_changed_byte_that_the_size_hides(self, tmp_path: Path) -> None:
        store = ModelStore(tmp_path)
        (put(store, a_model()) / "config.json").write_bytes(b"[]")

        [problem] = store.problems(a_model())

        assert store.state(a_model()) == "present"
        assert problem.startswith("config.json: has SHA-256 ")

    def test_verifying_counts_every_byte_it_reads(self, tmp_path: Path) -> None:
        store, counted = ModelStore(tmp_path), list[int]()
        put(store, a_model())

        store.problems(a_model(), counted.append)

        assert sum(counted) == a_model().size

    def test_a_file_without_a_hash_is_compared_with_the_one_that_was_recorded(self, tmp_path: Path) -> None:
        store = ModelStore(tmp_path)
        files = tuple(msgspec.structs.replace(file, sha256="") for file in a_model().files)
        model = a_model(files=files)
        folder = put(store, model)
        record(folder, model)
        sound = store.problems(model)

        (folder / "config.json").write_bytes(b"[]")

        assert sound == []
        assert [problem.partition(" has SHA-256 ")[0] for problem in store.problems(model)] == ["config.json:"]

    def test_no_folder_has_a_colon_in_it(self, tmp_path: Path) -> None:
        assert ModelStore(tmp_path).folder(a_model()) == tmp_path / "asr" / "tiny-en"


class TestLocate:
    def test_a_missing_model_names_the_command_that_pulls_it(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMissingError, match=r"run `parley models pull tiny\.en`"):
            ModelStore(tmp_path).locate("tiny.en", "asr")

    def test_an_incomplete_model_names_the_command_that_pulls_it(self, tmp_path: Path) -> None:
        store = ModelStore(tmp_path)
        store.folder(find_model("silero-vad")).mkdir(parents=True)

        with pytest.raises(ModelDamagedError, match="run `parley models pull silero-vad`"):
            store.locate("silero-vad", "vad")

    def test_a_model_of_ones_own_is_named_by_its_folder(self, tmp_path: Path) -> None:
        for name in ("model.bin", "config.json", "tokenizer.json"):
            (tmp_path / name).touch()

        assert ModelStore(tmp_path / "store").locate(str(tmp_path), "asr") == tmp_path

    def test_a_folder_that_cannot_be_a_whisper_model_is_told_what_it_lacks(self, tmp_path: Path) -> None:
        (tmp_path / "model.bin").touch()

        with pytest.raises(
            ModelDamagedError, match=r"lacks config\.json, tokenizer\.json: it must hold a Whisper model"
        ):
            ModelStore(tmp_path / "store").locate(str(tmp_path), "asr")

    def test_a_folder_that_does_not_exist_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMissingError, match="/nowhere is no folder"):
            ModelStore(tmp_path).locate(f"{tmp_path}/nowhere", "asr")

    def test_without_a_setting_the_store_is_in_the_users_cache(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")

        assert ModelStore.at("").root == Path("/somewhere/parley/models")


CONFIG = b"""{"audio": {"sample_rate": 22050}, "espeak": {"voice": "en-us"}, "num_speakers": 1,
  "phoneme_type": "espeak", "phoneme_id_map": {"_": [0], "^": [1], "$": [2], " ": [3], "a": [14]}}"""


def put_voice(folder: Path, config: bytes = CONFIG) -> None:
    (folder / "en_US-x-low.onnx").write_bytes(b"onnx")
    (folder / "en_US-x-low.onnx.json").write_bytes(config)


def put_halves(folder: Path) -> None:
    """Lay halves beside a voice, as they are when they were made from it."""
    halves = piper_voices.derived(folder)
    halves.folder.mkdir()
    halves.encoder.write_bytes(b"on")
    halves.decoder.write_bytes(b"nx")
    places = [halves.encoder, halves.decoder, folder / "en_US-x-low.onnx"]
    sums = [(hashlib.sha256(path.read_bytes()).hexdigest(), os.path.relpath(path, halves.folder)) for path in places]
    (halves.folder / "SHA256SUMS").write_text("".join(f"{sha256}  {name}\n" for sha256, name in sums))


class TestPiperVoices:
    def test_halves_belong_to_the_model_that_they_were_made_from(self, tmp_path: Path) -> None:
        put_voice(tmp_path)
        put_halves(tmp_path)

        assert piper_voices.is_derived(piper_voices.read_voice(tmp_path), piper_voices.derived(tmp_path))
        assert piper_voices.problems(tmp_path) == []

    def test_without_halves_nothing_is_wrong_but_they_are_not_there(self, tmp_path: Path) -> None:
        put_voice(tmp_path)
        (tmp_path / "sherpa").mkdir()

        assert not piper_voices.is_derived(piper_voices.read_voice(tmp_path), piper_voices.derived(tmp_path))
        assert piper_voices.problems(tmp_path) == []

    def test_another_model_of_the_same_size_has_no_halves(self, tmp_path: Path) -> None:
        put_voice(tmp_path)
        put_halves(tmp_path)

        (tmp_path / "en_US-x-low.onnx").write_bytes(b"ONNX")

        assert not piper_voices.is_derived(piper_voices.read_voice(tmp_path), piper_voices.derived(tmp_path))
        assert piper_voices.problems(tmp_path) == ["streaming/: was not made from en_US-x-low.onnx"]

    @pytest.mark.parametrize("half", ["encoder.onnx", "decoder.onnx"])
    @pytest.mark.parametrize("content", [b"XX", None])
    def test_a_half_that_is_damaged_or_lost_is_a_problem(
        self, tmp_path: Path, half: str, content: bytes | None
    ) -> None:
        put_voice(tmp_path)
        put_halves(tmp_path)
        damaged = tmp_path / "streaming" / half

        damaged.unlink()
        if content:
            damaged.write_bytes(content)

        assert piper_voices.problems(tmp_path) == [f"streaming/{half}: is not as it was made"]

    def test_a_folder_without_a_voice_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(piper_voices.VoiceUnusableError, match="holds 0 Piper voices"):
            piper_voices.read_voice(tmp_path)

    @pytest.mark.parametrize(
        "config, reason",
        [
            (b"{", "is no configuration of a Piper voice"),
            (b'{"audio": {}}', "missing required field"),
            (CONFIG.replace(b'"espeak",', b'"text",'), "wants text phonemes"),
            (CONFIG.replace(b'"^": [1], ', b""), r"has no ids for \^ in its phoneme_id_map"),
        ],
    )
    def test_a_voice_that_cannot_be_spoken_is_refused(self, tmp_path: Path, config: bytes, reason: str) -> None:
        put_voice(tmp_path, config)

        with pytest.raises(piper_voices.VoiceUnusableError, match=reason):
            piper_voices.read_voice(tmp_path)
