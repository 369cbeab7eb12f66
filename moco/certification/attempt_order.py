"""Which candidates are tried on the certification images, and with which shares: fixed before one of them is read.

They are tried from the one that is worth least to the one that is worth most, and where one holds, its share of the
error probability passes on to the next (certificate.py). What a set of candidates with their shares is worth is the
mean, over what may happen, of the worth of the last that holds:

- networks of one search share their luck, so that a likeness of what failed is no way back: within each piece of the
  common luck's distribution they hold independently of each other;
- files of the same trained weights in other bits lose the same images: where one of them holds, so does one that was
  the likelier to.

The set grows, from a network that is known to be safe where there is one, by the candidate that adds most, and the
shares are moved between them in small parts as long as that adds something: the best that is found so, not the best of
all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from moco.certification.certificate import DISCORDANCE, Floor
from moco.certification.shrinkage import Array, Belief, shrunk

SHARED = 0.3
"""Share of the luck on an image split that networks have in common, as they lose much the same images.

The median correlation, over images, of what two networks of one search lose and gain: 0.25 to 0.48 on digits.
"""

DEGREES = 3.0
"""Of freedom of the common luck, by Student's t: images may be unlike each other as no standard error foresees."""

EDGES = np.array([0, 1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, *np.linspace(0.1, 0.9, 17), 0.97, 1])
"""Of the common luck's distribution, cut into pieces: bad luck finely, as it decides what is a way back."""

LIKELY = 0.5
"""Chance of a safe network from which on it is worth an attempt."""

MOST_PLANNED = 12
"""More attempts never paid."""

MOST_CONSIDERED = 100
"""Networks that come into question at all, by what is to be expected of each alone."""

PARTS = 20
"""Of the error probability that are given to candidates, each whole."""

DRAWS = 64
"""Of what happens within a piece of the common luck, of each network's own luck one in each 64th."""

LEAST_GAIN = 1e-9
"""Of worth: less is rounding."""


@dataclass(frozen=True)
class Scored:
    """What the search says of its networks, an entry each: (networks,)."""

    differences: Array  # accuracy minus the reference's on the search images, as fractions, by all views of them
    sems: Array  # standard errors of these on the images as they are; nan where unknown
    values: Array  # what it is worth to deliver the network, above a delivery without a certificate; > 0
    costs: Array  # by which networks are alike, on any scale
    safe: NDArray[np.bool_]  # known before the search to lose little: no luck of the search has picked them
    trained: NDArray[np.bool_]  # finalists, of which networks of like cost that were not trained say nothing
    kin: NDArray[np.int_]  # networks of one number have the same trained weights, in other bits
    images: int  # of the search split
    reference_accuracy: float  # on the search images
    sems_in_views: Array | None = None  # standard errors where the images were seen in more views, nan where not
    # means and standard deviations of the differences that were forecast of finalists, nan where none were
    forecasts: tuple[Array, Array] | None = None


@dataclass(frozen=True)
class FloorTest:
    """What a network has to pass: a floor, on so many images."""

    floor: Floor
    images: int
    confidence: float  # of all attempts together


@dataclass(frozen=True)
class PlannedAttempt:
    """A network that is to be tried."""

    place: int  # among those scored
    share: float  # of the error probability of all attempts together; 0 where it is tried only after one that held


Plan = tuple[tuple[int, int], ...]
"""Places of networks, of rising worth, and how many parts of the error probability each has."""


def attempts_planned(scored: Scored, test: FloorTest, most: int) -> list[PlannedAttempt]:
    """The networks to try, in their order: at most so many, at least one; none where there is no network.

    Where more than one attempt is allowed, a network that is known to be safe, and likelier to hold than not, is among
    those tried.
    """
    if not len(scored.values):
        return []
    hopes, most = Hopes(scored, test), min(most, len(scored.values), MOST_PLANNED)
    alone = hopes.of_share(1.0) @ hopes.weights
    if not alone.max() > 0:
        return [PlannedAttempt(int(np.argmax(hopes.belief.mean)), 1.0)]
    safe = int(np.argmax(np.where(scored.safe, alone, -1.0)))
    promising = np.argsort(-alone * scored.values, kind="stable")[:MOST_CONSIDERED]
    begin = safe if most > 1 and scored.safe[safe] and alone[safe] > LIKELY else int(promising[0])
    outcomes = Outcomes(scored, hopes, np.union1d(promising, [begin]))
    plan = best_plan(outcomes, begin, most)
    return [PlannedAttempt(place, parts / PARTS) for place, parts in plan]


def best_plan(outcomes: Outcomes, begin: int, most: int) -> Plan:
    """The plan of at most so many candidates, `begin` among them, that promises most of those looked at."""
    plan: Plan = ((begin, PARTS),)
    while len(plan) < most:
        taken = {place for place, _ in plan}
        longer = [
            with_shares for one in outcomes.places if one not in taken for with_shares in outcomes.added(plan, one)
        ]
        best = outcomes.shared(max(longer, key=outcomes.promised, default=plan))
        if outcomes.promised(best) <= outcomes.promised(plan) + LEAST_GAIN:
            break
        plan = best
    return plan


