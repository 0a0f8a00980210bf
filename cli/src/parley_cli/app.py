"""The commands of `parley` and what `--help` says about each. Each parses and delegates; `run` is the way in."""

import asyncio
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter
from cyclopts.validators import Number

from parley_cli import (
    catalogue_commands,
    demo_command,
    eval_command,
    looking,
    nats_roles,
    report_command,
    talk_command,
)
from parley_cli.demo_command import Errand
from parley_cli.exits import FAILED, tell
from parley_cli.interrupts import run_until_interrupted
from parley_cli.launches import LOOPBACK
from parley_cli.manifests import read_manifest
from parley_cli.narration import ways_on
from parley_cli.places import find_running
from parley_cli.preparing import Wish
from parley_cli.questions import question, sample_questions
from parley_cli.screen import Screen
from parley_cli.starting import running
from parley_cli.talk_command import STDIN
from parley_contract.errors import ParleyError
from parley_runtime.models import ModelStore

DEFAULT_REPLIES: Final = Path("out")

app: Final = App(
    name="parley",
    help="""A self-hosted voice assistant: run one on this machine, talk to it, look into it.

    Begin with `parley demo`, or `parley up` and, in another terminal, `parley talk hello.wav`.
    """,
    help_format="markdown",
    version=metadata.version("parley-cli"),
)
models: Final = App(name="models", help="The models that assistants are made of: show, pull, verify and remove them.")
app.command(models)
evaluation: Final = App(name="eval", help="How well models do on your own recordings.")
app.command(evaluation)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    code = FAILED
    try:
        return int(app(arguments, result_action="return_value") or 0)
    except* (ParleyError, OSError) as group:
        code = tell(group)
    return code


def _is_no_option(_: type, source: str) -> None:
    """Refuse what looks like an option among the files, but for the `-` that means standard input."""
    if source.startswith("-") and source != STDIN:
        raise ValueError(f"there is no option {source}")


