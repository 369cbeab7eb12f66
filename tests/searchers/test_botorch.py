from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.errors import ConfigError
from moco.pareto import hypervolume
from moco.problem import Problem
from moco.searchers.botorch import BoTorchOptions, BoTorchSearcher
from moco.searchers.models.axes import axes_of
from moco.searchers.models.botorch_models import Outcomes, best_candidate, expected_improvement, fit
from moco.searchers.models.torch_draws import own_torch
from moco.space import SearchSpace
from moco.testing.loop import finished, points, run, told
from moco.testing.problems import SPACES, distances, two_losses
from moco.trial import Evaluation, MetricValue, Outcome, Point, Suggestion, Trial, TrialState

SQUARE = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
EAGER = BoTorchOptions(startup=4, raw=64, restarts=2)


def outcomes(n: int, losses: int, violations: int, sem: float) -> Outcomes:
    """Smooth outcomes of n points of a square."""
    rng = np.random.default_rng(0)
    x = rng.random((n, 2))
    every = np.stack([(x[:, 0] - 0.3) ** 2 + x[:, 1], (x[:, 0] - 0.8) ** 2 + x[:, 1] ** 2, x.sum(1) - 1], axis=1)
    sems = np.full((n, losses), sem), np.full((n, violations), np.nan)
    return Outcomes.of(x, every[:, :losses], sems[0], every[:, 2 : 2 + violations], sems[1])


def normal(z: torch.Tensor) -> torch.distributions.Normal:
    return torch.distributions.Normal(torch.zeros_like(z), torch.ones_like(z))


def test_the_improvement_of_one_exact_loss_is_the_closed_form() -> None:
    """E[max(best - loss, 0)] = s (z Phi(z) + phi(z)) with z = (best - mean) / s: D. Jones et al., 1998, equation 15."""
    seen = outcomes(8, 1, 0, 1e-4)
    with own_torch(0):
        model = fit(seen, axes_of(SearchSpace(SQUARE)))
        at = torch.rand(20, 2, dtype=torch.double)
        improvement = expected_improvement(model, seen, None, samples=4096, seed=0)
        with torch.no_grad():
            found = improvement(at[:, None]).exp()
            posterior = model.posterior(at)
    spread = posterior.variance.sqrt().squeeze(-1).detach()
    z = (posterior.mean.squeeze(-1).detach() - seen.y.max()) / spread
    exact = spread * (z * normal(z).cdf(z) + normal(z).log_prob(z).exp())

    assert found[exact > 1e-3].numpy() == pytest.approx(exact[exact > 1e-3].numpy(), rel=0.05)
    assert (found[exact < 1e-6] < 1e-4).all()


def test_the_improvement_of_two_losses_is_that_of_the_hypervolume_where_constraints_are_met() -> None:
    """The mean of moco's own hypervolume over draws from the model, infeasible draws counting nothing."""
    seen, worst = outcomes(5, 2, 1, 1e-4), torch.tensor([-1.5, -1.5], dtype=torch.double)
    losses = [tuple(row) for row in (-seen.y[seen.y[:, 2] <= 0, :2]).tolist()]
    reached = hypervolume(losses, (1.5, 1.5))
    with own_torch(0), torch.no_grad():
        model = fit_with_gradients(seen)
        at = torch.rand(16, 2, dtype=torch.double)
        found = expected_improvement(model, seen, worst, samples=1024, seed=0)(at[:, None]).exp()
        draws = model.posterior(at[:, None]).sample(torch.Size([2000])).squeeze(-2)  # (2000, 16, 3)

    def gain(draw: list[float]) -> float:
        return hypervolume([*losses, (-draw[0], -draw[1])], (1.5, 1.5)) - reached if draw[2] <= 0 else 0.0

    expected = [math.fsum(gain(draw) for draw in draws[:, i].tolist()) / len(draws) for i in range(len(at))]
    assert found.tolist() == pytest.approx(expected, abs=0.02)
    assert max(expected) > 4 * 0.02, "the tolerance must be small against what is compared"


