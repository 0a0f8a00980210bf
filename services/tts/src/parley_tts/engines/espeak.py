"""espeak-ng, always as a process (GPL): the voice of last resort, and the phonemizer of Piper voices.

Starting it takes 10 ms, so every phrase gets a process of its own; one for phonemes may be started before there is a
phrase. What is said goes through standard input, because arguments can be read by everybody on the machine.
"""

import contextlib
import re
import select
import shutil
import subprocess
import unicodedata
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, Final, cast

import numpy as np

from parley_tts.engines import (
    CannotSpeakError,
    EngineUnusableError,
    Samples,
    Speech,
    SynthesisFailedError,
    Take,
    Voice,
)

_WORDS_PER_MINUTE: Final = 165
"""espeak-ng's own default is 175, a little fast to follow."""
_SLOWEST_WPM, _FASTEST_WPM = 80, 450
"""What espeak-ng's `-s` takes sensibly."""
_WAV_HEADER_BYTES: Final = 44
_BLOCK_BYTES: Final = 8192
"""0.19 s of sound."""
_TIMEOUT_S: Final = 6.0
"""It answers in 10 ms. Longer than this process may be stopped for, and another engine can still speak before anybody
hears an apology (12 s)."""
_LANGUAGE_SWITCH: Final = re.compile(r"\([a-z-]+\)")
"""espeak-ng's note, among the phonemes, that a word is of another language."""


def find_espeak() -> str:
    """Return the program's path.

    Raises:
        EngineUnusableError: it is not installed.
    """
    if path := shutil.which("espeak-ng"):
        return path
    raise EngineUnusableError("espeak-ng is not on PATH: apt-get install espeak-ng")


def load(voice: str = "") -> "EspeakSynthesizer":
    """Find espeak-ng and ask it about the voice.

    Args:
        voice: one of espeak-ng's voices (`ko`, `en-us`); empty for the language of each phrase.

    Raises:
        EngineUnusableError: not installed, or it knows no such voice.
    """
    program = find_espeak()
    if voice and not _knows(program, voice):
        raise EngineUnusableError(f"espeak-ng knows no voice {voice!r}: `espeak-ng --voices` lists them")
    header = _run([program, "--stdout", "-v", voice or "en"], "a")[:_WAV_HEADER_BYTES]
    return EspeakSynthesizer(program, Voice(engine="espeak", name=voice, rate_hz=_rate_hz(header)))


class EspeakSynthesizer:
    """A process per phrase."""

    def __init__(self, program: str, voice: Voice, *, patience_s: float = _TIMEOUT_S) -> None:
        """Use what `load` found; a process that makes no sound for `patience_s` hangs."""
        self._program = program
        self._voice = voice
        self._patience_s = patience_s
        self._known: dict[str, str] = {}

    @property
    def voice(self) -> Voice:
        """See Synthesizer."""
        return self._voice

    def speak(self, speech: Speech, take: Take) -> None:
        """See Synthesizer."""
        if not any(character.isalnum() for character in speech.text):
            raise CannotSpeakError("there is neither a letter nor a digit in this text")
        voice = self._voice.name or self._voice_of(speech.language)
        pace = min(_FASTEST_WPM, max(_SLOWEST_WPM, round(_WORDS_PER_MINUTE * speech.speed)))
        command = [self._program, "--stdin", "--stdout", "-b", "1", "-v", voice, "-s", str(pace)]
        with _fed(command, speech.text) as (process, sound):
            for samples in _samples(_blocks(sound, self._patience_s)):
                if not take(samples):
                    return
            _expect_success(process)

    def _voice_of(self, language: str) -> str:
        """Return the voice of a language: of its region if there is one, else of the language alone."""
        if language not in self._known:
            wanted = language.replace("_", "-").lower()
            found = [name for name in (wanted, wanted.partition("-")[0]) if _knows(self._program, name)]
            if not found:
                raise CannotSpeakError(f"espeak-ng has no voice for {language!r}")
            self._known[language] = found[0]
        return self._known[language]


