"""The encryption between us and the voice server: AEAD with the RTP header in clear, one key per connection.

Used by `library`, both ways. `rtpsize` modes: the part in clear includes the extension's header, and the last four
bytes of a datagram are a counter, the beginning of an otherwise empty nonce. It hides nothing from Discord's server;
what does is DAVE, below it.
"""

import secrets
from collections.abc import Callable
from typing import Final

import nacl.exceptions
from nacl import bindings

from parley_gateway.discord.rtp import NONCE_BYTES

XCHACHA: Final = "aead_xchacha20_poly1305_rtpsize"
AES: Final = "aead_aes256_gcm_rtpsize"

_Cipher = Callable[[bytes, bytes, bytes, bytes], bytes]
"""Message, authenticated data, nonce, key."""
_CIPHERS: Final[dict[str, tuple[_Cipher, _Cipher, int]]] = {
    XCHACHA: (
        bindings.crypto_aead_xchacha20poly1305_ietf_encrypt,
        bindings.crypto_aead_xchacha20poly1305_ietf_decrypt,
        bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    ),
    AES: (
        bindings.crypto_aead_aes256gcm_encrypt,
        bindings.crypto_aead_aes256gcm_decrypt,
        bindings.crypto_aead_aes256gcm_NPUBBYTES,
    ),
}


class Transport:
    """One key, both ways."""

    def __init__(self, mode: str, key: bytes) -> None:
        """Encrypt by `mode`, one of `modes()`."""
        self._encrypt, self._decrypt, size = _CIPHERS[mode]
        self._key = key
        self._rest = bytes(size - NONCE_BYTES)
        self._counter = 0

    def seal(self, header: bytes, payload: bytes) -> bytes:
        """Make a datagram. Called by one thread."""
        nonce = self._counter.to_bytes(NONCE_BYTES)
        self._counter = (self._counter + 1) & 0xFFFF_FFFF
        return header + self._encrypt(payload, header, nonce + self._rest, self._key) + nonce

    def open(self, datagram: bytes, clear: int) -> bytes | None:
        """Decrypt what follows the first `clear` bytes; None if it is not from the server."""
        nonce = datagram[-NONCE_BYTES:] + self._rest
        try:
            return self._decrypt(datagram[clear:-NONCE_BYTES], datagram[:clear], nonce, self._key)
        except nacl.exceptions.CryptoError:
            return None


def modes() -> tuple[str, ...]:
    """Name what this machine can: AES needs a processor that does it."""
    try:
        Transport(AES, secrets.token_bytes(32)).seal(b"", b"")
    except nacl.exceptions.UnavailableError:
        return (XCHACHA,)
    return (XCHACHA, AES)
