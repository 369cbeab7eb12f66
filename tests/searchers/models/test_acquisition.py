"""What a candidate is worth where bounds leave feasible trials in one corner only."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from moco.problem import Problem
from moco.searchers.models.acquisition import ExpectedHypervolumeImprovement
from moco.searchers.models.outcome_transforms import OutcomeTransform
from moco.searchers.models.policy_models import PolicyModels, Prediction
from moco.testing.loop import finished
from moco.trial import Suggestion

SPACE = {"x": FloatDistribution(0.0, 1.0), "outside": FloatDistribution(-1.0, 1.0)}


def test_other_corners_of_the_front_are_worth_something() -> None:
    """Feasible trials lie at one end; a candidate at the other end is beyond their extent, not beyond all worth."""
    problem = Problem(SPACE, {"f1": "minimize", "f2": "minimize"}, {"outside": "<= 0"})

    def evaluate(point: dict[str, float]) -> dict[str, float]:
        return {"f1": point["x"], "f2": 1 - point["x"], "outside": point["outside"]}

    told = [(0.0, -1.0), (0.01, -1.0), (0.3, 1.0), (0.6, 1.0), (1.0, 1.0)]
    trials = [
        finished(problem, evaluate, Suggestion(n, {"x": x, "outside": outside}), n)
        for n, (x, outside) in enumerate(told)
    ]
    models = PolicyModels(problem)
    models.learn(trials)
    gain = ExpectedHypervolumeImprovement(problem, models, trials, np.random.default_rng(0))
    certain = {"f1": 0.9, "f2": 0.05, "outside": -1.0}
    predicted = {
        name: Prediction(OutcomeTransform.PLAIN, np.array([certain[name]]), np.zeros(1)) for name in gain.names
    }
    assert gain(predicted) == pytest.approx([(1.1 - 0.9) * (0.99 - 0.05)])
