"""Small networks for the tests of compression, export and evaluation, with statistics as training leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import nn

from moco.compression.counting import Counts
from moco.models import build_model
from moco.models.cifar_resnet import ResidualNetwork


class Concat(nn.Module):
    """Two branches that are concatenated; a batch-norm and two layers read both."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 8, 3, padding=1)
        self.right = nn.Conv2d(3, 12, 1, bias=False)
        self.norm = nn.BatchNorm2d(20)
        self.both = nn.Conv2d(20, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(torch.cat([self.left(x), self.right(x)], dim=1)))
        return self.head(torch.relu(self.both(x)).mean((2, 3)))


class Chain(nn.Module):
    """A stem, one module in the middle, a convolution and a head."""

    def __init__(self, middle: nn.Module, width: int = 8, out: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.middle = middle
        self.last = nn.Conv2d(out, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.middle(torch.relu(self.stem(x))))
        return self.head(torch.relu(self.last(x)).mean((2, 3)))


class Shared(nn.Module):
    """One convolution that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.twice = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.twice(torch.relu(self.stem(x))))
        return self.head(torch.relu(self.twice(3 * x)).mean((2, 3)))


class Halves(nn.Module):
    """Channels that are split into halves, of which one goes through a convolution before they are joined again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.part = nn.Conv2d(6, 10, 3, padding=1)
        self.both = nn.Conv2d(16, 6, 1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = torch.relu(self.stem(x)).chunk(2, dim=1)
        x = torch.cat([torch.relu(self.part(first)), second], dim=1)
        return self.head(torch.relu(self.both(x)).mean((2, 3)))


class Scaled(nn.Module):
    """A number of its own for each channel, without a layer that holds it: factors, offsets, a constant."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.linspace(0.5, 2.0, channels))
        self.beta = nn.Parameter(torch.linspace(-1.0, 1.0, channels)[None, :, None, None])
        self.register_buffer("limit", torch.linspace(0.3, 3.0, channels)[:, None, None])
        self.scale = nn.Parameter(torch.tensor([1.5]))  # one for all

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.minimum(self.scale * x * self.gamma[None, :, None, None], self.limit) + self.beta


class Stacked(nn.Module):
    """Two layers whose channels are stacked, and taken apart again."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 1)
        self.both = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stack = torch.stack([self.left(x), self.right(x)], dim=1)
        left, right = stack.unbind(1)
        return self.head(torch.relu(self.both(torch.relu(left) * right + stack.amax(1))).mean((2, 3)))


class Shuffled(nn.Module):
    """A channel shuffle of two parts between two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(torch.relu(self.second(x)).mean((2, 3)))


class Baked(nn.Module):
    """Divides by a sum, written as the mean times the width, which an exported graph holds as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        return self.head((x / self.total(x)).sum((2, 3)))

    def total(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2, 3), keepdim=True) * x.shape[1]


class Reshaped(Baked):
    """Reshapes by its width, which an exported graph holds as a number: such a graph does not run with another."""

    def total(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0], 32 * x.shape[1], 2).sum((1, 2))[:, None, None, None]


class Encoder(nn.Module):
    """A block of a vision transformer: attention and an MLP, each a branch that begins with its norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        y, _ = self.attention(y, y, y, need_weights=False)
        x = y + x
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A small vision transformer of two blocks with a class token, for images of 16x16."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 5, width))
        self.blocks = nn.ModuleList(Encoder(width) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class ConvNeXtBlock(nn.Module):
    """A block of ConvNeXt: its layers are a module of their own, the factors of its channels are not."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.pointwise = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.layer_scale = nn.Parameter(torch.linspace(0.2, 0.8, width)[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pointwise(self.norm(self.depthwise(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return x + self.layer_scale * y


class Preactivated(nn.Module):
    """A block whose norms and rectifiers stand before its convolutions; it ends in the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(torch.relu(self.norm1(x)))
        y = self.conv2(torch.relu(self.norm2(y)))
        y += x
        return y


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in evaluation mode with batch-norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.bias, -0.3), (module.running_var, 0.5)):
                assert tensor is not None
                tensor.data.uniform_(low, low + 1.0, generator=generator)
            assert module.running_mean is not None
            module.running_mean.normal_(0, 0.3, generator=generator)
        elif isinstance(module, nn.GroupNorm | nn.InstanceNorm2d | nn.PReLU):
            for parameter in module.parameters():
                parameter.data.uniform_(0.5, 1.5, generator=generator)
        elif isinstance(module, nn.Linear) and isinstance(module.bias, nn.Parameter):
            module.bias.data.normal_(0, 0.1, generator=generator)  # from zeros, which the exporter leaves out
    return network.eval()


def seeded(build: str, seed: int = 0, **options: object) -> nn.Module:
    """A network of the zoo with weights drawn from the seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return randomized(build_model(build, **options), seed)


def made(cls: type[nn.Module], *args: object, seed: int = 0) -> nn.Module:
    """A toy of that class with weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return randomized(cls(*args), seed)


def tiny(option: str = "A", seed: int = 0) -> nn.Module:
    """A residual network of two stages with 8 and 16 channels for gray images of 8x8."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return randomized(ResidualNetwork((8, 16), (2, 2), 10, option=option, in_channels=1), seed)


def vgg() -> nn.Module:
    """torchvision's vgg11_bn with a small classifier: 512 channels of 7x7 are flattened."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model("vgg11_bn", num_classes=10)
        network.classifier = nn.Sequential(nn.Linear(512 * 49, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10))
        return randomized(network)


def images(n: int, channels: int = 3, side: int = 32, seed: int = 0) -> torch.Tensor:
    """Random images (n, channels, side, side)."""
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def bops_of(counts: Counts, bits: Mapping[str, tuple[int, int]]) -> int:
    """MACs x weight bits x activation bits, 32 x 32 where a layer has none."""
    return sum(layer.macs * prod(bits.get(layer.name, (32, 32))) for layer in counts.layers)
