"""PPO: a stochastic policy walks the layers, and every few episodes takes clipped steps along its gradient.

An episode is one trial: in each layer group the policy sees a state and draws the layer's actions from normal
distributions; the trial's one reward comes at the end. J. Schulman et al., "Proximal policy optimization algorithms",
2017, with the advantages of J. Schulman et al., "High-dimensional continuous control using generalized advantage
estimation", ICLR 2016; for compression, S5. The agent optimises the problem's score, whatever its losses. It sees the
features of the layer, the actions of the layer before and costs so far (`layer_states`), and draws one to three numbers
from normals, clipped to [0, 1], of which 1 changes the layer least (`layer_actions`). The reward (`layer_rewards`)
comes after the last layer of the walk (`layer_walk`) and is 0 before; no discount.

Departures from the papers:
1. Rewards are centred in the batch, and advantages are those over a value baseline, normalised in the batch. S5 takes
   Q-values, which reinforce every action where they are positive (W23); its target networks go with them.
2. Bounds on exact costs are kept by repairing the finished policy (`LayerWalk.repaired`), or by lowering actions on the
   way, as in DDPG. Both belong to the environment: the gradient is that of the actions that were drawn.
3. Observations are scaled by fixed numbers of the space rather than by running statistics (W20), and rewards are
   normal quantiles of the ranks in the batch, or on a scale that the first feasible trials fix (W22).
4. The deviation of an action is learned, and does not depend on the state. A mean may leave [0, 1]: clipped, an action
   then stands at its end, where the best value of many layers is.
5. Starts and trials of other searchers have no log-probabilities of this policy: they help to fix the scale of graded
   rewards, and teach nothing else.
6. A walk whose policy was told before is drawn again (`asks.REDRAWS`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from moco.cost_bounds import FILL
from moco.problem import Problem
from moco.randomness import derived_seed
from moco.searchers.agents.layer_agent import as_tensor, mlp
from moco.searchers.agents.layer_rewards import rewards
from moco.searchers.agents.layer_walk import LayerOptions
from moco.searchers.agents.stochastic_agent import ACTIONS, LOG_PROBABILITIES, StochasticAgent
from moco.searchers.agents.stochastic_policy import LAST_LAYER, Policy, clipped_loss, standardised
from moco.searchers.shared.option_checks import at_least, not_negative, positive, probability
from moco.trial import Trial


@dataclass(frozen=True, kw_only=True)
class PPOOptions(LayerOptions):
    """Options of PPO, beside those of all agents."""

    episodes: int = 8  # complete episodes of one update, >= 2
    epochs: int = 10  # gradient steps of an update, each over all of its transitions, >= 1
    rate: float = 3e-3  # Adam's learning rate, of all parameters
    clip: float = 0.2  # how far an action's probability may change in an update before it counts no more, in (0, 1]
    trace: float = 0.95  # lambda of the advantage estimation, in [0, 1]
    deviation: float = 0.3  # of the actions at first, in (0, 1]
    entropy: float = 0.01  # weight of the policy's entropy in the loss, >= 0
    bounds: str = FILL

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("episodes", self.episodes, 2)
        at_least("epochs", self.epochs, 1)
        for name in ("rate", "clip", "deviation"):
            positive(name, getattr(self, name), math.inf if name == "rate" else 1.0)
        probability("trace", self.trace)
        not_negative("entropy", self.entropy)


def advantages(rewards: np.ndarray, values: np.ndarray, trace: float, discount: float = 1.0) -> np.ndarray:
    """Generalised advantage estimates (n, L) of n finished episodes, eq. 16 of its paper; `trace` is its lambda.

    Rewards (n, L) come after each step, values (n, L) are of the states before it; the last state is worth 0.
    """
    estimates = np.zeros_like(values)
    following, after = np.zeros(len(values)), np.zeros(len(values))
    for step in reversed(range(values.shape[1])):
        surprise = rewards[:, step] + discount * after - values[:, step]
        following = surprise + discount * trace * following
        estimates[:, step] = following
        after = values[:, step]
    return estimates


def terminal_rewards(earned: np.ndarray, layers: int) -> np.ndarray:
    """Rewards (n, layers) of n episodes that earned these (n,): centred, after the last step, and 0 before."""
    rewards = np.zeros((len(earned), layers))
    rewards[:, -1] = earned - earned.mean()
    return rewards


@dataclass(frozen=True)
class Batch:
    """Transitions of some episodes, n in all."""

    states: Tensor  # (n, features)
    actions: Tensor  # (n, A), as drawn
    mask: Tensor  # (n, A): 1 where the layer has the action
    log_probabilities: Tensor  # (n,) of the actions, when they were drawn
    advantages: Tensor  # (n,)
    returns: Tensor  # (n,)


def policy_loss(policy: Policy, batch: Batch, clip: float, entropy: float) -> Tensor:
    """What the policy descends: the clipped surrogate, and the entropy's bonus."""
    now = policy.log_probability(batch.states, batch.actions, batch.mask)
    ratio = (now - batch.log_probabilities).exp()
    return clipped_loss(ratio, batch.advantages, clip) - entropy * policy.entropy()


class PPOSearcher(StochasticAgent):
    """PPO over the layer groups of the problem's space."""

    Options = PPOOptions

    def __init__(self, problem: Problem, options: PPOOptions, seed: int) -> None:
        self._options = options
        super().__init__(problem, options, seed, startup=options.episodes)
        sizes = [self._walk.n_features, *options.hidden]
        self._policy = Policy([*sizes, self._walk.n_actions], options.deviation, derived_seed(seed, "policy"))
        self._value = mlp([*sizes, 1], nn.Tanh, derived_seed(seed, "value"), LAST_LAYER)
        self._adam = torch.optim.Adam([*self._policy.parameters(), *self._value.parameters()], options.rate, fused=True)

    @property
    def _round(self) -> int:
        return self._options.episodes

    def _learn_from(self, episodes: list[Trial]) -> None:
        self._update(self._batch(episodes))

    def _batch(self, episodes: list[Trial]) -> Batch:
        """Their transitions, with states as they were on the walk, advantages and returns."""
        notes = [trial.suggestion.notes for trial in episodes]
        drawn = np.array([note[ACTIONS] for note in notes])
        states = as_tensor(self._states(notes))
        n, layers, _ = states.shape
        earned = terminal_rewards(rewards(episodes, self._scale, self._options.reward), layers)
        with torch.no_grad():
            values = self._value(states).squeeze(2).numpy().astype(float)
        estimates = advantages(earned, values, self._options.trace)
        return Batch(
            states=states.flatten(0, 1),
            actions=as_tensor(drawn).flatten(0, 1),
            mask=self._mask.repeat(n, 1),
            log_probabilities=as_tensor([note[LOG_PROBABILITIES] for note in notes]).flatten(),
            # Where all episodes earned the same there is nothing to tell one action from another by.
            advantages=as_tensor(standardised(estimates) * (np.ptp(earned[:, -1]) > 1e-9)).flatten(),
            returns=as_tensor(estimates + values).flatten(),
        )

    def _update(self, batch: Batch) -> None:
        """Several steps of both networks over the batch (algorithm 1 of PPO's paper)."""
        for _ in range(self._options.epochs):
            value_loss = nn.functional.mse_loss(self._value(batch.states).squeeze(1), batch.returns)
            loss = policy_loss(self._policy, batch, self._options.clip, self._options.entropy) + value_loss
            self._adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._adam.step()
