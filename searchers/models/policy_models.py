"""What told trials say of other policies: a Gaussian process a quantity, and exact costs where there are some.

A *quantity* is what the problem judges (each objective and each bounded metric, derived ones such as `cost` included)
or what those are derived from. Each has a process over the depths of the decoded policy (`policy_features`) on its own
scale (`outcome_transforms`). That is cheap, and serves for many candidates. For few, what the space knows (macs, bops,
packed size) is exact, and what is derived is computed anew from its parts: the exact ones, and the others, such
as latency, with the error of their process.

Of an error more is known: the harms of layers add up (`harm_process`), and a policy that is compressed further than
another in everything errs more, but for noise. So the errors that were told bound those that are predicted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moco.policy import Policy
from moco.problem import Problem
from moco.searchers.models.gaussian_process import Data, GaussianProcess, SharedInputs, fitted
from moco.searchers.models.harm import Harm
from moco.searchers.models.harm_process import HarmProcess, fitted_remainder
from moco.searchers.models.kernels import kernels_of
from moco.searchers.models.outcome_transforms import OutcomeTransform
from moco.searchers.models.policy_features import PolicyFeatures
from moco.trial import Evaluation, MetricValue, Trial

FIRST_FIT, GROWTH = 6, 1.2  # variances are fitted at 6 trials, and whenever there are a fifth more than at the last fit
NOISE = 2.0  # standard errors by which measurements may contradict that errors grow with depth


@dataclass(frozen=True)
class Prediction:
    """A quantity of n candidates, on its scale: mean, standard deviation and bounds that it lies within, each (n,)."""

    scale: OutcomeTransform
    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray | float = -np.inf
    high: np.ndarray | float = np.inf

    def samples(self, normal: np.ndarray) -> np.ndarray:
        """Values (s, n) in the quantity's units for standard normal draws (s,)."""
        return self.scale.back(np.clip(self.mean + self.sd * normal[:, None], self.low, self.high))


@dataclass(frozen=True)
class _Modelled:
    """A quantity's process and the told values (k,) on its scale, with the usual standard error of a measurement."""

    scale: OutcomeTransform
    values: np.ndarray
    process: GaussianProcess | HarmProcess
    sem: float | None


