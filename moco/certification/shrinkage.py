"""What a search's scores say of the networks once the luck of having been picked is taken off (the winner's curse).

The best of many is the best also because its errors on the search split were lucky. Each accuracy is therefore pulled
towards what networks of like cost show, the more the less that the networks differ beyond chance:

1. expected at its cost: a line through its neighbours by cost, by medians (Theil 1950, Sen 1968), so that the networks
   that are broken do not bend it;
2. spread around that: a mixture of normal distributions around 0 of fixed widths, from none to the widest, whose
   weights are fitted to all residuals (adaptive shrinkage: Stephens 2017, Biostatistics 18:275-294). It has a narrow
   middle and long tails at once: a network that stands far out of the crowd is not pulled back into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_TRIALS = 4
"""Fewer networks say nothing of each other: their scores are taken as they are."""
NEIGHBOURS = 8, 40
"""Networks that a line is laid through: a third of all, within these numbers."""
WIDTHS = 12
TINY = 1e-300
STEPS = 200
FOR_NO_SPREAD = 10.0
"""As many networks are added to those that differ by chance alone (Stephens 2017): when in doubt, pull."""

SAFE_WIDTHS, SAFE_SHARES = np.array([0.0015, 0.005, 0.03]), np.array([0.6, 0.3, 0.1])
"""Of what a safe network loses, before it was seen: a mixture around nothing, as its kind does.

The whole ResNet-56 in int8 measured -0.22 to +0.27 points on 4,000 images in five searches; published networks in int8
lose 0 to 0.5 points, and one in ten more (Krishnamoorthi 2018, Nagel et al. 2021).
"""


@dataclass(frozen=True)
class Belief:
    """True accuracies, each a mixture of normal distributions: (networks, parts) of weights that sum to 1."""

    weights: Array
    means: Array
    variances: Array

    @property
    def mean(self) -> Array:
        """The expected accuracies, (networks,)."""
        return np.asarray((self.weights * self.means).sum(axis=1))

    @property
    def sd(self) -> Array:
        """The standard deviations of the accuracies, (networks,)."""
        squares: Array = (self.weights * (self.variances + self.means**2)).sum(axis=1)
        return np.sqrt(squares - self.mean**2)


def shrunk(
    measured: Array,
    sems: Array,
    costs: Array,
    apart: NDArray[np.bool_] | None = None,
    safe: NDArray[np.bool_] | None = None,
    forecasts: tuple[Array, Array] | None = None,
) -> Belief:
    """What is to be believed of networks from their measured accuracies, less the reference's, as `_pulled`.

    Those `apart`, and those that are `safe`, say nothing of the others, nor these of them: the score of a network apart
    is pulled to what was forecast of it, by the standard deviation of that, and a safe one's to the reference's
    accuracy, as its kind is known to be near it. `forecasts` are means and deviations, nan where there is none.
    """
    none = np.zeros(len(measured), dtype=bool)
    is_safe = none if safe is None else safe
    is_apart = none if apart is None else apart & ~is_safe
    pulled = ~is_apart & ~is_safe
    means, sds = (np.full(len(measured), np.nan),) * 2 if forecasts is None else forecasts
    return _joined(
        [
            (pulled, _pulled(measured[pulled], sems[pulled], costs[pulled])),
            (is_apart, _pulled_to(means[is_apart], sds[is_apart], measured[is_apart], sems[is_apart])),
            (is_safe, believed_safe(measured[is_safe], sems[is_safe])),
        ]
    )


def believed_safe(measured: Array, sems: Array) -> Belief:
    """What is to be believed of safe networks, by what they gain over the reference on some images: (networks,)."""
    return _mixed(measured, sems**2, np.broadcast_to(SAFE_WIDTHS**2, (len(measured), len(SAFE_WIDTHS))), SAFE_SHARES)


def _mixed(residuals: Array, noise: Array, spreads: Array, shares: Array) -> Belief:
    """The posterior around 0, by a mixture of normal distributions: variances and shares of its parts."""
    weights = _densities(residuals, noise, spreads) * shares
    kept = spreads / (noise[:, None] + spreads)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return Belief(weights, kept * residuals[:, None], kept * noise[:, None])


def _densities(residuals: Array, noise: Array, spreads: Array) -> Array:
    """Of each residual under each part, up to a factor for each: (networks, parts)."""
    of_parts = noise[:, None] + spreads
    found: Array = np.exp(-(residuals[:, None] ** 2) / of_parts / 2 - np.log(of_parts / noise[:, None]) / 2)
    return np.maximum(found, TINY)


def _pulled_to(means: Array, sds: Array, measured: Array, sems: Array) -> Belief:
    """The posterior of normal distributions; a score is taken as it is where nothing was forecast."""
    kept = np.where(np.isnan(means), 1.0, sds**2 / (sds**2 + sems**2))
    found = measured + (1 - kept) * (np.where(np.isnan(means), measured, means) - measured)
    return Belief(np.ones((len(measured), 1)), found[:, None], (kept * sems**2)[:, None])


def _joined(beliefs: list[tuple[NDArray[np.bool_], Belief]]) -> Belief:
    """One belief of all networks, of which each is among those of one part; a part that one lacks has no weight."""
    width = max(belief.weights.shape[1] for _, belief in beliefs)
    weights, means, variances = np.zeros((3, len(beliefs[0][0]), width))
    for these, belief in beliefs:
        count = belief.weights.shape[1]
        weights[these, :count], means[these, :count] = belief.weights, belief.means
        variances[these, :count] = belief.variances
    return Belief(weights, means, variances)


def _pulled(measured: Array, sems: Array, costs: Array) -> Belief:
    """What is to be believed of networks from their measured accuracies, all (networks,).

    The standard errors, all > 0, are those of the luck that is a network's own; costs are on any scale, of which only
    the order and the ties count.
    """
    if len(measured) < LEAST_TRIALS:
        return Belief(np.ones((len(measured), 1)), measured[:, None].copy(), (sems**2)[:, None])
    expected, doubt = _expected_at(measured, costs)
    residuals, noise = measured - expected, sems**2
    spreads = np.broadcast_to(_widths(residuals, sems) ** 2, (len(measured), WIDTHS + 1))
    found = _mixed(residuals, noise, spreads, _shares(_densities(residuals, noise, spreads)))
    unsure = (1 - spreads / (noise[:, None] + spreads)) * doubt[:, None]
    return Belief(found.weights, expected[:, None] + found.means, found.variances + unsure**2)


def _widths(residuals: Array, sems: Array) -> Array:
    """Standard deviations of the mixture's parts, from none up to twice the largest residual."""
    least, most = sems.min() / 4, max(2 * np.abs(residuals).max(), sems.min())
    return np.concatenate([[0.0], np.geomspace(least, most, WIDTHS)])


