"""LASSO selection of the channels that a layer reads (He et al. 2017, equation 2; S5.07).

With X_i the inputs of channel i at sampled output positions, W_i their weights and Y the layer's outputs there without
its bias, wanted is the beta that minimises

    1/(2N) ||Y - sum_i beta_i X_i W_i||^2 + lambda ||beta||_1    with ||beta||_0 <= w,

for the smallest lambda at which no more than w channels are left. Every width w is asked of one ranking, so the path
over all lambdas is followed once: a channel's importance is the largest lambda at which it is in. The w most important
ones are those that the problem keeps; where the path lets a channel go again, it keeps its place.

What a channel gives is never written out. Its products with the others are sums over its columns of X and W,

    (X_i W_i) . (X_j W_j) = sum over columns a of i and b of j of (X'X)_ab (W W')_ab,

so the Gram matrix of the inputs says all, and Y is the sum of what all channels give.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lars_path_gram
from torch import Tensor, nn

from moco.compression.channels.groups import ChannelGraph, ChannelGroup
from moco.compression.collecting import evaluating, image_batches, reading
from moco.compression.rankings.ranking import IMAGES, Data, Importances, Ranking, Rng
from moco.compression.windows import draw_positions, sampled_rows
from moco.errors import CompressionError, ConfigError

MOST_COLUMNS = 8192
"""Weights an output of the largest layer that is looked at: its Gram matrix takes half a gigabyte."""
RIDGE = 1e-12
"""Of the mean of a Gram matrix's diagonal, added to it: channels that are copies of each other stay two."""


@dataclass(frozen=True)
class LassoOptions:
    """How much of each image is looked at.

    Attributes:
        positions: of a layer's outputs, drawn at random for each image, at most; He et al. take 10.
    """

    positions: int = 20

    def __post_init__(self) -> None:
        """A ConfigError where there are none."""
        if self.positions < 1:
            raise ConfigError(f"ranking lasso: positions: expected at least 1, got {self.positions}")


class Lasso(Ranking):
    """The largest penalty at which LASSO keeps each channel for the layers that read it (He et al. 2017).

    Where several layers read a channel, it has one beta for all of them, and each layer's error counts as a share of
    its outputs' sum of squares. Grouped and transposed convolutions are not looked at, nor is a layer of more than
    8,192 weights an output.
    """

    name = "lasso"
    needs = frozenset({IMAGES})
    Options = LassoOptions

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """By channel group, lambda as a share of the outputs' sum of squares; a channel that gives nothing has 0."""
        names = dict.fromkeys(name for group in graph.groups.values() for name in group.consumers)
        layers = {name: layer for name in names if _is_dense(layer := network.get_submodule(name))}
        sums: dict[str, Tensor] = {}
        drawn = np.random.default_rng(0) if rng is None else rng

        def add(name: str, read: Tensor) -> None:
            rows = _rows(layers[name], read.cpu(), self.options.positions, drawn)
            sums[name] = sums.get(name, 0) + rows.T @ rows

        reads = {name: lambda read, name=name: add(name, read) for name in layers}
        with evaluating(network), reading(network, reads), torch.no_grad():
            for images in image_batches(self.name, data):
                network(images.to(next(network.parameters()).device))
        return {name: self._of_group(group, network, graph, sums) for name, group in graph.groups.items()}

    def _of_group(
        self, group: ChannelGroup, network: nn.Module, graph: ChannelGraph, sums: Mapping[str, Tensor]
    ) -> NDArray[np.float64]:
        total, covered = np.zeros((group.channels, group.channels)), np.zeros(group.channels, dtype=bool)
        for layer in (name for name in group.consumers if name in sums):
            axis = graph.axes[layer, "in"]
            places = np.flatnonzero(axis.owner == axis.groups.index(group.name))
            weight = network.get_submodule(layer).get_parameter("weight").detach().double().cpu()
            gram = channel_gram(sums[layer], weight, places, axis.channel[places], group.channels)
            squares = float(gram.sum())  # of all that the channels give together
            total += gram / squares if squares > 0 else 0
            covered[axis.channel[places]] = True
        if not covered.all():
            raise CompressionError(
                f"ranking '{self.name}': no layer that it can look at reads {int((~covered).sum())} of the "
                f"{group.channels} channels of '{group.name}'; use another ranking"
            )
        if not np.isfinite(total).all():
            raise CompressionError(
                f"ranking '{self.name}': what the readers of '{group.name}' read on the images is not finite"
            )
        return entry_penalties(total)


def channel_gram(
    products: Tensor, weight: Tensor, places: NDArray[np.int64], channels: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Z'Z (n, n) of what each channel gives, Z's column i being X_i W_i, all positions and outputs one below another.

    Args:
        products: X'X, (columns, columns), a kernel's columns together, channel by channel.
        weight: of the layer, (outputs, inputs, ...).
        places: those of the layer's inputs that are channels of the group.
        channels: which one of its `n` channels each of them is of.
    """
    kernel = weight.shape[2:].numel()
    columns = (torch.from_numpy(places)[:, None] * kernel + torch.arange(kernel)).flatten()
    owner = torch.from_numpy(channels).repeat_interleave(kernel)
    flat = weight.flatten(1).index_select(1, columns).double()
    both = products.index_select(0, columns).index_select(1, columns).double() * (flat.T @ flat)
    by_row = both.new_zeros(n, len(columns)).index_add_(0, owner, both)
    return by_row.new_zeros(n, n).index_add_(1, owner, by_row).numpy()


def lasso_path(gram: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every lambda (k,), falling, at which a channel comes or goes, and beta (n, k) there, for Y = sum_i X_i W_i.

    Between two of them beta is linear in lambda (Efron et al. 2004). `gram` is Z'Z; lambda is that of N = 1.
    """
    regular = gram + RIDGE * gram.diagonal().mean() * np.eye(len(gram))
    with warnings.catch_warnings():
        # The path may end early, where what is left to explain is rounding, or leave out a channel that is a copy.
        warnings.simplefilter("ignore", ConvergenceWarning)
        penalties, _, beta = lars_path_gram(gram.sum(axis=1), regular, n_samples=1, method="lasso", copy_Gram=False)
    return penalties, beta


def entry_penalties(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest lambda (n,) at which each channel is in; of those that never come in, how near they are to it."""
    found, alive = np.zeros(len(gram)), np.flatnonzero(gram.diagonal() > 0)
    if not len(alive):
        return found
    gram = gram[np.ix_(alive, alive)]
    penalties, beta = lasso_path(gram)
    is_in = beta != 0
    # A channel that has come in at one place of the path is zero there, and first differs from zero at the next.
    first = penalties[np.maximum(is_in.argmax(axis=1) - 1, 0)]
    left = np.abs(gram @ (1 - beta[:, -1]))  # at most lambda: its condition for beta = 0
    found[alive] = np.where(is_in.any(axis=1), first, np.minimum(left, penalties[-1]))
    return found


def _is_dense(layer: nn.Module) -> bool:
    """Whether each output reads all inputs, in a matrix that is not too large."""
    dense = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
    return dense and layer.get_parameter("weight")[0].numel() <= MOST_COLUMNS


def _rows(layer: nn.Module, read: Tensor, positions: int, rng: np.random.Generator) -> Tensor:
    """X in double precision, without the column of ones."""
    columns = layer.get_parameter("weight")[0].numel()
    return sampled_rows(layer, read, draw_positions(layer, read, positions, rng))[:, :columns].double()
