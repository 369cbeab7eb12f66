"""Networks of two convolutions and some linear layers: LeNet-5 in its two forms, and one of four layers."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from moco.errors import ConfigError


class TwoConvolutions(nn.Module):
    """Two 5x5 convolutions, each followed by ReLU and 2x2 max-pooling, then linear layers with ReLU between them.

    Args:
        channels: of the image and of both convolutions' outputs.
        padding: of both convolutions.
        side: height and width that the second pooling leaves.
        units: outputs of the linear layers before the last one.
        num_classes: outputs of the last one.
    """

    def __init__(
        self,
        channels: tuple[int, int, int],
        padding: tuple[int, int],
        side: int,
        units: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(channels[0], channels[1], 5, padding=padding[0]), nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2, self.relu2 = nn.Conv2d(channels[1], channels[2], 5, padding=padding[1]), nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        layers: list[nn.Module] = []
        previous = channels[2] * side**2
        for count in units:
            layers += [nn.Linear(previous, count), nn.ReLU()]
            previous = count
        self.classifier = nn.Sequential(*layers, nn.Linear(previous, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of normalised images (n, channels, height, width)."""
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        return self.classifier(self.flatten(x))  # type: ignore[no-any-return]


def lenet5(num_classes: int = 10) -> TwoConvolutions:
    """LeNet-5 (LeCun et al. 1998) for 28x28 gray images: 6 and 16 maps, 120 and 84 units.

    As it is used today: the second convolution reads all maps, with ReLU and max-pooling.
    """
    return TwoConvolutions((1, 6, 16), (2, 0), 5, (120, 84), num_classes)


def lenet5_caffe(num_classes: int = 10) -> TwoConvolutions:
    """The LeNet-5 of papers on pruning (Caffe's; Han et al. 2015): 20 and 50 maps, 500 units.

    The original has no ReLU after its convolutions.
    """
    return TwoConvolutions((1, 20, 50), (0, 0), 4, (500,), num_classes)


def conv2_fc2(num_classes: int = 10, in_channels: int = 3, side: int = 32) -> TwoConvolutions:
    """Two convolutions of 32 and 64 maps that keep the size, a linear layer of 512 units, and a head.

    As McMahan et al. 2017 (section 3) have it for MNIST. `side` is the height and width of the images, in pixels. A
    ConfigError where it is no multiple of 4, or a number is below 1.
    """
    if not isinstance(side, int) or side < 4 or side % 4:
        raise ConfigError(f"model.side: expected a multiple of 4, which is halved twice, got {side!r}")
    if not isinstance(in_channels, int) or in_channels < 1:
        raise ConfigError(f"model.in_channels: expected a whole number from 1, got {in_channels!r}")
    return TwoConvolutions((in_channels, 32, 64), (2, 2), side // 4, (512,), num_classes)


ZOO: dict[str, Callable[..., nn.Module]] = {"lenet5": lenet5, "lenet5_caffe": lenet5_caffe, "conv2_fc2": conv2_fc2}
"""As `moco.models.cifar_resnet.ZOO`."""