@pytest.mark.parametrize(("feasible", "worst"), [((0, 1), (1.1, 1.31)), ((), (2.2, 2.19))])
def test_the_reference_point_lies_beyond_what_may_still_be_gained(
    feasible: tuple[int, ...], worst: tuple[float, float]
) -> None:
    """Two feasible trials in a corner: beyond the unconstrained front too. None: beyond all."""
    losses = np.array([[0.0, 1.0], [0.01, 1.2], [0.5, 0.5], [1.0, 0.1], [2.0, 2.0]])
    violations = np.array([[-1.0 if i in feasible else 0.1] for i in range(5)])
    unknown = np.full_like(losses, np.nan), np.full_like(violations, np.nan)
    seen = Outcomes.of(np.linspace(0, 1, 5)[:, None], losses, unknown[0], violations, unknown[1])
    with own_torch(0):
        model = fit(seen, axes_of(SearchSpace({"x": FloatDistribution(0.0, 1.0)})))
        improvement = expected_improvement(model, seen, None, samples=8, seed=0)
    assert (-improvement.ref_point).tolist() == pytest.approx(worst)  # type: ignore[attr-defined]


def fit_with_gradients(seen: Outcomes) -> torch.nn.Module:
    with torch.enable_grad():
        return fit(seen, axes_of(SearchSpace(SQUARE)))


def test_known_standard_errors_are_the_noise_and_unknown_ones_are_inferred() -> None:
    seen = outcomes(12, 2, 1, 0.02)
    seen.sems[:, 1] = math.nan
    with own_torch(0):
        given, inferred, violation = fit(seen, axes_of(SearchSpace(SQUARE))).models
    assert given.likelihood.noise * seen.y[:, 0].var() == pytest.approx(0.02**2, rel=1e-6)
    assert [name for name, _ in given.likelihood.named_parameters()] == []
    for model in (inferred, violation):
        assert [name for name, _ in model.likelihood.named_parameters()] != []


@pytest.mark.parametrize("space", ["mixed", "categorical", "one int", "one float"])
def test_candidates_lie_on_the_values_of_their_axes(space: str) -> None:
    """Nothing is rounded afterwards: the maximum is sought among legal values."""
    axes = axes_of(SPACES[space])
    target = torch.tensor([0.3 * len(axis.values) if axis.is_choice else 0.37 for axis in axes], dtype=torch.double)
    with own_torch(0):
        found = best_candidate(lambda x: -(x - target).square().sum((-1, -2)), axes, raw=64, restarts=2, steps=50)
    for axis, x in zip(axes, found.tolist(), strict=True):
        nearest = min(axis.values, key=lambda value: abs(value - target[axes.index(axis)])) if axis.values else 0.37
        assert x == pytest.approx(float(nearest), abs=1e-4)


def noisy(space: dict[str, object], sem: float | None) -> tuple[Problem, list[Trial]]:
    """Ten trials of one loss, (x - 0.7)^2, one of which had luck."""
    problem = Problem(space, {"loss": "minimize"})  # type: ignore[arg-type]
    trials = []
    for n in range(10):
        point = {"x": (n + 0.5) / 10}
        loss = (point["x"] - 0.7) ** 2 - (0.6 if n == 1 else 0.0)
        outcome = Outcome((loss,), (sem,))
        policy = problem.space.canonical(point)
        evaluation = Evaluation({"loss": MetricValue(loss, sem)})
        state = TrialState.COMPLETE
        trials.append(Trial(n, Suggestion(-1 - n, point), state, point, policy, evaluation, outcome, -loss))
    return problem, trials


def test_a_lucky_trial_is_not_believed_where_its_standard_error_is_large() -> None:
    """An exact loss of -0.24 at 0.15 draws the search there; one that is 0.5 uncertain does not."""
    proposed = {}
    for sem in (0.0, 0.5):
        problem, trials = noisy({"x": FloatDistribution(0.0, 1.0)}, sem)
        proposed[sem] = told(BoTorchSearcher(problem, EAGER, 0), trials).ask().point["x"]
    assert proposed[0.0] == pytest.approx(0.15, abs=0.1)
    assert proposed[0.5] > 0.3


