"""Opus at 16 kHz mono, 20 ms a frame, by libopus: what emulated people say and hear.

discord.py's bindings of libopus, and nothing else of it: the codec is one library for everybody who is on Discord.
"""

from discord import opus

from parley_contract.frames import FRAME_BYTES, FRAME_SAMPLES, RATE_HZ


class Encoder:
    """What somebody's client does with his microphone."""

    def __init__(self) -> None:
        """Begin to encode; blocks for a moment the first time, when libopus is loaded.

        Raises:
            discord.opus.OpusNotLoaded: there is no libopus on this machine: install the package libopus0.
        """
        self._encoder = _Encoder(application="voip", signal_type="voice")

    def encode(self, pcm: bytes) -> bytes:
        """Encode 20 ms of s16le."""
        return self._encoder.encode(pcm.ljust(FRAME_BYTES, b"\0"), FRAME_SAMPLES)


class Decoder:
    """What somebody's client does with what comes."""

    def __init__(self) -> None:
        """Begin to decode."""
        self._decoder = _Decoder()  # type: ignore[no-untyped-call] # discord.py types all but this

    def decode(self, packet: bytes) -> bytes:
        """Decode a packet to s16le.

        Raises:
            ValueError: it is no Opus.
        """
        try:
            return self._decoder.decode(packet, fec=False)
        except opus.OpusError as error:
            raise ValueError(f"a packet of {len(packet)} bytes that is no Opus: {error}") from error


class _Encoder(opus.Encoder):
    SAMPLING_RATE = RATE_HZ
    CHANNELS = 1


class _Decoder(opus.Decoder):
    SAMPLING_RATE = RATE_HZ
    CHANNELS = 1
