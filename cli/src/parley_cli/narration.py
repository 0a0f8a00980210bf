"""What happens to an assistant's processes, and the lines that say so. Pure; `supervisor` tells, `starting` prints."""

from collections.abc import Mapping

import msgspec

from parley_cli.places import Running
from parley_cli.restarts import cause
from parley_contract.components import ComponentName


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to one process."""

    name: ComponentName


class Started(Happened, frozen=True, kw_only=True):
    """It runs, and is not ready yet."""

    pid: int


class BecameReady(Happened, frozen=True, kw_only=True):
    """It says that it can do its work."""

    after_s: float
    """Since its start."""


class BecameUnready(Happened, frozen=True, kw_only=True):
    """It lives and says what it lacks; told whenever that changes."""

    reasons: Mapping[str, str]


class Died(Happened, frozen=True, kw_only=True):
    """It ended without having been asked to, and starts again after a while."""

    exit_code: int
    again_in_s: float
    log: str


class Stopped(Happened, frozen=True, kw_only=True):
    """It was asked to end and has ended."""

    after_s: float
    was_killed: bool
    """It did not go by itself."""


class Story:
    """Everything told so far, and what of it is worth a line."""

    def __init__(self) -> None:
        """Begin before anything was started."""
        self._lacking: dict[ComponentName, Mapping[str, str]] = {}
        self.is_complete = False
        """Whether everything was ready once; from then on, whoever is not is news."""

    def line(self, event: Happened) -> str:
        """Take in what happened and say it in one line; empty where nobody needs to know."""
        match event:
            case Started():
                self._lacking[event.name] = {}
            case BecameReady():
                self._lacking.pop(event.name, None)
                again = " again" if self.is_complete else ""
                return f"  {event.name} is ready{again} ({duration(event.after_s)})"
            case BecameUnready():
                self._lacking[event.name] = event.reasons
                return f"  {event.name} waits for {reasons(event.reasons)}" if self.is_complete else ""
            case Died():
                return (
                    f"  {event.name} died ({cause(event.exit_code)}) and starts again in {duration(event.again_in_s)}; "
                    f"its log: {event.log}"
                )
            case Stopped(was_killed=True):
                return f"  {event.name} did not end within {duration(event.after_s)} and was killed"
            case _:
                pass
        return ""

    def waiting(self) -> str:
        """Say what is still being waited for; empty if nothing is."""
        parts = [
            f"{name}: {reasons(lacking) if lacking else 'no answer yet'}" for name, lacking in self._lacking.items()
        ]
        return f"  still waiting for {'; '.join(parts)}" if parts else ""


def reasons(lacking: Mapping[str, str]) -> str:
    """Join what is missing: `model (loading), nats (not connected)`."""
    return ", ".join(f"{thing} ({why})" if why else thing for thing, why in lacking.items()) or "nothing it names"


def duration(seconds: float) -> str:
    """Say how long something took, as precisely as it matters: `0.4 s`, `12 s`, `3 min 20 s`."""
    if seconds < 10:  # noqa: PLR2004  # below it the first decimal is what one sees
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def ways_on(running: Running) -> list[str]:
    """Say what one can do with an assistant that is ready."""
    how = (
        f"parley talk FILE.wav   ({running.door})" if running.door else "/join in a voice channel of its Discord server"
    )
    lines = [f"  talk to it   {how}"]
    lines.append(f"  transcribe   curl {running.url('asr')}/transcribe -F audio_file=@FILE.wav")
    if running.token_file:
        lines.append(f"  its token    {running.token_file}")
    return [
        *lines,
        "  look at it   parley status, parley trace",
        f"  logs         {running.logs}",
        "  stop it      Ctrl-C",
    ]
