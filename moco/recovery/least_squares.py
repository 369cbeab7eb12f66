"""The weights that best give a layer's output from the channels it has left, by least squares (S1.42, W28).

After He et al. 2017 (channel pruning, eq. 3) and AMC, for any convolution that is not grouped and for linear layers.
All that the solution needs of the images are sums of products, so they are summed once and a candidate only solves.

| symbol | meaning | shape |
|---|---|---|
| X | windows of the input (im2col), and a last column of ones where the layer has a bias | (rows, columns) |
| Y | the outputs that are wanted | (rows, outputs) |
| W | the weights as a matrix, the bias its last row | (columns, outputs) |
| k | columns that stay; a kernel's columns lie together, channel by channel | |

Wanted is the W' that minimises `||Y - X_k W'||^2 + r ||W' - W_k||^2`. Pulling towards the kept weights, not towards
zero, the error on these rows is never above that of W_k. Solved is for the change D = W' - W_k, as it loses fewer
digits:

    (X_k'X_k + r I) D = X_k'(Y - X_k W_k)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moco.errors import CompressionError

MOST_COLUMNS = 8192  # weights an output of the largest layer that is refitted: its Gram matrix takes half a gigabyte


def weighted_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Every convolution, transposed ones too, and linear layer, by name."""
    kinds = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, kinds)}


def refusal(layer: nn.Module) -> str | None:
    """Why a layer of this kind and size cannot be refitted."""
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        kind = "depthwise" if layer.groups == layer.in_channels else "grouped"
        return f"is a {kind} convolution, each of whose outputs reads only some inputs"
    if isinstance(layer, nn.ConvTranspose2d):
        return "is a transposed convolution, whose outputs are sums over several places"
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    columns = layer.weight[0].numel()
    if columns > MOST_COLUMNS:
        return f"has {columns:,} weights an output; a refit takes at most {MOST_COLUMNS:,}"
    return None


Weights = tuple[Tensor, Tensor | None]  # weight (outputs, inputs, ...) and bias (outputs,) of a layer

LARGER_RIDGES = (1e-6, 1e-4, 1e-2)
"""Tried in this order, where larger than the one asked for, when the Gram matrix is singular at the one asked for."""


@dataclass(frozen=True)
class Gram:
    """Sums of products over rows, in double precision; those of several batches may be added."""

    products: Tensor  # X'X, (columns, columns)
    cross: Tensor | None  # X'Y, (columns, outputs); None stands for the outputs of the layer itself, Y = XW
    rows: int

    @staticmethod
    def of(rows: Tensor, targets: Tensor | None = None) -> Gram:
        """The sums over X (rows, columns) and Y (rows, outputs)."""
        x = rows.detach().double()
        return Gram(_squared(x), None if targets is None else x.T @ targets.detach().double(), len(x))

    def __add__(self, other: Gram) -> Gram:
        assert (self.cross is None) == (other.cross is None), "both sums are of given outputs, or both of the layer's"
        cross = None if self.cross is None or other.cross is None else self.cross + other.cross
        return Gram(self.products + other.products, cross, self.rows + other.rows)


def columns_of(channels: Tensor, weight: Tensor) -> Tensor:
    """The columns of X that belong to these input channels of a layer with that weight."""
    kernel = weight.shape[2:].numel()
    return (channels[:, None] * kernel + torch.arange(kernel)).flatten()


