"""Pipecat as a process beside us: its environment, its start with an assistant's models and words, its versions.

Used by `peers`. What runs there is `_peer_pipecat.py`.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx

from parley_cli.ports import free_port
from parley_cli.screen import Screen
from parley_contract.catalogue import find_model
from parley_contract.resource import VoiceAssistant
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_runtime.tools import cache_dir
from parley_testkit.ollama_server import MODEL

_PINS: Final = Path(__file__).parents[1] / "requirements/pipecat.txt"
_PROGRAM: Final = Path(__file__).with_name("_peer_pipecat.py")
_NAME: Final = "parley-bench-peer"
"""SmolLM2 once more, under a name that carries what OpenAI's interface cannot: context size and threads."""
_READY_S: Final = 120.0


def environment(screen: Screen) -> Path:
    """Return the Python of Pipecat's environment, making it if it is not there for these very pins.

    Raises:
        subprocess.CalledProcessError: uv cannot make it; it has said why.
    """
    pins = hashlib.sha256(_PINS.read_bytes()).hexdigest()[:12]
    folder = cache_dir() / "bench" / f"pipecat-{pins}"
    python = folder / "bin/python"
    if not (folder / "complete").exists():
        screen.say(f"installing Pipecat into {folder} (once, about a minute)")
        shutil.rmtree(folder, ignore_errors=True)
        uv = _uv()
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--require-hashes", "--python", python, "-r", _PINS], check=True)
        (folder / "complete").touch()
    return python


def _uv() -> str:
    setup = Path(__file__).parents[1] / "tools/setup"
    return subprocess.run([setup, "uv"], check=True, capture_output=True, text=True).stdout.strip()


@contextlib.asynccontextmanager
async def pipecat(python: Path, ollama_url: str, assistant: VoiceAssistant, screen: Screen) -> AsyncIterator[str]:
    """Run Pipecat with the assistant's models and settings while the block lasts, and yield its door.

    Raises:
        RuntimeError: it does not come up; the message names its log.
    """
    port = free_port()
    log = cache_dir() / "bench" / "pipecat.log"
    async with _named_model(ollama_url, assistant), contextlib.AsyncExitStack() as stack:
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                python,
                _PROGRAM,
                json.dumps(settings(assistant, port=port, ollama_url=ollama_url)),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                # Nothing may be looked for in the network, and nothing of ours on the path.
                env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "HF_HUB_OFFLINE": "1"},
                start_new_session=True,
            )
        stack.push_async_callback(_ended, process)
        screen.say(f"pipecat: starting; log in {log}")
        async with asyncio.timeout(_READY_S):
            said = await process.stdout.readline() if process.stdout else b""
        if said.strip() != b"ready":
            raise RuntimeError(f"Pipecat did not start: see {log}")
        yield f"ws://127.0.0.1:{port}"


def settings(assistant: VoiceAssistant, *, port: int, ollama_url: str) -> dict[str, str | int | float]:
    """Return what `_peer_pipecat.py` is started with: the same models and the same words to them."""
    spec, store = assistant.spec, ModelStore.at()
    return {
        "port": port,
        "whisper": str(pull(store, find_model(spec.asr.model))),
        "piper": str(pull(store, find_model(spec.tts.voice))),
        "voice": spec.tts.voice,
        "ollama": ollama_url,
        "model": _NAME,
        "prompt": spec.persona.system_prompt,
        "temperature": spec.llm.temperature,
        "num_predict": spec.llm.num_predict,
    }


@contextlib.asynccontextmanager
async def _named_model(url: str, assistant: VoiceAssistant) -> AsyncIterator[None]:
    """Have Ollama know the assistant's model under a name of its own while the block lasts."""
    llm = assistant.spec.llm
    parameters = {"num_ctx": llm.num_ctx} | ({"num_thread": llm.num_thread} if llm.num_thread else {})
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        wish = {"model": _NAME, "from": MODEL, "parameters": parameters, "stream": False}
        (await client.post("/api/create", json=wish)).raise_for_status()
        try:
            yield
        finally:
            # Ctrl-C reaches Ollama too, and then it is gone already; the next run takes the name over.
            with contextlib.suppress(httpx.HTTPError):
                await client.request("DELETE", "/api/delete", json={"model": _NAME})


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()


def versions(python: Path) -> dict[str, str]:
    """Say which versions were measured."""
    names = ("pipecat-ai", "faster-whisper", "piper-tts")
    asked = f"from importlib.metadata import version; print(*map(version, {names!r}))"
    told = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    return {f"peer_version_{name.replace('-', '_')}": number for name, number in zip(names, told, strict=True)}
