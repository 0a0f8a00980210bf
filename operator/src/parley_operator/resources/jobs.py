"""Jobs: each pulls one model onto the claim. Made once; what is on the claim is written on the claim.

A volume comes to be where its first pod runs. So the first pull asks for a share of the card, where one is used: the
models then lie on a node that has one. Later pulls ask for none, or they would wait for ever for a card that the
assistant itself uses.
"""

from typing import Final

from parley_contract.components import ModelNeed
from parley_operator.resources import pods
from parley_operator.resources.claims import is_bound
from parley_operator.resources.objects import MODEL, PULL, Context, Object, metadata, model_key
from parley_operator.resources.pods import Container

TIMEOUT_S: Final = 6 * 3600
"""40 GB at 15 Mbit/s; after that it has failed."""

_BY_OLLAMA: Final = """\
ollama serve &
until ollama list >/dev/null 2>&1; do kill -0 $!; sleep 1; done
ollama pull -- "$MODEL"
"""
"""Ollama pulls through a server; if that ends, so does the Job."""


def pull(context: Context, need: ModelNeed) -> Object:
    """Make the Job that pulls a model."""
    made = metadata(context, f"{PULL}-{model_key(need)}", PULL)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**made, "annotations": {MODEL: need.name}},
        "spec": {
            # One more try at once; after that its failure shall be known, and the plan tries again later.
            "backoffLimit": 1,
            "activeDeadlineSeconds": TIMEOUT_S,
            "template": pods.template(context, _container(context, need), restart="Never"),
        },
    }


def _container(context: Context, need: ModelNeed) -> Container:
    binds = context.uses_gpu and not is_bound(context.claim)
    volume = pods.models(context, read_only=False)
    if need.kind == "llm":
        return Container(
            component=PULL,
            image=pods.foreign_image(context, context.installation.ollama_image),
            command=("/bin/sh", "-ec", _BY_OLLAMA),
            environment={"MODEL": need.name, "OLLAMA_MODELS": pods.OLLAMA_MODELS, "OLLAMA_NOPRUNE": "1"},
            mounts=(volume,),
            uses_gpu=binds,
            follows_models=True,
        )
    return Container(
        component=PULL,
        image=pods.image(context, "parley-cli"),
        command=("parley", "models", "pull", need.name),
        environment={"MODEL_STORE": pods.MODELS},
        mounts=(volume,),
        uses_gpu=binds,
        follows_models=True,
    )
