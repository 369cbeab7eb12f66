"""Pre-activation residual networks for CIFAR (He et al. 2016b, "Identity Mappings"), of bottleneck blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

EXPANSION = 4
"""Channels that a block gives, to those of its 3x3 convolution."""


class PreactivatedBottleneck(nn.Module):
    """Batch-norm and ReLU before each of a 1x1, a 3x3 and a 1x1 convolution, added to what came in.

    The first block of a stage projects what came in by a strided 1x1 convolution without batch-norm.
    """

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.bn1, self.relu1 = nn.BatchNorm2d(in_channels), nn.ReLU()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(width), nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn3, self.relu3 = nn.BatchNorm2d(width), nn.ReLU()
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, 4 * width, height / stride, width / stride)."""
        out = self.conv1(self.relu1(self.bn1(x)))
        out = self.conv2(self.relu2(self.bn2(out)))
        out = self.conv3(self.relu3(self.bn3(out)))
        return out + self.shortcut(x)  # type: ignore[no-any-return]


class PreactivatedNetwork(nn.Module):
    """A 3x3 stem, three stages of bottlenecks of 16, 32 and 64 channels, batch-norm, pooling and a linear head."""

    def __init__(self, blocks: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        previous = 16
        for stage, width in enumerate((16, 32, 64), start=1):
            first = PreactivatedBottleneck(previous, width, 1 if stage == 1 else 2)
            previous = EXPANSION * width
            rest = [PreactivatedBottleneck(previous, width, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
        self.bn, self.relu = nn.BatchNorm2d(previous), nn.ReLU()
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.linear = nn.Linear(previous, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of normalised images (n, 3, height, width)."""
        x = self.conv1(x)
        for stage in ("layer1", "layer2", "layer3"):
            x = self.get_submodule(stage)(x)
        return self.linear(self.flatten(self.pool(self.relu(self.bn(x)))))  # type: ignore[no-any-return]


def cifar_preresnet(depth: int, num_classes: int = 10) -> PreactivatedNetwork:
    """The 9n+2-layer network; `depth` counts the layers with weights but the projections."""
    return PreactivatedNetwork((depth - 2) // 9, num_classes)


ZOO: dict[str, Callable[..., nn.Module]] = {
    f"cifar_preresnet{depth}": partial(cifar_preresnet, depth) for depth in (110, 164)
}
"""As `moco.models.cifar_resnet.ZOO`."""
