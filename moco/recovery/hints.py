"""Hints: a layer of the student learns to give what a layer of the teacher gives (FitNets, Romero et al. 2015; S4.08).

| symbol | meaning | shape |
|---|---|---|
| u_h(x) | the teacher's hint, the feature map of one of its layers | (n, C, h, w) |
| v_g(x) | the student's feature map of the guided layer | (n, c, h, w) |
| r | the regressor, a 1x1 convolution from c to C channels with a bias | |

As published, L = 1/2 ||u_h(x) - r(v_g(x))||^2. Here it is a mean over images and over the values of a map, not a sum,
so that a learning rate means the same for maps of any size. Where maps differ in height or width, the larger one is
averaged down to the smaller one's. The regressor starts at its least-squares solution for the student as it is.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from moco.models.batch_norms import BATCH_NORMS
from moco.models.training import Batch, seeded_torch
from moco.recovery.descent import Tuned, descend_
from moco.recovery.feature_maps import MapShape, UpTo
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import FineTuningOptions
from moco.torch_threads import one_thread

FITTED = 128
"""Images at most that the regressor's first weights are fitted on."""


@dataclass(frozen=True)
class Hint:
    """A layer of the teacher, and what it gives on the training images."""

    layer: str
    shape: MapShape
    teacher: Teacher  # of the network up to the layer


@dataclass(frozen=True)
class Guided:
    """A layer of the student."""

    layer: str
    shape: MapShape


class Regressed(nn.Module):
    """A student up to its guided layer, averaged down to a height and width, and a regressor that is to be fitted."""

    def __init__(self, student: nn.Module, guided: Guided, hint: Hint) -> None:
        """Take the student itself, not a copy."""
        super().__init__()
        self.part = UpTo(student, guided.layer)
        self.size = (min(guided.shape[1], hint.shape[1]), min(guided.shape[2], hint.shape[2]))
        with seeded_torch(0):
            self.regressor = nn.Conv2d(guided.shape[0], hint.shape[0], 1)

    def forward(self, images: Tensor) -> Tensor:
        """r(v_g(x)) of images (n, channels, height, width): (n, C, height, width) of `size`."""
        return self.regressor(self.features(images))  # type: ignore[no-any-return]

    def features(self, images: Tensor) -> Tensor:
        """v_g(x) in that height and width."""
        return resized(self.part(images), self.size)


def resized(given: Tensor, size: tuple[int, int]) -> Tensor:
    """A feature map averaged down to a height and width that are no larger than its own."""
    return given if tuple(given.shape[2:]) == size else F.adaptive_avg_pool2d(given, size)


def hint_loss(regressed: Tensor, hint: Tensor) -> Tensor:
    """Half of the mean squared difference of two feature maps of one shape."""
    return 0.5 * F.mse_loss(regressed, hint)


def learn_hints_(  # noqa: PLR0913 - three of them by keyword
    student: nn.Module,
    images: Tensor,
    hint: Hint,
    guided: Guided,
    plan: FineTuningOptions,
    *,
    rng_seed: int,
    views_seed: int,
    checkpoint: Path | None = None,
) -> Tuned:
    """Train the student in place up to its guided layer, on the hint's images; later layers stay as they are.

    Images are normalised, (n, channels, height, width); seeds, checkpoint and errors are `descend_`'s. What is given
    has the mean hint loss of each epoch. The regressor is thrown away.
    """
    network = Regressed(student, guided, hint)
    fit_regressor_(network, images[:FITTED], hint, batch_statistics=not plan.frozen_batch_norm)

    def loss(regressed: Tensor, batch: Batch) -> Tensor:
        return hint_loss(regressed, resized(hint.teacher.answers(batch), network.size))

    return descend_(network, images, loss, plan, rng_seed=rng_seed, views_seed=views_seed, checkpoint=checkpoint)


def fit_regressor_(network: Regressed, images: Tensor, hint: Hint, *, batch_statistics: bool) -> None:
    """Give the regressor the weights of least squared error on these images, the first of the hint's, as they are.

    The student's batch-norms normalise by the images where `batch_statistics` asks for it, as they will when it trains.
    """
    seen = copy.deepcopy(network).eval()
    for module in seen.modules():
        if batch_statistics and isinstance(module, BATCH_NORMS):
            module.train()
    with one_thread(), torch.no_grad():
        features = _rows(seen.features(images))
        wanted = _rows(resized(hint.teacher.answers(Batch(images, torch.arange(len(images)))), network.size))
        read = torch.cat([features, torch.ones(len(features), 1, dtype=features.dtype)], dim=1)
        # singular values: channels that are dead, or the same, are common
        solved = torch.linalg.lstsq(read, wanted, driver="gelsd").solution
        network.regressor.weight.copy_(solved[:-1].T[:, :, None, None])
        assert network.regressor.bias is not None
        network.regressor.bias.copy_(solved[-1])


def _rows(features: Tensor) -> Tensor:
    """Every place of a feature map as a row of its channels, in double precision."""
    return features.permute(0, 2, 3, 1).flatten(0, 2).double()
