"""What an evaluation of a candidate is worth, from draws of what the models predict of it.

While nothing feasible was told, the worth is how far the total violation is expected to fall below the least so far.
Afterwards it is the expected gain: of the hypervolume that the feasible front dominates, or of the protocol's score
over the best so far. The quasi-random draws (Halton's sequence) are the same for all candidates, and quantities are
taken as independent of each other.

For one or two losses each draw's gain in hypervolume is exact. For more it is the mean over directions of what a
candidate adds along that direction: the volume that points Y dominate below r is

    c_m E_lambda max_y min_i ((r_i - y_i)+ / lambda_i)^m,      c_m = pi^(m/2) / (2^m Gamma(m/2 + 1))

with lambda uniform on the positive part of the unit sphere (D. Golovin and Q. Zhang, "Random hypervolume scalarizations
for provable multi-objective black box optimization", ICML 2020, lemma 5).

| symbol | meaning |
|---|---|
| samples | (s, n, m) losses of n candidates in s draws |
| front | (k, m) losses of the points that no other dominates |
| r | reference point (m,): nothing beyond it counts |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from scipy.stats import norm, qmc

from moco.constraints import Bound
from moco.metrics import ERRORS, Direction
from moco.pareto import non_dominated
from moco.problem import Problem
from moco.searchers.models.outcome_transforms import OutcomeTransform
from moco.searchers.models.policy_models import PolicyModels, Prediction
from moco.trial import MetricValue, Trial

DIRECTIONS = 128
DRAWS = 32
STEP = 1e-4  # of the differences that give the score's slopes, relative to the metric
USEFUL = 0.25
"""Without a reference point: of what compression adds to the error at most, the share beyond which no one would go."""
MARGIN = 0.1  # without a reference point the front's extent and this share of it more is taken


class ExpectedHypervolumeImprovement:
    """The worth of candidates for the front of all losses."""

    def __init__(
        self, problem: Problem, models: PolicyModels, trials: Sequence[Trial], rng: np.random.Generator
    ) -> None:
        self._problem, self.names = problem, models.judged
        self._directions = directions(len(problem.objectives), rng)
        self._sems = {name: models.usual_sem(name) for name in models.judged}
        self._normal = dict(zip(models.judged, _normal_draws(len(models.judged)), strict=True))
        judged = [(trial.outcome.losses, trial.feasible) for trial in trials if trial.outcome is not None]
        losses = np.array([losses for losses, _ in judged])
        self._feasible = losses[[feasible for _, feasible in judged]]
        self._front = self._feasible[non_dominated(self._feasible)]
        # Feasible trials may all lie in one corner, and their extent would leave nothing to gain anywhere else.
        reached = np.vstack([self._front, losses[non_dominated(losses)]])
        self._r = reference_point(problem, self._feasible, reached) if len(self._feasible) else np.empty(0)
        self._least = min(total_violation(trial) for trial in trials)

    def __call__(self, predicted: Mapping[str, Prediction]) -> np.ndarray:
        """(n,) of n candidates."""
        drawn = {name: prediction.samples(self._normal[name]) for name, prediction in predicted.items()}
        scales = {name: prediction.scale for name, prediction in predicted.items()}
        violation = violations(self._problem.bounds, drawn, scales, self._sems)
        if not len(self._feasible):
            return np.asarray(np.maximum(self._least - violation, 0.0).mean(axis=0))
        signs = [-1.0 if way == Direction.MAXIMIZE else 1.0 for way in self._problem.objectives.values()]
        losses = np.stack([sign * drawn[n] for sign, n in zip(signs, self._problem.objectives, strict=True)], axis=2)
        return expected_improvement(losses, violation <= 0, self._front, self._r, self._directions)


def total_violation(trial: Trial) -> float:
    """Total violation of a complete trial."""
    assert trial.outcome is not None
    return sum(max(violation, 0.0) for violation in trial.outcome.violations)


def violations(
    bounds: Sequence[Bound],
    drawn: Mapping[str, np.ndarray],
    scales: Mapping[str, OutcomeTransform],
    sems: Mapping[str, float | None],
) -> np.ndarray:
    """(s, n) total violation of each draw, as `Bound.violation` states it; no bounds are never violated.

    A bound with a confidence asks for `sems`, the usual standard error of a measurement by name, on its scale.
    """
    total = np.zeros(next(iter(drawn.values())).shape)
    for bound in bounds:
        sign, values, sem = 1.0 if bound.op == "<=" else -1.0, drawn[bound.metric], sems[bound.metric]
        if bound.confidence is not None and sem is not None:
            values = values + sign * NormalDist().inv_cdf(bound.confidence) * sem * scales[bound.metric].rate(values)
        total += np.maximum(sign * (values - bound.value) / (abs(bound.value) or 1.0), 0.0)
    return total


def reference_point(problem: Problem, feasible: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """(m,) losses beyond which nothing counts: the problem's own, or the extent of `reached`, within what is bounded.

    `feasible` are the losses (n, m) of feasible trials, `reached` those (k, m) of fronts; at least one each.
    """
    if problem.reference_point is not None:
        r = np.array(problem.loss_point(problem.reference_point))
    else:
        worst, extent = reached.max(axis=0), reached.max(axis=0) - reached.min(axis=0)
        r = np.where(extent > 0, worst + MARGIN * extent, feasible.max(axis=0) + 1e-9)
        useful = np.array([USEFUL if name in ERRORS else 1.0 for name in problem.objectives])
        r = np.where(useful < 1, reached.min(axis=0) + useful * extent, r) if len(useful) > 1 else r
    for place, (name, way) in enumerate(problem.objectives.items()):
        for bound in problem.bounds:
            if bound.metric == name and (bound.op == "<=") == (way == Direction.MINIMIZE):
                r[place] = min(r[place], bound.value if way == Direction.MINIMIZE else -bound.value)
    return r


def _normal_draws(count: int) -> np.ndarray:
    """(count, DRAWS) standard normal draws, each row evenly spread; the same each time."""
    uniform = qmc.Halton(count, scramble=False).random(DRAWS + 1)[1:]
    return np.asarray(norm.ppf(uniform).T)


class ExpectedImprovement:
    """The worth of candidates for the problem's scalar score, which is linearised around the best trial so far.

    The scores of the two protocols are linear in what they weigh, as long as the bounds are met. Those that bend
    (`hybrid` and `galen` at their targets) are followed only as far as their slope at the best trial holds.
    """

    def __init__(self, problem: Problem, models: PolicyModels, trials: Sequence[Trial]) -> None:
        self._problem = problem
        self._least = min(total_violation(trial) for trial in trials)
        best = max((t for t in trials if t.feasible), key=lambda t: (t.score or 0.0, -t.number), default=None)
        self._slopes = {} if best is None else slopes(problem, best)
        self._at = {} if best is None or best.evaluation is None else best.evaluation.metrics
        self.names = tuple(dict.fromkeys([*models.judged, *self._slopes]))
        self._sems = {name: models.usual_sem(name) for name in models.judged}
        self._normal = dict(zip(self.names, _normal_draws(len(self.names)), strict=True))

    def __call__(self, predicted: Mapping[str, Prediction]) -> np.ndarray:
        """(n,) of n candidates."""
        drawn = {name: prediction.samples(self._normal[name]) for name, prediction in predicted.items()}
        scales = {name: prediction.scale for name, prediction in predicted.items()}
        violation = violations(self._problem.bounds, drawn, scales, self._sems)
        if self._least > 0:
            return np.asarray(np.maximum(self._least - violation, 0.0).mean(axis=0))
        gain = np.zeros(violation.shape)
        for name, slope in self._slopes.items():
            gain += slope * (drawn[name] - self._at[name].value)
        return np.asarray(np.mean(np.maximum(gain, 0.0) * (violation <= 0), axis=0))


Gain = ExpectedHypervolumeImprovement | ExpectedImprovement


def slopes(problem: Problem, trial: Trial) -> dict[str, float]:
    """Change of a feasible trial's score with each measured metric, by metric; those without an effect are left out.

    Differences are taken to the side on which no bound is nearer.
    """
    assert trial.evaluation is not None
    metrics, score = trial.evaluation.metrics, problem.score(trial.evaluation)
    found: dict[str, float] = {}
    for name, measured in metrics.items():
        at_least = any(bound.metric == name and bound.op == ">=" for bound in problem.bounds)
        towards = 1.0 if at_least or measured.value == 0 else -1.0  # below 0 there are no errors, latencies or sizes
        step = towards * (abs(measured.value) * STEP or STEP)
        moved = replace(trial.evaluation, metrics={**metrics, name: MetricValue(measured.value + step, measured.sem)})
        if problem.judge(moved).feasible:
            slope = (problem.score(moved) - score) / step
            found |= {name: slope} if slope else {}
    return found


def expected_improvement(
    samples: np.ndarray, met: np.ndarray, front: np.ndarray, r: np.ndarray, along: np.ndarray
) -> np.ndarray:
    """Mean gain in hypervolume (n,) of each candidate; a draw in which a constraint is not `met` (s, n) gains nothing.

    For three losses or more `along` has directions (d, m), the same for all candidates that are compared.
    """
    losses, gains = samples.shape[2], np.zeros(met.shape)
    possible = met.any(axis=0)
    samples = samples[:, possible]
    if losses <= 2:
        gains[:, possible] = _area_gain(samples, front, r) if losses == 2 else _length_gain(samples, front, r)
    else:
        gains[:, possible] = _direction_gain(samples, front, r, along)
    return np.asarray(np.mean(gains * met, axis=0))


def directions(losses: int, rng: np.random.Generator) -> np.ndarray:
    """(`DIRECTIONS`, losses) uniform on the positive part of the unit sphere."""
    drawn = np.abs(rng.standard_normal((DIRECTIONS, losses)))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _length_gain(samples: np.ndarray, front: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(s, n) by how much the only loss falls below the least so far."""
    best = min(float(r[0]), float(front.min(initial=np.inf)))
    return np.asarray(np.maximum(best - samples[:, :, 0], 0.0))


