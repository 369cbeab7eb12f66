"""The refit is the least-squares solution, by slow and obvious ways, and is never worse than what it starts from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge
from torch import nn
from torch.nn import functional as F  # noqa: N812

from moco.compression.windows import draw_positions, sampled_outputs, sampled_rows
from moco.errors import CompressionError
from moco.recovery.least_squares import (
    Gram,
    Weights,
    columns_of,
    refit_weights,
)

KEPT = torch.tensor([0, 2, 3, 6])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Numbers whose channels, the second dimension, are correlated, as those of a trained network are."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(shape[1], shape[1], generator=generator)
    return torch.einsum("nc...,cd->nd...", torch.randn(*shape, generator=generator), mixing)


def layer_of(kind: str, *, bias: bool = True) -> nn.Conv2d | nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        if kind == "linear":
            return nn.Linear(8, 5, bias=bias)
        return nn.Conv2d(
            8,
            5,
            1 if kind == "1x1" else 3,
            stride=1 if kind == "1x1" else 2,
            padding=0 if kind == "1x1" else 1,
            bias=bias,
        )


def gram_of(
    layer: nn.Module,
    inputs: torch.Tensor,
    outputs: torch.Tensor | None,
    positions: int,
    generator: np.random.Generator,
) -> Gram:
    drawn = draw_positions(layer, inputs, positions, generator)
    targets = None if outputs is None else sampled_outputs(layer, outputs, drawn)
    return Gram.of(sampled_rows(layer, inputs, drawn), targets)


def weights(layer: nn.Conv2d | nn.Linear) -> Weights:
    return layer.weight.detach(), None if layer.bias is None else layer.bias.detach()


def error(rows: torch.Tensor, targets: torch.Tensor, refitted: Weights) -> float:
    """The squared error on rows without their column of ones."""
    weight, bias = refitted
    given = rows.double() @ weight.double().flatten(1).T + (0 if bias is None else bias.double())
    return float(((targets.double() - given) ** 2).sum())


def close(got: torch.Tensor, expected: np.ndarray) -> bool:
    """Within 1e-4 of the largest weight, as W28 asks."""
    return bool(np.abs(got.flatten(1).numpy() - expected).max() <= 1e-4 * np.abs(expected).max())


def unfolded(layer: nn.Conv2d, inputs: torch.Tensor) -> torch.Tensor:
    """All windows by the library's im2col: (images * places, columns)."""
    columns = F.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    return columns.transpose(1, 2).flatten(0, 1)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_agrees_with_scikit_learn(bias: bool) -> None:
    layer, inputs = layer_of("linear", bias=bias), drawn(500, 8)
    outputs = layer(inputs).detach()
    gram = gram_of(layer, inputs, outputs, 10, rng())
    weight, intercept = refit_weights(gram, columns_of(KEPT, layer.weight), weights(layer), 0.0, "layer")
    expected = LinearRegression(fit_intercept=bias).fit(inputs[:, KEPT].double(), outputs.double())

    assert close(weight, expected.coef_)
    assert (intercept is None) == (not bias)
    if intercept is not None:
        np.testing.assert_allclose(intercept.numpy(), expected.intercept_, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["1x1", "3x3"])
def test_a_convolution_agrees_with_numpy(kind: str) -> None:
    layer, inputs = layer_of(kind, bias=False), drawn(40, 8, 9, 9)
    assert isinstance(layer, nn.Conv2d)
    columns = columns_of(KEPT, layer.weight)
    gram = gram_of(layer, inputs, None, 100, rng())
    weight, _ = refit_weights(gram, columns, weights(layer), 0.0, "layer")
    targets = layer(inputs).detach().flatten(2).transpose(1, 2).flatten(0, 1)
    rows = unfolded(layer, inputs)[:, columns].double().numpy()
    expected = np.linalg.lstsq(rows, targets.double().numpy(), rcond=None)[0]

    assert weight.shape == (5, 4, *layer.kernel_size)
    assert close(weight, expected.T)


def test_the_pull_is_towards_the_kept_weights() -> None:
    layer, inputs = layer_of("linear", bias=False), drawn(60, 8)
    gram = gram_of(layer, inputs, None, 1, rng())
    weight, _ = refit_weights(gram, KEPT, weights(layer), 0.3, "layer")
    x, kept = inputs[:, KEPT].double(), layer.weight.detach()[:, KEPT].double()
    share = 0.3 * float((x**2).sum(0).mean())
    change = Ridge(share, fit_intercept=False).fit(x, layer(inputs).detach().double() - x @ kept.T).coef_

    assert close(weight, kept.numpy() + change)
    assert np.abs(change).max() > 0.01


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("rows", [3, 12, 400])
def test_the_error_is_never_above_that_of_the_kept_weights(rows: int, ridge: float) -> None:
    layer, inputs = layer_of("linear"), drawn(rows, 8, seed=rows)
    outputs = layer(inputs).detach()
    refitted = refit_weights(gram_of(layer, inputs, outputs, 1, rng()), KEPT, weights(layer), ridge, "layer")
    before = error(inputs[:, KEPT], outputs, (layer.weight.detach()[:, KEPT], weights(layer)[1]))

    assert error(inputs[:, KEPT], outputs, refitted) <= before * (1 + 1e-6)
    assert before > 0.1


