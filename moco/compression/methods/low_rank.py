"""Low-rank factors of a layer's weight, Tucker-2 of convolutions (S1.43) and SVD of matrices (S4.05), in its place.

Both are made so that the factors of any rank are a corner of the full ones: they are computed once a layer, and each
candidate cuts them to its ranks. The bases are the eigenvectors of Gram matrices in double precision, which gives the
error of a singular value decomposition in a tenth of the time (runtimes.md §4).

| method | layers that take the place of one | what they keep of the original |
|---|---|---|
| Tucker | 1x1, kxk, 1x1 | stride, padding and dilation the middle one, the bias the last one |
| SVD of a 1x1 convolution | 1x1, 1x1 | stride and padding the first one, the bias the last one |
| SVD of a linear layer | linear, linear | the bias the last one |

A 1x1 convolution without a bias gives zero for zero, so padding after it is padding before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from tensorly import backend_context, unfold
from tensorly.tenalg import multi_mode_dot
from torch import Tensor, nn

from moco.errors import CompressionError, nearest

FactorKind = Literal["tucker", "svd"]
STEM_CHANNELS = 3  # a layer that reads no more channels than an image has is left alone (S1.44)


@dataclass(frozen=True)
class TuckerRanks:
    """Channels between the three convolutions: after the first, and after the one with the kernel."""

    rank_in: int
    rank_out: int


@dataclass(frozen=True)
class SvdRank:
    """Channels between the two layers."""

    rank: int


Ranks = TuckerRanks | SvdRank


@dataclass(frozen=True)
class TuckerFactors:
    """Tucker-2 of a convolution's weight W (O, I, kh, kw) at full rank: W = core x3 U x4 V."""

    basis_in: Tensor  # U (I, I), orthonormal columns, the most important first
    basis_out: Tensor  # V (O, O), likewise
    core: Tensor  # W x3 U' x4 V' (O, I, kh, kw); the core of any ranks is a corner of it

    @staticmethod
    def of(weight: Tensor) -> TuckerFactors:
        """The factors of a weight (O, I, kh, kw), with its type and on its device."""
        array = _doubles(weight)
        with backend_context("numpy", local_threadsafe=True):
            basis_out, basis_in = (_eigenvectors(side @ side.T) for side in (unfold(array, 0), unfold(array, 1)))
            core = multi_mode_dot(array, [basis_out, basis_in], modes=[0, 1], transpose=True)
        return TuckerFactors(_like(weight, basis_in), _like(weight, basis_out), _like(weight, core))

    def truncated(self, rank_in: int, rank_out: int) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of the three convolutions: (rank_in, I, 1, 1), (rank_out, rank_in, kh, kw), (O, rank_out, 1, 1)."""
        first = self.basis_in[:, :rank_in].T[:, :, None, None]
        last = self.basis_out[:, :rank_out, None, None]
        return first.clone(), self.core[:rank_out, :rank_in].clone(), last.clone()


@dataclass(frozen=True)
class SvdFactors:
    """Singular value decomposition of a weight W (O, I) or (O, I, 1, 1) at full rank m = min(O, I): W = last @ first.

    Each singular value is split evenly, so that neither layer's weights outweigh the other's.
    """

    first: Tensor  # S^(1/2) V' (m, I)
    last: Tensor  # U S^(1/2) (O, m)
    spatial: tuple[int, ...]  # the axes of the kernel, (1, 1) for a convolution

    @staticmethod
    def of(weight: Tensor) -> SvdFactors:
        """The factors of a weight, with its type and on its device."""
        array = _doubles(weight).reshape(weight.shape[0], -1)
        wide = array.shape[0] <= array.shape[1]
        matrix = array if wide else array.T  # (m, n), so that the Gram matrix is the smaller of the two
        basis = _eigenvectors(matrix @ matrix.T)
        rest = basis.T @ matrix  # S V', or (U S)'
        singular = np.linalg.norm(rest, axis=1)
        root = np.sqrt(np.maximum(singular, np.finfo(np.float64).tiny))
        short, long = basis * root, rest / root[:, None]
        first, last = (long, short) if wide else (short.T, long.T)
        return SvdFactors(_like(weight, first), _like(weight, last), tuple(weight.shape[2:]))

    def truncated(self, rank: int) -> tuple[Tensor, Tensor]:
        """Weights of the two layers: (rank, I), (O, rank), with a kernel of 1x1 where the layer is a convolution."""
        first, last = self.first[:rank], self.last[:, :rank]
        return first.reshape(*first.shape, *self.spatial).clone(), last.reshape(*last.shape, *self.spatial).clone()


Factors = TypeVar("Factors", TuckerFactors, SvdFactors)


class FactorCache:
    """The factors of a network's own weights, each computed when it is first asked for.

    A candidate's layer that was not pruned has the very weight of the network, so its factors are cut from the cached
    ones; a weight that was pruned or refitted is factorised anew and not kept.
    """

    def __init__(self, network: nn.Module) -> None:
        """Remember the network's layers; it must not change afterwards."""
        self._weights: Mapping[str, Tensor] = {
            name: module.weight.detach()
            for name, module in network.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        }
        self._known: dict[tuple[str, type], Any] = {}

    def factors(self, kind: type[Factors], layer: str, weight: Tensor) -> Factors:
        """The factors of the layer whose weight, in this candidate, is `weight`."""
        own = self._weights.get(layer)
        if own is None or not torch.equal(own, weight):  # a comparison takes milliseconds, and cannot be mistaken
            return kind.of(weight)
        if (layer, kind) not in self._known:
            self._known[layer, kind] = kind.of(weight)
        found: Factors = self._known[layer, kind]
        return found


