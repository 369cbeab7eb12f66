"""An ONNX file becomes a LiteRT file for one image: run by the converter's Python, as `convert.py ONNX TFLITE`."""

from __future__ import annotations

import sys
from pathlib import Path

import litert_torch
import torch
from torch import Tensor, nn

from moco.hardware.onnx_network.network import Network


class Named(nn.Module):
    """A network whose input and output have the names that moco's files have."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input: Tensor) -> dict[str, Tensor]:  # noqa: A002 - the file's name of it
        """Logits (1, classes) of an image (1, channels, height, width)."""
        return {"logits": self.network(input)}


def main(source: str, destination: str) -> None:
    """Convert the one file into the other; raises whatever torch and the converter raise."""
    torch.set_num_threads(1)
    network = Network.read(Path(source).read_bytes())
    example = {"input": torch.zeros(1, *network.image_shape)}
    litert_torch.convert(Named(network.module(1)).eval(), sample_kwargs=example).export(destination)


if __name__ == "__main__":
    main(*sys.argv[1:])