class PolicyModels:
    """Processes of a problem's quantities, given the complete trials so far."""

    def __init__(self, problem: Problem, ordered: Collection[str] = ()) -> None:
        """`ordered`: choices that are listed by depth."""
        self._problem = problem
        self.depths = PolicyFeatures(problem.space, problem.monotone or None, ordered)
        self._harm = harm_of(self.depths) if problem.space.neutral else None
        self._kernels = kernels_of(self.depths.by_kind(), self.depths.by_parameter())
        self._priors = np.array([kernel.prior for kernel in self._kernels])
        self._remainder_priors = np.array([kernel.remainder_prior for kernel in self._kernels])
        self._shared = SharedInputs(self._kernels, np.zeros((0, self.depths.width)))
        self.judged = tuple(dict.fromkeys([*problem.objectives, *(bound.metric for bound in problem.bounds)]))
        self._metrics: list[dict[str, MetricValue]] = []
        self._variances: dict[str, tuple[tuple[int, OutcomeTransform], np.ndarray, float]] = {}
        self._models: dict[str, _Modelled] = {}
        self._parts: frozenset[str] = frozenset()
        self.exact: frozenset[str] = frozenset()

    def learn(self, trials: Sequence[Trial]) -> None:
        """Condition on these complete trials, of which the first are those of the last call."""
        new = trials[len(self._metrics) :]
        if not new:
            return
        if not self._metrics:
            self._parts = read_by_derived(self._problem, trials[0])
            self.exact = known_exactly(self._problem, trials[0])
        inputs = self.depths.of_points([trial.point for trial in new])
        self._shared = SharedInputs(self._kernels, np.vstack([self._shared.inputs, inputs]))
        self._metrics += [self._problem.metrics(trial.evaluation) for trial in new if trial.evaluation is not None]
        self._models = {}

    def screened(self, inputs: np.ndarray, names: Sequence[str]) -> dict[str, Prediction]:
        """These quantities of candidates (n, width), each from its own process."""
        candidates, found = self._shared.candidates(inputs), {}
        compared: tuple[np.ndarray, np.ndarray] | None = None
        for name in names:
            model = self._modelled(name)
            used = candidates.under(self._used(model.scale))
            found[name] = Prediction(model.scale, *model.process.predict(used))
            if self._is_harmed(model.scale):
                compared = compared or self.depths.compared(self._shared.inputs, inputs)
                found[name] = within(found[name], model.values, compared, NOISE * (model.sem or 0.0))
        return found

    def computed(self, inputs: np.ndarray, policies: Sequence[Policy], names: Sequence[str]) -> dict[str, Prediction]:
        """These quantities of policies, with exact costs, and what is derived computed from its parts."""
        exact = self.exact & {*names, *self._parts}
        if not exact:
            return self.screened(inputs, names)
        found = self.screened(inputs, sorted({*names, *self._parts} - exact))
        costs = [self._problem.space.cost(policy) for policy in policies]
        for name in exact:
            found[name] = _prediction(name, np.array([float(cost[name]) for cost in costs]), np.zeros(len(costs)))
        derived = [name for name in names if name in self._problem.derived]
        if derived and exact & self._parts:
            rows = self._derived({name: found[name] for name in self._parts})
            for name in derived:
                values, sems = np.array([row[name].value for row in rows]), [row[name].sem or 0.0 for row in rows]
                found[name] = _prediction(name, values, np.array(sems))
        return {name: found[name] for name in names}

    def usual_sem(self, name: str) -> float | None:
        """The usual standard error of a measured quantity on its scale; None where none was told."""
        return self._modelled(name).sem

    def _derived(self, parts: Mapping[str, Prediction]) -> list[dict[str, MetricValue]]:
        """All metrics of each candidate, from the parts of the derived ones."""
        values = {name: part.scale.back(part.mean) for name, part in parts.items()}
        sds = {name: part.sd * part.scale.rate(values[name]) for name, part in parts.items()}
        count = len(next(iter(values.values())))
        return [
            self._problem.metrics(Evaluation({n: MetricValue(float(values[n][i]), float(sds[n][i])) for n in parts}))
            for i in range(count)
        ]

    def _modelled(self, name: str) -> _Modelled:
        """The process of a quantity, its variances from the last fit."""
        if name not in self._models:
            values = np.array([metrics[name].value for metrics in self._metrics])
            scale = OutcomeTransform.of(name, values)
            sems = np.array([metrics[name].sem for metrics in self._metrics], dtype=float) / scale.rate(values)
            data = scale.forward(values), np.nan_to_num(sems) ** 2
            first = fit_at(len(values))
            if self._variances.get(name, (None,))[0] != (first, scale):
                self._variances[name] = (first, scale), *self._fitted(scale, (data[0][:first], data[1][:first]))
            process = self._process(scale, *self._variances[name][1:], data)
            usual = None if np.isnan(sems).all() else float(np.nanmedian(sems))
            self._models[name] = _Modelled(scale, data[0], process, usual)
        return self._models[name]

    def _is_harmed(self, scale: OutcomeTransform) -> bool:
        """Whether a quantity of this scale is an error that grows with depth."""
        return self._harm is not None and scale is OutcomeTransform.LOGIT

    def _priors_of(self, scale: OutcomeTransform) -> np.ndarray:
        """(kernels,) variances that are expected for a quantity of this scale; 0 where a kernel is not used."""
        return self._remainder_priors if self._is_harmed(scale) else self._priors

    def _used(self, scale: OutcomeTransform) -> np.ndarray:
        """Places of the kernels that a quantity of this scale is modelled by."""
        return np.flatnonzero(self._priors_of(scale))

    def _fitted(self, scale: OutcomeTransform, data: Data) -> tuple[np.ndarray, float]:
        """Variances (kernels used,) and the noise's own, fitted to the first inputs."""
        used, priors = self._used(scale), self._priors_of(scale)
        # Of these inputs alone: a part of the matrix of all would differ from it in the last digit.
        early = SharedInputs(self._kernels, self._shared.inputs[: len(data[0])])
        if self._harm is None or not self._is_harmed(scale):
            return fitted(early.stack[used], priors[used], data)
        return fitted_remainder(self._harm, early.inputs, early.stack[used], priors[used], data)

    def _process(
        self, scale: OutcomeTransform, variances: np.ndarray, own: float, data: Data
    ) -> GaussianProcess | HarmProcess:
        """The process of a quantity of this scale, given all data."""
        inputs, stack = self._shared.inputs, self._shared.stack[self._used(scale)]
        if self._harm is None or not self._is_harmed(scale):
            return GaussianProcess.of(stack, variances, own, data)
        return HarmProcess.of(self._harm, inputs, stack, variances, own, data)