def _area_gain(samples: np.ndarray, front: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(s, n) area that each point dominates below r and the front does not, summed over the strips of the staircase."""
    order = front[np.argsort(front[:, 0])]
    order = order[np.all(order < r, axis=1)]
    left = np.concatenate([[-np.inf], order[:, 0]])  # strip j spans left[j] to right[j] and is free below height[j]
    right = np.concatenate([order[:, 0], [r[0]]])
    height = np.concatenate([[r[1]], order[:, 1]])
    first, second = samples[:, :, 0, None], samples[:, :, 1, None]
    widths = np.maximum(right - np.maximum(first, left), 0.0)
    return np.asarray(np.sum(widths * np.maximum(height - second, 0.0), axis=2))


def _direction_gain(samples: np.ndarray, front: np.ndarray, r: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(s, n) volume gained, estimated along these directions (d, m)."""
    m, unit = samples.shape[2], _extent(front, r)
    samples, front, r = samples / unit, front / unit, r / unit
    constant = math.pi ** (m / 2) / (2**m * math.gamma(m / 2 + 1))
    below = np.ascontiguousarray(np.moveaxis(np.maximum(r - samples, 0.0), 2, 0))  # steps over whole losses are fast
    reached = np.min(np.maximum(r - front, 0.0)[None] / along[:, None], axis=2).max(axis=1, initial=0.0)
    total = np.zeros(samples.shape[:2])
    for direction, known in zip(along, reached, strict=True):
        own = below[0] / direction[0]
        for loss in range(1, m):
            np.minimum(own, below[loss] / direction[loss], out=own)
        total += np.maximum(own**m - known**m, 0.0)
    return np.asarray(constant * np.prod(unit) * total / len(along))


def _extent(front: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(m,) how far the front reaches below r in each loss: directions must see losses of unlike units alike."""
    reached = np.maximum(r - front, 0.0).max(axis=0, initial=0.0)
    beyond = np.where(r == 0, 1.0, np.abs(r))  # of losses in which no point lies below r, their size must do
    return np.where(reached > 0, reached, beyond)
