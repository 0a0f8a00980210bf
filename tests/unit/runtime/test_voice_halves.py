"""Toy voices of the shape that Piper's have, with other names in them, are cut where they can be cut."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from parley_runtime.piper_voices import CONTEXT_FRAMES, DECODER, ENCODER, HOP_SAMPLES, VoiceUnusableError
from parley_runtime.voice_halves import Decoder, decoder_of, split
from parley_tts.pieces import pieces

Array = npt.NDArray[np.float32]

CHANNELS = 4
SPEAKERS = 3


class Toy:
    """A voice in the making: each step is a node, and each tensor gets the next letter."""

    def __init__(self, *, speakers: int = 1) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.speakers = speakers
        self._random = np.random.default_rng(1)

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        value = self._random.standard_normal(shape).astype(np.float32) / 2
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def constant(self, value: object, dtype: type) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def step(self, kind: str, *inputs: str, output: str = "", **settings: Any) -> str:  # noqa: ANN401  # as ONNX has it
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"n{len(self.nodes)}", **settings))
        return output

    def conv(self, given: str, size: int, *, dilation: int = 1, out: int = CHANNELS, pad: int | None = None) -> str:
        pads = [dilation * (size - 1) // 2 if pad is None else pad] * 2
        settings: dict[str, Any] = {"kernel_shape": [size], "dilations": [dilation], "pads": pads, "strides": [1]}
        return self.step("Conv", given, self.weight(out, CHANNELS, size), self.weight(out), **settings)

    def upsampled(self, given: str, size: int, stride: int) -> str:
        pads = [(size - stride) // 2] * 2
        settings: dict[str, Any] = {"kernel_shape": [size], "dilations": [1], "pads": pads, "strides": [stride]}
        return self.step("ConvTranspose", given, self.weight(CHANNELS, CHANNELS, size), **settings)

    def latent(self) -> str:
        """Two frames for each phoneme, each as high as all of them are on average."""
        ids = self.step("Cast", "input", to=TensorProto.FLOAT)
        row = self.step("Unsqueeze", ids, self.constant([1], np.int64))
        mean = self.step("ReduceMean", row, axes=[2])
        wide = self.step("Mul", self.step("Sub", row, mean), self.weight(1, CHANNELS, 1))
        return self.step("Concat", wide, self.step("Neg", wide), axis=2)

    def speaker(self) -> str:
        row = self.step("Gather", self.weight(SPEAKERS, CHANNELS), "sid", axis=0)
        return self.conv(self.step("Unsqueeze", row, self.constant([2], np.int64)), 1)

    def begun(self, latent: str) -> str:
        """The first convolution of the decoder and, among several speakers, whose voice it is."""
        sound = self.conv(latent, 7)
        return self.step("Add", self.speaker(), sound) if self.speakers > 1 else sound

    def spoken(self, latent: str) -> None:
        """All of a decoder: 3 frames, then 1 (4 - 1 - 1 of 2), 1 (2 of 2) and a half."""
        begun = self.step("LeakyRelu", self.begun(latent), alpha=0.1)
        up = self.upsampled(begun, 4, 2)
        resonance = self.step("Add", up, self.conv(up, 3, dilation=2))
        self.finished(self.conv(self.step("Div", resonance, self.constant(2, np.float32)), 3, out=1))

    def finished(self, sound: str) -> None:
        self.step("Unsqueeze", self.step("Tanh", sound), self.constant([1], np.int64), output="output")

    def model(self) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info("input", TensorProto.INT64, ["batch", "phonemes"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ]
        if self.speakers > 1:
            inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, ["batch"]))
        output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1, 1, "samples"])
        graph = helper.make_graph(self.nodes, "toy", inputs, [output], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def toy(*, speakers: int = 1) -> onnx.ModelProto:
    made = Toy(speakers=speakers)
    made.spoken(made.latent())
    return made.model()


def run(path: Path, given: Mapping[str, npt.NDArray[Any]]) -> Array:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = {each.name for each in session.get_inputs()}
    made: Array = session.run(None, {name: value for name, value in given.items() if name in wanted})[0]
    return made


@pytest.mark.parametrize("speakers", [1, SPEAKERS])
def test_the_halves_together_say_what_the_whole_says_and_in_pieces_too(tmp_path: Path, speakers: int) -> None:
    onnx.save(toy(speakers=speakers), tmp_path / "whole.onnx")
    said = {
        "input": np.random.default_rng(2).integers(0, 9, (1, 80)),
        "input_lengths": np.array([80]),
        "scales": np.ones(3, np.float32),
        "sid": np.array([2]),
    }

    split(tmp_path / "whole.onnx", tmp_path)

    whole = run(tmp_path / "whole.onnx", said).ravel()
    latent = run(tmp_path / ENCODER, said)
    [name] = {each.name for each in onnx.load(tmp_path / DECODER).graph.input} - {"sid"}

    def decoded(begin: int, end: int) -> Array:
        return run(tmp_path / DECODER, {**said, name: latent[:, :, begin:end]}).ravel()

    in_pieces = [
        decoded(piece.begin, piece.end)[2 * piece.skip : 2 * (piece.skip + piece.keep)]
        for piece in pieces(latent.shape[2], context=6)
    ]
    assert len(in_pieces) == 3
    assert np.abs(whole).max() > 0.1
    np.testing.assert_allclose(decoded(0, latent.shape[2]), whole, atol=1e-6)
    np.testing.assert_allclose(np.concatenate(in_pieces), whole, atol=1e-6)


def test_the_decoder_says_how_much_sound_it_makes_of_how_much(tmp_path: Path) -> None:
    onnx.save(toy(), tmp_path / "whole.onnx")

    split(tmp_path / "whole.onnx", tmp_path)

    facts = {each.key: each.value for each in onnx.load(tmp_path / DECODER).metadata_props}
    assert facts == {HOP_SAMPLES: "2", CONTEXT_FRAMES: "6"}


def test_several_upsamplings_multiply_and_what_follows_them_reaches_less_far() -> None:
    made = Toy()
    latent = made.latent()
    made.finished(made.conv(made.upsampled(made.upsampled(made.conv(latent, 7), 16, 8), 8, 4), 7, out=1))

    # 3 + 11 / 8 + 5 / 32 + 3 / 32, with the kernels, strides and pads of Piper's own decoders
    assert decoder_of(made.model().graph, "toy") == Decoder(cut=latent, hop_samples=32, context_frames=5)


def no_upsampling(made: Toy) -> None:
    made.finished(made.conv(made.latent(), 7, out=1))


def no_first_convolution(made: Toy) -> None:
    made.finished(made.conv(made.upsampled(made.latent(), 4, 2), 3, out=1))


def all_of_the_sound(made: Toy) -> None:
    up = made.upsampled(made.conv(made.latent(), 7), 4, 2)
    made.finished(made.step("Sub", up, made.step("ReduceMean", up, axes=[2])))


def a_shorter_sound(made: Toy) -> None:
    made.finished(made.conv(made.upsampled(made.conv(made.latent(), 7), 4, 2), 3, out=1, pad=0))


def the_scales(made: Toy) -> None:
    up = made.upsampled(made.conv(made.latent(), 7), 4, 2)
    made.finished(made.step("Mul", up, made.step("ReduceMean", "scales", axes=[0])))


def another_rate(made: Toy) -> None:
    begun = made.conv(made.latent(), 7)
    made.finished(made.step("Add", made.upsampled(begun, 4, 2), begun))


def no_sound(made: Toy) -> None:
    made.latent()


@pytest.mark.parametrize(
    "build, reason",
    [
        (no_upsampling, "nothing in it makes sound out of a latent"),
        (no_first_convolution, "there is no convolution before its first transposed one"),
        (all_of_the_sound, r"its n\d+ \(ReduceMean\) may look at any distance"),
        (a_shorter_sound, r"its n\d+ \(Conv\) may look at any distance"),
        (the_scales, "its decoder needs scales beside the latent"),
        (another_rate, "puts sounds of different rates together"),
        (no_sound, "it has no 'input' or no 'output'"),
    ],
)
def test_a_voice_that_cannot_be_cut_is_told_what_it_lacks(build: Callable[[Toy], None], reason: str) -> None:
    made = Toy()
    build(made)

    with pytest.raises(VoiceUnusableError, match=f"toy cannot be spoken piece by piece: .*{reason}"):
        decoder_of(made.model().graph, "toy")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "voice.onnx").write_bytes(b"no model")

    with pytest.raises(VoiceUnusableError, match=r"voice\.onnx is no ONNX model"):
        split(tmp_path / "voice.onnx", tmp_path)
