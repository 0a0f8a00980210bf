"""Whatever people have recorded is read, as far as it can be, and nothing but what was sent."""

import contextlib
import io
import itertools
import random
import struct
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from parley_contract.frames import RATE_HZ
from parley_runtime.sounds import Plain, UnreadableSoundError, read_pcm

SECONDS = 1.0


def tone(rate_hz: int, layout: str) -> av.AudioFrame:
    samples = (np.sin(2 * np.pi * 440 * np.arange(round(SECONDS * rate_hz)) / rate_hz) * 16_000).astype(np.int16)
    channels = av.AudioLayout(layout).nb_channels
    frame = av.AudioFrame.from_ndarray(np.repeat(samples, channels).reshape(1, -1), format="s16", layout=layout)
    frame.rate = rate_hz
    return frame


def recorded(container: str, codec: str, *, rate_hz: int = 48_000, layout: str = "mono") -> bytes:
    """A second of a tone."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        fitting = av.AudioResampler(stream.format, layout, rate_hz, stream.frame_size or None)
        for part in [*fitting.resample(tone(rate_hz, layout)), *fitting.resample(None), None]:
            output.mux(stream.encode(part))
    return file.getvalue()


def film(*, has_sound: bool) -> bytes:
    """A second of grey pictures, and a tone if it is no silent film."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        video = output.add_stream("mpeg4", rate=10)
        assert isinstance(video, av.VideoStream)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = output.add_stream("aac", rate=48_000, layout="mono") if has_sound else None
        for number in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((96, 64), 128, dtype=np.uint8), format="yuv420p")
            picture.pts = number
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        if isinstance(sound, av.AudioStream):
            fitting = av.AudioResampler(sound.format, "mono", 48_000, sound.frame_size)
            for part in [*fitting.resample(tone(48_000, "mono")), *fitting.resample(None), None]:
                output.mux(sound.encode(part))
    return file.getvalue()


def titled_in_cp949(wav: bytes) -> bytes:
    """As a recorder on a Korean Windows writes its titles."""
    title = "녹음".encode("cp949")
    info = b"INFOINAM" + struct.pack("<I", len(title)) + title
    body = b"WAVE" + wav[12:36] + b"LIST" + struct.pack("<I", len(info)) + info + wav[wav.index(b"data") :]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def seconds(data: bytes) -> float:
    pcm = b"".join(read_pcm(io.BytesIO(data), "it"))
    return len(pcm) / 2 / RATE_HZ


@pytest.mark.parametrize(
    "container,codec,rate_hz,layout",
    [
        ("wav", "pcm_u8", 8_000, "mono"),
        ("wav", "pcm_s24le", 48_000, "stereo"),
        ("wav", "pcm_s32le", 44_100, "stereo"),
        ("wav", "pcm_f32le", 22_050, "mono"),
        ("wav", "pcm_alaw", 8_000, "mono"),
        ("mp3", "libmp3lame", 44_100, "stereo"),
        ("ipod", "aac", 44_100, "stereo"),
        ("adts", "aac", 44_100, "mono"),
        ("ogg", "libopus", 48_000, "mono"),
        ("webm", "libopus", 48_000, "stereo"),
        ("flac", "flac", 96_000, "5.1"),
    ],
)
def test_what_phones_browsers_and_recorders_write_is_read(
    container: str, codec: str, rate_hz: int, layout: str
) -> None:
    assert seconds(recorded(container, codec, rate_hz=rate_hz, layout=layout)) == pytest.approx(SECONDS, abs=0.1)


def test_of_a_film_the_sound_is_read() -> None:
    assert seconds(film(has_sound=True)) == pytest.approx(SECONDS, abs=0.1)


def test_a_silent_film_is_said_to_be_one() -> None:
    with pytest.raises(UnreadableSoundError, match="it holds no sound, only video"):
        seconds(film(has_sound=False))


def test_titles_of_any_alphabet_are_no_obstacle() -> None:
    assert seconds(titled_in_cp949(recorded("wav", "pcm_s16le"))) == pytest.approx(SECONDS)


@pytest.mark.parametrize("container,codec", [("mp3", "libmp3lame"), ("adts", "aac")])
def test_of_a_damaged_recording_the_rest_is_read(container: str, codec: str) -> None:
    whole = recorded(container, codec)
    middle = len(whole) // 2

    hurt = seconds(whole[:middle] + b"\x55" * 60 + whole[middle + 60 :])
    cut = seconds(whole[:middle])

    assert 0.4 < hurt <= SECONDS + 0.1
    assert 0.2 < cut < SECONDS


def test_sound_that_changes_its_rate_and_channels_on_the_way_is_read() -> None:
    first, second = recorded("adts", "aac", rate_hz=48_000), recorded("adts", "aac", rate_hz=16_000, layout="stereo")

    assert seconds(first + second) == pytest.approx(2 * SECONDS, abs=0.2)


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile '{path}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nfile://{path}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
    ],
)
def test_who_sends_a_playlist_does_not_choose_what_is_opened(tmp_path: Path, playlist: str) -> None:
    (tmp_path / "private.wav").write_bytes(recorded("wav", "pcm_s16le"))

    with pytest.raises(UnreadableSoundError, match="it cannot be read as sound"):
        seconds(playlist.format(path=tmp_path / "private.wav").encode())


@pytest.mark.parametrize("data", [b"", b"these are words", bytes(5000), recorded("wav", "pcm_s16le")[:30]])
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableSoundError, match="it cannot be read as sound"):
        seconds(data)


def test_a_stream_without_a_header_is_read_as_it_is_said_to_be() -> None:
    pcm = read_pcm(io.BytesIO(bytes(2 * 2 * 8_000)), "it", plain=Plain(rate_hz=8_000, channels=2))

    assert len(b"".join(pcm)) == pytest.approx(2 * RATE_HZ, rel=0.01)


def mutated(data: bytes, chance: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(chance.choice((1, 3, 20, 200))):
        spoilt[chance.randrange(min(len(spoilt), chance.choice((64, 1000, len(spoilt)))))] = chance.randrange(256)
    return bytes(spoilt[: chance.randrange(1, len(spoilt))] if chance.random() < 0.3 else spoilt)


@pytest.mark.parametrize(
    "kind", [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("ipod", "aac"), ("ogg", "libopus"), ("webm", "libopus")]
)
def test_whatever_is_broken_in_a_container_it_is_read_or_refused(kind: Sequence[str]) -> None:
    whole, chance = recorded(*kind), random.Random(kind[0])

    for _ in range(60):
        # Anything else that is raised fails the test; a header may promise hours, which nobody waits for.
        with contextlib.suppress(UnreadableSoundError):
            blocks = itertools.islice(read_pcm(io.BytesIO(mutated(whole, chance)), "it"), 10_000)

            assert all(len(block) % 2 == 0 for block in blocks)
