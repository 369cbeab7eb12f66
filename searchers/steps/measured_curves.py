"""Sensitivity curves of single steps, as measured by the first asks of a search or as the space's features have them.

A *curve* is how the loss grows along a line (`single_steps`) that is moved alone. It is measured at a few levels and
read between them by monotone cubics (F. Fritsch and J. Butland, "A method for constructing local monotone piecewise
cubic interpolants", SIAM Journal on Scientific and Statistical Computing 5(2), 1984); it never falls, because a step
does not help: what looks so is noise.
*Alternatives* are the points of a fine grid on the curves, each with what it loses and what it saves alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution
from scipy.interpolate import PchipInterpolator

from moco.policy import Policy
from moco.policy_costs import PolicyCosts
from moco.problem import Problem
from moco.searchers.shared.trial_history import TrialHistory
from moco.searchers.steps.single_steps import Key, Line, StepScale, lines, point_at, single_steps
from moco.space import LayerGroup, SearchSpace
from moco.trial import Point, Trial

GRID = 8
"""Levels of a line among which is chosen; twice as many did no better, and a knapsack of them took twice as long."""


@dataclass(frozen=True)
class Alternative:
    """One way to change one unit, all else neutral."""

    changes: Point  # values of the parameters that are set
    loss: float  # by how much the loss grows, >= 0
    saving: float  # by how much spending falls, in the units of `PolicyCosts`


class MeasuredCurves:
    """The single steps of a problem, which of them are still to be asked, and what those that were told give."""

    def __init__(self, problem: Problem, levels: int, use_features: bool) -> None:
        """Plan the steps: `levels` equal steps from neutral to the far end of every numeric parameter."""
        self._space, self._spending = problem.space, PolicyCosts(problem)
        self.base = problem.space.uniform(0.0)
        self._lines = lines(problem.space, self.base)
        declared = use_features and not self._spending.told_only
        self._declared = declared_curves(problem.space, self._lines) if declared else None
        self._steps = single_steps(problem.space, [k / levels for k in range(1, levels + 1)])
        steps = [self.base, *(step.point for step in (self._steps if self._declared is None else ()))]
        self._plan = {problem.space.canonical(point): point for point in steps}
        self._scale = StepScale(problem.space)
        self._uniform = [problem.space.uniform(k / GRID) for k in range(1, GRID + 1)]
        self._grid = {line.key: self._points(line) for line in self._lines}
        self._exact: dict[Key, list[float]] = {}

    def untold(self, told: TrialHistory) -> list[Point]:
        """The points that are still to be asked, neutral first."""
        return [point for policy, point in self._plan.items() if policy not in told]

    def concerns(self, policy: Policy) -> bool:
        """Whether a result of the policy changes the curves."""
        return policy in self._plan

    def alternatives(self, told: TrialHistory) -> dict[str, list[Alternative]]:
        """By unit, what it may be changed to, as far as the trials tell; without units of which nothing is known."""
        start = told.complete(self._space.canonical(self.base))
        found: dict[str, list[Alternative]] = {}
        for line in self._lines:
            along = (step for step in self._steps if step.line == line)
            known = [(0.0, start), *((step.level, told.complete(self._space.canonical(step.point))) for step in along)]
            trials = [(level, trial) for level, trial in known if trial is not None]
            found.setdefault(line.unit, []).extend(self._along(line, trials))
        return {unit: ways for unit, ways in found.items() if ways}

    def _points(self, line: Line) -> list[tuple[float, Point]]:
        """The points of the grid with their levels, each policy once and neutral left out."""
        if line.parameter is None:
            return [(1.0, point_at(self.base, line, self.base))]
        found: dict[Policy, tuple[float, Point]] = {self._space.canonical(self.base): (0.0, self.base)}
        for uniform in self._uniform:
            point = point_at(self.base, line, uniform)
            level = self._scale.level(line.parameter, point)
            found.setdefault(self._space.canonical(point), (level, point))
        return [(level, point) for level, point in found.values() if level > 0]

    def _along(self, line: Line, trials: Sequence[tuple[float, Trial]]) -> list[Alternative]:
        """The alternatives of a line, up to the last level of which something is known."""
        measured = [level for level, _ in trials]
        if self._declared is not None:
            declared = self._declared[line.key]
            levels, losses = [level for level, _ in declared], [loss for _, loss in declared]
        elif not measured or measured[0] > 0.0:
            return []
        else:
            first = self._spending.loss_of(trials[0][1])
            levels, losses = measured, [self._spending.loss_of(trial) - first for _, trial in trials]
        grid = [(level, point) for level, point in self._grid[line.key] if level <= levels[-1] + 1e-9]
        read = rising(levels, losses, [level for level, _ in grid])
        savings = self._savings(line, [level for level, _ in grid], trials)
        names = [*line.choice, *([] if line.parameter is None else [line.parameter])]
        every = zip([point for _, point in grid], read, savings, strict=False)
        return [Alternative({name: at[name] for name in names}, loss, saving) for at, loss, saving in every]

    def _savings(self, line: Line, grid: Sequence[float], trials: Sequence[tuple[float, Trial]]) -> list[float]:
        """Saving at the levels of the grid: exact, read between what was told, or the level itself."""
        if self._spending.exact:
            if line.key not in self._exact:
                whole = self._spending.of(self._space.canonical(self.base))
                policies = [self._space.canonical(point) for _, point in self._grid[line.key]]
                self._exact[line.key] = [whole - self._spending.of(policy) for policy in policies]
            return self._exact[line.key]
        if not self._spending.told_only:
            return list(grid)
        spent = [self._spending.of_trial(trial) for _, trial in trials]
        return rising([level for level, _ in trials], [spent[0] - amount for amount in spent], grid)


LARGEST = 1e300
"""Of a curve: between larger values the slopes overflow."""


def rising(levels: Sequence[float], values: Sequence[float], at: Sequence[float]) -> list[float]:
    """A curve that never falls, through the values at the ascending levels, of which the first is 0, read elsewhere."""
    risen = np.minimum(np.maximum.accumulate(np.maximum(values, 0.0)), LARGEST)
    if len(levels) < 2:
        return [0.0 for _ in at]
    return [float(value) for value in PchipInterpolator(levels, risen)(at)]


def declared_curves(space: SearchSpace, along: Sequence[Line]) -> Mapping[Key, list[tuple[float, float]]] | None:
    """Curves from the features of the layer groups, (level, divergence) by line; None unless every line has one.

    A sensitivity analysis leaves features such as `kl_keep_0.5`, `kl_weight_bits_4` and `kl_int8`
    (moco.analysis.sensitivity.layer_sensitivity): the divergence of a parameter at a value, or of a choice.
    """
    found = {line.key: _declared(space, line) for line in along}
    return found if found and all(len(curve) > 1 for curve in found.values()) else None


def declared_growth(space: SearchSpace, name: str, before: object, after: object) -> float | None:
    """By how much the divergence grows between values of a parameter, all else neutral; None without a curve of it."""
    start, end = declared_at(space, name, before), declared_at(space, name, after)
    return None if start is None or end is None else end - start


def declared_at(space: SearchSpace, name: str, value: Any) -> float | None:
    """The divergence of a parameter at a value, all else neutral; beyond the last value of its curve, that one's.

    None without a curve, and for values on the other side of neutral.
    """
    if not any(name in group.parameters and _analysed(group) for group in space.groups):
        return None
    neutral, far = (space.uniform(level)[name] for level in (0.0, 1.0))
    if value == neutral:
        return 0.0
    choice = isinstance(space.distributions[name], CategoricalDistribution)
    curve = _declared(space, Line(name, None, {name: value}) if choice else Line(name, name))
    if len(curve) < 2:
        return None
    levels, losses = zip(*curve, strict=True)
    level = 1.0 if choice else (value - neutral) / (far - neutral)
    return None if level < 0 else rising(levels, losses, [min(level, levels[-1])])[0]


def _analysed(group: LayerGroup) -> bool:
    return any(feature.startswith("kl_") for feature in group.features)


def _declared(space: SearchSpace, line: Line) -> list[tuple[float, float]]:
    group = next((g for g in space.groups if line.unit in g.parameters), None)
    if group is None:
        return []
    if line.parameter is None:
        (choice,) = line.choice.values()
        known = group.features.get(f"kl_{choice}")
        return [] if known is None else [(0.0, 0.0), (1.0, known)]
    prefix = f"kl_{line.parameter.removeprefix(f'{group.name}.')}_"
    values = {name.removeprefix(prefix): loss for name, loss in group.features.items() if name.startswith(prefix)}
    neutral, far = (space.uniform(level)[line.parameter] for level in (0.0, 1.0))
    levels = {(float(value) - neutral) / (far - neutral): loss for value, loss in values.items()}
    return [(0.0, 0.0), *sorted((level, loss) for level, loss in levels.items() if 0 < level <= 1 + 1e-9)]
