"""Information dropout (Achille and Soatto 2018; S5.08): how much noise each channel bears.

Every channel is multiplied, image by image, by noise of its own: z = eps f(x), eps ~ log-normal(0, alpha^2). With the
weights left alone, the alphas minimise

    cross-entropy + beta mean KL(q(z|x) || p(z)),      0 < alpha < 0.7

where the KL is small for large alpha: a channel that the labels need little becomes noisy, and goes first. The prior p
is log-uniform after a ReLU, or log-normal(mu, sigma^2) after a softplus, mu and sigma^2 being those of the channel's
own mean and variance. Noise is put where a channel is read, after batch-norm and activation, as in Fisher pruning, and
one draw counts for all layers that read it.

Departures from the paper: one alpha a channel, no function of x; the network is not trained along, as a ranking leaves
the weights alone; channels go in the order of their noise, not by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import numpy as np
import torch
from torch import Tensor, nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.collecting import evaluating, labelled_batches, loss_of, reading
from moco.compression.rankings.gates import gated_reads
from moco.compression.rankings.ranking import IMAGES, LABELS, Data, Importances, Ranking, Rng
from moco.errors import ConfigError, nearest

MOST_NOISE = 0.7
"""Bound of alpha, as in information dropout's own experiments."""
LOG_UNIFORM, LOG_NORMAL = PRIORS = ("log_uniform", "log_normal")
LEAST = 1e-12


@dataclass(frozen=True)
class InformationDropoutOptions:
    """How the noise is learned.

    Attributes:
        prior: `log_uniform`, for activations after a ReLU, or `log_normal`, after a softplus.
        beta: weight of the mean KL, above 0; the larger, the more noise.
        steps: of Adam, each on a batch of 64 calibration images.
        learning_rate: Adam's.
    """

    prior: str = LOG_UNIFORM
    beta: float = 1.0
    steps: int = 100
    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        """A ConfigError where one of them is out of range."""
        if self.prior not in PRIORS:
            raise ConfigError(
                f"ranking information_dropout: prior: unknown prior '{self.prior}'{nearest(self.prior, PRIORS)}"
            )
        for name in ("beta", "steps", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"ranking information_dropout: {name}: expected a number above 0, got {getattr(self, name)}"
                )


class InformationDropout(Ranking):
    """-ln alpha of each channel, alpha being the noise that it bears (Achille and Soatto 2018)."""

    name = "information_dropout"
    needs = frozenset({IMAGES, LABELS})
    Options = InformationDropoutOptions

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class; the more noise a channel bears, the sooner it goes."""
        batches = labelled_batches(self.name, data)
        options = self.options
        sigmas = None
        if options.prior == LOG_NORMAL:
            sigmas = _sigmas(network, graph, [images for images, _ in batches])
        noise = torch.Generator().manual_seed(int((rng or np.random.default_rng(0)).integers(2**62)))
        logits = {name: torch.zeros(group.channels, requires_grad=True) for name, group in graph.groups.items()}
        adam = torch.optim.Adam(list(logits.values()), options.learning_rate)
        device = next(network.parameters()).device
        for images, labels in islice(cycle(batches), options.steps):
            with evaluating(network), torch.enable_grad():
                alphas = {name: bounded(logit) for name, logit in logits.items()}
                gates = {name: _noise(a, len(images), noise).to(device, images.dtype) for name, a in alphas.items()}
                with reading(network, gated_reads(network, graph, gates)):
                    error = loss_of(network, images, labels) / len(images)
                loss = error + options.beta * _mean_kl(alphas, sigmas)
                gradients = torch.autograd.grad(loss, list(logits.values()))
            for logit, gradient in zip(logits.values(), gradients, strict=True):
                logit.grad = gradient
            adam.step()
        return {name: -bounded(logit).log().detach().double().numpy() for name, logit in logits.items()}


def bounded(logit: Tensor) -> Tensor:
    """The alphas of any numbers: above 0 and below `MOST_NOISE`."""
    return MOST_NOISE * torch.sigmoid(logit)


def kl_log_uniform(alpha: Tensor) -> Tensor:
    """KL of log-normal noise to the log-uniform prior, in nats, but for a constant that is infinite: -ln alpha."""
    return -alpha.log()


def kl_log_normal(alpha: Tensor, sigma: Tensor, away: Tensor | float = 0.0) -> Tensor:
    """KL of log-normal(ln f, alpha^2) to log-normal(mu, sigma^2), in nats, `away` being ln f - mu."""
    return (alpha**2 + away**2) / (2 * sigma**2) - (alpha / sigma).log() - 0.5


def log_normal_of(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The mu and sigma of the log-normal distribution that has this mean, above 0, and this variance."""
    return (mean**2 / (variance + mean**2).sqrt()).log(), (1 + variance / mean**2).log().sqrt()


def _mean_kl(alphas: Mapping[str, Tensor], sigmas: Mapping[str, Tensor] | None) -> Tensor:
    """Over all channels. What a log-normal prior says of f itself depends on no alpha, and is left out."""
    if sigmas is None:
        return torch.cat([kl_log_uniform(alpha) for alpha in alphas.values()]).mean()
    return torch.cat([kl_log_normal(alpha, sigmas[name]) for name, alpha in alphas.items()]).mean()


def _noise(alpha: Tensor, images: int, generator: torch.Generator) -> Tensor:
    """One draw for each image and channel: (images, channels)."""
    return (alpha * torch.randn(images, len(alpha), generator=generator)).exp()


def _sigmas(network: nn.Module, graph: ChannelGraph, batches: list[Tensor]) -> dict[str, Tensor]:
    """By channel group, sigma of each channel's prior, by what the layers that read it see on the images."""
    sums = {name: torch.zeros(3, group.channels, dtype=torch.float64) for name, group in graph.groups.items()}

    def see(layer: str, read: Tensor) -> None:
        axis = graph.axes[layer, "in"]
        last = read.movedim(-1 if isinstance(network.get_submodule(layer), nn.Linear) else 1, -1)
        rows = last.detach().reshape(-1, len(axis.owner)).double().cpu()
        moments = torch.stack([torch.full((rows.shape[1],), float(len(rows))).double(), rows.sum(0), (rows**2).sum(0)])
        for index, name in enumerate(axis.groups):
            places = np.flatnonzero(axis.owner == index)
            if name in sums:
                sums[name].index_add_(1, torch.from_numpy(axis.channel[places]), moments[:, torch.from_numpy(places)])

    reads = {name: partial(see, name) for name, side in graph.axes if side == "in"}
    with evaluating(network), reading(network, reads), torch.no_grad():
        for images in batches:
            network(images.to(next(network.parameters()).device))
    found = {}
    for name, (count, total, squares) in sums.items():
        mean = total / count.clamp(min=1)
        variance = (squares / count.clamp(min=1) - mean**2).clamp(min=LEAST)
        found[name] = log_normal_of(mean.abs().clamp(min=LEAST), variance)[1].float()
    return found
