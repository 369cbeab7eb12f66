"""Networks by name: moco's own small zoo, torchvision's, and timm's where timm is installed."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from moco.errors import ConfigError, nearest
from moco.models import cifar_mobilenet, cifar_preresnet, cifar_resnet, cifar_vgg, lenet
from moco.models.timm_zoo import PREFIX, build_timm, timm_names
from moco.models.torchvision_zoo import build_torchvision, torchvision_names

ZOO = {**cifar_resnet.ZOO, **cifar_preresnet.ZOO, **cifar_vgg.ZOO, **cifar_mobilenet.ZOO, **lenet.ZOO}
"""moco's own networks: a builder by name."""


def model_names() -> list[str]:
    """All names that `build_model` takes here, moco's own first; timm's as timm/NAME, where timm is installed."""
    return [*ZOO, *torchvision_names(), *timm_names()]


def build_model(name: str, num_classes: int | None = None, **options: Any) -> nn.Module:
    """A new network in evaluation mode, its weights not trained; a ConfigError where there is no such model or option.

    `num_classes` of None takes the builder's default; `options` are its further arguments, such as `shortcut="B"`.
    """
    if num_classes is not None:
        if num_classes < 1:
            raise ConfigError(f"model.num_classes: expected at least 1, got {num_classes}")
        options = {"num_classes": num_classes, **options}
    if name.startswith(PREFIX):
        return build_timm(name, options).eval()
    if name in ZOO:
        return _build_own(name, options).eval()
    if name not in torchvision_names():
        raise ConfigError(f"model.name: unknown model '{name}'{_hint(name)}")
    return build_torchvision(name, options).eval()


def _build_own(name: str, options: dict[str, Any]) -> nn.Module:
    known = inspect.signature(ZOO[name]).parameters
    for option in options:
        if option not in known:
            raise ConfigError(f"model.{option}: '{name}' has no such option{nearest(option, known)}")
    return ZOO[name](**options)


def _hint(name: str) -> str:
    """The nearest name; a name of timm's without its prefix is near to that of timm."""
    if PREFIX + name in (of_timm := timm_names()):
        return f"; did you mean '{PREFIX}{name}'?"
    return nearest(name, [*ZOO, *torchvision_names()]) + (f" {len(of_timm)} more are timm/NAME" if of_timm else "")
