"""A small residual network for 8x8 gray digits, trained on the spot in seconds."""

from __future__ import annotations

from moco.models.cifar_resnet import ResidualNetwork, check_shortcut


def digits_resnet(num_classes: int = 10, shortcut: str = "A") -> ResidualNetwork:
    """The network: stem of 32 channels, stages of 32 and 64, two blocks each.

    Widths are multiples of 16, so that halving one is a whole step on the latency staircase of CPU runtimes.
    """
    return ResidualNetwork((32, 64), (2, 2), num_classes, option=check_shortcut(shortcut), in_channels=1)
