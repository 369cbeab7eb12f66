"""A delivered network in the user's own class again: policy.json says its shape, network.safetensors its weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from moco.compression.compressor import rebuilt
from moco.compression.policy_file import read_policy
from moco.data.description import InputDescription
from moco.models import load_weights
from moco.models.weights import weights_metadata
from moco.run_folder.seal import check_seal

POLICY, WEIGHTS = "policy.json", "network.safetensors"


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
        RunFolderError: a file is not the one that was delivered (SHA256SUMS).
    """
    folder = Path(folder)
    check_seal(folder, (POLICY, WEIGHTS))
    loaded = rebuilt(network, read_policy(folder / POLICY), example)
    load_weights(loaded, folder / WEIGHTS)
    loaded.input_description = InputDescription.read(weights_metadata(folder / WEIGHTS))  # type: ignore[assignment]
    return loaded.eval()
