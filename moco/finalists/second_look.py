"""How much more a trained network errs than the original on the search images, seen in the ways of its training too.

Whether a network gets an image right often hangs on a pixel. The mean over some views of each image, moved and mirrored
as the training may do it, has less of that luck: for ResNet-56 without ten of its branches the standard error on 1,000
images was 0.73 points of the images as they are, 0.55 of two views and 0.49 of four.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moco.certification.confidence_bounds import paired_sem
from moco.metrics import TOP1_ERROR
from moco.models.arithmetic import channels_last
from moco.models.augmentation import View
from moco.processor_clock import ProcessorClock
from moco.recovery.training_plan import FineTuningOptions
from moco.trial import Evaluation

FLOAT_ERROR = "float_error"
"""Key of a finalist's details: the top-1 error of its network before integers."""
SEEN_AGAIN = "top1_error_seen_again"
"""Key of a finalist's details: its top-1 error by the second look, and the standard error of what it lost there."""
VIEWS = 3
"""Of each image: as it is, and so many less one that are drawn."""
DISCORDANT = 0.007
"""Share of the images that either a network or its file in integers gets right, not both: the errors of the two were
0.26 points apart on 1,000 images (standard deviation over 46 finalists of ResNet-56, 0.05 on average)."""
SURE = 0.95
"""Confidence with which integers are said to cost accuracy."""
BATCH = 16
"""Images that are shown at once: few enough for their feature maps to stay in the processor's cache."""


@dataclass(frozen=True)
class Loss:
    """What a network loses against the original, as fractions of accuracy."""

    as_they_are: float  # on the images as they are
    in_views: float  # mean over all views of each image
    sem: float  # standard error of `in_views`
    error: float  # the network's own, on the images as they are


def error_seen(evaluation: Evaluation) -> tuple[float, float | None]:
    """The top-1 error on the search images, by a second look where there was one, and its standard error if known."""
    error = evaluation.metrics[TOP1_ERROR]
    value, sem = evaluation.details.get(SEEN_AGAIN, (error.value, error.sem))
    return float(value), None if sem is None else float(sem)


def lost_by_integers(evaluation: Evaluation, images: int) -> float | None:
    """How much more the file errs than its network in float, at least, from so many search images.

    None where the network was not looked at in float.
    """
    if FLOAT_ERROR not in evaluation.details:
        return None
    more = evaluation.metrics[TOP1_ERROR].value - float(evaluation.details[FLOAT_ERROR])
    return more - NormalDist().inv_cdf(SURE) * math.sqrt(DISCORDANT / images)


def seen_again(evaluation: Evaluation, loss: Loss, *, in_codes: bool) -> dict[str, Any]:
    """What the second look adds to a finalist's details; what integers cost it stays as the file has it.

    A network that was trained `in_codes` is another one in float.
    """
    if in_codes:
        return {FLOAT_ERROR: loss.error}
    error = evaluation.metrics[TOP1_ERROR].value + loss.in_views - loss.as_they_are
    return {FLOAT_ERROR: loss.error, SEEN_AGAIN: [error, loss.sem]}


def seen_with(trained: Evaluation, file: Evaluation) -> dict[str, Any]:
    """What the second look at a trained network adds to the details of its file in other bits.

    The file differs from it by what it differs on the images as they are.
    """
    if SEEN_AGAIN not in trained.details:
        return {}
    error, sem = trained.details[SEEN_AGAIN]
    more = file.metrics[TOP1_ERROR].value - trained.metrics[TOP1_ERROR].value
    return {SEEN_AGAIN: [error + more, sem]}


class SecondLook:
    """The search images in all their views."""

    def __init__(
        self, original: nn.Module, images: Tensor, labels: Tensor, training: FineTuningOptions, seed: int
    ) -> None:
        """Take the original network, normalised images (n, channels, height, width), labels (n,), and the training.

        Where the training neither moves nor mirrors images, they are seen as they are alone.
        """
        drawn = VIEWS - 1 if training.shift or training.flip else 0
        self._views = [View(seed, training.shift, training.flip, number) for number in range(drawn)]
        self._original, self._images, self._labels = original, images, labels

    @cached_property
    def seconds(self) -> float:
        """Of the processor, that a look at the original takes; no finalist takes more."""
        clock = ProcessorClock()
        _ = self._right_by_original
        return clock()

    def loss(self, network: nn.Module) -> Loss:
        """What the network loses; it is in evaluation mode, as the original."""
        right = self._right(network)
        lost = self._right_by_original.astype(np.float64) - right
        of_images = lost.mean(axis=0)
        # Agreement on all images is no certainty: the error is at least that of no lost and no gained one.
        sem = max(float(of_images.std()) / len(of_images) ** 0.5, paired_sem(0, 0, len(of_images)))
        return Loss(float(lost[0].mean()), float(of_images.mean()), sem, 1 - float(right[0].mean()))

    @cached_property
    def _right_by_original(self) -> NDArray[np.bool_]:
        return self._right(self._original)

    def _right(self, network: nn.Module) -> NDArray[np.bool_]:
        """Which images the network gets right in each view, (views, images)."""
        rows = torch.split(torch.arange(len(self._images)), BATCH)
        found = []
        with torch.no_grad(), channels_last(network, self._images) as order:
            for view in (None, *self._views):
                shown = (self._images[part] if view is None else view.shown(self._images, part) for part in rows)
                answers = [network(batch.contiguous(memory_format=order)).argmax(1) for batch in shown]
                found.append(torch.cat(answers) == self._labels)
        return torch.stack(found).numpy()
