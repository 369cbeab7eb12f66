"""Rankings by the weights alone, and the one that looks at nothing."""

from __future__ import annotations

import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.rankings.coupled import coupled, input_slices, of_filters
from moco.compression.rankings.ranking import Data, Importances, Ranking, Rng
from moco.errors import CompressionError


class L1(Ranking):
    """Sum of the absolute weights of each filter (S2.03; Li et al. 2017)."""

    name = "l1"

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        return of_filters(network, graph, lambda filters: filters.abs().sum(dim=1))


class L2(Ranking):
    """Euclidean norm of each filter."""

    name = "l2"

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        return of_filters(network, graph, lambda filters: filters.norm(dim=1))


class L1Inputs(Ranking):
    """Sum of the absolute weights by which the next layers read each channel (S2.10).

    Of a residual block's first convolution these are the input slices of its second one.
    """

    name = "l1_inputs"

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        readers = dict.fromkeys(name for group in graph.groups.values() for name in group.consumers)
        scores = {name: input_slices(network, name).abs().sum(dim=1) for name in readers}
        return coupled(graph, "in", scores, f"ranking '{self.name}': no layer reads")


class GeometricMedian(Ranking):
    """Sum of each filter's Euclidean distances to the others (He et al. 2019, equation 4).

    The filter nearest to the geometric median of all is the one that the others replace best.
    """

    name = "geometric_median"

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        exact = "donot_use_mm_for_euclid_dist"  # equal filters get equal sums
        return of_filters(network, graph, lambda filters: torch.cdist(filters, filters, compute_mode=exact).sum(dim=1))


class BatchNormScale(Ranking):
    """|gamma| of the batch-norms that scale each channel (Liu et al. 2017)."""

    name = "batch_norm_scale"

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        norms = {name: module for name, module in network.named_modules() if (name, "out") in graph.axes}
        scales = {
            name: module.weight.detach().double().abs().cpu()
            for name, module in norms.items()
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.weight is not None
        }
        return coupled(graph, "out", scales, f"ranking '{self.name}': no batch-norm scales")


class Random(Ranking):
    """Uniform numbers from the generator, a baseline."""

    name = "random"

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        if rng is None:
            raise CompressionError(f"ranking '{self.name}': expected a random generator, got none")
        return {name: rng.random(group.channels) for name, group in graph.groups.items()}
