"""From a manifest to a running assistant, and back: the one way in for `up`, `demo` and the benchmarks.

`running` looks the machine over, pulls what is missing, starts everything, waits until all of it is ready, and ends it
with the block.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from typing import Final

from parley_cli.language_models import LanguageModels
from parley_cli.launches import launches
from parley_cli.narration import Happened, Story, duration
from parley_cli.places import Part, Place, Running
from parley_cli.preparing import Prepared, Wish, prepare
from parley_cli.pulling import Pulling, pull_all
from parley_cli.screen import Screen
from parley_cli.supervisor import Supervisor, supervised
from parley_contract.catalogue import UnknownModelError, find_model
from parley_contract.resource import VoiceAssistant
from parley_runtime.fetching import refuse_offline

_PATIENCE_S: Final = 5.0
"""So long nobody needs to be told what is being waited for; then again every so often."""
_REMIND_EVERY_S: Final = 15.0


@contextlib.asynccontextmanager
async def running(
    assistant: VoiceAssistant, wish: Wish, screen: Screen, hurry: asyncio.Event
) -> AsyncIterator[Running]:
    """Run an assistant while the block lasts; it is entered when every part is ready.

    Args:
        assistant: what to run.
        wish: how to run it here.
        screen: told in a few lines what happens.
        hurry: set to end at once instead of in order.

    Raises:
        RefusedError: it cannot run here; nothing was started.
        AlreadyRunningError: it does already.
        StartError, LanguageModelError: a part does not come up; everything was ended again.
    """
    name = assistant.metadata.name
    place = Place(assistant.key)
    with place.held(), contextlib.ExitStack() as claims:
        prepared = await prepare(assistant, place, wish, claims)
        if prepared.missing:
            await pull_all(prepared.store, prepared.missing, screen)
        began_at = time.monotonic()
        session = _Session(assistant, place, prepared, screen)
        if not prepared.machine.ollama:
            await session.ensure_language_model()
        screen.say(f"{name}: starting {', '.join(launch.name for launch in session.launches)}")
        async with supervised(
            session.launches, place, prepare={"ollama": session.ensure_language_model}, tell=session.tell, hurry=hurry
        ) as supervisor:
            session.supervisor = supervisor
            try:
                await session.until_ready(supervisor)
                state = session.write_state()
                screen.say(f"{name}: ready after {duration(time.monotonic() - began_at)}")
                yield state
            finally:
                screen.say(f"{name}: stopping")


class _Session:
    """One run of an assistant: passes what happens to the screen and to the state file."""

    def __init__(self, assistant: VoiceAssistant, place: Place, prepared: Prepared, screen: Screen) -> None:
        self.launches: Final = launches(prepared.components, prepared.machine)
        self.story: Final = Story()
        self.supervisor: Supervisor | None = None
        self._assistant = assistant
        self._place = place
        self._prepared = prepared
        self._screen = screen
        self._started_at = time.time()

    async def ensure_language_model(self) -> None:
        """Have Ollama own the language model: it has it, or makes it from our file, or pulls it."""
        machine, store, name = self._prepared.machine, self._prepared.store, self._prepared.language_model
        models = LanguageModels(machine.ollama_url)
        if await models.has(name):
            return
        try:
            model = find_model(name, "llm")
        except UnknownModelError:
            model = None
        with Pulling(self._screen) as pulling:
            if model is None or model.is_ollamas:
                refuse_offline(name, "copy Ollama's models from a machine that has it")
                await models.pull(name, pulling.bar(name))
            else:
                await models.make(model, store.folder(model), pulling.bar(name))

    def tell(self, event: Happened) -> None:
        """Say what happened, and keep the state file true. On a full disk neither: better than an end for everybody."""
        line = self.story.line(event)
        with contextlib.suppress(OSError):
            if line:
                self._screen.say(line)
            if self.supervisor is not None:
                self._keep_state()

    def _keep_state(self) -> None:
        try:
            self.write_state()
        except OSError as error:
            self._screen.say(f"  cannot write down where everything is: {error.strerror}")

    async def until_ready(self, supervisor: Supervisor) -> None:
        """Wait until every part is ready, saying what for if it takes long."""
        self.write_state()
        async with asyncio.TaskGroup() as tasks:
            reminding = tasks.create_task(self._remind())
            await supervisor.ready()
            reminding.cancel()
        self.story.is_complete = True

    async def _remind(self) -> None:
        await asyncio.sleep(_PATIENCE_S)
        while True:
            if line := self.story.waiting():
                self._screen.say(line)
            await asyncio.sleep(_REMIND_EVERY_S)

    def write_state(self) -> Running:
        """Write where everything is, and return it."""
        machine = self._prepared.machine
        pids = self.supervisor.pids if self.supervisor else {}
        urls = {launch.name: launch.url for launch in self.launches}
        urls.setdefault("ollama", machine.ollama_url)
        state = Running(
            assistant=self._assistant.key,
            pid=os.getpid(),
            started_at=self._started_at,
            door=f"{urls['gateway'].replace('http', 'ws', 1)}/v1/talk"
            if self._assistant.spec.doors.web.enabled
            else "",
            logs=str(self._place.logs),
            parts=tuple(Part(name=name, url=url, pid=pids.get(name)) for name, url in urls.items()),
            token_file=self._prepared.token_file,
            models=self._prepared.models,
        )
        self._place.write(state)
        return state
