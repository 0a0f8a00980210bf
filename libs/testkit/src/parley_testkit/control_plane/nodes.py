"""Nodes for kwok to play, with the capacity and the labels that a device plugin and GPU feature discovery give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from parley_testkit.control_plane.stages import FAKE_NODE

GPU: Final = "nvidia.com/gpu"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine as the scheduler sees it."""

    name: str
    cpu: str = "16"
    memory: str = "64Gi"
    pods: int = 110
    gpus: int = 0
    """Cards; each has the memory and the product below."""
    gpu_shares: int = 1
    """How many pods may use a card at once: the device plugin's time slicing."""
    gpu_memory_mib: int = 12_282
    gpu_product: str = "NVIDIA-GeForce-RTX-4070"
    gpu_compute: str = "8.9"
    """CUDA compute capability."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Beside the usual ones, over which they win."""
    taints: tuple[Mapping[str, str], ...] = ()

    def manifest(self) -> dict[str, Any]:
        """Return the Node object."""
        key, value = FAKE_NODE
        resources = {"cpu": self.cpu, "memory": self.memory, "pods": str(self.pods), "ephemeral-storage": "100Gi"}
        if self.gpus:
            resources[GPU] = str(self.gpus * self.gpu_shares)
        usual = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "annotations": {key: value},
                "labels": {**usual, **self._discovered(), **self.labels},
            },
            "spec": {"taints": [dict(taint) for taint in self.taints]},
            "status": {"capacity": resources, "allocatable": resources},
        }

    def _discovered(self) -> dict[str, str]:
        """Return what NVIDIA's GPU feature discovery 0.20 says of the cards."""
        if not self.gpus:
            return {}
        major, minor = self.gpu_compute.split(".")
        shared = "-SHARED" if self.gpu_shares > 1 else ""
        return {
            f"{GPU}.present": "true",
            f"{GPU}.count": str(self.gpus),
            f"{GPU}.replicas": str(self.gpu_shares),
            f"{GPU}.memory": str(self.gpu_memory_mib),
            f"{GPU}.product": self.gpu_product + shared,
            f"{GPU}.compute.major": major,
            f"{GPU}.compute.minor": minor,
            "nvidia.com/gpu.sharing-strategy": "time-slicing" if shared else "none",
        }
