"""Discord's transport encryption: the two AEAD modes whose datagram ends with the four bytes of its nonce.

From discord-api-docs, topics/voice-connections, "Transport Encryption Modes": the nonce is a 32-bit counter, padded
with zeros to the length that the cipher wants; what stands in the clear is authenticated.
"""

import struct
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

Mode = Literal["aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize"]
AES: Final[Mode] = "aead_aes256_gcm_rtpsize"
XCHACHA: Final[Mode] = "aead_xchacha20_poly1305_rtpsize"
MODES: Final[tuple[Mode, ...]] = (AES, XCHACHA)
"""Discord's order: AES where the hardware has it, XChaCha everywhere."""
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 4
_PADDED_BYTES: Final = {AES: 12, XCHACHA: 24}


class Transport:
    """One connection's key, for both directions."""

    def __init__(self, mode: Mode, key: bytes) -> None:
        """Begin to count nonces at 0."""
        self.mode: Final = mode
        self.key: Final = key
        self._counter = 0
        self._aes = AESGCM(key)

    def seal(self, clear: bytes, body: bytes) -> bytes:
        """Encrypt a body behind what stands in the clear."""
        nonce = struct.pack(">I", self._counter & 0xFFFFFFFF)
        self._counter += 1
        padded = nonce.ljust(_PADDED_BYTES[self.mode], b"\0")
        if self.mode == AES:
            sealed = self._aes.encrypt(padded, body, clear)
        else:
            sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(body, clear, padded, self.key)
        return clear + sealed + nonce

    def open(self, datagram: bytes, clear_bytes: int) -> bytes:
        """Decrypt what stands behind the first `clear_bytes`.

        Raises:
            ValueError: it was not made with this key, or was changed on its way.
        """
        clear, sealed, nonce = datagram[:clear_bytes], datagram[clear_bytes:-_NONCE_BYTES], datagram[-_NONCE_BYTES:]
        padded = nonce.ljust(_PADDED_BYTES[self.mode], b"\0")
        try:
            if self.mode == AES:
                return self._aes.decrypt(padded, sealed, clear)
            return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, clear, padded, self.key)
        except (InvalidTag, CryptoError) as error:
            raise ValueError(f"not decryptable with the connection's {self.mode} key") from error

    @staticmethod
    def nonce(datagram: bytes) -> int:
        """Return the counter that a datagram was encrypted with."""
        return int.from_bytes(datagram[-_NONCE_BYTES:], "big")
