"""The agents' learning curves: what is kept, the table of two claims, and the critic's forecasts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.critic import Forecast, Watched
from benchmarks.learning import Run, draw, kept, stability
from benchmarks.problems.layers import instance
from moco.searchers.agents.layer_rewards import ranked
from moco.searchers.ddpg import DDPGOptions, DDPGSearcher
from moco.testing.loop import points, run, told
from moco.trial import TrialState

LAYERS = instance(0)
PROBLEM = LAYERS.problem()


def ddpg(**options: Any) -> DDPGSearcher:
    return DDPGSearcher(PROBLEM, DDPGOptions(warmup=4, updates=1, **options), seed=0)


def ran(rewards: list[float], excess: list[float] | None = None) -> Run:
    return Run(rewards, [Forecast(value, 0.0, 1.0) for value in excess or []])


def test_a_watched_search_is_the_same_search() -> None:
    watched = run(Watched(ddpg()), PROBLEM, LAYERS.evaluate, 8)
    assert points(watched) == points(run(ddpg(), PROBLEM, LAYERS.evaluate, 8))


def test_there_is_a_forecast_a_trial_after_the_warmup() -> None:
    watched = Watched(ddpg())
    run(watched, PROBLEM, LAYERS.evaluate, 7)
    assert len(watched.forecasts) == 3


@pytest.mark.parametrize("discount", [1.0, 0.5, 0.0])
def test_a_forecast_is_the_critics_value_beside_the_return_of_its_targets(discount: float) -> None:
    """Each layer earns the trial's reward less the baseline that the critic learned with, and so in the sum."""
    searcher = ddpg(discount=discount)
    trials = run(searcher, PROBLEM, LAYERS.evaluate, 6)
    with torch.no_grad():
        for parameter in searcher._critic.parameters():
            parameter.zero_()
        searcher._critic.net[-1].bias.fill_(0.25)  # type: ignore[operator, union-attr]
    baseline, watched = searcher._baseline, Watched(searcher)
    assert baseline is not None
    trials += run(watched, PROBLEM, LAYERS.evaluate, 1, first=6)
    steps = sum(discount**layer for layer in range(len(LAYERS.macs)))
    returns = (ranked(trials) - baseline) * steps
    [forecast] = watched.forecasts
    assert forecast.value == pytest.approx(0.25)
    assert forecast.earned == pytest.approx(returns[-1])
    assert forecast.excess == pytest.approx((0.25 - returns[-1]) / np.std(returns))


def test_a_trial_that_teaches_nothing_has_no_forecast() -> None:
    watched = told(Watched(ddpg()), run(ddpg(), PROBLEM, LAYERS.evaluate, 5))
    assert isinstance(watched, Watched)
    run(watched, PROBLEM, LAYERS.evaluate, 1, first=5, bad={5: TrialState.FAILED})
    assert len(watched.forecasts) == 1


def test_an_excess_without_spread_of_returns_is_none() -> None:
    assert Forecast(value=1.0, earned=0.0, deviation=0.0).excess == 0


def test_the_second_table_is_of_the_last_fifth() -> None:
    """Of ten episodes the last two: deviations sqrt(2) / 2 of 1 apart and sqrt(2) of 2 apart, means 0.5 and 1.

    Of PPO's, only one lies above -1.
    """
    found = {
        "ddpg": [ran([9.0] * 8 + [0.0, 1.0], [5.0, 1.0, 2.0]), ran([9.0] * 8 + [0.0, 2.0], [0.0, 3.0, 3.0])],
        "ppo": [ran([9.0] * 8 + [0.0, -2.0])] * 2,
    }
    *_, of_ddpg, of_ppo = stability(found)
    spread, excess = "1.061 [0.707, 1.414]", "+2.25 [+1.50, +3.00] | +2.33 [+2.00, +2.67]"
    assert of_ddpg == f"| ddpg | 2 | {spread} | {spread} | 0.354 | {excess} |"
    assert of_ppo == "| ppo | 2 | 1.414 [1.414, 1.414] | nan [nan, nan] | 0.000 |  |  |"


def test_runs_of_ddpg_that_were_not_watched_are_made_anew(tmp_path: Path) -> None:
    key = {"seed": 0, "trials": 1, "code": "c", "rewards": [-1.0]}
    forecast = {"value": 1.0, "earned": 0.5, "deviation": 2.0}
    lines = [
        {**key, "strategy": "ddpg"},
        {**key, "strategy": "ppo"},
        {**key, "strategy": "ddpg", "seed": 1, "forecasts": [forecast]},
    ]
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert kept(tmp_path / "runs.jsonl") == {
        ("ppo", 0, 1, "c"): Run([-1.0], []),
        ("ddpg", 1, 1, "c"): Run([-1.0], [Forecast(**forecast)]),
    }


def test_the_figure_is_drawn_where_it_is_asked(tmp_path: Path) -> None:
    curve = ran(np.linspace(-2, 0, 30).tolist())
    draw({name: [curve] for name in ("ddpg", "ppo", "random", "ladder")}, tmp_path / "learning_recorded.png", "Agents")
    assert (tmp_path / "learning_recorded.png").stat().st_size > 1000
