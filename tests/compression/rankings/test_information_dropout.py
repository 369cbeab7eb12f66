"""Information dropout: its KL forms against Monte Carlo, its prior's moments, and channels that the labels need."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from moco.compression.channels.groups import channel_graph
from moco.compression.collecting import CalibrationData
from moco.compression.counting import count
from moco.compression.rankings.information_dropout import (
    MOST_NOISE,
    InformationDropout,
    InformationDropoutOptions,
    bounded,
    kl_log_normal,
    kl_log_uniform,
    log_normal_of,
)
from moco.errors import ConfigError

DRAWS = 1_000_000


def log_density(x: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
    """Of a normal distribution, in nats."""
    return -((x - mean) ** 2) / (2 * deviation**2) - math.log(deviation) - math.log(2 * math.pi) / 2


@pytest.mark.parametrize(("alpha", "sigma", "away"), [(0.1, 0.5, 0.0), (0.5, 0.5, 0.3), (0.69, 1.2, -0.8)])
def test_the_kl_to_a_log_normal_prior_is_monte_carlos(alpha: float, sigma: float, away: float) -> None:
    """ln z is normal under both, and the KL of two distributions does not change with the variable."""
    draws = away + alpha * torch.randn(DRAWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = (log_density(draws, away, alpha) - log_density(draws, 0.0, sigma)).mean()
    formula = kl_log_normal(torch.tensor(alpha), torch.tensor(sigma), away)
    assert float(formula) == pytest.approx(float(drawn), rel=0.01)


def test_the_kl_to_a_log_uniform_prior_is_monte_carlos_but_for_a_constant() -> None:
    """Its density in ln z is a constant c, so KL(a) - KL(b) is that of the negative entropies, whatever c is."""
    draws = torch.randn(DRAWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = [float(log_density(alpha * draws, 0.0, alpha).mean()) for alpha in (0.1, 0.6)]
    formula = [float(kl_log_uniform(torch.tensor(alpha))) for alpha in (0.1, 0.6)]
    assert formula[0] - formula[1] == pytest.approx(drawn[0] - drawn[1], rel=0.01)
    assert formula[0] - formula[1] == pytest.approx(math.log(6))


def test_a_log_normal_prior_has_the_moments_that_it_was_made_of() -> None:
    """S5.08: mu = ln(m^2 / sqrt(v + m^2)), sigma^2 = ln(1 + v / m^2); for m = 2, v = 1 these are 0.5816 and 0.2231."""
    mu, sigma = log_normal_of(torch.tensor(2.0), torch.tensor(1.0))
    assert (float(mu), float(sigma) ** 2) == pytest.approx((0.58158, 0.22314), abs=1e-5)
    assert math.exp(float(mu) + float(sigma) ** 2 / 2) == pytest.approx(2.0, rel=1e-6)


def test_alpha_is_bounded() -> None:
    assert float(bounded(torch.tensor(50.0))) <= MOST_NOISE
    assert float(bounded(torch.tensor(-20.0))) > 0


def of_which_one_tells(useful: int) -> tuple[nn.Module, CalibrationData]:
    """Four channels that read the image's brightness, of which the head looks at one alone, and sharply."""
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    first, head = network[0], network[4]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(head, nn.Linear)
    nn.init.ones_(first.weight)
    nn.init.zeros_(first.bias)
    nn.init.zeros_(head.weight)
    head.weight.data[1, useful] = 8.0
    head.bias.data = torch.tensor([4.0, 0.0])
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(128, 1, 4, 4, generator=rng) * 0.2 + torch.arange(128).remainder(2).reshape(-1, 1, 1, 1) * 0.8
    return network, CalibrationData(images, torch.arange(128).remainder(2))


@pytest.mark.parametrize("prior", ["log_uniform", "log_normal"])
@pytest.mark.parametrize("useful", [0, 2])
def test_the_channel_that_the_labels_need_bears_the_least_noise(useful: int, prior: str) -> None:
    network, data = of_which_one_tells(useful)
    before = [parameter.clone() for parameter in network.parameters()]
    graph = channel_graph(network, data.images[:1], count(network, (1, 4, 4)))

    ranking = InformationDropout(InformationDropoutOptions(prior=prior, beta=0.1))
    found = ranking.scores(network, graph, data, np.random.default_rng(0))["0"]

    assert int(found.argmax()) == useful
    others = np.delete(found, useful)
    assert found[useful] > others.max() + 0.3
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    again = ranking.scores(network, graph, data, np.random.default_rng(0))["0"]
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": "log_unifrom"}, "unknown prior 'log_unifrom'; did you mean 'log_uniform'"),
        ({"beta": 0.0}, "beta: expected a number above 0, got 0"),
        ({"steps": 0}, "steps: expected a number above 0, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InformationDropoutOptions(**options)  # type: ignore[arg-type]
