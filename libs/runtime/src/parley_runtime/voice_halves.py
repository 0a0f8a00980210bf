"""Cuts the ONNX model of a Piper voice in two, so that its sound can be made piece by piece. The only importer of onnx.

A VITS voice (arXiv:2106.06103) is everything up to the latent, which wants to see a whole breath, and a HiFi-GAN
decoder (arXiv:2010.05646) of convolutions alone, each sample of which depends on a few frames of the latent. Between
them there is one tensor. It is found by the shape of the graph, never by its name: it goes into the convolution before
the first transposed one.

A program (`python -m parley_runtime.voice_halves MODEL FOLDER`) that `piper_voices.derive` runs: onnx and two copies of
a model take 270 MB for two seconds, which no service should keep. Not here: where halves lie, and whose they are.
"""

import math
import os
import sys
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import onnx
import onnx.utils
from google.protobuf.message import DecodeError

from parley_runtime.piper_voices import CONTEXT_FRAMES, DECODER, ENCODER, HOP_SAMPLES, VoiceUnusableError

_PHONEMES: Final = "input"
_SPEAKER: Final = "sid"
_SOUND: Final = "output"
"""What every Piper voice calls its phonemes, the number of its speaker (if it has several) and its sound."""
_POINTWISE: Final = frozenset({"Add", "Div", "Identity", "LeakyRelu", "Mul", "Relu", "Sub", "Tanh", "Unsqueeze"})
"""What keeps each frame to itself (an axis that `Unsqueeze` adds comes before time, which is the last one)."""


class Decoder(NamedTuple):
    """How the second half of a voice turns frames of the latent into sound."""

    cut: str
    """The tensor between the halves, (1, channels, frames)."""
    hop_samples: int
    """Samples of sound for each frame of the latent."""
    context_frames: int
    """How many frames before and behind its own a sample depends on, at most."""


class _Reach(NamedTuple):
    """What an element of a tensor of the decoder stands for."""

    rate: int
    """Elements for each frame of the latent."""
    frames: Fraction
    """How far it sees to both sides."""


def split(model: Path, folder: Path) -> None:
    """Write the two halves of a Piper voice's model into `folder`; takes two seconds.

    Raises:
        VoiceUnusableError: it is no such model, or one that cannot be cut.
        OSError: it cannot be read, or the halves not be written.
    """
    try:
        graph = onnx.load(model).graph
    except DecodeError as error:
        raise VoiceUnusableError(f"{model.name} is no ONNX model") from error
    inputs = [each.name for each in graph.input]
    decoder = decoder_of(graph, model.name)
    speaker = [name for name in (_SPEAKER,) if name in inputs]
    onnx.utils.extract_model(model, folder / ENCODER, inputs, [decoder.cut])
    # Whoever has several speakers tells the decoder, too, who speaks.
    onnx.utils.extract_model(model, folder / DECODER, [decoder.cut, *speaker], [_SOUND])
    half = onnx.load(folder / DECODER)
    facts = {HOP_SAMPLES: decoder.hop_samples, CONTEXT_FRAMES: decoder.context_frames}
    onnx.helper.set_model_props(half, {key: str(value) for key, value in facts.items()})
    onnx.save(half, folder / DECODER)


def decoder_of(graph: onnx.GraphProto, name: str) -> Decoder:
    """Find the decoder in a voice's graph, and what it needs to make a sample.

    Args:
        graph: with its nodes in the order of computation, as ONNX demands.
        name: the voice's, for the error.

    Raises:
        VoiceUnusableError: it has none, or one that looks at more than a few frames.
    """
    makers = {output: node for node in graph.node for output in node.output}
    if _PHONEMES not in {each.name for each in graph.input} or _SOUND not in makers:
        raise _unusable(name, f"it has no {_PHONEMES!r} or no {_SOUND!r}")
    cut = _cut(graph, makers, name)
    needed = _needed(_SOUND, makers, cut)
    if strangers := needed & {each.name for each in graph.input} - {_SPEAKER}:
        raise _unusable(name, f"its decoder needs {', '.join(sorted(strangers))} beside the latent")
    reaches = {cut: _Reach(1, Fraction(0))}
    for node in graph.node:
        given = [reaches[each] for each in node.input if each in reaches]
        if given and node.output[0] in needed:
            reaches[node.output[0]] = _through(node, given, name)
    sound = reaches[_SOUND]
    return Decoder(cut, sound.rate, math.ceil(sound.frames))


def _cut(graph: onnx.GraphProto, makers: Mapping[str, onnx.NodeProto], name: str) -> str:
    """Walk back from the first transposed convolution to the convolution before it, and return what goes into that."""
    spoken = {_PHONEMES}
    for node in graph.node:
        if node.op_type == "ConvTranspose" and node.input[0] in spoken:
            before = node.input[0]
            break
        if not spoken.isdisjoint(node.input):
            spoken.update(node.output)
    else:
        raise _unusable(name, "nothing in it makes sound out of a latent by transposed convolutions")
    while before in makers and makers[before].op_type in _POINTWISE:
        # What else is added there says who speaks: it does not depend on what is said.
        before = next(each for each in makers[before].input if each in spoken)
    if before not in makers or makers[before].op_type != "Conv":
        raise _unusable(name, "there is no convolution before its first transposed one")
    latent: str = makers[before].input[0]
    return latent


def _needed(tensor: str, makers: Mapping[str, onnx.NodeProto], cut: str) -> set[str]:
    """Return the names of all that goes into `tensor`, not looking behind the cut."""
    found, todo = {cut}, [tensor]
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo += makers[each].input if each in makers else ()
    return found


def _through(node: onnx.NodeProto, given: Iterable[_Reach], name: str) -> _Reach:
    """Return what the output of a node stands for."""
    rates = {reach.rate for reach in given}
    frames = max(reach.frames for reach in given)
    if len(rates) > 1:
        raise _unusable(name, f"its {node.name} puts sounds of different rates together")
    [rate] = rates
    if node.op_type in _POINTWISE:
        return _Reach(rate, frames)
    settings = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    match node.op_type, settings:
        case "Conv", {"kernel_shape": [kernel], "dilations": [dilation], "pads": [left, right], "strides": [1]} if (
            left + right == dilation * (kernel - 1)
        ):
            return _Reach(rate, frames + Fraction(max(left, right), rate))
        case (
            "ConvTranspose",
            {"kernel_shape": [kernel], "dilations": [1], "pads": [left, right], "strides": [stride]},
        ) if kernel - left - right == stride:
            # Sample t comes from the elements (t + left - kernel + 1) / stride to (t + left) / stride.
            return _Reach(rate * stride, frames + Fraction(max(left, kernel - 1 - left), rate * stride))
        case _:
            raise _unusable(name, f"its {node.name} ({node.op_type}) may look at any distance")


def _unusable(name: str, why: str) -> VoiceUnusableError:
    return VoiceUnusableError(
        f"{name} cannot be spoken piece by piece: {why}. Voices that Piper's own export wrote can be"
    )


def main(model: str, folder: str) -> int:
    """Split, and tell `piper_voices.derive` how it went."""
    try:
        split(Path(model), Path(folder))
    except VoiceUnusableError as error:
        sys.stderr.write(str(error))
        return os.EX_DATAERR
    except OSError as error:
        sys.stderr.write(str(error.errno))
        return os.EX_IOERR
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
