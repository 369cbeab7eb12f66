"""Which candidates are tried on the certification images, and in which order: fixed before one of them is read.

There are two ways (certificate.py), and the one that promises more is taken.

*Until one holds*: at most K candidates, each with a share of alpha. Whatever set is tried, what is worth most goes
first. So the most that can be expected, after candidate j has failed and with k attempts left, is

    f(j, k) = max over i of less worth than j:  p_ij v_i + (1 - p_ij) f(i, k - 1)

where v_i is what delivering candidate i is worth and p_ij the probability that it holds although j has failed: networks
of one search share their luck, so that a likeness of what failed is no way back, and the last attempt falls to a safe
network by itself. Files of the same trained weights in other bits lose the same images: where one of them has failed,
another holds only as far as it was the likelier one. Fewer attempts than K are planned where the smaller correction is
worth more than another candidate.

*As long as they hold*: the safest and least worth first, each with all of alpha. Of the sequence i, j, ... is to be
expected

    P(i holds) v_i + P(i and j hold) (v_j - v_i) + ...

It grows from a safe network by the candidate that adds most, as long as one adds something, and there is none without:
it would end at the first network that was merely lucky. Where the safe network is as good as sure to hold, what follows
it is tested as if it were alone.

Where more than one attempt is allowed, a network that is known to be safe, and likelier to hold than not, is among
those tried.
"""

from __future__ import annotations

from dataclasses import dataclass
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

LIKELY, SURE = 0.5, 0.9
"""Chances of a safe network: to be worth an attempt; and to be as good as sure. It is then taken for certain, as its
kind is known better than by a few hundred images."""

TINY = 1e-300

MOST_PLANNED = 12
"""More attempts never paid: each one widens the bounds of all."""

MOST_CONSIDERED = 400
"""Networks that come into question at all, by what is to be expected of each alone."""


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
    # of the error probability of all attempts together; None where it is tried only after all before it held
    share: float | None


def attempts_planned(scored: Scored, test: FloorTest, most: int) -> list[PlannedAttempt]:
    """The networks to try, in their order: at most so many, at least one; none where there is no network."""
    if not len(scored.values):
        return []
    hopes, most = Hopes(scored, test), min(most, len(scored.values), MOST_PLANNED)
    plans: list[tuple[list[PlannedAttempt], float]] = []
    alone, safe = _with_way_back(scored, hopes, 1.0)
    if most > 1 and safe is not None:
        sequence, promised = best_sequence(scored.values, alone, hopes.weights, most, begin=safe, kin=scored.kin)
        plans.append(([PlannedAttempt(place, None if len(sequence) > 1 else 1.0) for place in sequence], promised))
    for planned in range(1, most + 1):
        chances, safe = _with_way_back(scored, hopes, 1 / planned)
        kept = safe if most > 1 else None
        order, expected = best_order(scored.values, chances, hopes.weights, planned, kept=kept, kin=scored.kin)
        plans.append(([PlannedAttempt(place, 1 / len(order)) for place in order], expected))
    tried, expected = max(plans, key=lambda plan: plan[1])  # of equal ones the sequence, then the fewest attempts
    return tried if expected > 0 else [PlannedAttempt(int(np.argmax(hopes.belief.mean)), 1.0)]


def best_sequence(
    values: Array, chances: Array, weights: Array, most: int, *, begin: int, kin: NDArray[np.int_]
) -> tuple[list[int], float]:
    """A sequence of at most so many candidates, of rising value, that is tried as long as all hold; what it promises.

    Arrays are as for `best_order`. It begins with the candidate `begin`; then the one that adds most is put in, one
    after the other: the best sequence that is found so, not the best of all.
    """

    def promised(order: list[int]) -> float:
        return sequence_worth(order, values, chances, weights, kin)

    falling = _considered(values, chances @ weights, begin)
    bolder, found = [int(one) for one in falling if values[one] > values[begin]], [begin]
    while len(found) < most:
        longer = [sorted([*found, one], key=lambda place: float(values[place])) for one in bolder if one not in found]
        best = max(longer, key=promised, default=found)
        if promised(best) <= promised(found):
            break
        found = best
    return found, promised(found)


def sequence_worth(order: list[int], values: Array, chances: Array, weights: Array, kin: NDArray[np.int_]) -> float:
    """What is to be expected of candidates of rising value that are tried as long as all hold.

    Of one number of `kin` the likelier holds wherever another does.
    """
    reached, expected, before = np.ones(len(weights)), 0.0, 0.0
    least: dict[int, Array] = {}
    for place in order:
        number, chance = int(kin[place]), chances[place]
        held = least.get(number, np.ones_like(chance))
        reached = reached * np.minimum(chance / np.maximum(held, TINY), 1.0)
        least[number] = np.minimum(held, chance)
        expected += float(reached @ weights) * (values[place] - before)
        before = values[place]
    return expected


