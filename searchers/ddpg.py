"""DDPG: an actor walks the layers and acts; a critic learns what actions are worth, and shows the actor the way up.

An episode is one trial: in each layer group the actor sees a state and gives the layer's actions, with exploration
noise that fades, and every step earns the trial's one reward. T. Lillicrap et al., "Continuous control with deep
reinforcement learning", ICLR 2016; for compression Y. He et al., "AMC: AutoML for model compression and acceleration on
mobile devices", ECCV 2018, the Chalmers MSc thesis of 2020 (S1.30-S1.33) and Galen (S3.40-S3.43). The agent optimises
the problem's score, whatever its losses. It sees the features of the layer, the executed actions of the layer before
and costs so far (`layer_states`), and gives one to three numbers in [0, 1], of which 1 changes the layer least
(`layer_actions`). The last layer's transition is terminal (`layer_walk`); the reward (`layer_rewards`), the same for
every step, is less a moving average (S3.31).

Departures from the papers:
1. The replay holds the actions that were executed, after bounds and rounding, not those of the actor (W20).
2. Bounds on exact costs are kept by lowering actions until the ROUNDED policy meets them (`LayerWalk.rollout`, W12):
   AMC rounds after its wall and overshoots at times. `bounds: none` with `reward: flat` is the thesis's reward of -50.
3. States are scaled by fixed numbers of the space instead of running statistics (S3.41). Rewards are normal quantiles
   of the ranks in the replay, taken anew for every episode: scores on a fixed scale (W22, `reward: graded`) are as
   skewed as the space, and differences between good policies are small on it.
4. Any transition may be drawn from the replay, also the first of an episode, and there are several updates a
   transition, with a lower rate of the actor (Galen: one update an episode).
5. Hidden layers of 64 and 64 units; `hidden: [400, 300]` are the papers'.
6. Starts and trials of other searchers are learned from too, and count as warm-up: DDPG learns off its policy.
7. The actor's loss holds a small penalty on the squares of what goes into its sigmoid: without it, actions that went to
   an end early stayed there, as a saturated sigmoid has no slope to come back by.
8. A walk whose policy was told before is drawn again with more noise (`MORE_NOISE`), as a repeat teaches nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import Tensor, nn

from moco.problem import Problem
from moco.randomness import derived_seed, generator
from moco.searchers.agents.layer_agent import LayerAgent, as_tensor, follow, mlp
from moco.searchers.agents.layer_rewards import RewardScale, rewards
from moco.searchers.agents.layer_walk import Episode, LayerOptions
from moco.searchers.shared.option_checks import at_least, not_negative, positive, probability
from moco.trial import Point, Trial

MORE_NOISE = 2.0
"""Factor of the noise from one redraw of a repeated policy to the next: the ten of them reach any policy."""
LAST_LAYER = 3e-3  # bound of the last layers' first weights (the paper's): actions begin at one half


@dataclass(frozen=True, kw_only=True)
class DDPGOptions(LayerOptions):
    """Options of DDPG, beside those of all agents."""

    warmup: int = 20  # trials with uniform actions before the actor takes over, >= 1
    noise: float = 0.5  # standard deviation of the actor's exploration after the warm-up, in (0, 1]
    noise_decay: float = 0.98  # factor of the noise from one trial to the next, in (0, 1]; AMC and Galen decay by 0.95
    noise_least: float = 0.05  # the noise does not fall below it, in (0, 1]
    updates: int = 2  # gradient steps a transition, >= 1
    batch: int = 64  # transitions of a step, >= 1
    replay: int = 400  # episodes that are kept, >= 1
    actor_rate: float = 5e-4  # Adam's learning rate
    critic_rate: float = 3e-3  # likewise
    saturation: float = 0.01  # weight, in the actor's loss, of its outputs' mean square before the sigmoid, >= 0
    discount: float = 1.0  # gamma, in [0, 1]; with 0 the critic learns the reward from each state and action alone
    soft: float = 0.01  # share by which the target networks follow in a step, in (0, 1]
    baseline: float = 0.5  # share by which the moving average of the rewards follows a batch, in (0, 1]; AMC's

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("warmup", "updates", "batch", "replay"):
            at_least(name, getattr(self, name), 1)
        for name in ("noise", "noise_decay", "noise_least", "soft", "baseline"):
            positive(name, getattr(self, name), 1.0)
        for name in ("actor_rate", "critic_rate"):
            positive(name, getattr(self, name))
        probability("discount", self.discount)
        not_negative("saturation", self.saturation)


def truncated_normal(rng: np.random.Generator, mean: np.ndarray, deviation: float) -> np.ndarray:
    """A draw from normals with these means and one deviation, cut to [0, 1] (S3.42), by its inverse distribution."""
    below, above = ndtr(-mean / deviation), ndtr((1 - mean) / deviation)
    drawn = mean + deviation * ndtri(below + rng.random(mean.shape) * (above - below))
    return np.asarray(np.clip(drawn, 0.0, 1.0))


class Transitions(NamedTuple):
    """n transitions, or any leading shape."""

    states: Tensor  # (n, features)
    actions: Tensor  # (n, A), as executed
    rewards: Tensor  # (n,), in double precision: a baseline is taken from them
    next_states: Tensor  # (n, features), the last layer's of no meaning
    follows: Tensor  # (n,): 1 where another layer follows, 0 where the transition is terminal
    mask: Tensor  # (n, A): 1 where the layer has the action
    next_mask: Tensor  # (n, A): 1 where the one that follows has it


class Replay:
    """The transitions of the last episodes."""

    def __init__(self, limit: int, mask: np.ndarray) -> None:
        self._mask = as_tensor(mask)
        self._kept: deque[tuple[Episode, Trial]] = deque(maxlen=limit)

    def add(self, episode: Episode, trial: Trial) -> None:
        """Keep an episode, and forget the oldest where there are too many."""
        self._kept.append((episode, trial))

    def draw(
        self, rng: np.random.Generator, shape: tuple[int, int], scale: RewardScale | None, kind: str
    ) -> Transitions:
        """Transitions drawn uniformly, with repetition, in this shape."""
        states = as_tensor(np.stack([episode.states for episode, _ in self._kept]))
        actions = as_tensor(np.stack([episode.actions for episode, _ in self._kept]))
        earned = torch.as_tensor(rewards([trial for _, trial in self._kept], scale, kind), dtype=torch.float64)
        n, layers = states.shape[:2]
        of = torch.as_tensor(rng.integers(n, size=shape))
        at = torch.as_tensor(rng.integers(layers, size=shape))
        after = (at + 1).clamp(max=layers - 1)
        return Transitions(
            states=states[of, at],
            actions=actions[of, at],
            rewards=earned[of],
            next_states=states[of, after],
            follows=(at < layers - 1).float(),
            mask=self._mask[at],
            next_mask=self._mask[after],
        )


class Actor(nn.Module):
    """Actions (n, A) in [0, 1] of states (n, features); what a layer does not have is 1."""

    def __init__(self, sizes: list[int], seed: int) -> None:
        super().__init__()
        self.net = mlp(sizes, nn.ReLU, seed, LAST_LAYER)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Sigmoid of the network, where the mask is 1."""
        return self.squashed(self.net(states), mask)

    @staticmethod
    def squashed(outputs: Tensor, mask: Tensor) -> Tensor:
        """The actions for outputs (n, A) of the network."""
        return torch.sigmoid(outputs) * mask + (1 - mask)


