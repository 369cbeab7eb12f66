from __future__ import annotations

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution
from scipy.stats import qmc

from moco.problem import Problem
from moco.randomness import generator
from moco.testing.loop import build, finished, run


def problem(n: int) -> Problem:
    return Problem({f"x{i}": FloatDistribution(-1.0, 1.0) for i in range(n)}, {"loss": "minimize"})


def test_it_walks_scipys_scrambled_sequence() -> None:
    trials = run(build("sobol", problem(3), seed=4), problem(3), lambda p: {"loss": p["x0"]}, 64)
    scipys = qmc.Sobol(3, rng=generator(4, "searcher", "scrambling")).random(64)
    np.testing.assert_allclose([list(t.suggestion.point.values()) for t in trials], 2 * scipys - 1, atol=1e-12)


def test_every_box_of_a_balanced_sequence_holds_as_many_points() -> None:
    """64 points in 2 dimensions are a (0, 6, 2) net: each of 8 x 8 boxes holds one, scrambled or not."""
    searcher = build("sobol", problem(2), seed=1)
    drawn = np.array([list(searcher.ask().point.values()) for _ in range(64)])
    boxes = np.floor((drawn + 1) * 4).astype(int)
    assert len({tuple(box) for box in boxes}) == 64


def test_a_rebuilt_searcher_goes_on_after_the_last_ask_that_it_has_heard_of() -> None:
    searcher = build("sobol", problem(2))
    asked = [searcher.ask() for _ in range(9)]
    rebuilt = build("sobol", problem(2))
    rebuilt.tell(finished(problem(2), lambda p: {"loss": 0.0}, asked[6], 0))
    assert [rebuilt.ask() for _ in range(2)] == asked[7:]


def test_a_small_space_is_seen_whole_in_few_trials() -> None:
    small = Problem(space={"n": IntDistribution(0, 11)}, objectives={"loss": "minimize"})
    trials = run(build("sobol", small), small, lambda p: {"loss": p["n"]}, 16)
    assert len({trial.policy for trial in trials}) == 12
