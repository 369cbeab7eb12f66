"""Networks by name: moco's own small zoo first, then torchvision's classification models."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from moco.errors import ConfigError, nearest
from moco.models import cifar_resnet
from moco.models.digits_resnet import digits_resnet
from moco.models.torchvision_shim import import_torchvision

ZOO: dict[str, Callable[..., nn.Module]] = {**cifar_resnet.BUILDERS, "digits_resnet": digits_resnet}
"""Builder by name; each takes `num_classes` and the options of its signature."""


def model_names() -> list[str]:
    """All names that `build_model` takes, moco's own first."""
    models = import_torchvision().models
    return [*ZOO, *models.list_models(module=models)]


def build_model(name: str, num_classes: int | None = None, **options: Any) -> nn.Module:
    """A new network in evaluation mode; its weights are not trained.

    Args:
        name: of moco's zoo or of a torchvision classification model.
        num_classes: outputs of the head; None takes the builder's default.
        options: further arguments of the builder, for example `shortcut="B"`.

    Raises:
        ConfigError: no such model, or an option that it does not take.
    """
    if num_classes is not None:
        if num_classes < 1:
            raise ConfigError(f"model.num_classes: expected at least 1, got {num_classes}")
        options = {"num_classes": num_classes, **options}
    return (_build_own(name, options) if name in ZOO else _build_torchvision(name, options)).eval()


def _build_own(name: str, options: dict[str, Any]) -> nn.Module:
    """A network of moco's zoo."""
    known = inspect.signature(ZOO[name]).parameters
    for option in options:
        if option not in known:
            raise ConfigError(f"model.{option}: '{name}' has no such option{nearest(option, known)}")
    return ZOO[name](**options)


def _build_torchvision(name: str, options: dict[str, Any]) -> nn.Module:
    """A torchvision classification model."""
    known = model_names()
    if name not in known:
        raise ConfigError(f"model.name: unknown model '{name}'{nearest(name, known)}")
    try:
        network: nn.Module = import_torchvision().models.get_model(name, weights=None, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model: torchvision's '{name}' does not take {options}: {error}") from error
    return network
