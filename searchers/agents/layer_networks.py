"""Small fully connected networks with their own seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init


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
