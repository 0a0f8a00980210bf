"""The commands of `parley` and what `--help` says about each. Each parses and delegates; nothing is done here."""

import asyncio
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from parley_cli import catalogue_commands
from parley_cli.interrupts import run_until_interrupted
from parley_cli.launches import LOOPBACK
from parley_cli.manifests import read_manifest
from parley_cli.narration import ways_on
from parley_cli.preparing import Wish
from parley_cli.screen import Screen
from parley_cli.starting import running
from parley_runtime.models import ModelStore

app: Final = App(
    name="parley",
    help="""A self-hosted voice assistant: run one on this machine, talk to it, look into it.

    Begin with `parley demo`, or `parley up` and, in another terminal, `parley talk hello.wav`.
    """,
    help_format="markdown",
    version=metadata.version("parley-cli"),
)
models: Final = App(name="models", help="The models that assistants are made of: list, pull and verify them.")
app.command(models)

Manifest = Annotated[
    Path | None, Parameter(name=["--file", "-f"], help="A VoiceAssistant manifest; the laptop sample if not given.")
]
AnyPort = Annotated[
    bool, Parameter(name="--any-port", negative="", help="Where a usual port is taken, use a free one.")
]
Store = Annotated[str, Parameter(name="--model-store", help="Folder of models; the user's cache if not given.")]


@app.command
def up(
    *,
    file: Manifest = None,
    host: Annotated[
        str,
        Parameter(help="Address of the web door. Beyond this machine (0.0.0.0) it asks every client for a token."),
    ] = LOOPBACK,
    any_port: AnyPort = False,
    model_store: Store = "",
) -> int:
    """Start an assistant on this machine and keep it running until Ctrl-C.

    Starts nats-server, Ollama and the services of the manifest, waits until each says that it is ready, starts again
    what dies, and on Ctrl-C ends all of it in order; a second Ctrl-C does not wait. Models that are missing are pulled
    first. An Ollama that answers on port 11434 is used; otherwise one is started.

    Logs, one file per part, and the broker's data are in `~/.local/state/parley/<namespace>_<name>` (or below
    `$XDG_STATE_HOME`).

    Examples: `parley up`; `parley up -f docs/samples/laptop.yaml`; `parley up --host 0.0.0.0`.
    """
    assistant = read_manifest(file)
    wish = Wish(host=host, any_port=any_port, model_store=model_store)
    screen = Screen()

    async def keep_up(hurry: asyncio.Event) -> int:
        async with running(assistant, wish, screen, hurry) as state:
            for line in ways_on(state):
                screen.say(line)
            await asyncio.Event().wait()
        return 0

    # Being interrupted is how it is meant to end.
    return run_until_interrupted(keep_up, when_interrupted=0)


@models.command(name="list")
def list_models(*, model_store: Store = "") -> int:
    """Show every model that Parley knows by name, and which are on this machine.

    Where a model comes from more than one source, they are tried in that order.
    """
    Screen().show(catalogue_commands.listing(ModelStore.at(model_store)))
    return 0


@models.command(name="pull")
def pull_models(
    *names: Annotated[str, Parameter(help="Names as `parley models list` shows them.")],
    again: Annotated[bool, Parameter(negative="", help="Fetch also what is here, as after damage.")] = False,
    model_store: Store = "",
) -> int:
    """Fetch models into the store; every file's hash is checked before it counts.

    `parley up` and `parley demo` pull what they need by themselves. This is for machines that will be without a
    network, and for volumes. An interrupted pull goes on where it was.

    Example: `parley models pull tiny.en en_US-joe-medium`.
    """
    store, screen = ModelStore.at(model_store), Screen()
    return run_until_interrupted(lambda _: catalogue_commands.pull(store, names, screen, again=again))


@models.command(name="verify")
def verify_models(
    *names: Annotated[str, Parameter(help="Names as `parley models list` shows them; all that are here if none.")],
    model_store: Store = "",
) -> int:
    """Read models and compare every file with the catalogue's SHA-256; exits with 1 if one is damaged."""
    store, screen = ModelStore.at(model_store), Screen()
    return run_until_interrupted(lambda _: catalogue_commands.verify(store, names, screen))