class Critic(nn.Module):
    """Values (n,) of actions (n, A) in states (n, features)."""

    def __init__(self, sizes: list[int], seed: int) -> None:
        super().__init__()
        self.net = mlp(sizes, nn.ReLU, seed, LAST_LAYER)

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """The network's one output."""
        values: Tensor = self.net(torch.cat([states, actions], dim=1)).squeeze(1)
        return values


class DDPGSearcher(LayerAgent):
    """DDPG over the layer groups of the problem's space."""

    Options = DDPGOptions

    def __init__(self, problem: Problem, options: DDPGOptions, seed: int) -> None:
        super().__init__(problem, options, seed, startup=options.warmup)
        self._options = options
        features, actions = self._walk.n_features, self._walk.n_actions
        actor_sizes, critic_sizes = [features, *options.hidden, actions], [features + actions, *options.hidden, 1]
        # A target begins as its twin: the same seed gives the same weights.
        self._actor, self._target_actor = (Actor(actor_sizes, derived_seed(seed, "actor")) for _ in range(2))
        self._critic, self._target_critic = (Critic(critic_sizes, derived_seed(seed, "critic")) for _ in range(2))
        self._actor_adam = torch.optim.Adam(self._actor.parameters(), options.actor_rate, fused=True)
        self._critic_adam = torch.optim.Adam(self._critic.parameters(), options.critic_rate, fused=True)
        self._replay = Replay(options.replay, self._walk.mask)
        self._baseline: float | None = None

    def _draw(self, rng: np.random.Generator, redraw: int) -> tuple[Point, dict[str, Any]]:
        """Uniform actions in the warm-up; then those of the actor, with noise."""
        options, learned = self._options, len(self._told) - self._options.warmup
        noise = max(options.noise * options.noise_decay ** max(learned, 0), options.noise_least)
        noise = min(noise * MORE_NOISE**redraw, 1.0)

        def choose(layer: int, state: np.ndarray) -> np.ndarray:
            if learned < 0:
                return np.asarray(rng.random(self._walk.n_actions))
            mean = self._actor(as_tensor(state[None]), self._mask[layer])[0].numpy().astype(float)
            return truncated_normal(rng, mean, noise)

        return self._walk.repaired(self._walk.rollout(choose, self._walk.direct.notes)), {}

    def _learn(self, trial: Trial) -> None:
        """Keep what was executed; several updates for each transition of an episode, from what is kept."""
        self._replay.add(self._walk.of(trial.point, trial.suggestion.notes), trial)
        if len(self._told) < self._options.warmup:
            return
        rng = generator(self._seed, "learn", len(self._told))
        shape = (self._options.updates * self._walk.n_layers, self._options.batch)
        drawn = self._replay.draw(rng, shape, self._scale, self._options.reward)
        for step in range(shape[0]):
            self._update(Transitions(*(column[step] for column in drawn)))

    def _update(self, batch: Transitions) -> None:
        """One step of both networks and of their targets (algorithm 1 of the paper)."""
        options, mean = self._options, float(batch.rewards.mean())
        previous = mean if self._baseline is None else self._baseline
        self._baseline = previous + options.baseline * (mean - previous)
        with torch.no_grad():
            next_actions = self._target_actor(batch.next_states, batch.next_mask)
            next_values = self._target_critic(batch.next_states, next_actions)
            centred = (batch.rewards - self._baseline).float()
            targets = centred + options.discount * batch.follows * next_values

        critic_loss = nn.functional.mse_loss(self._critic(batch.states, batch.actions), targets)
        self._critic_adam.zero_grad()
        critic_loss.backward()  # type: ignore[no-untyped-call]
        self._critic_adam.step()

        outputs = self._actor.net(batch.states)
        values = self._critic(batch.states, self._actor.squashed(outputs, batch.mask))
        actor_loss = options.saturation * outputs.square().mean() - values.mean()
        self._actor_adam.zero_grad()
        actor_loss.backward()
        self._actor_adam.step()

        follow(self._target_critic, self._critic, options.soft)
        follow(self._target_actor, self._actor, options.soft)
