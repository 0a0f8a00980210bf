"""Plays a volume provisioner such as k3s' local-path: makes a volume once the scheduler has chosen a claim's node.

`python -m parley_testkit.control_plane.volumes SERVER CA CERTIFICATE KEY` runs until it is killed. It serves the
storage classes whose provisioner is PROVISIONER; a volume is bound to its node and deleted when its claim is, if its
class says so. Binding, protection and release are the real controllers'. There is no folder behind a volume.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx

PROVISIONER: Final = "volumes.test.parley.dev"

_CLAIMS: Final = "/api/v1/persistentvolumeclaims"
_VOLUMES: Final = "/api/v1/persistentvolumes"
_CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"
_NODE: Final = "volume.kubernetes.io/selected-node"
_PROVISIONER: Final = "volume.kubernetes.io/storage-provisioner"
_BY: Final = "pv.kubernetes.io/provisioned-by"
_AGAIN_S: Final = 0.2


def volume(claim: dict[str, Any], storage_class: dict[str, Any]) -> dict[str, Any]:
    """Return the volume for a claim on the node that was chosen for it; without one, for any node."""
    metadata, spec = claim["metadata"], claim["spec"]
    node = metadata.get("annotations", {}).get(_NODE)
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{metadata['uid']}", "annotations": {_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "storageClassName": spec["storageClassName"],
            "persistentVolumeReclaimPolicy": storage_class["reclaimPolicy"],
            "hostPath": {"path": f"/nowhere/{metadata['uid']}"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            **({"nodeAffinity": {"required": {"nodeSelectorTerms": [here]}}} if node else {}),
        },
    }


async def provision(client: httpx.AsyncClient) -> None:
    """Make a volume for every claim that waits for one."""
    async for claim in _follow(client, _CLAIMS):
        annotations = claim["metadata"].get("annotations", {})
        if claim["status"].get("phase") != "Pending" or annotations.get(_PROVISIONER) != PROVISIONER:
            continue
        storage_class = (await client.get(f"{_CLASSES}/{claim['spec']['storageClassName']}")).json()
        if storage_class["volumeBindingMode"] == "Immediate" or _NODE in annotations:
            await client.post(_VOLUMES, json=volume(claim, storage_class))  # again after a change: 409, as it should be


async def release(client: httpx.AsyncClient) -> None:
    """Delete the volumes whose claims are gone, where their class says so."""
    async for found in _follow(client, _VOLUMES):
        is_ours = found["metadata"].get("annotations", {}).get(_BY) == PROVISIONER
        is_done = found["status"].get("phase") == "Released"
        if is_ours and is_done and found["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            await client.delete(f"{_VOLUMES}/{found['metadata']['name']}")


async def _follow(client: httpx.AsyncClient, path: str) -> AsyncIterator[dict[str, Any]]:
    """Tell every object of a kind, and again whenever it changes; a server that is away is waited for."""
    while True:
        try:
            page = (await client.get(path)).raise_for_status().json()
            for found in page["items"]:
                yield found
            watch = {"watch": "1", "resourceVersion": page["metadata"]["resourceVersion"]}
            async with client.stream("GET", path, params=watch, timeout=None) as lines:
                async for line in lines.aiter_lines():
                    event = json.loads(line)
                    if event["type"] in ("ADDED", "MODIFIED"):
                        yield event["object"]
                    elif event["type"] == "ERROR":
                        break
        except (httpx.TransportError, httpx.HTTPStatusError):
            await asyncio.sleep(_AGAIN_S)


async def _main(server: str, authority: str, certificate: str, key: str) -> None:
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    async with (
        httpx.AsyncClient(base_url=server, verify=context, trust_env=False) as client,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(provision(client))
        tasks.create_task(release(client))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
