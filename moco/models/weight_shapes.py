"""Which network a file of weights is of, by the names and shapes of its tensors; their values are not read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from moco.errors import ConfigError, DataError
from moco.models.zoo import OPTIONAL_BUFFERS, build_model

Shapes = Mapping[str, tuple[int, ...]]


def weight_shapes(file: Path) -> Shapes:
    """The shape of each tensor in a safetensors file; a DataError where it is none."""
    try:
        with safe_open(file, "pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{file}: not a readable safetensors file: {error}") from None


def fits(name: str, classes: int | None, shapes: Shapes) -> bool:
    """Whether the network of that name, with so many classes, has tensors of these names and shapes."""
    try:
        with torch.device("meta"):
            state = build_model(name, classes).state_dict()
    except (ConfigError, NotImplementedError, RuntimeError):
        return False
    expected = {key: tuple(tensor.shape) for key, tensor in state.items() if not _optional(key)}
    return expected == {key: shape for key, shape in shapes.items() if not _optional(key)}


def _optional(key: str) -> bool:
    return key.rpartition(".")[2] in OPTIONAL_BUFFERS
