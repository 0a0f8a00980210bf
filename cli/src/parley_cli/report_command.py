"""`parley report`: everything about an assistant on a cluster in one file, for whoever shall find out what is wrong.

It asks by kubectl, as whoever runs it: nothing is installed, and nothing is read that they may not read.
"""

import asyncio
import contextlib
import shutil
import zipfile
from pathlib import Path
from typing import Final

import msgspec

from parley_cli.bundles import Question, kept, questions
from parley_cli.errors import BadRequestError
from parley_cli.outputs import UnwritableFileError
from parley_cli.screen import Screen
from parley_contract.errors import PermanentError

_ANSWER_S: Final = 30.0
"""For one answer; kubectl itself would wait for a server for minutes."""
_AT_ONCE: Final = 4


class KubectlMissingError(BadRequestError):
    """There is no kubectl on the PATH."""


class NoAssistantError(PermanentError):
    """The cluster does not tell of the assistant."""


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """About whom, and where to write."""

    name: str
    namespace: str
    operator_namespace: str
    out: Path


class _Answer(msgspec.Struct, frozen=True):
    said: str
    problem: str
    """What kubectl complained of; empty for nothing."""


async def report(errand: Errand, screen: Screen) -> int:
    """Ask everything and write the bundle; what was not answered is told in it, and here.

    Raises:
        KubectlMissingError: there is no kubectl.
        NoAssistantError: there is no such assistant, or no cluster.
        UnwritableFileError: the file cannot be written.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise KubectlMissingError("kubectl was not found on the PATH: install it, and let KUBECONFIG name the cluster")
    asked = questions(errand.name, errand.namespace, errand.operator_namespace)
    gate = asyncio.Semaphore(_AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_ask(kubectl, question, gate)) for question in asked]
    answers = {question.file: task.result() for question, task in zip(asked, running, strict=True)}
    if problem := answers["assistant.json"].problem:
        raise NoAssistantError(f"no VoiceAssistant {errand.name} in the namespace {errand.namespace}: {problem}")
    problems = {file: answer.problem for file, answer in answers.items() if answer.problem}
    _write(errand, answers, problems)
    for file, problem in problems.items():
        screen.say(f"{file} is not whole: {problem.splitlines()[-1]}")
    screen.say(f"{errand.out}: {len(answers)} files, without Secrets and prompts; look through it before you send it")
    return 0


async def _ask(kubectl: str, question: Question, gate: asyncio.Semaphore) -> _Answer:
    async with gate:
        process = await asyncio.create_subprocess_exec(
            kubectl,
            *question.words,
            f"--request-timeout={_ANSWER_S:g}s",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(2 * _ANSWER_S):
                said, complaint = await process.communicate()
        except TimeoutError:
            return _Answer("", f"no answer within {2 * _ANSWER_S:g} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    text = complaint.decode(errors="replace").strip()
    problem = text or f"kubectl ended with {process.returncode}"
    return _Answer(said.decode(errors="replace"), problem if process.returncode else "")


def _write(errand: Errand, answers: dict[str, _Answer], problems: dict[str, str]) -> None:
    """Write the bundle, whole or not at all: half of one looks like one."""
    draft = errand.out.with_name(f"{errand.out.name}.part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as bundle:
            for file, answer in answers.items():
                if answer.said or file not in problems:
                    bundle.writestr(file, kept(file, answer.said, errand.name, errand.namespace))
            bundle.writestr("problems.txt", "".join(f"{file}: {text}\n" for file, text in problems.items()))
        draft.replace(errand.out)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise UnwritableFileError(f"cannot write {errand.out}: {error.strerror}") from error
