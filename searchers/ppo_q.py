"""The two-stage PPO's agent: clipped steps along Q-values, which a critic with a slow twin learns step by step (S5.05).

An episode is one trial, as in the other agents. Several walks of one policy, the paper's parallel actors, are one
round; then, layer after layer, critic and policy take a step on what all walks did there. With pi the policy, its
means squashed by a sigmoid, Q the critic, and pi', Q' their twins that follow slowly:

    y = r + gamma Q'(s', clip(pi'(s') + noise, 0, 1)),   r = 0 before the last layer, where y = r    (smoothing, iv)
    Q takes a step towards y;      pi one along min(rho A, clip(rho, 1 - c, 1 + c) A),  rho = pi(a|s) / pi_old(a|s)
    A = Q(s, a)                    `baseline: none`, as published (i, ii)
    A = Q(s, a) - Q(s, pi(s))      `baseline: value`, the value of what the policy itself would do
    A = (Q - mean) / deviation     `baseline: centred`, both over what the walks of the round did in the layer

With raw Q, an action is reinforced because its reward is positive, not because it was better than others (W23): the
form learns where rewards have mean 0, as ranks have, and hardly where all are positive (figures: docs/searchers.md).
With a baseline rewards are centred in the round too: a constant added to all of them leaves every gradient as it was.

Departures from the paper:
1. It names neither gamma nor rates, soft update or noise: they are 0.99, 3e-3, 0.05 and, on target actions, 0.1 cut at
   twice that. Several passes are made over a round, as rounds are few; a trial costs seconds, a pass milliseconds.
2. The reward is earned after the last layer: before it there is no network to measure.
3. The change of the policy is punished by the clip alone, as in PPO, and slowed by the twins in y.
4. Bounds on exact costs are kept by repairing the finished walk, as by the other agents (`LayerWalk.repaired`).
5. Rewards are normal quantiles of the ranks in the round; `reward: score` is the paper's.
6. Starts and trials of other searchers have no probabilities of this policy: they teach nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from moco.cost_bounds import FILL
from moco.problem import Problem
from moco.randomness import derived_seed, generator
from moco.searchers.agents.layer_agent import as_tensor, follow, mlp
from moco.searchers.agents.layer_rewards import rewards
from moco.searchers.agents.layer_walk import LayerOptions
from moco.searchers.agents.stochastic_agent import ACTIONS, LOG_PROBABILITIES, StochasticAgent
from moco.searchers.agents.stochastic_policy import LAST_LAYER, Policy, clipped_loss
from moco.searchers.shared.option_checks import at_least, not_negative, one_of, positive, probability
from moco.trial import Trial

NO_BASELINE, VALUE, CENTRED = "none", "value", "centred"
LEAST_DEVIATION = 1e-8
CUT = 2.0  # deviations at which the noise on target actions is cut


@dataclass(frozen=True, kw_only=True)
class PPOQOptions(LayerOptions):
    """Options of the agent, beside those of all agents."""

    hidden: tuple[int, ...] = (64,)  # S5.06
    actors: int = 8  # walks of one policy that are learned from together, >= 2
    epochs: int = 10  # passes over a round, each with a step of critic and policy for every layer, >= 1
    rate: float = 3e-3  # Adam's learning rate of the policy
    critic_rate: float = 3e-3  # likewise
    clip: float = 0.2  # how far an action's probability may change before it counts no more, in (0, 1]
    baseline: str = NO_BASELINE  # `none`, Q itself as published; `value`, less that of the policy's action; `centred`
    discount: float = 0.99  # gamma, in [0, 1]
    soft: float = 0.05  # share by which the twins follow in a step, in (0, 1]
    smoothing: float = 0.1  # deviation of the noise on target actions, >= 0
    deviation: float = 0.3  # of the actions at first, in (0, 1]
    entropy: float = 0.01  # weight of the policy's entropy in its loss, >= 0
    bounds: str = FILL

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("actors", self.actors, 2)
        at_least("epochs", self.epochs, 1)
        for name in ("rate", "critic_rate"):
            positive(name, getattr(self, name), math.inf)
        for name in ("clip", "soft", "deviation"):
            positive(name, getattr(self, name), 1.0)
        probability("discount", self.discount)
        for name in ("smoothing", "entropy"):
            not_negative(name, getattr(self, name))
        one_of("baseline", self.baseline, (NO_BASELINE, VALUE, CENTRED))


class Steps(NamedTuple):
    """What the n walks of a round did in one layer."""

    states: Tensor  # (n, features)
    actions: Tensor  # (n, A), as drawn
    old: Tensor  # (n,) log-probabilities of the actions, when they were drawn
    rewards: Tensor  # (n,)
    next_states: Tensor  # (n, features), the last layer's of no meaning
    follows: float  # 1 where another layer follows, else 0
    mask: Tensor  # (A,): 1 where the layer has the action
    next_mask: Tensor  # (A,)


class Critic(nn.Module):
    """The value of actions (n, A) in states (n, features), of those that the layer has."""

    def __init__(self, sizes: list[int], seed: int) -> None:
        super().__init__()
        self.net = mlp(sizes, nn.Tanh, seed, LAST_LAYER)

    def forward(self, states: Tensor, actions: Tensor, mask: Tensor) -> Tensor:
        """Values (n,)."""
        executed = actions.clamp(0.0, 1.0) * mask + (1 - mask)
        values: Tensor = self.net(torch.cat([states, executed], dim=1)).squeeze(1)
        return values


def weights_of(critic: Critic, policy: Policy, steps: Steps, baseline: str) -> Tensor:
    """(n,) what the actions of the steps are reinforced by: their Q, or that over a baseline."""
    with torch.no_grad():
        values: Tensor = critic(steps.states, steps.actions, steps.mask)
        if baseline == VALUE:
            values = values - critic(steps.states, policy(steps.states), steps.mask)
        elif baseline == CENTRED:
            values = (values - values.mean()) / (values.std() + LEAST_DEVIATION)
        return values


class PPOQSearcher(StochasticAgent):
    """The agent over the layer groups of the problem's space."""

    Options = PPOQOptions

    def __init__(self, problem: Problem, options: PPOQOptions, seed: int) -> None:
        self._options = options
        super().__init__(problem, options, seed, startup=options.actors)
        features, actions = self._walk.n_features, self._walk.n_actions
        policy_sizes, critic_sizes = [features, *options.hidden, actions], [features + actions, *options.hidden, 1]
        # A twin begins as its original: the same seed gives the same weights.
        begun, judged = derived_seed(seed, "policy"), derived_seed(seed, "critic")
        self._policy, self._slow_policy = (Policy(policy_sizes, options.deviation, begun, True) for _ in range(2))
        self._critic, self._slow_critic = (Critic(critic_sizes, judged) for _ in range(2))
        self._adam = torch.optim.Adam(self._policy.parameters(), options.rate, fused=True)
        self._critic_adam = torch.optim.Adam(self._critic.parameters(), options.critic_rate, fused=True)

    @property
    def _round(self) -> int:
        return self._options.actors

    def _learn_from(self, episodes: list[Trial]) -> None:
        """Passes over a round, in each a step of both networks for every layer in turn."""
        rng = generator(self._seed, "learn", len(self._told))
        by_layer = self._steps(episodes)
        for _ in range(self._options.epochs):
            for steps in by_layer:
                self._step(steps, rng)

    def _steps(self, episodes: list[Trial]) -> list[Steps]:
        """What was done in each layer."""
        notes = [trial.suggestion.notes for trial in episodes]
        states, drawn = as_tensor(self._states(notes)), as_tensor([note[ACTIONS] for note in notes])
        old = as_tensor([note[LOG_PROBABILITIES] for note in notes])
        earned = rewards(episodes, self._scale, self._options.reward)
        if self._options.baseline != NO_BASELINE:
            earned = earned - earned.mean()
        last = self._walk.n_layers - 1
        return [
            Steps(
                states=states[:, layer],
                actions=drawn[:, layer],
                old=old[:, layer],
                rewards=as_tensor(earned if layer == last else np.zeros(len(earned))),
                next_states=states[:, min(layer + 1, last)],
                follows=float(layer < last),
                mask=self._mask[layer],
                next_mask=self._mask[min(layer + 1, last)],
            )
            for layer in range(last + 1)
        ]

    def _targets(self, steps: Steps, rng: np.random.Generator) -> Tensor:
        """(n,) y, with noise on the slow policy's actions (target-policy smoothing)."""
        options = self._options
        with torch.no_grad():
            actions = self._slow_policy(steps.next_states)
            noise = np.clip(rng.standard_normal(tuple(actions.shape)), -CUT, CUT) * options.smoothing
            after = self._slow_critic(steps.next_states, actions + as_tensor(noise), steps.next_mask)
            targets: Tensor = steps.rewards + options.discount * steps.follows * after
            return targets

    def _step(self, steps: Steps, rng: np.random.Generator) -> None:
        """One step of both networks and of their twins."""
        options = self._options
        values = self._critic(steps.states, steps.actions, steps.mask)
        _descend(self._critic_adam, nn.functional.mse_loss(values, self._targets(steps, rng)))
        weights = weights_of(self._critic, self._policy, steps, options.baseline)
        ratio = (self._policy.log_probability(steps.states, steps.actions, steps.mask) - steps.old).exp()
        gain = -clipped_loss(ratio, weights, options.clip) + options.entropy * self._policy.entropy()
        _descend(self._adam, -gain)
        follow(self._slow_critic, self._critic, options.soft)
        follow(self._slow_policy, self._policy, options.soft)


def _descend(adam: torch.optim.Optimizer, loss: Tensor) -> None:
    adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    adam.step()
