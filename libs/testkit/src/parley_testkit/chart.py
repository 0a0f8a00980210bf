"""The pages of the chart that are made from others: `python -m parley_testkit.chart` (`make chart`).

`values.schema.json` is the one place where a value has its type, its default and its sentence; `values.yaml` and the
table in the README are views of it. The template of the definition is `crds/` with what Helm needs around it. A test
holds all three equal to what is made here.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[4]
CHART: Final = ROOT / "charts/parley"
TABLE: Final = ("<!-- values: made from values.schema.json by `make chart` -->", "<!-- end of values -->")
"""Between these lines of the README."""

_WIDTH: Final = 120
_UNUSED: Final = "global"
"""Helm's own: allowed, and nothing to set."""

Schema = Mapping[str, Any]


def pages() -> Iterator[tuple[Path, str]]:
    """Return every page that is made, with what it should say."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    readme = CHART / "README.md"
    yield CHART / "values.yaml", values(schema)
    yield readme, with_table(readme.read_text(), schema)
    yield CHART / "templates/crds.yaml", definition((ROOT / "crds/voiceassistants.parley.dev.yaml").read_text())


def values(schema: Schema) -> str:
    """Return the default values as YAML, each below its sentence."""
    head = "# Made from values.schema.json by `make chart`, which is where to change a value's default or sentence.\n"
    return head + "".join(_lines(schema, ""))


def with_table(readme: str, schema: Schema) -> str:
    """Return the README with its table of values as it should be.

    Raises:
        ValueError: the README has no place for it.
    """
    before, begin, rest = readme.partition(TABLE[0])
    _, end, after = rest.partition(TABLE[1])
    if not begin or not end:
        raise ValueError(f"README.md: put the lines {TABLE[0]!r} and {TABLE[1]!r} where the table belongs")
    rows = "".join(f"| `{path}` | `{_compact(default)}` | {said} |\n" for path, default, said in leaves(schema))
    return f"{before}{begin}\n\n| value | default | |\n|---|---|---|\n{rows}\n{end}{after}"


def leaves(schema: Schema, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Return every value: its path, its default and its sentence."""
    for name, part in _parts(schema):
        here = f"{path}.{name}".lstrip(".")
        if "default" in part:
            yield here, part["default"], part["description"]
        else:
            yield from leaves(part, here)


def definition(crd: str) -> str:
    """Return the template of a CustomResourceDefinition, which stays when the release goes.

    Raises:
        ValueError: it holds what Helm would take for an action of its own.
    """
    if "{{" in crd:
        raise ValueError("the definition has {{ in it, which Helm would read as a template: write it in other words")
    name = "metadata:\n"
    kept = f"{name}  annotations:\n    helm.sh/resource-policy: keep\n"
    return f"{{{{- if .Values.crds.enabled }}}}\n{crd.replace(name, kept, 1)}{{{{- end }}}}\n"


def _lines(schema: Schema, indent: str) -> Iterator[str]:
    for name, part in _parts(schema):
        if not indent:
            yield "\n"
        marked = f"{indent}# "
        yield textwrap.fill(part["description"], _WIDTH, initial_indent=marked, subsequent_indent=marked) + "\n"
        if "default" not in part:
            yield f"{indent}{name}:\n"
            yield from _lines(part, f"{indent}  ")
        elif isinstance(part["default"], dict) and part["default"]:
            yield textwrap.indent(yaml.safe_dump({name: part["default"]}, sort_keys=False), indent)
        else:
            yield f"{indent}{name}: {_compact(part['default'])}\n"


def _parts(schema: Schema) -> Iterator[tuple[str, Schema]]:
    return ((name, part) for name, part in schema["properties"].items() if name != _UNUSED)


def _compact(value: object) -> str:
    """Return a value in one line of YAML; texts between quotes, as a shell wants them too."""
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    for page, text in pages():
        page.write_text(text)
