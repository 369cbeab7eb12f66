"""An ONNX file becomes a LiteRT file: run by the converter's Python, as `convert.py ONNX TFLITE [BATCH ...]`.

Files in codes are converted in floats and quantized then: litert-torch 0.10 takes quantize nodes over as they stand and
puts nothing into integers by them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import litert_torch
import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from moco.hardware.litert_converter.floats import floated
from moco.hardware.litert_converter.quantizer import Probe, quantized
from moco.hardware.onnx_network.network import INPUT, Network
from moco.randomness import generator

FIRST = "serving_default"
"""The signature that takes single images."""


class Named(nn.Module):
    """A network whose input and output have the names that moco's files have."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input: Tensor) -> dict[str, Tensor]:  # noqa: A002 - the file's name of it
        """Logits (n, classes) of images (n, channels, height, width)."""
        return {"logits": self.network(input)}


def main(source: str, destination: str, *batches: str) -> None:
    """Convert the one file into the other; raises whatever torch, the converter and the quantizer raise."""
    torch.set_num_threads(1)
    signatures = {FIRST: 1} | {f"batch_{size}": size for size in sorted(map(int, batches)) if size != 1}
    floats = floated(onnx.load_model_from_string(Path(source).read_bytes()))
    network = Network.read(floats.model.SerializeToString())
    content = converted(network, signatures)
    if floats.ranges:
        most = np.float32(max(abs(end) for end in floats.ranges.get(INPUT, (1.0,))))
        images = {name: pictures(size, network.image_shape) * most for name, size in signatures.items()}
        probes = {name: Probe(given, held(floats.model, given, floats.ranges)) for name, given in images.items()}
        content = quantized(content, floats, probes)
    Path(destination).write_bytes(content)


def converted(network: Network, signatures: dict[str, int]) -> bytes:
    """The network's LiteRT file in floats, with a signature for each size of batch."""
    converter = litert_torch
    for name, size in signatures.items():
        images = {INPUT: torch.zeros(size, *network.image_shape)}
        converter = converter.signature(name, Named(network.module(size)).eval(), sample_kwargs=images)
    return bytes(converter.convert().model_content())


def pictures(n: int, shape: Sequence[int]) -> np.ndarray:
    """Images (n, *shape) of noise in -1..1, by which tensors are told apart."""
    return generator(0, "litert pictures").uniform(-1, 1, (n, *shape)).astype(np.float32)


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