class Phonemizer:
    """What makes phonemes of text, for Piper voices.

    The process that the next text goes to is started in advance, by `prepare`, while nobody waits for it: a first sound
    is there 7 ms sooner (68 instead of 75 at the median of 30 on two cores), for 8 MiB. It ends with whoever made it,
    or at the end of its input.
    """

    def __init__(self, program: str, voice: str) -> None:
        """Start nothing yet.

        Args:
            program: from `find_espeak`.
            voice: the voice whose pronunciation it is, from the Piper voice's configuration.
        """
        # Without --stdin it takes each line for a text of its own and answers in a line, an empty one if need be.
        self._command: Final = [program, "-q", "--ipa", "-b", "1", "-v", voice]
        self._waiting: Final[list[subprocess.Popen[bytes]]] = []
        weakref.finalize(self, _end_all, self._waiting)

    def prepare(self) -> None:
        """Have a process wait for the next text; if it does not start, that is for whoever has a text to say."""
        if not self._waiting:
            with contextlib.suppress(SynthesisFailedError):
                self._waiting.append(_started(self._command))

    def phonemes(self, clauses: Sequence[str]) -> list[str]:
        """Return the IPA of each clause, as single code points in the order in which Piper voices were trained on them.

        Args:
            clauses: no punctuation that ends a clause, below 1000 bytes each (espeak-ng's buffer for a line).

        Raises:
            SynthesisFailedError: the process broke.
        """
        answer = self._ask("".join(f"{_one_line(clause)}\n" for clause in clauses))
        lines = answer.split("\n")[:-1]
        if len(lines) != len(clauses):
            # It saw a pause where we did not: ask one by one, and take all its lines for that clause.
            lines = [self._ask(f"{_one_line(clause)}\n").replace("\n", " ") for clause in clauses]
        return [unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", line)).strip() for line in lines]

    def _ask(self, text: str) -> str:
        while self._waiting:
            # It may have been killed while it waited.
            with contextlib.suppress(SynthesisFailedError):
                return _answer(self._waiting.pop(), text).decode()
        return _run(self._command, text).decode()


def _one_line(clause: str) -> str:
    # [[ begins phoneme mnemonics, which nobody means to say.
    return " ".join(clause.replace("[[", " ").split())


def _knows(program: str, voice: str) -> bool:
    command = [program, "-q", "-v", voice, "--", "a"]
    try:
        return subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SynthesisFailedError(f"espeak-ng does not answer: {type(error).__name__}") from error


def _run(command: Sequence[str], text: str) -> bytes:
    return _answer(_started(command), text)


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
    except OSError as error:
        raise SynthesisFailedError(f"espeak-ng does not start: {type(error).__name__}") from error


def _answer(process: subprocess.Popen[bytes], text: str) -> bytes:
    """Give a process its text and return all that it says to that; it has ended then."""
    with process:
        try:
            answer, _ = process.communicate(text.encode(), timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise SynthesisFailedError("espeak-ng did not answer in time") from error
    if process.returncode:
        raise SynthesisFailedError(f"espeak-ng ended with {process.returncode}")
    return answer


def _end_all(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with process:
            process.kill()


@contextlib.contextmanager
def _fed(command: Sequence[str], text: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Run a process that is fed `text`, and yield it with its output; it does not outlive the block."""
    with _started(command) as process:
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        try:
            # A phrase fits into the pipe's buffer (64 KiB), so writing all of it first cannot block both sides.
            with contextlib.suppress(BrokenPipeError), stdin:
                stdin.write(text.replace("[[", " ").encode())
            yield process, stdout
        finally:
            process.kill()


def _expect_success(process: subprocess.Popen[bytes]) -> None:
    try:
        status = process.wait(_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise SynthesisFailedError("espeak-ng did not end") from error
    if status:
        raise SynthesisFailedError(f"espeak-ng ended with {status}")


def _blocks(sound: IO[bytes], patience_s: float) -> Iterator[bytes]:
    """Yield what a process says as it says it.

    Raises:
        SynthesisFailedError: it said nothing for `patience_s`, and did not end.
    """
    news = select.poll()
    news.register(sound, select.POLLIN)
    while news.poll(1000 * patience_s):
        if not (block := sound.read(_BLOCK_BYTES)):
            return
        yield block
    raise SynthesisFailedError(f"espeak-ng hangs: no sound for {patience_s:g} s")


def _samples(blocks: Iterator[bytes]) -> Iterator[Samples]:
    """Yield the samples of a WAV, whose blocks may end anywhere."""
    left, rest = _WAV_HEADER_BYTES, b""
    for block in blocks:
        data = rest + block[left:]
        left = max(0, left - len(block))
        whole = len(data) - len(data) % 2
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], dtype="<i2").astype(np.float32) / np.float32(32768)


def _rate_hz(header: bytes) -> int:
    """Read the sampling rate off a WAV header (bytes 24 to 27)."""
    if len(header) < _WAV_HEADER_BYTES or not header.startswith(b"RIFF"):
        raise EngineUnusableError("espeak-ng writes no WAV")
    return int.from_bytes(header[24:28], "little")
