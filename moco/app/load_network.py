"""A delivered network in the user's own class again: policy.json says its shape, network.safetensors its weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from moco.compression.compressor import rebuilt
from moco.compression.policy_file import read_policy
from moco.data.description import InputDescription
from moco.models import load_weights
from moco.models.zoo import weights_metadata


def load_network(network: nn.Module, folder: str | Path, example: torch.Tensor) -> nn.Module:
    """The network that a search delivered, as a module of the user's own class; nothing is unpickled.

    Its attribute `input_description` (`moco.data.InputDescription`) says what it takes and gives, as its files do:
    names of the classes, size, channels, normalisation, resize and crop; what is not known is None.

    Args:
        network: of the class that was searched; its weights do not matter, and it is left as it was.
        folder: RUN/best, or another folder with policy.json and network.safetensors.
        example: one batch that the network takes, (n, channels, height, width).

    Raises:
        SpaceError, CompressionError: the policy is of another network.
        DataError: the weights are missing or do not fit.
    """
    folder = Path(folder)
    loaded = rebuilt(network, read_policy(folder / "policy.json"), example)
    load_weights(loaded, folder / "network.safetensors")
    loaded.input_description = InputDescription.read(weights_metadata(folder / "network.safetensors"))  # type: ignore[assignment]
    return loaded.eval()
