"""What is said about models, on a terminal of 80 columns and to scripts."""

import io
import json

from rich.console import Console, RenderableType

from parley_cli.catalogue_views import Here, Shown, as_json, details, listing
from parley_contract.catalogue import catalogue, find_model


def shown(name: str, here: Here = "missing") -> Shown:
    return Shown(model=find_model(name), here=here, folder=f"/store/asr/{name}")


def drawn(drawing: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(drawing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_model_has_one_line_of_the_list() -> None:
    lines = drawn(listing([Shown(model=model, here="incomplete", folder="") for model in catalogue()])).splitlines()

    assert [line.split()[0] for line in lines[1:]] == [model.name for model in catalogue()]


def test_a_line_has_the_memory_from_int8_to_float16_and_marks_estimates() -> None:
    measured, estimated, language_model = drawn(
        listing([shown("large-v3", "present"), shown("small"), shown("qwen2.5:3b-instruct", "ask Ollama")])
    ).splitlines()[1:]

    assert measured.split() == ["large-v3", "asr", "many", "3091", "2953-4521", "present", "MIT"]
    assert "~1110-1520" in estimated
    assert "1930 ~2500" in language_model
    assert "ask Ollama Qwen Research" in language_model


def test_a_model_is_shown_with_its_licence_its_memory_its_sources_and_its_hashes() -> None:
    page = drawn(details([shown("large-v3-turbo", "present"), shown("qwen2.5:3b-instruct", "ask Ollama")]))

    assert "int8 1545, int8_float16 ~1570, float16 2537" in page
    assert "present, in /store/asr/large-v3-turbo" in page
    assert "hub: dropbox-dash/faster-whisper-large-v3-turbo" in page
    assert "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da" in page
    assert "not for commercial use" in page
    assert "Ollama, which lists it as 357c53fb659c" in page


def test_a_file_without_a_hash_is_said_to_have_none() -> None:
    assert "config.json  no hash known" in drawn(details([shown("distil-small.en")]))


def test_scripts_get_the_catalogues_entry_and_what_is_here() -> None:
    [entry] = json.loads(as_json([shown("tiny.en", "present")]))

    assert (entry["here"], entry["folder"], entry["size"]) == ("present", "/store/asr/tiny.en", 78_090_594)
    assert entry["files"][0]["path"] == "model.bin"