class Outcomes:
    """What may happen on the certification images, to each network under each share: drawn once, and weighed."""

    def __init__(self, scored: Scored, hopes: Hopes, places: NDArray[np.intp]) -> None:
        """Draw for the networks at these places."""
        self.places = [int(place) for place in places]
        self._values, self._likely = scored.values, hopes.belief.mean
        pieces = len(hopes.weights)
        self._weights = np.repeat(hopes.weights / DRAWS, DRAWS)
        chances = np.stack([hopes.of_share(parts / PARTS) for parts in range(1, PARTS + 1)])
        rng = np.random.default_rng(0)
        own: dict[int, Array] = {}
        self._least: dict[int, NDArray[np.int_]] = {}
        for place in self.places:
            kin = int(scored.kin[place])
            if kin not in own:
                own[kin] = (rng.permuted(np.tile(np.arange(DRAWS), (pieces, 1)), axis=1).ravel() + 0.5) / DRAWS
            holds = own[kin] < np.repeat(chances[:, place], DRAWS, axis=1)
            # Parts that the network needs in each draw; more than there are where it does not hold at all.
            self._least[place] = np.where(holds.any(axis=0), holds.argmax(axis=0) + 1, PARTS + 1)

    def promised(self, plan: Plan) -> float:
        """What the last candidate that holds is worth, on average; 0 where none does."""
        passed_on = np.zeros(len(self._weights), dtype=np.int_)
        worth = np.zeros(len(self._weights))
        for place, parts in plan:
            tested_with = passed_on + parts
            holds = self._least[place] <= tested_with
            passed_on = np.where(holds, tested_with, 0)
            worth = np.where(holds, self._values[place], worth)
        return float(worth @ self._weights)

    def added(self, plan: Plan, place: int) -> list[Plan]:
        """The plan with one more candidate: its shares as they are, all to the first, and all alike."""
        order = sorted([*plan, (place, 0)], key=lambda one: (self._values[one[0]], -self._likely[one[0]]))
        places = [one for one, _ in order]
        even, rest = divmod(PARTS, len(places))
        shares = [
            [parts for _, parts in order],
            [PARTS] + [0] * (len(places) - 1),
            [even + (at < rest) for at in range(len(places))],
        ]
        return [tuple(zip(places, one, strict=True)) for one in shares]

    def shared(self, plan: Plan) -> Plan:
        """The plan with its shares moved, a part at a time, as long as that promises more."""
        while True:
            best = max(_moved(plan), key=self.promised, default=plan)
            if self.promised(best) <= self.promised(plan) + LEAST_GAIN:
                return plan
            plan = best


def _moved(plan: Plan) -> list[Plan]:
    """All plans that differ by one part, or several, that one candidate gives to another.

    The first keeps one, as it would not be tried otherwise.
    """
    found = []
    for giver, taker in permutations(range(len(plan)), 2):
        for parts in {1, PARTS // 5}:
            if plan[giver][1] >= parts + (giver == 0):
                shares = [share - parts * (at == giver) + parts * (at == taker) for at, (_, share) in enumerate(plan)]
                found.append(tuple((place, share) for (place, _), share in zip(plan, shares, strict=True)))
    return found


class Hopes:
    """How likely each network is to pass the test, once the luck of the search is taken off its score."""

    def __init__(self, scored: Scored, test: FloorTest) -> None:
        discordances = _discordances(scored)
        sems = np.sqrt(discordances / (scored.images + 2))
        if scored.sems_in_views is not None:
            sems = np.fmin(sems, scored.sems_in_views)
        self.test = test
        self.belief: Belief = shrunk(
            scored.differences,
            sems * (1 - SHARED) ** 0.5,
            scored.costs,
            scored.trained,
            scored.safe,
            scored.forecasts,
        )
        if test.floor.relative:
            self._base, luck, spread = 0.0, SHARED * sems**2, discordances
            # Of what is tested the floor is the null: there at least the floor's own share of images is discordant.
            under_null = np.maximum(discordances, abs(test.floor.value)) - test.floor.value**2
        else:
            self._base = scored.reference_accuracy
            accuracies = np.clip(self._base + scored.differences, 0.0, 1.0)
            spread = np.maximum(accuracies * (1 - accuracies), 0.5 / test.images)
            luck = np.maximum(spread / scored.images - (1 - SHARED) * sems**2, 0.0)
            under_null = np.full(len(spread), max(test.floor.value * (1 - test.floor.value), 0.5 / test.images))
        self._common = np.sqrt(luck + SHARED * spread / test.images)
        self._own = (1 - SHARED) * spread / test.images
        self._under_null = under_null
        self._luck = np.asarray(stdtrit(DEGREES, (EDGES[1:] + EDGES[:-1]) / 2))
        self.weights: Array = np.diff(EDGES)

    def of_share(self, share: float) -> Array:
        """`at` the confidence of an attempt with that share of the error probability."""
        return self.at(1 - (1 - self.test.confidence) * share)

    def at(self, confidence: float) -> Array:
        """Probabilities that the bound reaches the floor, by networks and cases of common luck: (networks, cases).

        The one-sided confidence is that of one attempt.
        """
        z, images = NormalDist().inv_cdf(confidence), self.test.images
        needed = self.test.floor.value - self._base + z * np.sqrt(self._under_null / images)
        found = np.zeros((len(needed), len(self._luck)))
        means = self._common[:, None] * self._luck - needed[:, None]
        for part in range(self.belief.weights.shape[1]):
            deviations = np.sqrt(self.belief.variances[:, part] + self._own)[:, None]
            passed = ndtr((self.belief.means[:, part, None] + means) / deviations)
            found += self.belief.weights[:, part, None] * passed
        return found


def _discordances(scored: Scored) -> Array:
    """Share of images that are right for one of network and reference alone, from the standard errors where known."""
    known = (scored.images + 2) * scored.sems**2
    least = np.maximum(np.abs(scored.differences), 1 / (scored.images + 2))
    return np.maximum(np.where(np.isnan(known), DISCORDANCE, known), least)