def tucker_ranks(keep: float, in_channels: int, out_channels: int) -> TuckerRanks:
    """The ranks of a keep ratio: ceil(keep x channels) of either side (S1.43)."""
    return TuckerRanks(_ceil(keep, in_channels), _ceil(keep, out_channels))


def svd_rank(keep: float, in_channels: int, out_channels: int) -> SvdRank:
    """The rank of a keep ratio: ceil(keep x min(I, O))."""
    return SvdRank(_ceil(keep, min(in_channels, out_channels)))


def weight_shapes(shape: tuple[int, ...], ranks: Ranks) -> tuple[tuple[int, ...], ...]:
    """Shapes of the weights that replace one of `shape` (O, I, ...); the shape itself where nothing is cut off."""
    out, inner, *kernel = shape
    if is_neutral(shape, ranks):
        return (shape,)
    ones = (1,) * len(kernel)
    if isinstance(ranks, SvdRank):
        return (ranks.rank, inner, *ones), (out, ranks.rank, *ones)
    core = (ranks.rank_out, ranks.rank_in, *kernel)
    return (ranks.rank_in, inner, *ones), core, (out, ranks.rank_out, *ones)


def factorised_parameters(shape: tuple[int, ...], ranks: Ranks) -> int:
    """Weights after the factorisation of a weight (O, I, ...); the bias, which stays, is not counted (S1.45)."""
    return sum(math.prod(factor) for factor in weight_shapes(shape, ranks))


def is_neutral(shape: tuple[int, ...], ranks: Ranks) -> bool:
    """Whether the ranks are full, which leaves the layer as it is (S1.44)."""
    if isinstance(ranks, SvdRank):
        return ranks.rank == min(shape[:2])
    return (ranks.rank_out, ranks.rank_in) == tuple(shape[:2])


def pays(shape: tuple[int, ...], ranks: Ranks) -> bool:
    """Whether the factors hold fewer weights than the layer of weight (O, I, ...) that they stand for (W30)."""
    return factorised_parameters(shape, ranks) < math.prod(shape)


