from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.tpe import FEW, TPEOptions, TPESearcher
from moco.testing.loop import finished, points, run
from moco.trial import Point, Suggestion, Trial

SPACE = {"x": FloatDistribution(0.0, 1.0), "c": CategoricalDistribution(("a", "b", "c"))}


def single() -> Problem:
    return Problem(space=SPACE, objectives={"loss": "minimize"})


def loss(point: Point) -> dict[str, float]:
    return {"loss": (point["x"] - 0.8) ** 2 + (point["c"] != "b")}


def starts(problem: Problem, n: int) -> list[Trial]:
    points = [{"x": (i % 10) / 10, "c": "abc"[i % 3]} for i in range(n)]
    return [finished(problem, loss, Suggestion(-1 - i, point), i) for i, point in enumerate(points)]


def share_of_good(searcher: TPESearcher) -> float:
    drawn = [searcher.ask().point for _ in range(20)]
    return sum(p["c"] == "b" and abs(p["x"] - 0.8) < 0.25 for p in drawn) / len(drawn)


def test_it_learns_from_starts() -> None:
    searcher = TPESearcher(single(), TPEOptions(), seed=0)
    before = share_of_good(searcher)
    for trial in starts(single(), 30):
        searcher.tell(trial)
    assert before < 0.4
    assert share_of_good(searcher) > 0.8


def test_until_startup_it_draws_without_a_model() -> None:
    searcher = TPESearcher(single(), TPEOptions(startup=31), seed=0)
    for trial in starts(single(), 30):
        searcher.tell(trial)
    assert share_of_good(searcher) < 0.4


def test_feasible_trials_are_preferred() -> None:
    """The loss draws to x = 0, the constraint allows x >= 0.7 only: 30 % of uniform draws.

    The best point lies on the bound, so about half of the draws near it miss it. Of 25 uniform draws, 13 or more would
    be feasible once in 60 times.
    """
    problem = Problem(space=SPACE, objectives={"x": "minimize"}, constraints={"x": ">= 0.7"})
    searcher = TPESearcher(problem, TPEOptions(), seed=1)
    trials = run(searcher, problem, lambda p: {"x": p["x"]}, 50)
    late = [trial.feasible for trial in trials[25:]]
    assert sum(late) >= 13


@pytest.mark.parametrize(("parameters", "together"), [(FEW, True), (FEW + 1, False)])
def test_few_parameters_are_modelled_together(parameters: int, together: bool) -> None:
    space = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(parameters)}
    problem = Problem(space=space, objectives={"first": "minimize", "rest": "minimize"})

    def asked(options: TPEOptions) -> list[Point]:
        def losses(point: Point) -> dict[str, float]:
            return {"first": point["x0"], "rest": (point["x1"] - point["x0"]) ** 2}

        return points(run(TPESearcher(problem, options, seed=0), problem, losses, 20))

    assert asked(TPEOptions()) == asked(TPEOptions(multivariate=together))
    assert asked(TPEOptions()) != asked(TPEOptions(multivariate=not together))


@pytest.mark.parametrize("wrong", [{"startup": 0}, {"candidates": 0}, {"multivariate": "yes"}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"searcher\.{next(iter(wrong))}: expected"):
        TPEOptions(**wrong)  # type: ignore[arg-type]
