"""LASSO selection against scikit-learn's coordinate descent on the rows written out, and on channels known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso as Reference
from torch import nn

from moco.compression.channels.groups import channel_graph
from moco.compression.collecting import CalibrationData
from moco.compression.counting import count
from moco.compression.rankings.lasso import Lasso, LassoOptions, channel_gram, entry_penalties, lasso_path
from moco.compression.rankings.ranking import importances
from moco.compression.windows import draw_positions, sampled_rows
from moco.errors import CompressionError, ConfigError
from tests.compression.rankings.test_importance import CoupledConcat, Flattened, calibration, graph_of
from tests.compression.toys import images, made

ALL = 10**6
CHANNELS = 12


def contributions(layer: nn.Conv2d | nn.Linear, read: torch.Tensor, features_a_channel: int = 1) -> np.ndarray:
    """Z written out: (positions * outputs, channels), from the layer run on one channel at a time."""
    columns = []
    for channel in range(read.shape[1] // features_a_channel):
        alone = torch.zeros_like(read)
        mine = slice(channel * features_a_channel, (channel + 1) * features_a_channel)
        alone[:, mine] = read[:, mine]
        with torch.no_grad():
            given = layer(alone) - layer(torch.zeros_like(read))
        columns.append(given.flatten())
    return torch.stack(columns, dim=1).numpy()


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray]:
    """Z of a convolution that reads correlated channels, and its Gram matrix from X'X and the weights."""
    layer = nn.Conv2d(CHANNELS, 7, 3, padding=1, stride=2).double()
    rng = torch.Generator().manual_seed(3)
    layer.weight.data = torch.randn(layer.weight.shape, generator=rng, dtype=torch.float64)
    mixing = torch.randn(CHANNELS, CHANNELS, generator=rng, dtype=torch.float64)
    read = torch.einsum("nchw,dc->ndhw", torch.randn(6, CHANNELS, 8, 8, generator=rng, dtype=torch.float64), mixing)
    read = torch.relu(read)
    positions = draw_positions(layer, read, ALL, np.random.default_rng(0))
    rows = sampled_rows(layer, read, positions)[:, : CHANNELS * 9]
    every = np.arange(CHANNELS)
    return contributions(layer, read), channel_gram(rows.T @ rows, layer.weight.detach(), every, every, CHANNELS)


def test_the_gram_matrix_is_that_of_what_each_channel_gives(problem: tuple[np.ndarray, np.ndarray]) -> None:
    z, gram = problem
    np.testing.assert_allclose(gram, z.T @ z, rtol=1e-10)


def test_beta_is_the_reference_solvers_to_a_millionth(problem: tuple[np.ndarray, np.ndarray]) -> None:
    z, gram = problem
    penalties, beta = lasso_path(gram)
    assert len(penalties) > CHANNELS
    checked = 0
    for before, after, at, next_ in zip(penalties, penalties[1:], beta.T, beta.T[1:], strict=False):
        for share in (0.0, 0.5):  # at a place of the path and half way to the next
            penalty, expected = before + share * (after - before), at + share * (next_ - at)
            solver = Reference(alpha=penalty / len(z), fit_intercept=False, tol=1e-14, max_iter=200_000)
            found = solver.fit(z, z.sum(axis=1)).coef_
            assert np.abs(found - expected).max() < 1e-6
            checked += 1
    assert checked >= 2 * CHANNELS


def test_the_most_important_channels_are_those_that_the_problem_keeps(problem: tuple[np.ndarray, np.ndarray]) -> None:
    z, gram = problem
    order = np.argsort(-entry_penalties(gram))
    for width in range(1, CHANNELS):
        # just above the lambda at which one channel more would come in
        penalty = entry_penalties(gram)[order[width]] * (1 + 1e-6)
        solver = Reference(alpha=penalty / len(z), fit_intercept=False, tol=1e-14, max_iter=200_000)
        kept = np.flatnonzero(solver.fit(z, z.sum(axis=1)).coef_)
        assert set(kept) == set(order[:width])


def test_copies_and_dead_channels_end_the_order() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((500, 5)) * [3, 2, 1, 1, 0]
    z[:, 3] = 0.01 * z[:, 0]
    found = entry_penalties(z.T @ z)
    assert found[4] == 0
    assert list(np.argsort(-found))[-1] == 4
    assert found.argmax() == 0
    assert not entry_penalties(np.zeros((3, 3))).any()


def test_channels_that_cancel_each_other_are_worth_nothing_though_they_are_large() -> None:
    """What a norm of activations or of weights cannot see: two large channels whose sum is always zero."""
    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Flatten(), nn.Linear(3 * 4, 2))
    network[0].weight.data = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 0.5, 0]]).reshape(3, 3, 1, 1)
    weight = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    network[2].weight.data = torch.cat([3 * weight, -3 * weight, weight], dim=1)
    example = torch.randn(400, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    graph = channel_graph(network, example[:2], count(network, (3, 2, 2)))
    found = importances(network, graph, "lasso", CalibrationData(example))["0"]
    assert found.argmax() == 2
    assert importances(network, graph, "activation", CalibrationData(example))["0"].argmin() == 2


def test_a_flattened_map_is_one_channel() -> None:
    network = made(Flattened)
    graph, data = graph_of(network, 4), calibration(20, side=4)
    with torch.no_grad():
        read = torch.relu(network.norm(network.conv(data.images))).flatten(1)
    z = contributions(network.hidden, read, 16).astype(np.float64)
    gram = z.T @ z
    found = importances(network, graph, Lasso(LassoOptions(ALL)), data)["conv"]
    np.testing.assert_allclose(found, entry_penalties(gram / gram.sum()), rtol=1e-4)


def test_coupled_and_concatenated_layers_are_ranked() -> None:
    network = made(CoupledConcat)
    found = importances(network, graph_of(network), "lasso", calibration(20))
    assert all((values > 0).all() and len(np.unique(values)) == len(values) for values in found.values())


def test_what_only_a_transposed_convolution_reads_is_refused() -> None:
    layers = nn.Conv2d(3, 6, 1), nn.ReLU(), nn.ConvTranspose2d(6, 4, 1), nn.Flatten(), nn.Linear(4 * 64, 2)
    network = nn.Sequential(*layers)
    graph = channel_graph(network, images(2, 3, 8), count(network, (3, 8, 8)))
    with pytest.raises(CompressionError, match="no layer that it can look at reads 6 of the 6 channels of '0'"):
        importances(network, graph, "lasso", calibration(4))


def test_no_positions_are_refused() -> None:
    with pytest.raises(ConfigError, match="positions: expected at least 1, got 0"):
        LassoOptions(0)
