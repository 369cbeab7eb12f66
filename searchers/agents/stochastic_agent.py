"""What agents with a stochastic policy do alike: draw walks, note how likely they were, and learn from full rounds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moco.problem import Problem
from moco.searchers.agents.layer_agent import LayerAgent, as_tensor
from moco.searchers.agents.layer_walk import LayerOptions
from moco.searchers.agents.stochastic_policy import Policy
from moco.trial import Point, Trial

ACTIONS, LOG_PROBABILITIES = "actions", "log_probabilities"  # notes of a suggestion


class StochasticAgent(LayerAgent):
    """An agent that learns from rounds of its own walks; its policy is made by the agent itself."""

    _policy: Policy

    def __init__(self, problem: Problem, options: LayerOptions, seed: int, startup: int) -> None:
        """Take the walk, as every agent does."""
        super().__init__(problem, options, seed, startup)
        self._episodes: list[Trial] = []

    @property
    @abstractmethod
    def _round(self) -> int:
        """How many walks it learns from together."""

    @abstractmethod
    def _learn_from(self, episodes: list[Trial]) -> None:
        """Learn from a full round of its own walks."""

    def _learn(self, trial: Trial) -> None:
        """Take an episode of this policy, and learn as soon as there are enough for an update."""
        if np.shape(trial.suggestion.notes.get(ACTIONS, ())) == self._walk.mask.shape:
            self._episodes.append(trial)
        if len(self._episodes) >= self._round:
            self._learn_from(self._episodes)
            self._episodes = []

    def _draw(self, rng: np.random.Generator, redraw: int) -> tuple[Point, dict[str, Any]]:  # noqa: ARG002
        """Actions drawn from the policy; the notes hold them and their log-probabilities."""
        actions, log_probabilities = [], []
        deviation = self._policy.log_deviation.exp().numpy().astype(float)

        def choose(layer: int, state: np.ndarray) -> np.ndarray:
            mean = self._policy(as_tensor(state[None]))[0].numpy().astype(float)
            drawn: np.ndarray = mean + deviation * rng.standard_normal(len(mean))
            density = self._policy.log_probability(as_tensor(state[None]), as_tensor(drawn[None]), self._mask[layer])
            actions.append(drawn.tolist())
            log_probabilities.append(float(density))
            return drawn

        point = self._walk.repaired(self._walk.rollout(choose, self._walk.direct.notes))
        return point, {ACTIONS: actions, LOG_PROBABILITIES: log_probabilities}

    def _states(self, notes: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """States (n, L, features) of the walks with these notes, as they were when the actions were drawn."""
        return np.array([self._walk.rollout(_taking(np.array(note[ACTIONS])), note).states for note in notes])


def _taking(drawn: np.ndarray) -> Any:
    return lambda layer, _: drawn[layer]
