"""Where the programs of a control plane are: as `tools/setup cluster` built them, or in KUBEBUILDER_ASSETS.

promtool, which runs no part of one, is found in the same way: it tries the alerts that a chart brings.

Their versions stand in `tools/*/go.mod` of this checkout and nowhere else. What is on PATH is not looked at, so that a
test says the same everywhere; whoever has envtest's binaries says so by the variable that envtest reads.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from parley_runtime.tools import ToolMissingError, cache_dir, tool_version

Program = Literal[
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "helm", "promtool"
]

MODULES: Final[Mapping[Program, tuple[str, str]]] = {
    "kube-apiserver": ("kubernetes", "k8s.io/kubernetes"),
    "kube-controller-manager": ("kubernetes", "k8s.io/kubernetes"),
    "kube-scheduler": ("kubernetes", "k8s.io/kubernetes"),
    "kubectl": ("kubernetes", "k8s.io/kubernetes"),
    "etcd": ("etcd", "go.etcd.io/etcd/server/v3"),
    "kwok": ("kwok", "sigs.k8s.io/kwok"),
    "helm": ("helm", "helm.sh/helm/v3"),
    "promtool": ("prometheus", "github.com/prometheus/prometheus"),
}
"""The folder of a program's go.mod below `tools/`, and the module whose version is the program's."""

ASSETS: Final[frozenset[Program]] = frozenset({"etcd", "kube-apiserver", "kubectl"})
"""What KUBEBUILDER_ASSETS holds."""

_ROOT: Final = Path(__file__).parents[5]
_ASSETS_VARIABLE: Final = "KUBEBUILDER_ASSETS"


def pinned_version(program: Program) -> str:
    """Return the version that this checkout asks for, as `1.34.4`."""
    folder, module = MODULES[program]
    page = (_ROOT / "tools" / folder / "go.mod").read_text()
    (version,) = re.findall(rf"^\t{re.escape(module)} v(\S+)", page, re.MULTILINE)
    return str(version)


def find_program(program: Program) -> Path:
    """Return the executable.

    Raises:
        ToolMissingError: it is not there, or the API server of KUBEBUILDER_ASSETS does not go with our controllers; the
            message says what to do.
    """
    assets = os.environ.get(_ASSETS_VARIABLE)
    if assets and program in ASSETS:
        return _asset(program, Path(assets))
    name = f"{program}-{pinned_version(program)}"
    path = cache_dir() / "bin" / name / "bin" / program
    if not path.exists():
        raise ToolMissingError(f"{name} was not found in {cache_dir() / 'bin'}: run tools/setup cluster")
    return path


def _asset(program: Program, folder: Path) -> Path:
    path = folder / program
    if not path.exists():
        raise ToolMissingError(f"{_ASSETS_VARIABLE} is {folder}, where no {program} is: put it there, or unset it")
    if program == "kube-apiserver":
        ours = tuple(map(int, pinned_version("kube-controller-manager").split(".")))
        its = tool_version(path) or (0, 0)
        # Kubernetes' version skew policy: controllers may be one minor version older than the API server, never newer.
        if its[0] != ours[0] or its[1] - ours[1] not in (0, 1):
            raise ToolMissingError(
                f"{path} is version {'.'.join(map(str, its))}, and our controllers are {'.'.join(map(str, ours))}: "
                f"take {ours[0]}.{ours[1]} or {ours[0]}.{ours[1] + 1}, or unset {_ASSETS_VARIABLE}"
            )
    return path
