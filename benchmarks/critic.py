"""How far DDPG's critic lies above what it is trained to predict, read from the searcher's own parts.

Every step of an episode of L layers earns the trial's reward r less the moving baseline b, so what the critic's targets
add up to at the first layer is the return (r - b) (1 + gamma + … + gamma^(L-1)); with gamma = 1, L (r - b). r is what
the replay gives the trial on the day it comes in (normal quantiles of the ranks in the replay, unless the options say
otherwise), b stands as it stood when the critic last learned. The value is the critic's, at the first layer's state and
executed action of the walk, BEFORE the trial is told: a forecast. The difference is in standard deviations of the
returns in the replay.

Two things beside the critic's error are in it. The executed walk has exploration noise in the layers that follow, which
the target actor, that the critic's targets ask, has not. And an episode that was good when it came in ranks lower among
the better ones that follow, while the critic has learned from its earlier ranks too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from moco.interfaces import SearcherCapabilities
from moco.searchers.agents.layer_agent import as_tensor
from moco.searchers.agents.layer_rewards import rewards, teaches
from moco.searchers.ddpg import DDPGSearcher
from moco.torch_threads import one_thread
from moco.trial import Suggestion, Trial


@dataclass(frozen=True)
class Forecast:
    """What the critic expected of one episode.

    Attributes:
        value: of the first layer, before the trial was told.
        earned: the return that it is trained to predict.
        deviation: standard deviation of the returns in the replay, with this one.
    """

    value: float
    earned: float
    deviation: float

    @property
    def excess(self) -> float:
        """How far the value lies above the return, in standard deviations of the returns; 0 where all are equal."""
        return (self.value - self.earned) / self.deviation if self.deviation else 0.0


class Watched:
    """DDPG with its critic's forecasts, one a trial that was told after the warm-up."""

    def __init__(self, searcher: DDPGSearcher) -> None:
        """Begin without a forecast."""
        self._searcher, self.forecasts = searcher, list[Forecast]()
        self.capabilities: SearcherCapabilities = searcher.capabilities

    def ask(self) -> Suggestion:
        """The searcher's suggestion."""
        return self._searcher.ask()

    def tell(self, trial: Trial) -> None:
        """Note what the critic expects and the baseline that it learned with, then tell the searcher."""
        baseline = self._searcher._baseline
        if baseline is None or not teaches(trial):  # it has not learned yet, or the trial earns nothing
            self._searcher.tell(trial)
            return
        value = first_value(self._searcher, trial)
        self._searcher.tell(trial)
        returns = returns_of(self._searcher, baseline)
        self.forecasts.append(Forecast(value, float(returns[-1]), float(np.std(returns))))


def first_value(searcher: DDPGSearcher, trial: Trial) -> float:
    """The critic's value of the first layer's state and executed action."""
    walked = searcher._walk.of(trial.point)
    with one_thread(), torch.no_grad():
        return float(searcher._critic(as_tensor(walked.states[:1]), as_tensor(walked.actions[:1])))


def returns_of(searcher: DDPGSearcher, baseline: float) -> np.ndarray:
    """(n,) of the episodes in the replay, the last one last."""
    options = searcher._options
    steps = float(np.sum(options.discount ** np.arange(searcher._walk.n_layers)))
    trials = [trial for _, trial in searcher._replay._kept]
    earned = rewards(trials, searcher._scale, options.reward)
    return np.asarray((earned - baseline) * steps)
