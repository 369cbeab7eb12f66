"""What both agents do alike: walk over layers, fix the scale of their rewards, and build small networks from seeds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.searchers.agents.layer_rewards import RewardScale, scale_of, teaches
from moco.searchers.agents.layer_walk import LayerOptions, LayerWalk
from moco.searchers.shared.proposals import ProposalCounter
from moco.torch_threads import one_thread
from moco.trial import Point, Suggestion, Trial


class LayerAgent(ABC):
    """An agent over the layer groups of a problem's space."""

    capabilities = SearcherCapabilities(needs_layers=True)

    def __init__(self, problem: Problem, options: LayerOptions, seed: int, startup: int) -> None:
        """Take the walk; `startup` trials fix the scale of the rewards."""
        self._seed, self._startup = seed, startup
        self._asks = ProposalCounter(problem, seed)
        self._walk = LayerWalk(problem, options)
        self._mask = as_tensor(self._walk.mask)
        self._told: list[Trial] = []
        self._scale: RewardScale | None = None

    def warnings(self, problem: Problem) -> list[str]:
        """Options that have no effect on the problem."""
        return self._walk.warnings(problem)

    def ask(self) -> Suggestion:
        """A walk in which the agent acts, drawn anew while its policy was told before (W21).

        A neighbour of the last walk, which `ProposalCounter` would propose at last, may miss the bounds: the walk is
        then repeated.
        """
        drawn: list[tuple[Point, dict[str, Any]]] = []

        def again(rng: np.random.Generator) -> Point:
            drawn.append(self._draw(rng, len(drawn)))
            return drawn[-1][0]

        def uniform(rng: np.random.Generator) -> Point:
            walk = self._walk.rollout(lambda *_: np.asarray(rng.random(self._walk.n_actions)), self._walk.direct.notes)
            drawn.append((self._walk.repaired(walk), {}))
            return drawn[-1][0]

        with one_thread(), torch.no_grad():
            suggestion = self._asks.next(again, instead=uniform)
        point, notes = drawn[-1]
        return replace(suggestion, point=point, notes={**suggestion.notes, **notes, **self._walk.direct.notes})

    def tell(self, trial: Trial) -> None:
        """Learn from a trial that was built, or cannot be."""
        self._asks.tell(trial)
        self._walk.direct.tell(trial)
        if teaches(trial):
            self._told.append(trial)
            with one_thread(), self._asks.surviving("learn"):
                self._scale = self._scale or scale_of(self._told, self._startup)
                self._learn(trial)

    @abstractmethod
    def _draw(self, rng: np.random.Generator, redraw: int) -> tuple[Point, dict[str, Any]]:
        """The point and the notes of a walk; `redraw` counts those that led to policies that were told before."""

    @abstractmethod
    def _learn(self, trial: Trial) -> None:
        """Take a trial that teaches, and learn where there are enough."""


def mlp(sizes: Sequence[int], activation: type[nn.Module], seed: int, last: float) -> nn.Sequential:
    """Linear layers of these sizes with the activation between them, and weights drawn from the seed.

    Hidden weights and biases are uniform in +-1/sqrt(inputs), those of the last layer in +-`last`.
    """
    generator = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        linear: nn.Linear = skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call] # nn.Linear's own weights come from the global generator
        bound = last if place == len(sizes) - 2 else 1 / math.sqrt(inputs)
        for parameter in linear.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        modules += [activation(), linear] if modules else [linear]
    return nn.Sequential(*modules)


def follow(target: nn.Module, source: nn.Module, share: float) -> None:
    """Move the target's parameters by this share of the way to the source's (soft update)."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), share)


def as_tensor(values: object) -> Tensor:
    """The numbers as float32."""
    return torch.as_tensor(values, dtype=torch.float32)
