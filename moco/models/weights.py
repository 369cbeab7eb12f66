"""Trained weights into a network: from a safetensors file, or published by torchvision or timm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from moco.errors import DataError
from moco.models.timm_zoo import PREFIX, timm_weights
from moco.models.torchvision_zoo import torchvision_weights

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
OPTIONAL_BUFFERS = ("num_batches_tracked", "source")
"""Last part of the names of buffers that a file may lack: the network's own values stay."""
OF_TORCHVISION, OF_TIMM = re.compile(r"[A-Z][A-Z0-9_]*"), re.compile(r"\w+")
SHOWN = 3
"""How many layers an error names."""


def load_weights(network: nn.Module, weights: str | Path, model_name: str | None = None) -> None:
    """Load trained weights into the network, in place and only when all of them fit.

    `weights` is the path of a .safetensors file, or the name of published weights: torchvision's ("DEFAULT",
    "IMAGENET1K_V1"), or a tag of timm's ("DEFAULT", "ra2_in1k"). Those need `model_name`, the name under which
    `build_model` knows the network. A DataError where the file is missing, not safetensors, not finite, or does not
    fit; a ConfigError where there are no such published weights.
    """
    path = Path(weights)
    if not is_published(str(weights), model_name):
        state, where = _read(path), str(path)
    elif model_name is not None and model_name.startswith(PREFIX):
        state, where = timm_weights(str(weights), model_name), f"timm's {model_name} {weights}"
    else:
        state, where = torchvision_weights(str(weights), model_name), f"torchvision's {model_name} {weights}"
    _check_fit(network.state_dict(), state, where)
    network.load_state_dict(state, strict=False)


def weights_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, text by key."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def is_published(weights: str, model_name: str | None = None) -> bool:
    """Whether this names published weights, such as IMAGENET1K_V1 or a tag of a network of timm's, and no path."""
    of_timm = model_name is not None and model_name.startswith(PREFIX)
    return (OF_TIMM if of_timm else OF_TORCHVISION).fullmatch(weights) is not None


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.suffix in PICKLES:
        raise DataError(
            f"{path}: pickled weights are never read, since they can run code; convert them once where you trust "
            f"them: safetensors.torch.save_file(torch.load('{path.name}', weights_only=True), "
            f"'{path.with_suffix('.safetensors').name}')"
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file of weights; expected a .safetensors file")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable safetensors file: {error}") from error
    return tensors


def _check_fit(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], where: str) -> None:
    optional = {name for name in expected if name.rpartition(".")[2] in OPTIONAL_BUFFERS}
    shapes = [
        f"{name} expected {tuple(expected[name].shape)}, got {tuple(tensor.shape)}"
        for name, tensor in state.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    problems = {
        "missing": [name for name in expected if name not in state and name not in optional],
        "not in the network": [name for name in state if name not in expected],
        "of another shape": shapes,
        "not finite": [n for n, t in state.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())],
    }
    found = [f"{len(names)} {what} ({_first(names)})" for what, names in problems.items() if names]
    if found:
        raise DataError(f"{where}: these weights do not fit the network: {'; '.join(found)}")


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
