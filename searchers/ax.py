"""Ax as it comes: Bayesian optimisation with the strategy that Ax itself chooses for the problem.

Thin over ax-platform (M. Olson et al., "Ax: a platform for adaptive experimentation", AutoML 2025): the centre of the
space, then a few points of a Sobol sequence, then BoTorch's models and acquisition functions in Ax's own choice. It is
told the losses and one outcome constraint for each violation, with their standard errors.

Departures from Ax:
1. Each draw asks a new strategy for one candidate: a restart asks the same of the same trials. So the points of the
   start-up come from a Sobol sequence each instead of one, and models are not fitted from where the last fit ended.
2. Pending asks are not modelled: suggestions depend on told trials only.
3. A suggestion whose policy was told before is replaced by a neighbour (`asks.NEIGHBOURS`). Ax itself repeats no point,
   but several may round to one policy.
4. Where Ax finds no candidate, as in a space whose points were all told, the draw is uniform.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.encoding import ONLY_VALUE, decode, from_unit, project
from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.searchers.models.torch_draws import own_torch, silently_imported, without_compiler
from moco.searchers.shared import criteria
from moco.searchers.shared.proposals import ProposalCounter
from moco.space import SearchSpace, n_values, snapped
from moco.trial import Outcome, Point, Suggestion, Trial

with silently_imported():
    from ax.api.client import Client
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
    from ax.api.utils.generation_strategy_dispatch import choose_generation_strategy
    from ax.api.utils.instantiation.from_struct import experiment_from_struct
    from ax.api.utils.structs import ExperimentStruct, GenerationStrategyDispatchStruct
    from ax.exceptions.core import OptimizationComplete
    from ax.utils.common.logger import ROOT_STREAM_HANDLER

without_compiler()


@dataclass(frozen=True)
class AxOptions:
    """Options of Ax."""

    optimise: str = criteria.LOSSES  # `losses`, the whole front, or `score`, the one scalar that orders trials

    def __post_init__(self) -> None:
        criteria.check(self.optimise)


class AxSearcher:
    """Ax's own strategy over all losses and constraints of the problem."""

    Options = AxOptions
    capabilities = SearcherCapabilities(max_trials=500, order=3)

    def __init__(self, problem: Problem, options: AxOptions, seed: int) -> None:
        self._problem, self._space, self._options = problem, problem.space, options
        self._asks = ProposalCounter(problem, seed, redraws=0)
        self._names = AxNames(problem.space)
        self._told: list[tuple[Point, Outcome]] = []
        self._without_error: set[str] = set()
        self._begin()

    def ask(self) -> Suggestion:
        """Ax's next candidate."""
        return self._asks.next(self._draw)

    def tell(self, trial: Trial) -> None:
        """Learn from a complete trial."""
        self._asks.tell(trial)
        outcome = criteria.outcome(self._problem, trial, self._options.optimise)
        if outcome is not None and self._names.configs:
            self._told.append((trial.point, outcome))
            with self._asks.surviving("learn"):
                self._take(trial.point, outcome)

    def _take(self, point: Point, outcome: Outcome) -> None:
        """Add one that was told; where it is the first without a standard error, all anew."""
        before = set(self._without_error)
        self._without_error |= {name for name, (_, sem) in named(outcome).items() if sem is None}
        if self._without_error == before or len(self._told) == 1:
            self._attach(point, outcome)
        else:
            self._begin()

    def _begin(self) -> None:
        """A new experiment with all that was told.

        Ax takes the standard errors of a metric only if every trial has one: where the first trial without one comes
        in, those of the others must go.
        """
        self._client = Client()
        self._experiment = experiment_from_struct(ExperimentStruct(self._names.configs, [], None, None, None, None))
        with _silent():
            self._client.set_experiment(self._experiment)
            self._client.configure_optimization(
                *goals(criteria.n_losses(self._problem, self._options.optimise), len(self._problem.bounds))
            )
        for point, outcome in self._told:
            self._attach(point, outcome)

    def _attach(self, point: Point, outcome: Outcome) -> None:
        with _silent():
            index = self._client.attach_trial(self._names.parameters(point))
            self._client.complete_trial(index, raw_data=raw_data(outcome, self._without_error))

    def _draw(self, rng: np.random.Generator) -> Point:
        seed = int(rng.integers(2**32))
        if self._names.configs:
            # The centre is for the first ask alone: with asks pending and nothing told, Ax would propose it again.
            choice = GenerationStrategyDispatchStruct(initialize_with_center=self._asks.count == 0)
            try:
                with own_torch(seed), _silent():
                    [[run]] = choose_generation_strategy(choice).gen(self._experiment, n=1)
                return self._names.point(run.arms[0].parameters)
            except OptimizationComplete:
                pass
        return decode(self._space, rng.random(len(self._space.distributions)))


