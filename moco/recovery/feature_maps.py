"""The feature maps that layers of a network give: which there are, which lies in the middle, and how to get one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from moco.compression.collecting import evaluating
from moco.errors import CompressionError, ConfigError, nearest

MapShape = tuple[int, int, int]
"""Of one image's feature map: (channels, height, width)."""


def feature_maps(network: nn.Module, images: Tensor) -> dict[str, MapShape]:
    """The shape of each layer's feature map by the layer's name, in the order in which they are given.

    A layer is any module within the network, a block too; of one that is used again the first map counts. The images
    (n, channels, height, width) are shown once, and the network is left as it was.
    """
    found: dict[str, MapShape] = {}

    def note(name: str, _module: nn.Module, _read: Any, given: Any) -> None:
        if isinstance(given, Tensor) and given.dim() == 4:
            found.setdefault(name, (given.shape[1], given.shape[2], given.shape[3]))

    with evaluating(network), torch.no_grad(), ExitStack() as hooks:
        for name, module in network.named_modules():
            if name:
                hooks.enter_context(module.register_forward_hook(partial(note, name)))
        network(images)
    return found


def middle_block(network: nn.Module, maps: Mapping[str, MapShape]) -> str | None:
    """The block around the convolution in the middle of the network: the first module around it that holds two of them.

    The convolution itself, of an even number the later one, where there is none or that module holds more than half of
    all; None without any convolution. `maps` are the network's, as `feature_maps` gives them.
    """
    layers = [name for name in maps if isinstance(network.get_submodule(name), nn.Conv2d)]
    if not layers:
        return None
    middle = layers[len(layers) // 2]
    for block in _around(middle):
        inside = sum(name.startswith(f"{block}.") for name in layers)
        if block in maps and inside > 1:
            return block if 2 * inside <= len(layers) else middle
    return middle


def checked_layer(name: str | None, network: nn.Module, maps: Mapping[str, MapShape], key: str, whose: str) -> str:
    """The layer's name, the middle block's where none is given; `key` and `whose` say for errors where it was given.

    A ConfigError where the network has no such layer, or it gives no feature map: the nearest one that does is named.
    """
    chosen = name or middle_block(network, maps)
    if chosen is not None and chosen in maps:
        return chosen
    if chosen is None:
        raise ConfigError(f"{key}: the {whose} has no convolution, so no block in its middle; name one of its layers")
    if chosen in dict(network.named_modules()):
        lacks = f"'{chosen}' of the {whose} gives no feature map (n, channels, height, width)"
    else:
        lacks = f"the {whose} has no layer '{chosen}'"
    raise ConfigError(f"{key}: {lacks}{nearest(chosen, maps)}")


class UpTo(nn.Module):
    """A network up to one of its layers: gives that layer's feature map, and computes nothing that comes after it.

    The network is stopped on its way, so it may be any: its own forward pass decides what comes before. A copy of this
    module is one of the network too.
    """

    def __init__(self, network: nn.Module, layer: str) -> None:
        super().__init__()
        self.network, self.layer = network, layer

    def forward(self, images: Tensor) -> Tensor:
        """The map (n, channels, height, width) of images (n, channels, height, width)."""
        stop = self.network.get_submodule(self.layer).register_forward_hook(_stop)
        try:
            self.network(images)
        except _ReachedError as reached:
            return reached.given
        finally:
            stop.remove()
        raise CompressionError(f"the layer '{self.layer}' was not used by the network")


class _ReachedError(BaseException):  # a network that catches its own exceptions must not catch this one
    def __init__(self, given: Tensor) -> None:
        super().__init__()
        self.given = given


def _stop(_module: nn.Module, _read: Any, given: Tensor) -> None:
    raise _ReachedError(given)


def _around(name: str) -> Iterator[str]:
    """The modules around it by name, from within to without."""
    while name := name.rpartition(".")[0]:
        yield name
