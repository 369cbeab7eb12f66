"""torchvision's classification networks by name, and the weights that torchvision publishes for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from moco.errors import ConfigError, DataError, nearest
from moco.models.torchvision_shim import import_torchvision


def torchvision_names() -> list[str]:
    """The names of torchvision's classification networks."""
    models = import_torchvision().models
    return list(models.list_models(module=models))


def build_torchvision(name: str, options: Mapping[str, Any]) -> nn.Module:
    """A new network of torchvision's, its weights not trained; a ConfigError where it does not take the options."""
    try:
        network: nn.Module = import_torchvision().models.get_model(name, weights=None, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model: torchvision's '{name}' does not take {dict(options)}: {error}") from error
    return network


def torchvision_weights(weights: str, model_name: str | None) -> Mapping[str, Tensor]:
    """The weights of that name, downloaded where they are not yet there.

    A ConfigError where torchvision has no such model or weights, a DataError where they cannot be downloaded.
    """
    models = import_torchvision().models
    if model_name is None or model_name not in torchvision_names():
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