class AxNames:
    """A space's parameters of more than one value as Ax has them, by names of its own: not every text is one to it."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._keys = {name: f"p{i}" for i, (name, d) in enumerate(space.distributions.items()) if n_values(d) != 1}
        self.configs = [_config(key, space.distributions[name]) for name, key in self._keys.items()]

    def parameters(self, point: Point) -> dict[str, Any]:
        """A point for Ax, brought back into the space where rounding has led it out."""
        inside = project(self._space, point)
        return {key: _to_ax(self._space.distributions[name], inside[name]) for name, key in self._keys.items()}

    def point(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A point from Ax."""
        return {
            name: _from_ax(d, parameters[self._keys[name]]) if name in self._keys else from_unit(d, ONLY_VALUE)
            for name, d in self._space.distributions.items()
        }


def goals(n_losses: int, n_violations: int) -> tuple[str, list[str]]:
    """The objective and the outcome constraints, in Ax's words: every loss down, every violation to 0 or below."""
    return ", ".join(f"-loss{i}" for i in range(n_losses)), [f"violation{i} <= 0" for i in range(n_violations)]


def named(outcome: Outcome) -> dict[str, tuple[float, float | None]]:
    """The losses and violations with their standard errors, as the metrics are called in `goals`."""
    losses = zip(outcome.losses, outcome.loss_sems, strict=True)
    violations = zip(outcome.violations, outcome.violation_sems, strict=True)
    return {f"loss{i}": one for i, one in enumerate(losses)} | {
        f"violation{i}": one for i, one in enumerate(violations)
    }


def raw_data(outcome: Outcome, without_error: Container[str]) -> dict[str, Any]:
    """What Ax is told of a trial; it infers the noise of metrics whose standard errors it is not told."""
    return {name: value if name in without_error else (value, sem) for name, (value, sem) in named(outcome).items()}


def _config(key: str, distribution: BaseDistribution) -> RangeParameterConfig | ChoiceParameterConfig:
    """The parameter as Ax wants it: a range of numbers, an ordered list of steps, or choices by their index."""
    if isinstance(distribution, CategoricalDistribution):
        indices = [str(i) for i in range(len(distribution.choices))]
        return ChoiceParameterConfig(key, indices, "str", is_ordered=False)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    kind: Literal["int", "float"] = "int" if isinstance(distribution, IntDistribution) else "float"
    if distribution.step not in (None, 1) or (kind == "float" and distribution.step is not None):
        count = n_values(distribution)
        assert count is not None
        values = [snapped(distribution, distribution.low + i * distribution.step) for i in range(count)]
        return ChoiceParameterConfig(key, values, kind, is_ordered=True)
    scaling: Literal["log", "linear"] = "log" if distribution.log else "linear"
    return RangeParameterConfig(key, (distribution.low, distribution.high), kind, scaling=scaling)


def _to_ax(distribution: BaseDistribution, value: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return str(distribution.choices.index(value))
    return value


def _from_ax(distribution: BaseDistribution, value: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(value)]
    return snapped(distribution, value)


@contextmanager
def _silent() -> Iterator[None]:
    """Ax logs every trial on the console, and warns of parts of its own that it still uses: neither is for the user."""
    level = ROOT_STREAM_HANDLER.level
    ROOT_STREAM_HANDLER.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ROOT_STREAM_HANDLER.setLevel(level)
