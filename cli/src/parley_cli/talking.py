"""Speaks through the web door in real time, as a browser with an open microphone would.

`connected` gives a `Talk`; its `speak` says one file and returns when everything it provoked is over. Between files,
and while a reply plays, silence goes on flowing. What is heard is kept by `conversation`. The only importer of
websockets.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from parley_cli.audio import SILENCE
from parley_cli.conversation import Conversation, Playhead, Turn
from parley_cli.microphone import Microphone
from parley_contract.door import Bye, Cut, Error, Event, Position, decode_event, encode
from parley_contract.errors import MalformedMessageError, PermanentError, RetryableError
from parley_contract.frames import FRAME_MS

SETTLE_S: Final = 1.0
"""After the last word the gateway needs this long at most to say that it hears somebody; without that, nobody spoke."""
POSITION_EVERY_S: Final = 0.1
_OPENING_S: Final = 10.0
_CLOSING_S: Final = 2.0

Tell = Callable[[Event, Turn | None], None]


class CannotConnectError(RetryableError):
    """Nothing answers at the door, or it does not let us in."""


class DisconnectedError(RetryableError):
    """The conversation broke off."""


class NoAnswerError(RetryableError):
    """A turn began and does not end."""


class RefusedByDoorError(PermanentError):
    """The gateway told us what was wrong."""


class Talk:
    """One open conversation."""

    def __init__(self, socket: ClientConnection, tell: Tell) -> None:
        """Wrap an open connection; `connected` is the way in."""
        self.conversation: Final = Conversation()
        self._socket = socket
        self._tell = tell
        self._playhead = Playhead()
        self._microphone: Microphone | None = None
        self._spoken = asyncio.Event()
        self._news = asyncio.Event()

    async def speak(self, name: str, frames: Iterator[bytes], *, patience_s: float) -> list[Turn]:
        """Say one source, wait until all turns are over, and return those that began meanwhile.

        Args:
            name: what the turns remember as their source.
            frames: 20 ms each; as `audio.read_frames` gives them.
            patience_s: how long after the last word a reply may take to end.

        Raises:
            UnreadableAudioError: the source breaks off.
            NoAnswerError: a turn is not over in time.
        """
        microphone = Microphone(frames)
        await asyncio.to_thread(microphone.prime)
        known = set(self.conversation.turns)
        self.conversation.source = name
        self._spoken.clear()
        self._microphone = microphone
        await self._spoken.wait()
        await asyncio.sleep(SETTLE_S)
        try:
            async with asyncio.timeout(patience_s):
                while self.conversation.is_open:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise NoAnswerError(
                f"{name}: a turn began and was not over {patience_s:.0f} s after the last word; see `parley status`"
            ) from None
        return [turn for number, turn in self.conversation.turns.items() if number not in known]

    async def be_admitted(self) -> None:
        """Wait for the event that opens the session.

        Raises:
            RefusedByDoorError: there is none for us.
        """
        with _translated():
            try:
                async with asyncio.timeout(_OPENING_S):
                    self._take(await self._socket.recv())
            except TimeoutError:
                raise CannotConnectError(f"the assistant said nothing within {_OPENING_S:.0f} s") from None

    async def listen(self) -> None:
        """Take in all that comes, until the connection closes."""
        with _translated():
            async for message in self._socket:
                self._take(message)
        raise DisconnectedError(f"the assistant closed the conversation{_close_reason(self._socket)}")

    async def keep_speaking(self) -> None:
        """Send a frame every 20 ms, by the clock: one that is late is followed by the next the sooner."""
        began_at, sent = time.monotonic(), 0
        with _translated():
            while True:
                await self._socket.send(self._next_frame())
                sent += 1
                await asyncio.sleep(began_at + sent * FRAME_MS / 1000 - time.monotonic())

    async def keep_telling_position(self) -> None:
        """Say how much was played, while something is."""
        told_ms = 0.0
        with _translated():
            while True:
                await asyncio.sleep(POSITION_EVERY_S)
                position_ms = self._playhead.position_ms(time.monotonic())
                if position_ms > told_ms:
                    told_ms = position_ms
                    await self._socket.send(encode(Position(at_ms=position_ms)))

    def _next_frame(self) -> bytes:
        if self._microphone is None:
            return SILENCE
        frame = self._microphone.frame()
        if self._microphone.is_over:
            self._microphone = None
            self._spoken.set()
        return frame

    def _take(self, message: str | bytes) -> None:
        now = time.monotonic()
        if isinstance(message, bytes):
            self._playhead.arrived(message, now)
            self.conversation.hear(message)
            return
        try:
            event = decode_event(message)
        except MalformedMessageError as error:
            raise RefusedByDoorError(f"what answers here is no web door of Parley: {error}") from error
        if event is None:
            return
        if isinstance(event, Error) and event.fatal:
            raise RefusedByDoorError(event.sentence)
        if isinstance(event, Cut):
            self._playhead.cut(event.next_ms, now)
        self._tell(event, self.conversation.take(event))
        self._news.set()


@contextlib.asynccontextmanager
async def connected(door: str, tell: Tell, *, token: str = "") -> AsyncIterator[Talk]:
    """Open a conversation that lasts as long as the block, with silence flowing.

    Args:
        door: `ws://host:port/v1/talk`.
        tell: called with each event and the turn it is about, after the turn has taken it in.
        token: what the door asks for; empty where it asks for nothing.

    Raises:
        CannotConnectError: nobody answers.
        RefusedByDoorError: a wrong token, no place left, or, in a group, something that ended the conversation early.
        DisconnectedError: the conversation broke off; in a group.
    """
    # websockets writes headers as Latin-1; what is meant are these bytes.
    headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")} if token else {}
    with _translated():
        try:
            # No proxy: it would be for the world outside, and sound wants no detour.
            socket = await connect(
                door, additional_headers=headers, open_timeout=_OPENING_S, close_timeout=_CLOSING_S, proxy=None
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidMessage) as error:
            raise CannotConnectError(_why_not(door, error)) from error
    talk = Talk(socket, tell)
    try:
        await talk.be_admitted()
        async with asyncio.TaskGroup() as tasks:
            flows = (talk.listen(), talk.keep_speaking(), talk.keep_telling_position())
            flowing = [tasks.create_task(flow) for flow in flows]
            yield talk
            for task in flowing:
                task.cancel()
    finally:
        # Without it the session would be kept for a client that comes back.
        with contextlib.suppress(ConnectionClosed):
            await socket.send(encode(Bye()))
        await socket.close()


def _why_not(door: str, error: Exception) -> str:
    match error:
        case InvalidStatus():
            return f"{door} does not open: {error.response.status_code} {error.response.reason_phrase}"
        case TimeoutError():
            return f"{door} did not answer within {_OPENING_S:.0f} s"
        case OSError():
            return f"nobody answers at {door}: does the assistant run? `parley status` says"
        case _:
            return f"what answers at {door} is no web door of Parley"


def _close_reason(socket: ClientConnection) -> str:
    return f": {socket.close_reason}" if socket.close_reason else ""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ConnectionClosed as error:
        reason = error.rcvd.reason if error.rcvd else ""
        raise DisconnectedError(f"the conversation broke off{': ' if reason else ''}{reason}") from error
