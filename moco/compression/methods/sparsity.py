"""Unstructured magnitude pruning (S4.02; Han et al. 2015): a layer keeps its largest weights, the others become zero.

It is for size and for comparison. The tensors stay dense, so no runtime here gets faster by it, and none is credited
with speed; a file gets smaller only where a sparse or compressed format stores it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from moco.compression.costs import LayerCost
from moco.compression.file_weights import FileWeights
from moco.compression.methods.filter_pruning import rounded_width
from moco.compression.methods.method import KeepingMethod, KeepOptions, Setting
from moco.compression.space.context import Draft, SpaceContext
from moco.compression.space.layer_groups import Grouped
from moco.compression.space.parameters import Part, Ratio
from moco.errors import CompressionError, nearest


@dataclass(frozen=True)
class SparsityOptions(KeepOptions):
    """Options of sparsity."""

    method = "sparsity"


class Sparsity(KeepingMethod):
    """Zeroes the smallest weights of a layer; those of a factorised layer all stay."""

    name = "sparsity"
    settings = ("sparsity",)
    order = 40
    excludes = frozenset({"tucker", "svd"})
    Options = SparsityOptions

    def parameters_for(self, group: Grouped, context: SpaceContext) -> Part | None:
        """All layers."""
        return Part(group.name, group.layers, {"density": Ratio(*self.options.keep)}) if group.layers else None

    def summary(self, part: Part, context: SpaceContext) -> dict[str, Any]:
        """The ratios."""
        low, high = self.options.keep
        return {"methods": [f"weights {low:g}-{high:g} of {len(part.names)} layers"]}

    def most_settings(self, part: Part, context: SpaceContext) -> int:
        """A setting for each weight of each layer."""
        return sum(context.costs.weights(layer, {}) for layer in part.names)

    def write_settings(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> None:
        """The number of weights of each layer, as a share of what pruning left."""
        for layer in part.names:
            weights = context.costs.weights(layer, draft.widths)
            kept = kept_weights(weights, values["density"])
            draft.set(layer, self.canonical({self.name: {"keep": kept, "of": weights}}))

    def values_of(self, part: Part, draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """The mean ratio."""
        of, kept = self._counts(part, draft, context)
        return {"density": sum(kept) / max(sum(of), 1)} if of else {}

    def refine(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """A ratio that leaves just as many weights, where there is one."""
        ratio, (of, kept) = part.parameters["density"], self._counts(part, draft, context)

        def left(density: float) -> list[int]:
            return [kept_weights(weights, density) for weights in of]

        assert isinstance(ratio, Ratio)
        return {"density": ratio.leaving(kept, left, values["density"])}

    def _counts(self, part: Part, draft: Draft, context: SpaceContext) -> tuple[list[int], list[int]]:
        """The weights of each layer under the draft's widths, and how many of them it keeps."""
        of = {layer: context.costs.weights(layer, draft.widths) for layer in part.names}
        settings = {layer: draft.settings.get(layer, {}).get(self.name, {}) for layer in of}
        return list(of.values()), [settings[layer].get("keep", weights) for layer, weights in of.items()]

    def cost(self, layer: LayerCost, setting: Setting) -> LayerCost:
        """Packed, each weight also costs the bit that says whether it is zero; else it counts as any other (W33)."""
        return layer._replace(packed_bits=setting[self.name]["keep"] * layer.weight_bits + layer.weights)

    def apply_(self, network: nn.Module, settings: Mapping[str, Setting], prepared: Any) -> None:
        """Zero the smallest."""
        sparsify_(network, {name: setting[self.name]["keep"] for name, setting in settings.items()})

    def verify_file(self, weights: FileWeights, settings: Mapping[str, Setting]) -> None:
        """No more weights than asked for are not zero."""
        for name, setting in settings.items():
            kept, left = setting[self.name]["keep"], int(np.count_nonzero(weights.values(name)))
            if left > kept:
                raise CompressionError(f"verification: '{name}' was to keep {kept} weights, the file holds {left}")


def kept_weights(n: int, keep_ratio: float) -> int:
    """Weights of `n` that a ratio leaves: n - floor(n (1 - ratio)), at least one; a CompressionError outside (0, 1]."""
    if not 0 < keep_ratio <= 1:
        raise CompressionError(f"sparsity: expected a ratio of weights to keep in (0, 1], got {keep_ratio}")
    return rounded_width(n, keep_ratio)


def largest(weight: torch.Tensor, k: int) -> torch.Tensor:
    """Which `k` weights have the largest magnitude (bool, as the weight); of equals the lower index stays."""
    order = torch.sort(weight.detach().abs().flatten(), descending=True, stable=True).indices
    mask = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    mask[order[:k]] = True
    return mask.reshape(weight.shape)


def sparsify_(network: nn.Module, kept: Mapping[str, int]) -> None:
    """Zero, in place, all but the `kept` largest weights of each of these layers (convolution or linear).

    An unknown layer, a number out of range or weights that are NaN are a CompressionError; nothing was changed then.
    """
    weights = {name: _weight(network, name, k) for name, k in kept.items()}
    masks = {name: largest(weight, kept[name]) for name, weight in weights.items()}
    with torch.no_grad():
        for name, weight in weights.items():
            weight[~masks[name]] = 0


def _weight(network: nn.Module, name: str, k: int) -> torch.Tensor:
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    if name not in layers:
        raise CompressionError(
            f"sparsity: the network has no convolution or linear layer '{name}'{nearest(name, layers)}"
        )
    weight = layers[name].weight
    if not 1 <= k <= weight.numel():
        raise CompressionError(f"sparsity: '{name}' has {weight.numel()} weights, of which 1 to all stay; got {k}")
    if weight.isnan().any():
        raise CompressionError(f"sparsity: '{name}' has weights that are NaN; they have no magnitude")
    return weight