def _shares(densities: Array) -> Array:
    """How many networks each part has, as shares (parts,), by expectation and maximisation."""
    shares = np.full(densities.shape[1], 1 / densities.shape[1])
    prior = np.zeros_like(shares)
    prior[0] = FOR_NO_SPREAD
    for _ in range(STEPS):
        joint = densities * shares
        counts = (joint / np.maximum(joint.sum(axis=1, keepdims=True), TINY)).sum(axis=0) + prior
        shares = counts / counts.sum()
    return np.asarray(shares)


def _expected_at(measured: Array, costs: Array) -> tuple[Array, Array]:
    """The accuracy that each network's neighbours lead to expect, and that number's standard error."""
    count = len(measured)
    size = min(count, int(np.clip(count // 3, *NEIGHBOURS)))
    order = np.argsort(costs, kind="stable")
    places = np.unique(costs, return_inverse=True)[1].astype(float)
    expected, doubt = np.empty(count), np.empty(count)
    for place, network in enumerate(order):
        start = min(max(place - size // 2, 0), count - size)
        near = order[start : start + size]
        expected[network], doubt[network] = _line_at(places[network], places[near], measured[near])
    return expected, doubt


def _line_at(place: float, places: Array, measured: Array) -> tuple[float, float]:
    """The line through the points, at this place: slope and height by medians; and its standard error."""
    left, right = np.triu_indices(len(places), 1)
    steps = places[right] - places[left]
    slopes = (measured[right] - measured[left])[steps != 0] / steps[steps != 0]
    heights = measured - (np.median(slopes) if len(slopes) else 0.0) * (places - place)
    height = float(np.median(heights))
    deviation = 1.4826 * float(np.median(np.abs(heights - height)))  # of a normal distribution, by its median
    return height, 1.2533 * deviation / len(heights) ** 0.5
