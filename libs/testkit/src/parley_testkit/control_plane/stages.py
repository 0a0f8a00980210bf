"""What kwok plays: kubelets that start every pod at once, and pods that fail in the ways that real ones do.

A pod's fate is the annotation `test.parley.dev/fate`, its value one of `Fate`, with `: ` and what the container or the
kubelet says after it where a test wants that: `crash-loop: model.gguf: no such file`. Without it a pod becomes Ready,
and a Job's pod then succeeds. A new annotation changes what happens to a living pod; one that has ended stays so. For
pods that somebody else makes, `fate_policy` copies the annotation from their namespace.

`pod-status.tmpl` beside this page is what a status then looks like, from the source of the kubelet 1.34. What kwok does
not do: it looks at no image, Secret or probe, runs nothing, and has no logs.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

Fate = Literal[
    "running",  # ready, and a Job's pod goes on running
    "starting",  # its containers are not made yet
    "unready",  # its readiness probe fails
    "crash-loop",  # its containers exit with 1 and what they say, are started again two seconds later, and so on
    "oom",  # likewise, but the kernel killed them for their memory
    "image-pull",  # the image is not found
    "config-error",  # a Secret or ConfigMap that a container reads is not there
    "failed",  # it ends with exit code 1
    "rejected",  # its kubelet refuses it, as after a reboot without its GPU
]

FATE: Final = "test.parley.dev/fate"
"""The annotation of a pod."""
COMPONENT: Final = "app.kubernetes.io/component"
FATE_OF_COMPONENT: Final = "fate.test.parley.dev/"
"""The annotation of a namespace; after it comes the value of its pods' label COMPONENT."""

FAKE_NODE: Final = ("kwok.x-k8s.io/node", "fake")
"""The annotation of a node whose kubelet kwok plays."""

_UP_AGAIN_MS: Final = 2_000
"""A real kubelet waits 10 s, then 20, up to 300, and says 10 s in the message that ours says too."""
_CRASH_MS: Final = 200

_TEMPLATE: Final = Path(__file__).with_name("pod-status.tmpl")

# How far a pod has come, in a word: how it ended, why its first container waits, or whether that is ready.
_STATE: Final = """
.status | if .phase == "Succeeded" or .phase == "Failed" then "Ended" else (.containerStatuses // [])[0]
| if . == null then "New" elif .state.waiting then .state.waiting.reason elif .ready then "Ready" else "Running" end end
"""
_FATE: Final = f'(.metadata.annotations["{FATE}"] // "none") | split(": ")[0]'


class _Step(NamedTuple):
    """A pod with one of these fates comes to a state, from any other or from one alone."""

    fates: tuple[Fate | Literal["none"], ...]
    to: str
    only_from: str = ""
    only_job: bool = False
    after_ms: int = 0
    says: tuple[str, str] = ("", "")
    """Reason and message of a warning event."""


_STEPS: Final = (
    _Step(("none", "running"), "Ready"),
    _Step(("none",), "Succeeded", only_from="Ready", only_job=True),
    _Step(("starting",), "ContainerCreating"),
    _Step(
        ("unready",), "Running", says=("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    ),
    _Step(
        ("crash-loop", "oom"),
        "CrashLoopBackOff",
        after_ms=_CRASH_MS,
        says=("BackOff", "Back-off restarting failed container"),
    ),
    _Step(("crash-loop", "oom"), "Running", only_from="CrashLoopBackOff", after_ms=_UP_AGAIN_MS),
    _Step(("image-pull",), "ImagePullBackOff", says=("Failed", "Error: ImagePullBackOff")),
    _Step(("config-error",), "CreateContainerConfigError", says=("Failed", "Error: CreateContainerConfigError")),
    _Step(("failed",), "Failed"),
    _Step(("rejected",), "Rejected", says=("UnexpectedAdmissionError", "Allocate failed")),
)

_NODE_STATUS: Final = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type }}
  status: {{ .status | Quote }}
  reason: {{ .reason }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
addresses:
- {type: InternalIP, address: {{ NodeIP | Quote }}}
- {type: Hostname, address: {{ .metadata.name }}}
"""


def kwok_configuration() -> str:
    """Return kwok's configuration: JSON documents, as it reads YAML ones."""
    # With one of them written down, kwok takes the others for zero. Pods at four times its default.
    options = {
        "podPlayStageParallelism": 16,
        "nodePlayStageParallelism": 4,
        "nodeLeaseParallelism": 4,
        "podsOnNodeSyncParallelism": 1,
    }
    head = {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options": options}
    return "\n---\n".join(json.dumps(document) for document in [head, *_stages()])


def fate_policy() -> list[dict[str, Any]]:
    """Return what makes the API server write the fate of a component's pods into them as they are made."""
    name = FATE_OF_COMPONENT.strip("/")
    key = f'"{FATE_OF_COMPONENT}" + object.metadata.?labels["{COMPONENT}"].orValue("")'
    fated = f'Object{{metadata: Object.metadata{{annotations: {{"{FATE}": variables.fate}}}}}}'
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [pods]},
        # Not as a match condition, which is not told of the namespace.
        "variables": [{"name": "fate", "expression": f'namespaceObject.metadata.?annotations[{key}].orValue("")'}],
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": f'variables.fate == "" ? Object{{}} : {fated}'},
            }
        ],
    }
    version = "admissionregistration.k8s.io/v1beta1"
    return [
        {"apiVersion": version, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": policy},
        {
            "apiVersion": version,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    ]


def _stages() -> Iterator[dict[str, Any]]:
    is_up = '.status.conditions // [] | map(select(.type == "Ready" and .status == "True")) | length > 0'
    yield _stage("node-is-up", "Node", [_jq(is_up, "NotIn", "true")], [_patch(_NODE_STATUS)])
    gone = [_jq(".metadata.deletionTimestamp", "Exists")]
    yield _stage("pod-goes", "Pod", gone, [{"delete": True}])
    template = _TEMPLATE.read_text()
    for step in _STEPS:
        when = [_jq(".metadata.deletionTimestamp", "DoesNotExist"), _jq(_FATE, "In", *step.fates)]
        when.append(_jq(_STATE, "In", step.only_from) if step.only_from else _jq(_STATE, "NotIn", step.to, "Ended"))
        if step.only_job:
            when.append(_jq(".metadata.ownerReferences.[].kind", "In", "Job"))
        then: list[dict[str, Any]] = [_patch(f'{{{{ $to := "{step.to}" }}}}\n{template}')]
        if step.says[0]:
            then.append({"event": {"type": "Warning", "reason": step.says[0], "message": step.says[1]}})
        name = f"pod-{step.fates[0]}-{step.to.lower()}"
        yield _stage(name, "Pod", when, then, after_ms=step.after_ms)


def _stage(
    name: str, kind: str, when: list[dict[str, Any]], then: list[dict[str, Any]], *, after_ms: int = 0
) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            "delay": {"durationMilliseconds": after_ms},
            "steps": then,
        },
    }


def _jq(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"jq": {"key": key, "operator": operator, **({"values": values} if values else {})}}


def _patch(template: str) -> dict[str, Any]:
    return {"patch": {"subresource": "status", "root": "status", "template": template, "type": "strategic"}}
