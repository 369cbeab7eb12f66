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

Where a network is trained on without them, it finds its way back from most of that divergence, and what it lacks is
their capacity. Then the branch goes first by which the trained network's error is forecast to rise least
(`CapacityLost`), for each multiply-accumulate that is saved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from moco.compression.channels.branch_removal import leaving_out
from moco.compression.channels.branches import Branch
from moco.compression.channels.surgery import within
from moco.compression.collecting import evaluating, kl_divergence
from moco.compression.costs import CAPACITY_EXPONENTS, LEAST_SHARE
from moco.compression.counting import count
from moco.errors import CompressionError
from moco.models.arithmetic import Arithmetic, arithmetic_of, computing_in
from moco.models.batch_norms import BATCH_NORMS, observing

TOGETHER = 64
"""Images in a forward pass, at most: few enough for the processor's cache, many enough for a batch-norm to see."""
TEMPERATURE = 4.0
"""By which the logits are divided before they are compared; the same as distillation's own default."""
DIGITS = 4
"""Of a divergence that count: what differs by less is rounding, and the earlier branch goes first."""
LEFT_OF_A_NAT = 0.3
"""How much a nat of divergence adds to the logarithm of the error that a training of some 1,500 steps ends at.

ResNet-56 without 5 to 12 of its branches errs some 60 points more a nat untrained, where it errs on 11 % with the
fewest gone: 5 in logarithms, of which 6 % are left after 1,500 steps (the prior of moco.finalists.promise).
"""


@dataclass(frozen=True)
class CapacityLost:
    """What leaving branches out does to a network that is trained on: how much higher its error is forecast to end."""

    macs: Mapping[str, int]  # by branch
    parameters: Mapping[str, int]  # likewise
    whole_macs: int
    whole_parameters: int

    @classmethod
    def of(cls, network: nn.Module, branches: Sequence[Branch], shape: Sequence[int]) -> CapacityLost:
        """Of a network and its branches, for images of the shape (channels, height, width)."""
        layers = count(network, shape).layers
        sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
        macs = {b.name: sum(layer.macs for layer in layers if within(layer.name, b.removed)) for b in branches}
        parameters = {b.name: sum(n for name, n in sizes.items() if within(name, b.removed)) for b in branches}
        return cls(macs, parameters, sum(layer.macs for layer in layers), sum(sizes.values()))

    def __call__(self, gone: Sequence[Branch], divergence: float) -> float:
        """In logarithms of the error, where the answers diverge by so many nats; the law of moco.finalists.promise."""
        macs = sum(self.macs[branch.name] for branch in gone)
        parameters = sum(self.parameters[branch.name] for branch in gone)
        left = (1 - macs / max(self.whole_macs, 1), 1 - parameters / max(self.whole_parameters, 1))
        lost = sum(
            w * -math.log(max(share, LEAST_SHARE)) for w, share in zip(CAPACITY_EXPONENTS[:2], left, strict=True)
        )
        return lost + LEFT_OF_A_NAT * divergence

    def saved(self, branch: Branch) -> float:
        """Share of the network's multiply-accumulates that go with the branch.

        Of its parameters where none are counted, as in the projections of nn.MultiheadAttention.
        """
        share = self.macs[branch.name] / max(self.whole_macs, 1)
        return max(share or self.parameters[branch.name] / max(self.whole_parameters, 1), LEAST_SHARE)


def removal_order(
    network: nn.Module, branches: Sequence[Branch], images: torch.Tensor, most: int, *, trained: bool = False
) -> tuple[Branch, ...]:
    """The branches from the first to go to the last; those after the first `most` keep the order they have.

    First goes what harms least: by the divergence of the softened answers on `images` (n, channels, height, width) from
    the whole network's, or by what a network is forecast to lose that is `trained` on without them, for each
    multiply-accumulate. The network is left as it was. A CompressionError where its logits are not finite.
    """
    lost = CapacityLost.of(network, branches, images.shape[1:]) if trained else None
    saved = {branch.name: lost.saved(branch) if lost else 1.0 for branch in branches}
    images = images.contiguous(memory_format=torch.channels_last)
    with _normalising_by_the_batch(network, len(images)), computing_in(_arithmetic(network, images, trained)):
        whole = _logits(network, images, [])
        if not bool(torch.isfinite(whole).all()):
            raise CompressionError("depth: the network's logits on the calibration images are not finite")
        gone: list[Branch] = []
        before = 0.0  # the harm without those that are gone
        growth = {branch.name: 0.0 for branch in branches}  # of the harm, by what is saved
        while len(gone) < most:
            left, fresh = [branch for branch in branches if branch not in gone], set[str]()
            while (best := min(left, key=lambda branch: growth[branch.name])).name not in fresh:
                without = [*gone, best]
                divergence = kl_divergence(whole, _logits(network, images, without))
                then = lost(without, divergence) if lost else divergence
                growth[best.name] = _rounded((then - before) / saved[best.name])
                fresh.add(best.name)
            gone.append(best)
            before += growth[best.name] * saved[best.name]
    return (*gone, *(branch for branch in branches if branch not in gone))


def _arithmetic(network: nn.Module, images: torch.Tensor, trained: bool) -> Arithmetic:
    """Of divergences: they decide little of the order for a trained network, which is found in half of the time so."""
    if not trained or arithmetic_of("auto") == "float32":
        return "float32"
    try:
        with computing_in("bfloat16"):
            _logits(network, images[:2], [])  # a batch-norm over vectors takes no single one
    except RuntimeError:  # a forward pass may ask for one type
        return "float32"
    return "bfloat16"


def _logits(network: nn.Module, images: torch.Tensor, gone: Sequence[Branch]) -> torch.Tensor:
    with torch.no_grad(), leaving_out(network, [branch.removal for branch in gone]):
        # Parts of equal size, to within one image: a last part of a single image has no variance over a vector.
        parts = torch.tensor_split(images, math.ceil(len(images) / TOGETHER))
        return torch.cat([network(part) for part in parts]).float() / TEMPERATURE


@contextmanager
def _normalising_by_the_batch(network: nn.Module, n_images: int) -> Iterator[None]:
    """All in evaluation mode but batch-norms, and these too where a single image is there."""
    norms = [module for module in network.modules() if isinstance(module, BATCH_NORMS)]
    with evaluating(network), observing(norms if n_images > 1 else []):
        yield


def _rounded(divergence: float) -> float:
    """A divergence of so many digits; NaN as the largest, so that what gives it goes last."""
    return float(f"{divergence:.{DIGITS}g}") if divergence == divergence else float("inf")  # noqa: PLR0124
