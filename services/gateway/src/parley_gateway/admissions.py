"""Who may talk: opens sessions with the agent, finds those that a client comes back to, and keeps their number.

Called by the doors; owns the tasks of all sessions. It decides nothing within a session.
"""

import asyncio
import hashlib
import secrets
import time
import traceback
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

import structlog

from parley_contract.errors import ParleyError, RetryableError
from parley_contract.messages import (
    FindSessions,
    FoundSession,
    Message,
    OpenSession,
    ResumeSession,
    SessionOpened,
    SessionRefused,
    SessionsFound,
)
from parley_gateway.canned import Canned
from parley_gateway.sessions import Session
from parley_gateway.surroundings import Surroundings

log: Final = structlog.get_logger()

_ANSWER_TIMEOUT_S: Final = 3.0
_LISTEN_TIMEOUT_S: Final = 5.0
_RESUME_S: Final = 5.0
"""How long a session is looked for: agents share the question, and the one that leads it may have died 3 s ago."""
_RESUME_PAUSE_S: Final = 0.2


class AdmissionError(RetryableError):
    """No session now; `code` for programs, the message for people who read, `spoken` for those who listen."""

    def __init__(self, code: str, sentence: str, *, spoken: Canned | None = None) -> None:
        """Refuse with a code and a sentence that says what to do."""
        super().__init__(sentence)
        self.code: Final = code
        self.spoken: Final = spoken


class Entrance(NamedTuple):
    """Where a new session shall live."""

    door: Literal["web", "discord"] = "web"
    channel: str = ""
    """What its door calls the place; empty for one that has no name."""
    secret: str = ""
    """What resumes it; empty for a new one, which the client is told."""


_WEB: Final = Entrance()


class Admissions:
    """All sessions of this process. An async context manager: leaving it waits until all have ended."""

    def __init__(self, around: Surroundings) -> None:
        """Admit nobody before the context is entered."""
        self._around = around
        self._sessions: dict[str, tuple[Session, asyncio.Task[None]]] = {}
        self._admitting = 0
        self._tasks = asyncio.TaskGroup()
        self._is_draining = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain(at_once=True)
        await self._tasks.__aexit__(kind, error, trace)

    @property
    def open(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    @property
    def busy(self) -> int:
        """How many of them have a turn open."""
        return sum(session.is_busy for session, _ in self._sessions.values())

    def drain(self, *, at_once: bool = False) -> None:
        """Admit nobody any more, and let every session leave once its turn is over, or now."""
        self._is_draining = True
        for session, _ in self._sessions.values():
            session.hand_on(at_once=at_once)

    async def drained(self) -> None:
        """Drain, and wait until no session is left."""
        self.drain()
        while self._sessions:
            await asyncio.wait([work for _, work in self._sessions.values()])

    async def admit(self, resume: str = "", at: Entrance = _WEB) -> tuple[Session, bool]:
        """Return a session, and whether it is the one that `resume` names.

        A token that leads nowhere gets a new session `at` that entrance: its owner wants to talk, not to know about our
        restarts.

        Raises:
            AdmissionError: draining, too many sessions, or no agent that could open one.
        """
        if self._is_draining:
            raise AdmissionError("draining", "The gateway is about to restart. Try again in a few seconds.")
        session_id, _, secret = resume.partition(".")
        running, _ = self._sessions.get(session_id, (None, None))
        if running and running.is_open and secrets.compare_digest(running.secret.encode(), secret.encode()):
            return running, True
        if self.open + self._admitting >= self._around.settings.max_sessions:
            raise AdmissionError(
                "too_many_sessions",
                "All places are taken. Try again when somebody has left, or raise spec.maxSessions.",
                spoken=self._around.canned.phrases.get("refusal"),
            )
        self._admitting += 1
        try:
            if session_id and secret and not running and (session := await self._resume(session_id, secret)):
                return session, True
            return await self._open(at), False
        finally:
            self._admitting -= 1

    async def find(self, at: Entrance) -> tuple[FoundSession, ...]:
        """Return the sessions of a gateway that is gone, of that door and with that secret.

        Raises:
            AdmissionError: no agent answers.
        """
        answer = await self._ask(FindSessions(door=at.door, token_hash=_hash(at.secret)))
        return answer.sessions if isinstance(answer, SessionsFound) else ()

    async def agent_answers(self) -> bool:
        """Whether an agent is there: asked for a session that cannot exist, it says so."""
        try:
            answer = await self._ask(ResumeSession(session="0" * 12, token_hash=""))
        except AdmissionError:
            return False
        return not (isinstance(answer, SessionRefused) and answer.code == "not_ready")

    async def _open(self, at: Entrance) -> Session:
        secret = at.secret or secrets.token_urlsafe(24)
        channel = at.channel or secrets.token_hex(6)
        answer = await self._ask(OpenSession(door=at.door, channel=channel, token_hash=_hash(secret)))
        if isinstance(answer, SessionOpened):
            return await self._start(answer, secret)
        sentence = answer.sentence if isinstance(answer, SessionRefused) else "The agent gave no answer that fits."
        raise AdmissionError("agent_unavailable", sentence)

    async def _resume(self, session_id: str, secret: str) -> Session | None:
        """Go on with a session of a gateway that is gone; None if no agent knows it."""
        if not (session_id.isascii() and session_id.isalnum()):
            return None
        question, deadline = ResumeSession(session=session_id, token_hash=_hash(secret)), time.monotonic() + _RESUME_S
        while True:
            answer = await self._ask(question)
            if isinstance(answer, SessionOpened):
                return await self._start(answer, secret)
            is_led_elsewhere = isinstance(answer, SessionRefused) and answer.code == "not_ready"
            if not is_led_elsewhere or time.monotonic() > deadline:
                return None
            await asyncio.sleep(_RESUME_PAUSE_S)

    async def _ask(self, question: OpenSession | ResumeSession | FindSessions) -> Message:
        bus = self._around.bus
        try:
            return await bus.request(bus.subjects.open_session(), question, timeout_s=_ANSWER_TIMEOUT_S)
        except ParleyError as error:
            raise AdmissionError(
                "agent_unavailable", "The assistant does not answer yet. Try again in a few seconds."
            ) from error

    async def _start(self, opened: SessionOpened, secret: str) -> Session:
        session = Session(self._around, opened, secret)
        self._sessions[session.id] = session, self._tasks.create_task(self._work(session))
        try:
            async with asyncio.timeout(_LISTEN_TIMEOUT_S):
                await session.listening()
        except TimeoutError as error:
            session.hand_on()
            raise AdmissionError(
                "agent_unavailable", "The message broker does not answer. Try again in a few seconds."
            ) from error
        return session

    async def _work(self, session: Session) -> None:
        try:
            await session.run()
        except* Exception as errors:  # noqa: BLE001  # one session must not end the others
            # Where it happened, not what: an exception's message may hold what was said.
            first = _leaf(errors)
            where = traceback.format_tb(first.__traceback__)[-1]
            log.error("a session broke", session=session.id, error=type(first).__name__, where=where)
        finally:
            # A client may have resumed it meanwhile, in the next epoch.
            if self._sessions[session.id][0] is session:
                del self._sessions[session.id]
            session.abandon()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
