"""`parley talk`: speaks files, or what comes on standard input, to an assistant that runs."""

import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from parley_cli.audio import UnreadableAudioError, check_sound, read_frames
from parley_cli.captions import Captions
from parley_cli.errors import BadRequestError
from parley_cli.manifests import UnreadableFileError
from parley_cli.outputs import prepare_folder
from parley_cli.places import Running
from parley_cli.screen import Screen, has_input
from parley_cli.talking import connected


class DoorClosedError(BadRequestError):
    """The assistant is not to be talked to in this way."""


STDIN: Final = "-"
PATIENCE_S: Final = 60.0
"""Longer than any reply of the profiles takes to be played, and the gateway gives up on a turn long before."""


async def talk(running: Running, sources: Sequence[str], *, replies: Path, screen: Screen) -> int:
    """Speak every source in turn, and print what comes back; 1 if nobody was heard in one of them."""
    for source in sources:
        if source != STDIN:
            check_sound(Path(source))
        elif not has_input() or sys.stdin.isatty():
            raise UnreadableAudioError(
                "there is no sound on standard input: name a file, or pipe into it, as in `arecord … | parley talk`"
            )
    if not running.door:
        raise DoorClosedError(
            f"{display_name(running)} has no web door: set spec.doors.web.enabled, or talk on Discord"
        )
    prepare_folder(replies)
    captions = Captions(screen, assistant=display_name(running), replies=replies)
    unheard: list[str] = []
    async with connected(running.door, captions.take, token=read_token(running)) as conversation:
        for source in sources:
            screen.say(f"{'standard input' if source == STDIN else source}")
            if not await conversation.speak(source, frames_of(source), patience_s=PATIENCE_S):
                unheard.append(source)
                screen.say("  nobody was heard to speak")
    return 1 if unheard else 0


def frames_of(source: str) -> Iterator[bytes]:
    """Return the frames of a file, or of standard input for `-`."""
    if source == STDIN:
        # Unbuffered: a buffered read waits until a whole second of a microphone has come.
        return read_frames(io.FileIO(sys.stdin.fileno(), closefd=False), "standard input")
    return read_frames(Path(source), source)


def display_name(running: Running) -> str:
    """Return what people call an assistant."""
    return running.assistant.partition("_")[2] or running.assistant


def read_token(running: Running) -> str:
    """Return what the door asks for; empty where it asks for nothing.

    Raises:
        UnreadableFileError: somebody else's assistant.
    """
    if not running.token_file:
        return ""
    try:
        return Path(running.token_file).read_text().strip()
    except OSError as error:
        raise UnreadableFileError(f"cannot read the door's token {running.token_file}: {error.strerror}") from error