@pytest.mark.slow
def test_it_finds_the_choice_and_the_integer_of_the_least_loss() -> None:
    space = {"n": IntDistribution(0, 20), "c": CategoricalDistribution(("a", "b", "c"))}
    problem = Problem(space, {"loss": "minimize"})  # type: ignore[arg-type]

    def loss(point: Point) -> dict[str, float]:
        return {"loss": (point["n"] - 13) ** 2 / 100 + (point["c"] != "b")}

    trials = run(BoTorchSearcher(problem, EAGER, 0), problem, loss, 14)

    assert {"n": 13, "c": "b"} in points(trials)
    assert len({trial.policy for trial in trials}) == 14


@pytest.mark.slow
def test_feasible_trials_are_preferred() -> None:
    """The loss draws to x = 0, the constraint allows x >= 0.7 only."""
    problem = Problem({"x": FloatDistribution(0.0, 1.0)}, {"x": "minimize"}, {"x": ">= 0.7"})  # type: ignore[arg-type]
    trials = run(BoTorchSearcher(problem, EAGER, 0), problem, lambda p: {"x": p["x"]}, 12)
    late = [trial.point["x"] for trial in trials[4:]]
    assert min(late) > 0.6
    assert any(0.7 <= x < 0.75 for x in late)


@pytest.mark.slow
def test_policies_that_round_alike_are_not_proposed_again() -> None:
    """The space has 64 policies; a continuous optimum would round to those that are known."""
    problem = two_losses(SPACES["rounded"])
    trials = run(BoTorchSearcher(problem, EAGER, 0), problem, lambda p: distances(problem.space, p), 16)
    assert len({trial.policy for trial in trials}) == 16


def test_the_score_may_be_optimised_instead_of_the_front() -> None:
    """The score wants x = 0.2; the front is all of 0..1."""

    def scorer(evaluation: Evaluation) -> float:
        return -abs(evaluation.metrics["low"].value - 0.2)

    problem = Problem(
        {"x": FloatDistribution(0.0, 1.0)},  # type: ignore[arg-type]
        {"low": "minimize", "high": "maximize"},
        scorer=scorer,
    )
    options = BoTorchOptions(startup=4, raw=64, restarts=2, optimise="score")
    trials = run(BoTorchSearcher(problem, options, 0), problem, lambda p: {"low": p["x"], "high": p["x"]}, 9)
    assert min(abs(trial.point["x"] - 0.2) for trial in trials[4:]) < 0.02


def test_repeated_evaluations_teach_nothing_new() -> None:
    """A trial that was answered from an earlier evaluation changes no later suggestion."""
    problem = two_losses(SPACES["one int"])
    evaluate = lambda p: distances(problem.space, p)  # noqa: E731
    trials = run(BoTorchSearcher(problem, EAGER, 0), problem, evaluate, 6)
    repeated = finished(problem, evaluate, trials[0].suggestion, 6)
    repeated = Trial(**{**repeated.__dict__, "distinct": False})
    once = told(BoTorchSearcher(problem, EAGER, 0), trials)
    twice = told(BoTorchSearcher(problem, EAGER, 0), [*trials, repeated])
    assert once.ask() == twice.ask()


def test_no_kernel_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """BoTorch would call the compiler at the first expected hypervolume of a process."""
    from botorch.acquisition.multi_objective import logei

    compiled: list[object] = []
    monkeypatch.setattr("torch.utils.cpp_extension.load", lambda **source: compiled.append(source))
    problem = two_losses(SPACES["one float"])
    run(BoTorchSearcher(problem, EAGER, 0), problem, lambda p: distances(problem.space, p), 5)

    assert (compiled, logei._C) == ([], None)


@pytest.mark.parametrize(
    "wrong", [{"startup": 0}, {"samples": 0}, {"raw": 0}, {"restarts": 300}, {"gradient_steps": 0}, {"optimise": "all"}]
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"searcher\.{next(iter(wrong))}: expected"):
        BoTorchOptions(**wrong)  # type: ignore[arg-type]
