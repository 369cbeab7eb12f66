"""The order in which residual branches are left out: what changes the answers least goes first, re-measured on the way.

What leaving a branch out costs depends on which are gone already, and as a rule grows with them. So only the branches
that may be the next are measured again: those whose last growth of the divergence is below that of the best one yet
(M. Minoux, "Accelerated greedy algorithms", 1978).

Answers are compared softened, as distillation compares them (Hinton et al. 2015): at a temperature of 1 a few images of
which the network is unsure decide. Of the first seven branches of ResNet-56 by two sets of 256 images 3.5 were the same
on average at a temperature of 1, and 5.7 at 4 (four and five sets).

Batch-norms normalise by what they see, as they will once their statistics are taken anew or trained on. With the
statistics of the whole network a branch that goes early makes all behind it err: ResNet-56 without fourteen of its
branches was 1.6 nats away that way, and 0.4 with statistics of its own, and the branches that went were others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from moco.compression.channels.branch_removal import leaving_out
from moco.compression.channels.branches import Branch
from moco.compression.collecting import evaluating, kl_divergence
from moco.errors import CompressionError
from moco.models.batch_norms import BATCH_NORMS, observing

TOGETHER = 64
"""Images in a forward pass, at most: few enough for the processor's cache, many enough for a batch-norm to see."""
TEMPERATURE = 4.0
"""By which the logits are divided before they are compared; the same as distillation's own default."""
DIGITS = 4
"""Of a divergence that count: what differs by less is rounding, and the earlier branch goes first."""


def removal_order(
    network: nn.Module, branches: Sequence[Branch], images: torch.Tensor, most: int
) -> tuple[Branch, ...]:
    """The branches from the first to go to the last; those after the first `most` keep the order they have.

    The divergence is that of the softened answers on `images` (n, channels, height, width), from the whole network's.
    The network is left as it was. A CompressionError where its logits are not finite.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    with _normalising_by_the_batch(network, len(images)):
        whole = _logits(network, images, [])
        if not bool(torch.isfinite(whole).all()):
            raise CompressionError("depth: the network's logits on the calibration images are not finite")
        gone: list[Branch] = []
        before = 0.0  # the divergence without those that are gone
        growth = {branch.name: 0.0 for branch in branches}
        while len(gone) < most:
            left, fresh = [branch for branch in branches if branch not in gone], set[str]()
            while (best := min(left, key=lambda branch: growth[branch.name])).name not in fresh:
                growth[best.name] = _rounded(kl_divergence(whole, _logits(network, images, [*gone, best])) - before)
                fresh.add(best.name)
            gone.append(best)
            before += growth[best.name]
    return (*gone, *(branch for branch in branches if branch not in gone))


def _logits(network: nn.Module, images: torch.Tensor, gone: Sequence[Branch]) -> torch.Tensor:
    with torch.no_grad(), leaving_out(network, [branch.removal for branch in gone]):
        # Parts of equal size, to within one image: a last part of a single image has no variance over a vector.
        parts = torch.tensor_split(images, math.ceil(len(images) / TOGETHER))
        return torch.cat([network(part) for part in parts]) / TEMPERATURE


@contextmanager
def _normalising_by_the_batch(network: nn.Module, n_images: int) -> Iterator[None]:
    """All in evaluation mode but batch-norms, and these too where a single image is there."""
    norms = [module for module in network.modules() if isinstance(module, BATCH_NORMS)]
    with evaluating(network), observing(norms if n_images > 1 else []):
        yield


def _rounded(divergence: float) -> float:
    """A divergence of so many digits; NaN as the largest, so that what gives it goes last."""
    return float(f"{divergence:.{DIGITS}g}") if divergence == divergence else float("inf")  # noqa: PLR0124
