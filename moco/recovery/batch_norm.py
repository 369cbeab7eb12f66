"""Batch-norm statistics after surgery, re-estimated relative to the original (W29).

Those of a few hundred images are not the training set's, and cost even an untouched network points of accuracy. So only
the change is applied: the means are moved by their difference on the same images, the variances scaled by their ratio.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from moco.compression.policy_settings import changes_weights
from moco.models.batch_norms import BATCH_NORMS, observing
from moco.policy import Policy
from moco.recovery.step import Candidate, Moment, RecoveryContext, RecoveryStep
from moco.registry import NoOptions


class Seen(NamedTuple):
    """What a batch-norm sees on given images, and what it runs with; each (channels,)."""

    mean: torch.Tensor
    variance: torch.Tensor
    running_mean: torch.Tensor
    running_variance: torch.Tensor


Statistics = Mapping[str, Seen]  # by name of the batch-norm

BATCH = 64


class BatchNormStep(RecoveryStep):
    """Re-estimates the batch-norms of every network whose weights have changed; bits alone change no float network."""

    name, Options, moment = "batch_norm", NoOptions, Moment.AFTER_SURGERY
    key_place = 1

    def changes(self, policy: Policy) -> bool:
        """Whether the policy changes weights."""
        return changes_weights(policy)

    def prepare(self, context: RecoveryContext) -> Statistics:
        """The original's statistics on the calibration images."""
        return batch_statistics(context.network, context.images)

    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: Statistics) -> nn.Module:
        """Move the running statistics by what changed."""
        re_estimate(candidate.network, context.images, prepared, candidate.kept_of_batch_norms)
        return candidate.network

    def written(self) -> str:
        """That it is done."""
        return "True"


def batch_statistics(network: nn.Module, images: torch.Tensor) -> dict[str, Seen]:
    """What each batch-norm sees on the images (n, channels, height, width) when all normalise by what they see.

    Normalising by the batch keeps a changed layer from blurring what the layers after it see. The network is left as
    it was.
    """
    norms: dict[str, Any] = {n: m for n, m in network.named_modules() if isinstance(m, BATCH_NORMS)}
    running = {
        name: (module.running_mean, module.running_var)
        for name, module in norms.items()
        if module.running_mean is not None
    }
    with observing(list(norms.values())), torch.no_grad():
        # Parts of equal size, to within one image: a last part of a single image has no variance over a vector.
        for part in torch.tensor_split(images, math.ceil(len(images) / BATCH)):
            network(part)
        seen = {name: (norms[name].running_mean, norms[name].running_var) for name in running}
    return {name: Seen(*seen[name], *(tensor.clone() for tensor in running[name])) for name in running}


def re_estimate(
    network: nn.Module, images: torch.Tensor, original: Statistics, kept: Mapping[str, torch.Tensor]
) -> None:
    """Set the running statistics of `network`, a compressed copy, to the original's moved by what changed, in place.

    A mean that a refit has moved already is set anew. The images are those that `original`, the uncompressed network's
    statistics, was found on. `kept` tells, by batch-norm, which channels of the original stayed; those not named stayed
    whole.
    """
    for name, (mean, variance, *_) in batch_statistics(network, images).items():
        before = original[name]
        if name in kept:
            before = Seen(*(tensor[kept[name]] for tensor in before))
        module = network.get_submodule(name)
        assert isinstance(module.running_mean, torch.Tensor)
        assert isinstance(module.running_var, torch.Tensor)
        # A channel that is constant on these images tells nothing of its variance on others.
        known = (before.variance > 0) & (variance > 0)
        ratio = torch.where(known, variance / before.variance, torch.ones_like(variance))
        module.running_mean.copy_(before.running_mean + (mean - before.mean))
        module.running_var.copy_(before.running_variance * ratio)
