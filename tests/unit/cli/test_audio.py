"""Sound of any kind becomes frames of one kind."""

import io
import os
import threading
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from parley_cli.audio import UnreadableAudioError, check_sound, read_frames, write_wav
from parley_contract.frames import FRAME_BYTES, RATE_HZ

SECONDS = 1.0
TONE_HZ = 440


def write(path: Path, *, codec: str, rate_hz: int, channels: int) -> Path:
    """Write a second of a tone in the container that the file's name asks for."""
    layout = {1: "mono", 2: "stereo"}[channels]
    tone = np.sin(2 * np.pi * TONE_HZ * np.arange(round(SECONDS * rate_hz)) / rate_hz) * 0.5
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        samples = np.repeat((tone * 32767).astype(np.int16), channels).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.rate = rate_hz
        fitting = av.AudioResampler(stream.format, layout, rate_hz, stream.frame_size or None)
        for part in [*fitting.resample(frame), *fitting.resample(None), None]:
            container.mux(stream.encode(part))
    return path


def loudest_hz(frames: list[bytes]) -> float:
    samples = np.frombuffer(b"".join(frames), "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples))
    return float(spectrum.argmax() * RATE_HZ / len(samples))


@pytest.mark.parametrize(
    "name,codec,rate_hz,channels",
    [
        ("plain.wav", "pcm_s16le", 16_000, 1),
        ("cd.wav", "pcm_s16le", 44_100, 2),
        ("telephone.wav", "pcm_s16le", 8_000, 1),
        ("studio.flac", "flac", 48_000, 2),
        ("float.wav", "pcm_f32le", 24_000, 1),
        ("film.mkv", "pcm_s16le", 48_000, 2),
        ("phone.mp4", "aac", 44_100, 1),
    ],
)
def test_any_rate_channels_and_container_become_16_khz_mono(
    tmp_path: Path, name: str, codec: str, rate_hz: int, channels: int
) -> None:
    path = write(tmp_path / name, codec=codec, rate_hz=rate_hz, channels=channels)

    frames = list(read_frames(path, name))

    assert {len(frame) for frame in frames} == {FRAME_BYTES}
    assert len(frames) == pytest.approx(SECONDS / 0.02, abs=4)
    assert loudest_hz(frames) == pytest.approx(TONE_HZ, abs=3)


def test_a_stream_that_cannot_seek_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.wav", codec="pcm_s16le", rate_hz=16_000, channels=1)
    reading, writing = os.pipe()
    os.write(writing, path.read_bytes())
    os.close(writing)

    with io.FileIO(reading) as pipe:
        frames = list(read_frames(pipe, "standard input"))

    assert loudest_hz(frames) == pytest.approx(TONE_HZ, abs=3)


def test_the_last_frame_is_filled_up_with_silence(tmp_path: Path) -> None:
    write_wav(tmp_path / "short.wav", b"\1\0" * 400)

    frames = list(read_frames(tmp_path / "short.wav", "short.wav"))

    assert b"".join(frames) == b"\1\0" * 400 + bytes(2 * FRAME_BYTES - 800)


def test_a_file_that_is_no_sound_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("this is no sound at all")

    with pytest.raises(UnreadableAudioError, match=r"notes\.wav cannot be read as sound"):
        check_sound(tmp_path / "notes.wav")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudioError, match="there is no file"):
        check_sound(tmp_path / "nowhere.wav")


def test_a_file_without_a_sample_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "empty.wav", b"")

    with pytest.raises(UnreadableAudioError, match=r"empty\.wav"):
        check_sound(tmp_path / "empty.wav")


def test_a_reply_is_written_as_a_plain_wav_into_a_new_folder(tmp_path: Path) -> None:
    write_wav(tmp_path / "replies" / "a.wav", b"\1\0" * RATE_HZ)

    with wave.open(str(tmp_path / "replies" / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        assert file.getnframes() == RATE_HZ


def test_a_pipe_by_its_name_is_read_once_and_from_its_beginning(tmp_path: Path) -> None:
    pipe = tmp_path / "microphone"
    os.mkfifo(pipe)
    sound = write(tmp_path / "tone.wav", codec="pcm_s16le", rate_hz=RATE_HZ, channels=1)
    speaking = threading.Thread(target=lambda: pipe.write_bytes(sound.read_bytes()))
    speaking.start()

    check_sound(pipe)
    frames = list(read_frames(pipe, "microphone"))

    speaking.join()
    assert frames == list(read_frames(sound, "tone"))
