"""How much more a trained network errs than the original on the search images, seen in the ways of its training too.

Whether a network gets an image right often hangs on a pixel. The mean over some views of each image, moved and mirrored
as the training may do it, has less of that luck: for ResNet-56 without ten of its branches the standard error on 1,000
images was 0.73 points of the images as they are, 0.55 of two views and 0.49 of four.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moco.certification.confidence_bounds import paired_sem
from moco.models.augmentation import View
from moco.processor_clock import ProcessorClock
from moco.recovery.training_plan import FineTuningOptions

VIEWS = 3
"""Of each image: as it is, and so many less one that are drawn."""
BATCH = 100


@dataclass(frozen=True)
class Loss:
    """What a network loses against the original, as fractions of accuracy."""

    as_they_are: float  # on the images as they are
    in_views: float  # mean over all views of each image
    sem: float  # standard error of `in_views`
    error: float  # the network's own, on the images as they are


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
        with torch.no_grad():
            for view in (None, *self._views):
                shown = (self._images[part] if view is None else view.shown(self._images, part) for part in rows)
                found.append(torch.cat([network(batch).argmax(1) for batch in shown]) == self._labels)
        return torch.stack(found).numpy()