def harm_of(depths: PolicyFeatures) -> Harm:
    """The harms of the columns that compress."""
    compressing = depths.compressing()
    columns, names, places, is_choice = zip(*compressing, strict=True) if compressing else ((), (), (), ())
    of_kind = dict(zip(names, places, strict=True))
    _, parameters = np.unique(list(of_kind.values()), return_counts=True)
    _, kinds = np.unique(places, return_inverse=True)
    return Harm(np.array(columns, dtype=int), kinds.astype(int), parameters, np.array(is_choice, dtype=bool))


def within(
    predicted: Prediction, told: np.ndarray, compared: tuple[np.ndarray, np.ndarray], slack: float
) -> Prediction:
    """The prediction of an error, bounded by what was told (k,): it grows with every depth, but for noise.

    Noise may contradict that by `slack`; both are on the error's scale. `compared` (k, n) says which told policies are
    nowhere deeper than a candidate, and which are nowhere less deep.
    """
    shallower, deeper = compared
    low = np.max(np.where(shallower, told[:, None] - slack, -np.inf), axis=0)
    high = np.min(np.where(deeper, told[:, None] + slack, np.inf), axis=0)
    return replace(predicted, low=low, high=np.maximum(low, high))


def _prediction(name: str, values: np.ndarray, sds: np.ndarray) -> Prediction:
    scale = OutcomeTransform.of(name, values)
    return Prediction(scale, scale.forward(values), sds / scale.rate(values))


def fit_at(trials: int) -> int:
    """How many of the first trials the variances are fitted to when there are so many."""
    fitted = min(FIRST_FIT, trials)
    while math.ceil(fitted * GROWTH) <= trials:
        fitted = math.ceil(fitted * GROWTH)
    return fitted


class _Watched(dict[str, MetricValue]):
    """Metrics that note which of them are read."""

    def __init__(self, metrics: Mapping[str, MetricValue]) -> None:
        super().__init__(metrics)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> MetricValue:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


def read_by_derived(problem: Problem, trial: Trial) -> frozenset[str]:
    """The measured metrics that the derived ones are computed from."""
    assert trial.evaluation is not None
    metrics = problem.metrics(trial.evaluation)
    read: set[str] = set()
    for derive in problem.derived.values():
        watched = _Watched(metrics)
        derive(watched)
        read |= watched.read
    return frozenset(read - problem.derived.keys()) & frozenset(metrics)


def known_exactly(problem: Problem, trial: Trial) -> frozenset[str]:
    """The metrics that the space's own cost function gives as they were told."""
    assert trial.evaluation is not None
    if trial.policy is None:
        return frozenset()
    costs, told = problem.space.cost(trial.policy), trial.evaluation.metrics
    return frozenset(n for n, cost in costs.items() if n in told and math.isclose(cost, told[n].value, rel_tol=1e-6))
