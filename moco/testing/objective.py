"""The contract of an objective, on made-up networks (moco/interfaces.py: Objective)."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from multiprocessing.reduction import ForkingPickler

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution

from moco.errors import ConfigError
from moco.metrics import METRICS
from moco.policy import Policy
from moco.problem import Problem
from moco.space import SearchSpace
from moco.testing.suite import Suite, cases, raises_in_one_line
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState
from moco.trial_rank import best, rank

RATIO = FloatDistribution(0.1, 1.0)
SPACE = SearchSpace({"a": RATIO, "b": RATIO, "precision": CategoricalDistribution(["float32", "int8"])})


def evaluation_of(a: float, b: float, precision: str, units: float = 1.0) -> Evaluation:
    """A made-up network; all that it spends is stated in `units`."""
    size = 0.5 * (a + b) * (1.0 if precision == "float32" else 0.3)
    spent = {name: 3 * size for name, metric in METRICS.items() if metric.direction == "minimize" and name != "cost"}
    spent |= {"latency_ms": 3 * size, "energy_j": 0.2 * size, "size_mb": 40 * a * size, "flops": 1e6 * size}
    numbers = {name: round(value, 6) * units for name, value in spent.items()} | {"throughput_ips": 90 * units / size}
    error = 0.1 + 0.4 * (1 - a) ** 2 + 0.3 * (1 - b) ** 2 + (0.0 if precision == "float32" else 0.01)
    numbers |= {"top1_error": error, "top5_error": error / 4}
    return Evaluation({name: MetricValue(value) for name, value in numbers.items()})


class ObjectiveSuite(Suite):
    """What every objective holds to, with options by which some networks meet its bounds and some miss them."""

    kind = "objective"

    @cached_property
    def reference(self) -> dict[str, MetricValue]:
        """The metrics of the uncompressed network, no more than the objective asks for."""
        found = evaluation_of(1.0, 1.0, "float32").metrics
        return {name: found[name] for name in self.make().metrics}

    def problem(self) -> Problem:
        """Its problem beside a made-up reference."""
        found: Problem = self.make().problem(SPACE, evaluation_of(1.0, 1.0, "float32").metrics)
        return found

    def check_it_names_metrics_of_the_table(self) -> None:
        metrics = self.make().metrics
        assert isinstance(metrics, tuple)
        assert set(metrics) <= set(METRICS)
        evaluation = Evaluation(self.reference)
        problem = self.make().problem(SPACE, self.reference)
        assert problem.judge(evaluation).losses
        assert np.isfinite(problem.score(evaluation))

    def check_its_problem_has_a_front_to_show(self) -> None:
        problem = self.problem()
        assert problem.reference_point is not None
        assert set(problem.reference_point) == set(problem.objectives)
        assert ForkingPickler.dumps(problem)

    def check_the_problem_is_ordered_by_the_published_score(self) -> None:
        evaluation, reference = evaluation_of(0.9, 0.8, "int8"), evaluation_of(1.0, 1.0, "float32").metrics
        assert self.problem().score(evaluation) == self.make().score(evaluation, reference)

    def check_a_metric_that_is_missing_or_no_number_fails_the_trial(self) -> None:
        for name in self.reference:
            others = {other: value for other, value in self.reference.items() if other != name}
            for metrics in (others, {**others, name: MetricValue(float("nan"))}):
                with raises_in_one_line(ValueError):
                    self.problem().judge(Evaluation(metrics))
                    self.problem().score(Evaluation(metrics))

    def check_what_is_feasible_comes_first_and_what_misses_less_comes_next(self) -> None:
        rng, problem = np.random.default_rng(7), self.problem()
        trials = []
        for n in range(200):
            a, b = rng.uniform(0.1, 1.0, 2)
            found = evaluation_of(a, b, str(rng.choice(["float32", "int8"])))
            outcome, score, suggestion = problem.judge(found), problem.score(found), Suggestion(n, {})
            trials.append(Trial(n, suggestion, TrialState.COMPLETE, {}, Policy.of({}), found, outcome, score))
        ordered = sorted(trials, key=rank, reverse=True)
        feasible = sum(trial.feasible for trial in trials)
        assert 10 <= feasible <= 190 or not problem.bounds, "give options that some networks meet and some miss"
        assert all(trial.feasible for trial in ordered[:feasible])
        scores = [trial.score or 0.0 for trial in ordered[:feasible]]
        assert scores == sorted(scores, key=float, reverse=True)
        missed = [sum(max(v, 0.0) for v in t.outcome.violations) for t in ordered[feasible:] if t.outcome is not None]
        assert missed == sorted(missed)
        assert min(missed, default=1.0) > 0
        assert best(trials) is ordered[0]

    @cases(lambda _: [0.0, 0.1, 0.3, 0.9999, 1.0])
    def check_what_models_learn_of_the_score_has_no_cliff_and_a_standard_error(self, error: float) -> None:
        problem, at = self.problem(), evaluation_of(0.6, 0.6, "int8")

        def scored(scale: float) -> tuple[float, float | None]:
            metrics = {name: MetricValue(m.value * scale, 0.01 * m.value) for name, m in at.metrics.items()}
            moved = replace(at, metrics={**metrics, "top1_error": MetricValue(error, 0.02)})
            return problem.unbounded_score(moved), problem.score_sem(moved)

        found = [scored(scale) for scale in np.linspace(0.2, 3.0, 1401)]
        assert np.abs(np.diff([score for score, _ in found])).max() < 0.05
        assert all(sem is not None and 0 < sem < 5 for _, sem in found)

    def check_a_reference_without_a_metric_is_refused_before_the_search(self) -> None:
        spent = [name for name in self.reference if name != "top1_error"]
        for name in spent:
            others = {other: value for other, value in self.reference.items() if other != name}
            with raises_in_one_line(ConfigError, name):
                self.make().problem(SPACE, others)
