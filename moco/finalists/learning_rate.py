"""How large a finalist's steps are: by how far its network is from the original before its training.

Steps of the whole rate leave noise of their own, and a network that is nearer to the original than that noise is made
worse by them. ResNet-56 on CIFAR-10 without 2 of 25 branches (docs/finalists.md): 4,400 steps at the whole rate ended
with 2.5 % of the images that only one of network and original gets right, at 0.4 of the rate with 1.6 %.
"""

from __future__ import annotations

from torch import Tensor

from moco.compression.collecting import kl_divergence

WHOLE_FROM = 0.06
"""Divergence, in nats, on images of the training, from which on a network takes the whole rate."""
LEAST = 0.3
"""Share of the rate of the mildest networks."""


def share_of_rate(original: Tensor, compressed: Tensor, temperature: float) -> float:
    """The share, by logits (n, classes) of the same images, softened as the training softens them."""
    divergence = kl_divergence(original / temperature, compressed / temperature)
    return min(max(divergence / WHOLE_FROM, LEAST), 1.0)
