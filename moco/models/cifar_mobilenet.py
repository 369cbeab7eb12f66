"""MobileNetV2 (Sandler et al. 2018) for 32x32 images: torchvision's network, which halves the image three times."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from moco.errors import ConfigError
from moco.models.torchvision_shim import import_torchvision

STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and first stride of each stage: the paper's table 2, but for the second one's stride."""


def cifar_mobilenetv2(num_classes: int = 10, width: float = 1.0) -> nn.Module:
    """MobileNetV2 whose stem and second stage keep the image's size.

    `width` multiplies the channels, which stay multiples of 8; those before the classifier are 1,280 at least. A
    ConfigError where it is no number above 0.
    """
    if not isinstance(width, (int, float)) or not 0 < width < float("inf"):
        raise ConfigError(f"model.width: expected a finite number above 0, got {width}")
    network: nn.Module = import_torchvision().models.MobileNetV2(num_classes, width, [list(stage) for stage in STAGES])
    stem = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    stem.stride = (1, 1)
    return network


ZOO: dict[str, Callable[..., nn.Module]] = {"cifar_mobilenetv2": cifar_mobilenetv2}
"""As `moco.models.cifar_resnet.ZOO`."""