@pytest.mark.parametrize("kind", ["linear", "1x1", "3x3"])
def test_the_layers_own_outputs_need_not_be_given(kind: str) -> None:
    layer, inputs = layer_of(kind), drawn(50, 8) if kind == "linear" else drawn(50, 8, 9, 9)
    columns = columns_of(KEPT, layer.weight)
    own, given = (
        refit_weights(gram_of(layer, inputs, y, 10, rng()), columns, weights(layer), 1e-3, "layer")
        for y in (None, layer(inputs).detach())
    )

    torch.testing.assert_close(own[0], given[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own[1], given[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_a_layer_that_lost_nothing_keeps_its_weights_bitwise(ridge: float) -> None:
    layer, inputs = layer_of("3x3"), drawn(50, 8, 9, 9)
    weight, bias = refit_weights(
        gram_of(layer, inputs, None, 10, rng()), torch.arange(72), weights(layer), ridge, "layer"
    )

    assert torch.equal(weight, layer.weight)
    assert bias is not None
    assert torch.equal(bias, layer.bias)


def test_a_constant_channel_that_left_moves_into_the_bias() -> None:
    layer, inputs = layer_of("linear"), drawn(200, 8)
    inputs[:, 7] = 3.0
    kept = torch.arange(7)
    weight, bias = refit_weights(gram_of(layer, inputs, None, 1, rng()), kept, weights(layer), 0.0, "layer")

    torch.testing.assert_close(weight, layer.weight.detach()[:, :7], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(bias, layer.bias.detach() + 3 * layer.weight.detach()[:, 7], rtol=1e-4, atol=1e-5)


def test_sums_over_batches_are_the_sum_over_all() -> None:
    layer, inputs = layer_of("3x3"), drawn(30, 8, 9, 9)
    outputs = layer(inputs).detach()
    whole = gram_of(layer, inputs, outputs, 100, rng())
    parts = gram_of(layer, inputs[:10], outputs[:10], 100, rng()) + gram_of(
        layer, inputs[10:], outputs[10:], 100, rng()
    )

    assert parts.rows == whole.rows == 30 * 25
    assert whole.products.dtype == torch.float64
    torch.testing.assert_close(parts.products, whole.products)
    torch.testing.assert_close(parts.cross, whole.cross)


@pytest.mark.parametrize("columns", [1, 2, 7])
def test_the_products_are_those_of_the_rows(columns: int) -> None:
    rows = drawn(20, columns)

    torch.testing.assert_close(Gram.of(rows).products, rows.double().T @ rows.double())


def test_a_singular_matrix_gets_a_larger_ridge() -> None:
    layer, inputs = layer_of("linear", bias=False), drawn(300, 8)
    inputs[:, 2] = inputs[:, 0]  # no one solution
    weight, _ = refit_weights(gram_of(layer, inputs, None, 1, rng()), KEPT, weights(layer), 0.0, "layer")
    outputs = layer(inputs).detach()
    expected = np.linalg.lstsq(inputs[:, KEPT].double().numpy(), outputs.double().numpy(), rcond=None)[0]
    best = error(inputs[:, KEPT], outputs, (torch.from_numpy(expected.T), None))

    assert weight.abs().max() < 10 * layer.weight.abs().max()
    assert error(inputs[:, KEPT], outputs, (weight, None)) <= best * (1 + 1e-3)


def test_a_matrix_that_stays_singular_is_an_error_that_names_the_layer() -> None:
    products = torch.diag(torch.tensor([1.0, 1, -1, 1, 1, 1, 1, 1], dtype=torch.float64))  # of no real rows
    layer = layer_of("linear", bias=False)

    with pytest.raises(CompressionError, match=r"'layer3\.conv2'.* singular even with a ridge of 0\.01"):
        refit_weights(Gram(products, None, 8), KEPT[:3], weights(layer), 0.0, "layer3.conv2")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_inputs_that_are_not_finite_are_an_error_that_names_the_layer(value: float) -> None:
    layer, inputs = layer_of("linear"), drawn(50, 8)
    inputs[3, 2] = value

    with pytest.raises(CompressionError, match=r"'layer3\.conv2': expected finite inputs"):
        refit_weights(gram_of(layer, inputs, None, 1, rng()), KEPT, weights(layer), 1e-3, "layer3.conv2")


def test_a_gram_of_another_layer_is_an_error() -> None:
    layer = layer_of("linear")

    with pytest.raises(CompressionError, match=r"'fc': expected a Gram matrix of 9 columns, got 8"):
        refit_weights(Gram.of(drawn(50, 8)), KEPT, weights(layer), 1e-3, "fc")


def test_inputs_that_are_all_zero_leave_the_weights() -> None:
    layer = layer_of("linear", bias=False)
    weight, _ = refit_weights(Gram.of(torch.zeros(50, 8)), KEPT, weights(layer), 0.0, "layer")

    assert torch.equal(weight, layer.weight[:, KEPT])


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_a_ridge_leaves_the_intercept_free_in_any_unit(unit: float) -> None:
    rows = torch.rand(400, 6, generator=torch.Generator().manual_seed(0)) * unit
    constant = torch.full((400, 1), 3.0 * unit)
    x = torch.cat([rows, constant, torch.ones(400, 1)], dim=1)  # the constant channel goes; its mean is 3 units
    weight = torch.ones(2, 7) / unit
    kept, bias = refit_weights(Gram.of(x), torch.arange(6), (weight, torch.zeros(2)), 1e-2, "layer")

    torch.testing.assert_close(kept * unit, torch.ones(2, 6), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(bias, torch.full((2,), 3.0), rtol=1e-4, atol=1e-4)
