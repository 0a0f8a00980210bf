"""The web door's way out: in order, bounded, and quick to forget what was cut."""

import asyncio
import json

import pytest
from fastapi import WebSocketDisconnect

from parley_contract import door as events
from parley_gateway.doors.connections import OUTGOING_LIMIT, WebDoor, error
from parley_runtime.telemetry import Telemetry

DELTA = events.Delta(turn=1, index=0, text="Hi")


class Client:
    """A socket that keeps what it is sent; without `reads` it takes nothing, as a client that does not read."""

    def __init__(self) -> None:
        self.sent: list[str | bytes] = []
        self.close_code: int | None = None
        self.reads = asyncio.Event()
        self.reads.set()

    async def send_text(self, data: str) -> None:
        await self._take(data)

    async def send_bytes(self, data: bytes) -> None:
        await self._take(data)

    async def close(self, code: int) -> None:
        self.close_code = code

    async def _take(self, data: str | bytes) -> None:
        await self.reads.wait()
        self.sent.append(data)


def door() -> WebDoor:
    return WebDoor(Telemetry("gateway", "test_libra"))


async def test_sound_and_events_keep_their_order() -> None:
    way_out, client = door(), Client()

    way_out.play(b"1")
    way_out.tell(DELTA)
    way_out.play(b"2")
    way_out.close(None)
    await way_out.send_all(client)

    assert [item if isinstance(item, bytes) else json.loads(item)["event"] for item in client.sent] == [
        b"1",
        "delta",
        b"2",
    ]
    assert client.close_code == 1000


async def test_a_cut_takes_waiting_sound_with_it_but_no_event() -> None:
    way_out, client = door(), Client()

    way_out.play(b"1")
    way_out.tell(DELTA)
    way_out.play(b"2")
    way_out.tell(events.Cut(turn=1, at_ms=0, next_ms=40))
    way_out.play(b"3")
    way_out.close(None)
    await way_out.send_all(client)

    assert [item if isinstance(item, bytes) else json.loads(item)["event"] for item in client.sent] == [
        "delta",
        "cut",
        b"3",
    ]


async def test_a_fatal_error_is_the_last_thing_said() -> None:
    way_out, client = door(), Client()

    way_out.play(b"1")
    way_out.close(error("bad_frame", "No."))
    way_out.play(b"2")
    way_out.close(error("draining", "Too late."))
    await way_out.send_all(client)

    [said] = client.sent
    assert json.loads(said) == {"event": "error", "code": "bad_frame", "sentence": "No.", "fatal": True}
    assert client.close_code == 1003


async def test_a_client_that_does_not_read_is_dropped_with_all_that_waited_for_it() -> None:
    way_out, client = door(), Client()
    client.reads.clear()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(way_out.send_all(client))
        for _ in range(OUTGOING_LIMIT + 2):
            way_out.play(b"x")
            await asyncio.sleep(0)
        client.reads.set()

    assert len(client.sent) == 2
    assert json.loads(client.sent[1])["code"] == "too_slow"
    assert client.close_code == 1008


@pytest.mark.looptime
@pytest.mark.parametrize("why", [None, error("draining", "Come back.")])
async def test_a_client_that_never_reads_again_is_given_up_soon(why: events.Error | None) -> None:
    way_out, client = door(), Client()
    client.reads.clear()
    loop = asyncio.get_running_loop()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(way_out.send_all(client))
        way_out.play(b"1")
        await asyncio.sleep(60)
        way_out.close(why)
        closed_at = loop.time()

    assert loop.time() - closed_at == pytest.approx(5)
    assert client.sent == []


@pytest.mark.looptime
async def test_a_refusal_that_is_not_read_is_given_up_soon() -> None:
    way_out, client = door(), Client()
    client.reads.clear()

    way_out.close(error("unauthorized", "No."))
    await way_out.send_all(client)

    assert asyncio.get_running_loop().time() == pytest.approx(5)


async def test_a_door_may_be_closed_after_its_client_has_gone() -> None:
    way_out = door()

    class Gone(Client):
        async def _take(self, data: str | bytes) -> None:
            raise WebSocketDisconnect

    way_out.play(b"1")
    await way_out.send_all(Gone())
    way_out.close(error("replaced", "Elsewhere."))

    assert way_out.is_closing