def no_factors(layer: nn.Module, kind: FactorKind) -> str | None:
    """Why a layer cannot be replaced by factors of that kind; None where it can."""
    if type(layer) is nn.Linear:
        return None if kind == "svd" else "it is a linear layer, which has no kernel: use svd"
    if type(layer) is not nn.Conv2d:  # of a subclass it is not known what else reads the weight
        return f"it is a {type(layer).__name__}, neither nn.Conv2d nor nn.Linear"
    if layer.groups > 1:
        return f"it is a grouped convolution ({layer.groups} groups)"
    if kind == "svd" and tuple(layer.kernel_size) != (1, 1):
        return f"its kernel is {layer.kernel_size[0]}x{layer.kernel_size[1]}, and svd takes 1x1: use tucker"
    return None


def _ceil(keep: float, channels: int) -> int:
    """ceil(keep x channels), at least 1; 1e-9 undoes the representation error of products like 0.55 x 100."""
    if not 0 < keep <= 1:
        raise CompressionError(f"factorisation: expected a keep ratio in (0, 1], got {keep}")
    return max(1, math.ceil(keep * channels - 1e-9))


def _eigenvectors(gram: np.ndarray) -> np.ndarray:
    """Orthonormal columns (n, n) of a symmetric matrix, those of the largest eigenvalues first."""
    return np.asarray(np.linalg.eigh(gram)[1][:, ::-1].copy())  # torch takes no negative strides


def _doubles(weight: Tensor) -> np.ndarray:
    if not bool(torch.isfinite(weight).all()):
        raise CompressionError("factorisation: the weight holds values that are not finite")
    return np.asarray(weight.detach().cpu().double().numpy())


def _like(weight: Tensor, array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(weight)


def factorise_(network: nn.Module, by_layer: Mapping[str, Ranks], cache: FactorCache) -> None:
    """Replace, in place, each named layer by an `nn.Sequential` of its factors, `<layer>.0` and so on.

    The network, pruned and refitted already, is a copy of the one that the cache is of. The ranks are of its layers as
    they are now; full ones leave a layer as it is. It is a CompressionError, and the network is then as it was, that a
    layer is unknown or cannot be factorised so, a rank is out of range, or a weight is not finite.
    """
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
    for name, ranks in by_layer.items():
        _check(layers, name, ranks)
    made = {
        name: _factorised(name, layers[name], ranks, cache)
        for name, ranks in by_layer.items()
        if not is_neutral(tuple(layers[name].weight.shape), ranks)
    }
    for name, sequence in made.items():
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, sequence)


def _check(layers: Mapping[str, nn.Conv2d | nn.Linear], name: str, ranks: Ranks) -> None:
    kind: FactorKind = "svd" if isinstance(ranks, SvdRank) else "tucker"
    if name not in layers:
        raise CompressionError(f"{kind}: the network has no layer '{name}'{nearest(name, layers)}")
    layer = layers[name]
    reason = no_factors(layer, kind)
    if reason is not None:
        raise CompressionError(f"{kind}: '{name}' cannot be factorised: {reason}")
    out, inner = layer.weight.shape[:2]
    if isinstance(ranks, SvdRank):
        if not 1 <= ranks.rank <= min(out, inner):
            raise CompressionError(
                f"svd: '{name}' is {inner} -> {out} channels: expected a rank from 1 to {min(out, inner)}, "
                f"got {ranks.rank}"
            )
    elif not (1 <= ranks.rank_in <= inner and 1 <= ranks.rank_out <= out):
        raise CompressionError(
            f"tucker: '{name}' is {inner} -> {out} channels: expected ranks of at least 1 and at most these, "
            f"got {ranks.rank_in} and {ranks.rank_out}"
        )


def _factorised(name: str, layer: nn.Conv2d | nn.Linear, ranks: Ranks, cache: FactorCache) -> nn.Sequential:
    weight = layer.weight.detach()
    weights: tuple[Tensor, ...]
    try:
        if isinstance(ranks, TuckerRanks):
            weights = cache.factors(TuckerFactors, name, weight).truncated(ranks.rank_in, ranks.rank_out)
        else:
            weights = cache.factors(SvdFactors, name, weight).truncated(ranks.rank)
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
