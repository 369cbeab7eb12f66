"""An ONNX file becomes a LiteRT file: run by the converter's Python, as `convert.py ONNX TFLITE`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import litert_torch
import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from moco.hardware.litert_converter.floats import floated
from moco.hardware.onnx_network.network import INPUT, Network
from moco.randomness import generator


class Named(nn.Module):
    """A network whose input and output have the names that moco's files have."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input: Tensor) -> dict[str, Tensor]:  # noqa: A002 - the file's name of it
        """Logits (n, classes) of images (n, channels, height, width)."""
        return {"logits": self.network(input)}


def main(source: str, destination: str) -> None:
    """Convert the one file into the other; raises whatever torch and the converter raise."""
    torch.set_num_threads(1)
    model = floated(onnx.load_model_from_string(Path(source).read_bytes()))
    network = Network.read(model.model.SerializeToString())
    content = converted(network)
    if model.ranges:
        from moco.hardware.litert_converter.quantizer import quantized

        images = probe(network)
        content = quantized(content, images, model, held(model.model, images, model.ranges))
    Path(destination).write_bytes(content)


def converted(network: Network) -> bytes:
    """The network's LiteRT file, in floats."""
    module = network.module(1)
    concatenated(module)
    example = {INPUT: torch.zeros(1, *network.image_shape)}
    return bytes(litert_torch.convert(Named(module).eval(), sample_kwargs=example).model_content())


def concatenated(module: fx.GraphModule) -> None:
    """Write channels of zeros that are put beside an image's as a concatenation, in place.

    The converter moves channels to the last axis, but not past a padding of them: it would turn the image there and back.
    """
    for node in [one for one in module.graph.nodes if one.target is F.pad]:
        x, flat, *others = (*node.args, *node.kwargs.values())
        if len(flat) != 6 or any(flat[:4]) or min(flat) < 0 or others not in ([], ["constant", 0], ["constant", 0.0]):
            continue
        print(node.args,node.kwargs)


def probe(network: Network) -> np.ndarray:
    """An image (1, channels, height, width) with no two alike pixels."""
    return generator(0, "litert probe").standard_normal((1, *network.image_shape)).astype(np.float32)


def held(model: onnx.ModelProto, images: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
    """What the tensors of these names hold for the images."""
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    given = {value.name for value in seen.graph.output}
    seen.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in given)
    network = Network.read(seen.SerializeToString())
    values: dict[str, Tensor | None] = {**network.constants, INPUT: torch.from_numpy(images), "": None}
    with torch.no_grad():
        for step in network.steps:
            step.run(values)
    return {name: value.numpy() for name in names if (value := values[name]) is not None}


if __name__ == "__main__":
    main(*sys.argv[1:])
