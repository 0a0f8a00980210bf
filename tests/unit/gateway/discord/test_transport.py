"""Both modes of the transport's encryption, and a datagram that was touched."""

import nacl.secret
import pytest

from parley_gateway.discord.transport import AES, XCHACHA, Transport, modes

KEY = bytes(range(32))
HEADER = bytes([0x80, 0x78]) + bytes(10)


@pytest.mark.parametrize("mode", modes())
def test_what_was_sealed_is_opened_and_nothing_else(mode: str) -> None:
    transport = Transport(mode, KEY)
    datagram = transport.seal(HEADER, b"opus")

    assert transport.open(datagram, len(HEADER)) == b"opus"
    for place in range(len(datagram)):
        touched = bytearray(datagram)
        touched[place] ^= 1
        assert transport.open(bytes(touched), len(HEADER)) is None
    assert Transport(mode, bytes(32)).open(datagram, len(HEADER)) is None


@pytest.mark.parametrize("mode", modes())
def test_no_nonce_is_used_twice(mode: str) -> None:
    transport = Transport(mode, KEY)

    nonces = [transport.seal(HEADER, b"opus")[-4:] for _ in range(300)]

    assert nonces == [number.to_bytes(4) for number in range(300)]


def test_it_is_what_discord_says_it_is() -> None:
    datagram = Transport(XCHACHA, KEY).seal(HEADER, b"opus")

    nonce = datagram[-4:] + bytes(20)

    assert datagram[: len(HEADER)] == HEADER
    assert nacl.secret.Aead(KEY).decrypt(datagram[12:-4], HEADER, nonce) == b"opus"


def test_the_mode_that_every_server_offers_is_always_there() -> None:
    assert XCHACHA in modes()
    assert set(modes()) <= {XCHACHA, AES}
