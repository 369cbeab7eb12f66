"""Layers replaced by the two or three that their factors make (S1.43, S4.05), in a copy of a network.

| method | layers in the sequence | what they keep of the original |
|---|---|---|
| Tucker | 1x1, kxk, 1x1 | stride, padding and dilation the middle one, the bias the last one |
| SVD of a 1x1 convolution | 1x1, 1x1 | stride and padding the first one, the bias the last one |
| SVD of a linear layer | linear, linear | the bias the last one |

A 1x1 convolution without a bias gives zero for zero, so padding after it is padding before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from moco.compression.methods.low_rank import (
    FactorCache,
    Method,
    SvdFactors,
    SvdRank,
    TuckerFactors,
    TuckerRanks,
    is_neutral,
    no_factors,
)
from moco.errors import CompressionError, nearest


def factorise_(network: nn.Module, settings: Mapping[str, TuckerRanks | SvdRank], cache: FactorCache) -> None:
    """Replace, in place, each named layer by an `nn.Sequential` of its factors, `<layer>.0` and so on.

    Args:
        network: a copy that the caller made; pruned and refitted already.
        settings: ranks by layer name, of the layers as they are in `network`; full ranks leave a layer as it is.
        cache: of the network that the copy was made of.

    Raises:
        CompressionError: a layer is unknown or cannot be factorised so, a rank is out of range, or a weight is not
            finite. The network is then as it was.
    """
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
    for name, setting in settings.items():
        _check(layers, name, setting)
    made = {
        name: _factorised(name, layers[name], setting, cache)
        for name, setting in settings.items()
        if not is_neutral(tuple(layers[name].weight.shape), setting)
    }
    for name, sequence in made.items():
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, sequence)


def _check(layers: Mapping[str, nn.Conv2d | nn.Linear], name: str, setting: TuckerRanks | SvdRank) -> None:
    method: Method = "svd" if isinstance(setting, SvdRank) else "tucker"
    if name not in layers:
        raise CompressionError(f"{method}: the network has no layer '{name}'{nearest(name, layers)}")
    layer = layers[name]
    reason = no_factors(layer, method)
    if reason is not None:
        raise CompressionError(f"{method}: '{name}' cannot be factorised: {reason}")
    out, inner = layer.weight.shape[:2]
    if isinstance(setting, SvdRank):
        if not 1 <= setting.rank <= min(out, inner):
            raise CompressionError(
                f"svd: '{name}' is {inner} -> {out} channels: expected a rank from 1 to {min(out, inner)}, "
                f"got {setting.rank}"
            )
    elif not (1 <= setting.rank_in <= inner and 1 <= setting.rank_out <= out):
        raise CompressionError(
            f"tucker: '{name}' is {inner} -> {out} channels: expected ranks of at least 1 and at most these, "
            f"got {setting.rank_in} and {setting.rank_out}"
        )


def _factorised(
    name: str, layer: nn.Conv2d | nn.Linear, setting: TuckerRanks | SvdRank, cache: FactorCache
) -> nn.Sequential:
    weight = layer.weight.detach()
    weights: tuple[Tensor, ...]
    try:
        if isinstance(setting, TuckerRanks):
            weights = cache.factors(TuckerFactors, name, weight).truncated(setting.rank_in, setting.rank_out)
        else:
            weights = cache.factors(SvdFactors, name, weight).truncated(setting.rank)
    except CompressionError as error:
        raise CompressionError(f"'{name}': {error}") from error
    # Tucker's kernel is in the middle of three; of SVD's two the first may skip what a stride skips.
    spatial = (len(weights) - 1) // 2
    layers = [_layer_like(layer, factor, spatial=index == spatial) for index, factor in enumerate(weights)]
    layers[-1].bias = layer.bias
    return nn.Sequential(*layers).train(layer.training)


def _layer_like(layer: nn.Conv2d | nn.Linear, weight: Tensor, *, spatial: bool) -> nn.Conv2d | nn.Linear:
    """A layer of this weight and no bias; of convolutions the `spatial` one has stride, padding and dilation."""
    out, inner, *kernel = weight.shape
    made: nn.Conv2d | nn.Linear
    if isinstance(layer, nn.Linear):
        made = nn.Linear(inner, out, bias=False, device="meta")  # no weights are drawn to be thrown away
    else:
        kept = ("stride", "padding", "dilation", "padding_mode") if spatial else ()
        given: dict[str, Any] = {name: getattr(layer, name) for name in kept}
        made = nn.Conv2d(inner, out, (kernel[0], kernel[1]), bias=False, device="meta", **given)
    made.weight = nn.Parameter(weight, layer.weight.requires_grad)
    return made
