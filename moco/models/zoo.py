"""Networks by name, moco's own small zoo first, then torchvision's, and trained weights into them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from moco.errors import ConfigError, DataError, nearest
from moco.models.cifar_resnet import ZOO
from moco.models.torchvision_shim import import_torchvision


def model_names() -> list[str]:
    """All names that `build_model` takes, moco's own first."""
    models = import_torchvision().models
    return [*ZOO, *models.list_models(module=models)]


def build_model(name: str, num_classes: int | None = None, **options: Any) -> nn.Module:
    """A new network in evaluation mode, its weights not trained; a ConfigError where there is no such model or option.

    `num_classes` of None takes the builder's default; `options` are its further arguments, such as `shortcut="B"`.
    """
    if num_classes is not None:
        if num_classes < 1:
            raise ConfigError(f"model.num_classes: expected at least 1, got {num_classes}")
        options = {"num_classes": num_classes, **options}
    if name not in ZOO:
        return _build_torchvision(name, options).eval()
    known = inspect.signature(ZOO[name]).parameters
    for option in options:
        if option not in known:
            raise ConfigError(f"model.{option}: '{name}' has no such option{nearest(option, known)}")
    return ZOO[name](**options).eval()


def _build_torchvision(name: str, options: dict[str, Any]) -> nn.Module:
    known = model_names()
    if name not in known:
        raise ConfigError(f"model.name: unknown model '{name}'{nearest(name, known)}")
    try:
        network: nn.Module = import_torchvision().models.get_model(name, weights=None, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model: torchvision's '{name}' does not take {options}: {error}") from error
    return network


PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
OPTIONAL_BUFFERS = ("num_batches_tracked", "source")
"""Last part of the names of buffers that a file may lack: the network's own values stay."""
PUBLISHED = re.compile(r"[A-Z][A-Z0-9_]*")
SHOWN = 3
"""How many layers an error names."""


def load_weights(network: nn.Module, weights: str | Path, model_name: str | None = None) -> None:
    """Load trained weights into the network, in place and only when all of them fit.

    `weights` is the path of a .safetensors file, or the name of torchvision's weights ("DEFAULT", "IMAGENET1K_V1"),
    which need `model_name`, torchvision's name of the network. A DataError where the file is missing, not safetensors,
    not finite, or does not fit; a ConfigError where torchvision has no such weights.
    """
    path = Path(weights)
    if is_published(str(weights)):
        state, where = _published(str(weights), model_name), f"torchvision's {model_name} {weights}"
    else:
        state, where = _read(path), str(path)
    _check_fit(network.state_dict(), state, where)
    network.load_state_dict(state, strict=False)


def weights_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, text by key."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def is_published(weights: str) -> bool:
    """Whether this is a name of torchvision's weights, such as IMAGENET1K_V1, and no path."""
    return PUBLISHED.fullmatch(weights) is not None


def _read(path: Path) -> dict[str, Tensor]:
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


def _published(weights: str, model_name: str | None) -> Mapping[str, Tensor]:
    """The weights that torchvision published, downloaded where they are not yet there."""
    models = import_torchvision().models
    if model_name is None or model_name not in models.list_models(module=models):
        raise ConfigError(
            f"model.weights: '{weights}' names torchvision's weights, but '{model_name}' is not one of its models; "
            "expected the path of a .safetensors file"
        )
    choices = models.get_model_weights(model_name)
    if weights not in choices.__members__:
        raise ConfigError(f"model.weights: '{model_name}' has no '{weights}'{nearest(weights, choices.__members__)}")
    try:
        state: Mapping[str, Tensor] = choices[weights].get_state_dict(
            progress=False, check_hash=True, weights_only=True, map_location="cpu"
        )
    except (OSError, RuntimeError) as error:
        raise DataError(f"torchvision's {model_name} {weights} cannot be downloaded: {error}") from error
    return state


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