Manifest = Annotated[
    Path | None, Parameter(name=["--file", "-f"], help="A VoiceAssistant manifest; the laptop sample if not given.")
]
AnyPort = Annotated[
    bool, Parameter(name="--any-port", negative="", help="Where a usual port is taken, use a free one.")
]
Assistant = Annotated[
    str, Parameter(help="Name of a running assistant; not needed while only one runs on this machine.")
]
Replies = Annotated[Path, Parameter(name="--out", help="Folder for the WAVs of the replies.")]
Store = Annotated[str, Parameter(name="--model-store", help="Folder of models; the user's cache if not given.")]
ModelNames = Annotated[str, Parameter(help="Names as `parley models list` shows them.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


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
    first. An Ollama that answers on port 11434 is used; otherwise one is started. For a Discord door the bot's token is
    `$DISCORD_TOKEN`, or in the file that `$DISCORD_TOKEN_FILE` names.

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


@app.command
def talk(
    *sources: Annotated[
        str,
        Parameter(
            help="Sound files of any kind; `-`, or none, for sound on standard input.",
            allow_leading_hyphen=True,
            validator=_is_no_option,
        ),
    ],
    assistant: Assistant = "",
    out: Replies = DEFAULT_REPLIES,
) -> int:
    """Speak files to a running assistant as if into a microphone, and keep what it answers.

    Every file is spoken in real time through the web door, in one conversation; silence follows it until the answer has
    been heard. A file may hold several turns. The transcript, the reply and the timings are printed as they come, and
    each reply becomes a WAV. Exits with 1 if nobody was heard to speak in a file.

    Examples: `parley talk hello.wav`; `parley talk meeting.m4a --assistant libra`;
    `arecord -f S16_LE -r 16000 | parley talk -`.
    """
    state = find_running(assistant)
    chosen = sources or (STDIN,)
    screen = Screen()
    return run_until_interrupted(lambda _: talk_command.talk(state, chosen, replies=out, screen=screen))


@app.command
def demo(
    *wavs: Annotated[Path, Parameter(help="Sound files to ask with; the sample's spoken questions if none.")],
    file: Manifest = None,
    json: Annotated[Path | None, Parameter(help="Write every turn's transcript, reply and timings here.")] = None,
    out: Replies = DEFAULT_REPLIES,
    model_store: Store = "",
) -> int:
    """Start an assistant, ask it aloud, show every turn with its timings, and stop it.

    The questions go through the whole of it: speech is recognised, the language model answers, a voice speaks. Each
    turn is drawn as a waterfall from the end of the question (E2FT: to the model's first token; E2FA: to the first
    audible sample). The answers become WAVs. Exits with 1 if a question got no spoken answer.

    Where a usual port is taken, a free one is used.

    Examples: `parley demo`; `parley demo hello.wav --json turns.json`; `parley demo -f assistant.yaml`.
    """
    manifest = read_manifest(file)
    questions = [question(wav) for wav in wavs] or sample_questions()
    errand = Errand(questions=questions, replies=out, json=json)
    wish = Wish(any_port=True, model_store=model_store)
    screen = Screen()
    return run_until_interrupted(lambda hurry: demo_command.demo(manifest, wish, errand, screen, hurry))


@app.command
def status(*, assistant: Assistant = "") -> int:
    """Show the parts of a running assistant: which are ready, what the others wait for, and how quick the turns were.

    Exits with 1 unless every part is ready.
    """
    state, screen = find_running(assistant), Screen()
    return run_until_interrupted(lambda _: looking.show_status(state, screen))


@app.command
def trace(
    *,
    number: Annotated[
        int,
        Parameter(
            name=["--number", "-n"],
            help="How many turns, the latest ones (at most 20).",
            validator=Number(gte=1, lte=20),
        ),
    ] = 5,
    assistant: Assistant = "",
) -> int:
    """Draw where the time of the latest turns went, from the end of speech to the first audible sample.

    Needs no tracing backend; with one, the trace id leads to every span of the turn.

    Example: `parley trace -n 1`.
    """
    state, screen = find_running(assistant), Screen()
    return run_until_interrupted(lambda _: looking.show_turns(state, number, screen))


@app.command
def report(
    name: Annotated[str, Parameter(help="Name of the VoiceAssistant.")],
    *,
    namespace: Annotated[str, Parameter(name=["--namespace", "-n"], help="Where it is.")] = "default",
    operator_namespace: Annotated[str, Parameter(help="Where the operator is.")] = "parley-system",
    out: Annotated[Path | None, Parameter(help="The file; `<name>-report.zip` here if not given.")] = None,
) -> int:
    """Collect what a cluster tells of an assistant into one file, for whoever shall find out what is wrong.

    It holds the VoiceAssistant and its children, events, the logs of its pods and the operator's own about it, and
    the nodes. Secrets are not asked for; prompts, and variables that look like passwords, are left out. kubectl asks,
    as you and on the cluster that it asks now: what you may not read is named in `problems.txt`.

    Example: `parley report libra --namespace voice`.
    """
    errand = report_command.Errand(
        name=name,
        namespace=namespace,
        operator_namespace=operator_namespace,
        out=out or Path(f"{name}-report.zip"),
    )
    screen = Screen()
    return run_until_interrupted(lambda _: report_command.report(errand, screen))


@app.command(name="nats-roles")
def print_nats_roles(*, file: Manifest = None) -> int:
    """Print what the admin of a NATS runs, so that the services of an assistant may use it (`spec.nats.url`).

    It is a shell script for nsc: a role for each service, with the rights it has on a broker of its own, a user of
    that role, and the user's `<service>.creds`, which go into the Secret of `spec.nats.credentialsSecretRef`. They are
    for one name in one namespace: the manifest says which (`default`, if it is silent). Nothing is run here.

    Example: `parley nats-roles --file assistant.yaml > roles.sh`.
    """
    # For a file or a shell: no console to wrap it.
    print(nats_roles.script(read_manifest(file)), end="", flush=True)  # noqa: T201
    return 0


@dataclass(frozen=True, kw_only=True)
class Who:
    """Which service transcribes."""

    model: Annotated[
        tuple[str, ...], Parameter(help="Start an asr service with this model; several are compared.", negative="")
    ] = ()
    encoder_window_s: Annotated[
        tuple[float, ...],
        Parameter(help="Seconds that `--model` sees at once, 8 to 30; several are compared.", negative=""),
    ] = ()
    assistant: Assistant = ""
    url: Annotated[
        str, Parameter(help="An asr service elsewhere, `http://host:5005`; its secret is $WORKER_SHARED_SECRET.")
    ] = ""


_THE_RUNNING_ONE: Final = Who()


@evaluation.command(name="asr")
def evaluate_asr(
    folder: Annotated[Path, Parameter(help="Folder with sounds and, for each, a `.txt` of the same name.")],
    *,
    language: Annotated[str, Parameter(help="ISO 639-1, such as `ko`; the service's own if not given.")] = "",
    who: Annotated[Who, Parameter(name="*")] = _THE_RUNNING_ONE,
    show: Annotated[bool, Parameter(negative="", help="Print what was said and heard, where they differ.")] = False,
    json: Annotated[Path | None, Parameter(help="Write every file's texts, rates and times here.")] = None,
    model_store: Store = "",
) -> int:
    """Transcribe a folder of recordings whose words are known, and count what is wrong.

    WER is per word, CER per character without spaces (in Korean per syllable, the one to look at). Numbers are compared
    as they are said, so `3개` is `세 개`. Without `--model` or `--url` the running assistant transcribes. Ctrl-C ends
    it with what there is. Exits with 1 if a file got no transcript.

    Examples: `parley eval asr recordings`; `parley eval asr recordings --language ko --model small --model medium
    --encoder-window-s 10 --encoder-window-s 30`.
    """
    errand = eval_command.Errand(
        folder=folder,
        language=language,
        models=who.model,
        windows_s=who.encoder_window_s,
        assistant=who.assistant,
        url=who.url,
        show=show,
        json=json,
        model_store=model_store,
    )
    screen = Screen()
    return run_until_interrupted(lambda hurry: eval_command.evaluate(errand, screen, hurry))


@models.command(name="list")
def list_models(*, json: Json = False, model_store: Store = "") -> int:
    """Show every model that Parley knows by name, and which are on this machine.

    VRAM is what a model takes on a card, with int8 and with float16; `~` marks an estimate.
    """
    store, screen = ModelStore.at(model_store), Screen()
    return run_until_interrupted(lambda _: catalogue_commands.show_all(store, screen, json=json))


@models.command(name="show")
def show_models(*names: ModelNames, json: Json = False, model_store: Store = "") -> int:
    """Show all that is known of models: what for, licence, VRAM, sources in the order they are tried, files and hashes.

    Example: `parley models show large-v3-turbo`.
    """
    store, screen = ModelStore.at(model_store), Screen()
    return run_until_interrupted(lambda _: catalogue_commands.show(store, names, screen, json=json))


@models.command(name="pull")
def pull_models(
    *names: ModelNames,
    again: Annotated[bool, Parameter(negative="", help="Fetch also what is here, as after damage.")] = False,
    model_store: Store = "",
) -> int:
    """Fetch models into the store; every file's hash is checked before it counts.

    `parley up` and `parley demo` pull what they need by themselves. This is for machines that will be without a
    network, and for volumes. A pull from the hub that was cut goes on where it was. `HF_ENDPOINT` names a mirror of the
    hub; with `HF_HUB_OFFLINE=1` nothing is fetched.

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


@models.command(name="rm")
def remove_models(
    *names: ModelNames,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="", help="Do not ask first.")] = False,
    model_store: Store = "",
) -> int:
    """Remove models from the store, and what is left of pulls that were cut; says how much that frees.

    What a running assistant uses is not removed.

    Example: `parley models rm medium --yes`.
    """
    store, screen = ModelStore.at(model_store), Screen()
    return run_until_interrupted(lambda _: catalogue_commands.remove(store, names, screen, yes=yes))