def refit_weights(gram: Gram, kept_columns: Tensor, original: Weights, ridge: float, layer: str) -> Weights:
    """Weight and bias for the kept columns; the column of ones always stays.

    Args:
        kept_columns: ascending columns of the weight's; see `columns_of`.
        gram, original: sums of the layer, and its weight and bias, at full width.
        ridge: r as a share of the mean of the diagonal of X_k'X_k. It is raised where that matrix is singular. The
            column of ones has none: its unit is not that of the inputs.

    Raises:
        CompressionError: the sums are not finite, or no solution is at least as good as the kept weights.
    """
    weight, bias = original
    full = _matrix(weight, bias)
    if len(gram.products) != len(full):
        raise CompressionError(
            f"least-squares refit of '{layer}': expected a Gram matrix of {len(full)} columns, got "
            f"{len(gram.products)}; was it made for another network?"
        )
    stays, gone = _split(kept_columns, weight[0].numel(), len(full))
    from_kept, kept_weights = gram.products.index_select(0, stays), full.index_select(0, stays)
    products = from_kept.index_select(1, stays)
    if gram.cross is None:  # Y = XW is what the layer gave: Y - X_k W_k is what the columns that go gave
        missing = from_kept.index_select(1, gone) @ full.index_select(0, gone)
    else:
        missing = torch.addmm(gram.cross.index_select(0, stays), products, kept_weights, alpha=-1)
    solved = _change(products, len(kept_columns), missing, ridge, layer).add_(kept_weights).to(weight.dtype)
    rows = solved[: len(kept_columns)]
    return rows.T.reshape(len(weight), -1, *weight.shape[2:]), None if bias is None else solved[-1]


def _change(products: Tensor, n: int, missing: Tensor, ridge: float, layer: str) -> Tensor:
    """D of `(products + r I) D = missing`, with the least ridge that surely gives a change for the better.

    The ridge is on the first `n` columns. What Cholesky's method finds solves `(products + r I + E) D = missing` for a
    small E, so it changes the error by `-<D, missing> - r ||D||^2 - <D, E D>`, which is a loss only where E is large
    (Higham 2002, theorem 10.4). For the norm of E stands his bound, thousands of times what is seen.
    """
    if not (products.sum() + missing.sum()).isfinite():
        raise CompressionError(
            f"least-squares refit of '{layer}': expected finite inputs and outputs on the calibration images, got NaN "
            "or infinity; a layer before it may have lost too many channels"
        )
    mean = float(products.diagonal()[:n].mean()) or 1.0  # inputs that are zero on all images leave their weights alone
    for share in (ridge, *(larger for larger in LARGER_RIDGES if larger > ridge)):
        regular = products.clone()
        regular.diagonal()[:n].add_(share * mean)
        factor, failed = torch.linalg.cholesky_ex(regular)
        if failed:
            continue
        change = torch.cholesky_solve(missing, factor)
        unit = torch.finfo(regular.dtype).eps / 2
        flat, rounding = change.flatten(), (3 * len(regular) + 1) * unit * regular.trace()
        if torch.vdot(flat, missing.flatten()) >= rounding * torch.vdot(flat, flat):
            return change
    raise CompressionError(
        f"least-squares refit of '{layer}': its Gram matrix of {len(products)} columns is singular even with a ridge "
        f"of {max(ridge, *LARGER_RIDGES):g}; use more calibration images or a larger ridge"
    )


def _split(kept_columns: Tensor, weights: int, columns: int) -> tuple[Tensor, Tensor]:
    """Ascending columns that stay, the column of ones among them, and those that go."""
    stays = torch.zeros(columns, dtype=torch.bool)
    stays[kept_columns] = True
    stays[weights:] = True
    return stays.nonzero()[:, 0], (~stays).nonzero()[:, 0]


def _squared(x: Tensor) -> Tensor:
    """X'X; the lower left quarter is the upper right one transposed, and is not computed."""
    half = x.shape[1] // 2
    upper = x[:, :half].T @ x
    right = x[:, half:]
    return torch.cat([upper, torch.cat([upper[:, half:].T, right.T @ right], dim=1)])


def _matrix(weight: Tensor, bias: Tensor | None) -> Tensor:
    """W: (columns, outputs), the bias last."""
    rows = weight.detach().double().flatten(1).T
    return rows if bias is None else torch.cat([rows, bias.detach().double()[None]])