def _with_way_back(scored: Scored, hopes: Hopes, share: float) -> tuple[Array, int | None]:
    """Chances at the share, and the safe network that is likeliest to hold, where one is likelier to hold than not.

    One that is as good as sure is taken for certain.
    """
    chances = hopes.of_share(share)
    likely = chances @ hopes.weights
    best = int(np.argmax(np.where(scored.safe, likely, -1.0)))
    if not scored.safe[best] or likely[best] <= LIKELY:
        return chances, None
    if likely[best] >= SURE:
        chances[best] = 1.0
    return chances, best


def best_order(
    values: Array,
    chances: Array,
    weights: Array,
    most: int,
    *,
    kept: int | None = None,
    kin: NDArray[np.int_] | None = None,
) -> tuple[list[int], float]:
    """The order of at most so many candidates from which most is to be expected, and how much that is.

    `values` are (candidates,), `chances` (candidates, cases), and `weights` (cases,) how likely each case is: within
    one case the candidates hold independently of each other, but for `kin` (candidates,): of one number the likelier
    holds wherever another does. Of what has failed before only the last is remembered. The candidate that is to be
    `kept` is in the order.
    """
    falling = _considered(values, chances @ weights, kept)
    worth, cases = values[falling], chances[falling]
    alone = cases @ weights
    both = _failing_and_holding(cases, weights, np.arange(len(values)) if kin is None else kin, falling)
    # Row 0 is the beginning, row j + 1 what comes after candidate j has failed; the columns are what is tried next.
    # Where a candidate fails next to never, both of these are what rounding leaves: a share of them is still one.
    odds = np.clip(np.vstack([alone, both / np.maximum(1 - alone, TINY)[:, None]]), 0.0, 1.0)
    rows, columns = np.arange(len(worth) + 1), np.arange(len(worth))
    closed, end = columns < rows[:, None], np.zeros(len(rows))
    if kept is not None:
        last = int(np.flatnonzero(falling == kept)[0])
        closed |= (rows[:, None] <= last) & (last < columns)
        end[: last + 1] = -np.inf
    expected, following = end, []
    for _ in range(most):
        onward = expected[1:]
        finite = np.where(np.isneginf(onward), 0.0, onward)
        then = np.where(closed | np.isneginf(onward), -np.inf, odds * worth + (1 - odds) * finite)
        following.append(np.where(then.max(axis=1) > end, then.argmax(axis=1), -1))
        expected = np.maximum(then.max(axis=1), end)
    return [int(falling[place]) for place in _walk(following)], float(expected[0])


def _failing_and_holding(cases: Array, weights: Array, kin: NDArray[np.int_], places: NDArray[np.intp]) -> Array:
    """Probabilities that one fails and another holds: (networks, networks)."""
    found: Array = ((1 - cases) * weights) @ cases.T
    for number in set(kin[places].tolist()):
        of_one = np.flatnonzero(kin[places] == number)
        if len(of_one) > 1:
            more = np.maximum(cases[None, of_one] - cases[of_one, None], 0.0) @ weights
            found[np.ix_(of_one, of_one)] = more
    return found


def _considered(values: Array, chances: Array, kept: int | None) -> NDArray[np.intp]:
    """Places of the candidates that come into question, by falling value; of equal ones the likelier first."""
    promising = np.argsort(-chances * values, kind="stable")[:MOST_CONSIDERED]
    falling = np.lexsort((-chances, -values))
    return falling[np.isin(falling, [*promising, *([] if kept is None else [kept])])]


def _walk(following: list[NDArray[np.intp]]) -> list[int]:
    """The candidates from the beginning on, by what follows which row: the table of the most attempts is the last."""
    order: list[int] = []
    for after in reversed(following):
        place = int(after[order[-1] + 1 if order else 0])
        if place < 0:
            break
        order.append(place)
    return order


class Hopes:
    """How likely each network is to pass the test, once the luck of the search is taken off its score."""

    def __init__(self, scored: Scored, test: FloorTest) -> None:
        discordances = _discordances(scored)
        sems = np.sqrt(discordances / (scored.images + 2))
        if scored.sems_in_views is not None:
            sems = np.fmin(sems, scored.sems_in_views)
        self.test = test
        self.belief: Belief = shrunk(scored.differences, sems * (1 - SHARED) ** 0.5, scored.costs, scored.trained)
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
