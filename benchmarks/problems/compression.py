"""Compression problems that `greybox` was tuned on, and others that nothing was tuned on; cheap, and unlike each other.

| half | problem | parameters | what it is |
|---|---|---|---|
| tuning | `conv19` | 19 integers | filters kept from 10 %, weight bits 2-8, activation bits 2-8; exact cost |
| tuning | `deep` | 18 floats, 12 choices | widths in blocks of 8, blocks that can be dropped; measured latency |
| tuning | `mixed` | 7 floats in steps, 7 choices | a short network, float32 or int8 by layer; exact cost |
| tuning | `names` | 16 integers, plain | `w0`…, `q0`…: the user tells the directions, no groups; measured cost |
| tuning | `choices` | 20 choices | five widths and three precisions; exact cost; added after the first figures |
| tuning | `narrow` | 24 choices | narrow, unchained layers; exact cost; added when `mobile` had been seen |
| held out | `conv25` | 25 integers | filters kept from 5 %, bits 3-8, those of activations by stage; exact cost |
| held out | `vit` | 12 integers, 12 floats, 12 choices | heads, MLP widths, precision; measured latency |
| held out | `mobile` | 24 numbers as choices, 5 choices | narrow, steep, unchained layers with few widths; exact cost |
| held out | `sparse` | 21 numbers, plain | shares removed and ranks kept, so directions of both signs; measured cost |

The halves were drawn before anything was tuned (the commit that brought this file). `conv19` and `conv25` come in three
variants: `-plain` is a dict of distributions; `-groups` tells layers and directions by `Problem(groups=…, monotone=…)`;
`-region` bounds the error and gives the reference point too. The other problems bound the error, as a protocol does.

Errors are counted on `images` images, measured costs have a relative error of `noise`: both are a function of the
policy, so a policy evaluates alike each time. What a search has reached is judged by the expected values: the share of
the best known front's hypervolume (`fronts.json`) that its policies dominate between the axes and the corner, `floor`
more error than neutral and `corner` of its cost. The ladder is what one would try by hand: 20 uniform policies.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.problems.networks import NEUTRAL, Network, Settings
from moco.metrics import COST, TOP1_ERROR
from moco.pareto import hypervolume
from moco.policy import Policy
from moco.problem import Problem
from moco.randomness import generator
from moco.space import LayerGroup, SearchSpace, n_values, snapped
from moco.trial import Evaluation, MetricValue, Point, Trial

FRONTS = Path(__file__).with_name("fronts.json")
FINE = 19  # values of a continuous parameter among which the best known front is looked for

AS_NUMBER: dict[str, Callable[[Any], float]] = {
    "share": float,
    "percent": lambda value: value / 100,
    "percent removed": lambda value: 1 - value / 100,
    "twelfths": lambda value: value / 12,
    "bits": float,
    "precision": {"float32": 32.0, "int8": 8.0, "int4": 4.0}.__getitem__,
    "dropped": lambda value: 0.0 if value else 1.0,
}


@dataclass(frozen=True)
class Knob:
    """A parameter: the settings of which layers it changes, and how its value is read.

    Attributes:
        falls: +1 where cost falls as the value rises, -1 where it falls with it; of choices, as listed.
    """

    name: str
    distribution: BaseDistribution
    settings: tuple[str, ...]
    read: str
    layers: tuple[int, ...]
    group: str
    falls: int = -1

    @property
    def neutral(self) -> Any:
        """The value that compresses least."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices[-1 if self.falls < 0 else 0]
        assert isinstance(self.distribution, (FloatDistribution, IntDistribution))
        return self.distribution.high if self.falls < 0 else self.distribution.low

    def grid(self) -> list[Any]:
        """All values, or `FINE` of a continuous parameter."""
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            return list(d.choices)
        assert isinstance(d, (FloatDistribution, IntDistribution))
        if n_values(d) is None:
            spread = np.geomspace if d.log else np.linspace
            return [float(value) for value in spread(d.low, d.high, FINE)]
        return [snapped(d, value) for value in np.arange(d.low, d.high + (d.step or 1) / 2, d.step or 1)]


