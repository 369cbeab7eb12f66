"""Which network a file of weights is of, by the names and shapes of its tensors; their values are not read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from moco.errors import ConfigError, DataError
from moco.models.zoo import build_model

Shapes = Mapping[str, tuple[int, ...]]


def weight_shapes(file: Path) -> Shapes:
    """The shape of each tensor in a safetensors file; a DataError where it is none."""
    try:
        with safe_open(file, "pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{file}: not a readable safetensors file: {error}") from None


def fits(name: str, classes: int | None, shapes: Shapes) -> bool:
    """Whether they are of the network of that name with so many classes: all parameters, and some of its buffers."""
    try:
        with torch.device("meta"):
            network = build_model(name, classes)
    except (ConfigError, NotImplementedError, RuntimeError):
        return False
    state = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    alike = all(state.get(key) == shape for key, shape in shapes.items())
    return alike and all(key in shapes for key, _ in network.named_parameters(remove_duplicate=False))
