"""VGG (Simonyan and Zisserman 2015) for 32x32 images: batch-norm after each convolution, one linear layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""In each of the five stages, by the depth that the name says: the paper's columns D and E."""
WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Five stages of 3x3 convolutions with batch-norm and ReLU, each halved by max-pooling, and a linear head."""

    def __init__(self, convolutions: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = 3
        for width, count in zip(WIDTHS, convolutions, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(previous, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                previous = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(previous, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of normalised images (n, 3, 32, 32)."""
        return self.linear(self.flatten(self.features(x)))  # type: ignore[no-any-return]


def cifar_vgg(depth: int, num_classes: int = 10) -> VGG:
    """VGG of that depth; the three linear layers of the paper are one, as in Liu et al. 2017 (Network slimming)."""
    return VGG(CONVOLUTIONS[depth], num_classes)


ZOO: dict[str, Callable[..., nn.Module]] = {f"cifar_vgg{depth}": partial(cifar_vgg, depth) for depth in CONVOLUTIONS}
"""As `moco.models.cifar_resnet.ZOO`."""
