"""Emulated Discord with people who speak when they are told, as a process of its own. Started by `discords`.

`_voice_people.py CHANNELS PEOPLE BYTES`: so many servers with a voice channel, as many bots, and so many people each,
who say the so many bytes of PCM that standard input begins with. Prints where it is as a line of JSON, then reads
lines: `speak SECONDS LOSS` lets everybody speak, and prints by user id when each began, on the monotonic clock that all
processes share; `paced` prints how far from their place the bot's frames came, in ms.

What would cost more than what is measured is left out: nobody hears the others, and as all say the same, it is encoded
once.
"""

import asyncio
import json
import sys
import time
from typing import Any, Final

import uvloop

from parley_testkit.discord import DiscordEmulator, EmulatedHuman, Library, Line, opus
from parley_testkit.discord import human as voices

_BEGIN_S: Final = 0.5
_FRAME_S: Final = 0.02
_packets: Final[dict[bytes, bytes]] = {}
_encoder: Final = opus.Encoder()


class _Encoder(opus.Encoder):
    """Encodes what nobody has said before."""

    def __init__(self) -> None:
        pass

    def encode(self, pcm: bytes) -> bytes:
        if pcm not in _packets:
            _packets[pcm] = _encoder.encode(pcm)
        return _packets[pcm]


def _say(what: Any) -> None:  # noqa: ANN401  # JSON
    print(json.dumps(what), flush=True)


async def main(channels: int, people: int, question: bytes) -> None:
    """Run until standard input ends."""
    vars(voices)["Encoder"] = _Encoder  # a benchmark's shortcut, in a process of its own
    requests = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    async with DiscordEmulator() as discord:
        bots = [discord.bot, *(discord.add_bot(f"Libra {n}") for n in range(1, channels))]
        rooms = [discord.voice_channel(discord.guild(f"Home {n}"), "Lounge") for n in range(channels)]
        humans = [await discord.human(f"P{n}", room, library=Library.DAVEY) for room in rooms for n in range(people)]
        for human in humans:
            human.hear = lambda *_: None  # type: ignore[method-assign]
        _say(
            {
                "api_base": discord.api_base,
                "gateway_url": discord.gateway_url,
                "ca_file": str(discord.ca_file),
                "tokens": [each.token for each in bots],
                "channels": [room.id for room in rooms],
            }
        )
        while line := (await requests.readline()).decode().split():
            match line:
                case ["speak", seconds, loss]:
                    await _speak(humans, question, float(seconds), float(loss))
                case ["paced"]:
                    links = [link for room in rooms for link in discord.call(room).parties.values() if link.is_bot]
                    _say([late_ms for link in links for late_ms in link.watch.pacing_ms])  # type: ignore[attr-defined]


async def _speak(humans: list[EmulatedHuman], question: bytes, seconds: float, loss: float) -> None:
    pcm = (question * (1 + int(seconds)))[: round(seconds * 32_000)]
    for at in range(0, len(pcm), 640):
        _Encoder().encode(pcm[at : at + 640])
    began = {}

    async def say(human: EmulatedHuman, number: int) -> None:
        # Not all in the same millisecond: nobody's clock is another's.
        await asyncio.sleep(_BEGIN_S + number * _FRAME_S / len(humans))
        human.line = Line(loss=loss, reordered=loss, jitter_ms=10 if loss else 0, late_ms=40, seed=number)
        began[human.user] = time.monotonic()
        await human.say(pcm)

    async with asyncio.TaskGroup() as tasks:
        for number, human in enumerate(humans):
            tasks.create_task(say(human, number))
    _say(began)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.stdin.buffer.read(int(sys.argv[3]))))