@dataclass(frozen=True)
class Compression:
    """A network with its knobs as a problem; see the module's text."""

    name: str
    network: Network
    knobs: tuple[Knob, ...]
    hand: Mapping[str, tuple[float, ...]]  # by setting, what is tried by hand: all combinations
    weights: Mapping[str, float] = field(default_factory=lambda: {"bops": 0.5, "packed_size_mb": 0.5})
    floor: float = 0.1
    corner: float = 0.8
    images: int = 2000
    noise: float = 0.0  # relative, of latency_ms, and of the cost on a plain space
    widths: int = 0  # channels that a width is a multiple of, in the policies of the codec; 0 leaves ratios as they are
    is_plain: bool = False  # without a codec: costs are what is told
    tells: frozenset[str] = frozenset({"layers", "directions", "bound"})  # and `corner`

    @property
    def base(self) -> str:
        """The name without the variant."""
        return self.name.partition("-")[0]

    @cached_property
    def space(self) -> SearchSpace:
        """The space with the codec; of a plain problem, the distributions alone."""
        distributions = {knob.name: knob.distribution for knob in self.knobs}
        if self.is_plain:
            return SearchSpace(distributions)
        groups = tuple(LayerGroup(name, tuple(names)) for name, names in self._groups.items())
        return SearchSpace(distributions, groups, self.neutral, Costs(self))

    @cached_property
    def problem(self) -> Problem:
        """Least error and least cost, with what the problem tells of itself."""
        at_neutral = self.expected([self.neutral])
        worst = float(at_neutral[TOP1_ERROR][0]) + self.floor
        told: dict[str, Any] = {}
        if not self.is_plain:
            told["derived"] = {COST: self._cost_of}
        if "bound" in self.tells:
            told["constraints"] = {TOP1_ERROR: f"<= {worst}"}
            told["reference_point"] = {TOP1_ERROR: 1.0, COST: 1.0}  # as the protocols state it
        if "corner" in self.tells:
            told["reference_point"] = {TOP1_ERROR: worst, COST: self.corner}
        if self.is_plain and "layers" in self.tells:
            told["groups"] = self._groups
        if self.is_plain and "directions" in self.tells:
            numbers = [knob for knob in self.knobs if not isinstance(knob.distribution, CategoricalDistribution)]
            told["monotone"] = {knob.name: knob.falls for knob in numbers}
        return Problem(self.space, {TOP1_ERROR: "minimize", COST: "minimize"}, **told)

    @cached_property
    def neutral(self) -> dict[str, Any]:
        """Every knob at the value that compresses least."""
        return {knob.name: knob.neutral for knob in self.knobs}

    @cached_property
    def reference_point(self) -> tuple[float, float]:
        """(top-1 error, cost): the corner of the region that one would deploy from."""
        return float(self.expected([self.neutral])[TOP1_ERROR][0]) + self.floor, self.corner

    def ladder(self) -> list[Point]:
        """The uniform policies that one would try by hand, each knob at the value nearest to what is tried."""
        found: dict[Policy, Point] = {}
        for tried in itertools.product(*self.hand.values()):
            wanted = dict(zip(self.hand, tried, strict=True))
            point = {knob.name: nearest_value(knob, wanted) for knob in self.knobs}
            found.setdefault(self.space.canonical(point), point)
        return list(found.values())

    def evaluate(self, policy: Policy) -> Evaluation:
        """One evaluation, with the noise of this policy."""
        point = self.executed(policy)
        expected = {name: float(values[0]) for name, values in self.expected([point]).items()}
        rng = generator(0, self.base, policy.text)
        share = rng.binomial(self.images, expected[TOP1_ERROR]) / self.images
        factor = 1 + self.noise * float(rng.standard_normal())
        sem = float(np.sqrt(max(share * (1 - share), 0.25 / self.images) / self.images))
        measured = COST if self.is_plain else "latency_ms"
        names = (COST,) if self.is_plain else tuple(name for name in expected if name not in {TOP1_ERROR, COST})
        costs = {name: MetricValue(expected[name]) for name in names}
        if self.noise:
            value = expected[measured] * factor
            costs[measured] = MetricValue(value, self.noise * value)
        return Evaluation({TOP1_ERROR: MetricValue(share, sem), **costs})

    def expected(self, points: Sequence[Point]) -> dict[str, np.ndarray]:
        """(n,) of every metric, without noise."""
        rows = [[AS_NUMBER[knob.read](point[knob.name]) for knob in self.knobs] for point in points]
        return self.expected_at(np.array(rows))

    def expected_at(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """(n,) of every metric at numbers (n, n_knobs) as the knobs' values are read."""
        settings = self._settings(numbers)
        costs = self.network.costs(settings)
        cost = np.sum([weight * costs[name] / self._whole[name] for name, weight in self.weights.items()], axis=0)
        return {TOP1_ERROR: self.network.error(settings), **costs, COST: cost}

    def executed(self, policy: Policy) -> Point:
        """The point that the policy stands for."""
        return policy.settings

    def share(self, trials: Sequence[Trial]) -> float:
        """Hypervolume of the trials' expected losses below the corner, over that of the best known front."""
        points = [self.executed(trial.policy) for trial in trials if trial.policy is not None]
        found = self.expected(points)
        losses = np.column_stack([found[TOP1_ERROR], found[COST]])
        return hypervolume(losses, self.reference_point) / float(fronts()[self.base])

    @cached_property
    def _whole(self) -> dict[str, float]:
        """Costs of the neutral policy."""
        numbers = [[AS_NUMBER[knob.read](knob.neutral) for knob in self.knobs]]
        return {name: float(found[0]) for name, found in self.network.costs(self._settings(np.array(numbers))).items()}

    @property
    def _groups(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for knob in self.knobs:
            found.setdefault(knob.group, []).append(knob.name)
        return found

    def _settings(self, numbers: np.ndarray) -> Settings:
        size = (len(numbers), len(self.network.channels))
        found = {name: np.full(size, value) for name, value in NEUTRAL.items()}
        for column, knob in zip(numbers.T, self.knobs, strict=True):
            for name in knob.settings:
                found[name][:, list(knob.layers)] = column[:, None]
        return found

    def _cost_of(self, metrics: Mapping[str, MetricValue]) -> MetricValue:
        """The weighted mean of the cost ratios to neutral."""
        parts = {name: weight * metrics[name].value / self._whole[name] for name, weight in self.weights.items()}
        sems = [parts[name] * (metrics[name].sem or 0.0) / metrics[name].value for name in parts]
        return MetricValue(sum(parts.values()), float(np.hypot.reduce(sems)) if any(sems) else None)


@dataclass(frozen=True)
class Costs:
    """Implements moco.space.Codec: widths in whole blocks of channels, and exact costs of all but latency."""

    of: Compression

    def policy(self, point: Point) -> Policy:
        """The point, its shares kept rounded to widths."""
        return Policy.of({knob.name: self._rounded(knob, point[knob.name]) for knob in self.of.knobs})

    def point(self, policy: Policy) -> Point:
        """What was executed."""
        return policy.settings

    def cost(self, policy: Policy) -> Mapping[str, float]:
        """Exact costs."""
        found = self.of.expected([policy.settings])
        return {name: float(found[name][0]) for name in ("macs", "packed_size_mb", "bops")}

    def n_policies(self) -> int | None:
        """Not counted."""
        return None

    def _rounded(self, knob: Knob, value: Any) -> Any:
        if not self.of.widths or knob.settings != ("keep",):
            return snapped(knob.distribution, value)
        channels, block = float(self.of.network.channels[knob.layers[0]]), self.of.widths
        return max(block, block * round(value * channels / block)) / channels


def nearest_value(knob: Knob, wanted: Mapping[str, float]) -> Any:
    """The knob's value that is read as nearest to what is wanted of its setting; neutral where nothing is."""
    asked = next((wanted[name] for name in knob.settings if name in wanted), None)
    if asked is None:
        return knob.neutral
    return min(knob.grid(), key=lambda value: abs(AS_NUMBER[knob.read](value) - asked))


def fronts() -> dict[str, float]:
    """Hypervolume of the best known front below the corner, by name without variant."""
    return dict(json.loads(FRONTS.read_text(encoding="utf-8")))
