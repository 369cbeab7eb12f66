"""A policy that draws actions from normal distributions, and the clipped objective by which it learns."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from moco.searchers.agents.layer_agent import mlp

FIRST_MEAN = 0.5  # of every action, before anything is learned
LAST_LAYER = 1e-2  # bound of the last layers' first weights: all layers begin alike


def standardised(x: np.ndarray) -> np.ndarray:
    """The numbers moved to mean 0 and scaled to deviation 1, unless they are all alike."""
    centred: np.ndarray = x - x.mean()
    return np.asarray(centred / (centred.std() + 1e-8))


def clipped_loss(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """The negated clipped surrogate objective, eq. 7 of PPO's paper; both arguments (n,)."""
    return -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


class Policy(nn.Module):
    """Normal distributions of the actions of a state."""

    def __init__(self, sizes: list[int], deviation: float, seed: int, squashed: bool = False) -> None:
        """Take the sizes of the layers; `squashed` sends the means through a sigmoid, else they may leave [0, 1]."""
        super().__init__()
        self.mean = mlp(sizes, nn.Tanh, seed, LAST_LAYER)
        self.log_deviation = nn.Parameter(torch.full((sizes[-1],), math.log(deviation)))
        self._squashed = squashed

    def forward(self, states: Tensor) -> Tensor:
        """Means (n, A) for states (n, features)."""
        outputs: Tensor = self.mean(states)
        return torch.sigmoid(outputs) if self._squashed else FIRST_MEAN + outputs

    def log_probability(self, states: Tensor, actions: Tensor, mask: Tensor) -> Tensor:
        """Log-density (n,) of actions (n, A), of those that the layer has (mask 1)."""
        z = (actions - self(states)) / self.log_deviation.exp()
        density = -0.5 * z**2 - self.log_deviation - 0.5 * math.log(2 * math.pi)
        found: Tensor = (density * mask).sum(dim=1)
        return found

    def entropy(self) -> Tensor:
        """Of the actions of a layer that has all of them, in nats."""
        return (self.log_deviation + 0.5 * math.log(2 * math.pi * math.e)).sum()
