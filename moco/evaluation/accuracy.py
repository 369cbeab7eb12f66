"""Accuracy of a file on its runtime: which images it gets right, and the paired standard error of its errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moco.certification.confidence_bounds import paired_sem
from moco.errors import MeasurementError
from moco.interfaces import Session
from moco.metrics import TOP1_ERROR, TOP5_ERROR
from moco.trial import MetricValue

BATCH = 100


@dataclass(frozen=True)
class Correct:
    """Which images have their label first, and among the first five."""

    top1: np.ndarray
    top5: np.ndarray

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, a fraction."""
        return float(self.top1.mean())


def logits_of(session: Session, images: np.ndarray) -> np.ndarray:
    """Logits (n, classes) in batches of at most 100 images; a MeasurementError where they are not finite."""
    logits = np.concatenate([session.run(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
    if not np.all(np.isfinite(logits)):
        raise MeasurementError("the network gives logits that are not finite numbers on the search split")
    return logits


def correct(logits: np.ndarray, labels: np.ndarray) -> Correct:
    """Which images are right; ties go to the class with the lower index, as argmax does."""
    ranked = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    hits = ranked == labels[:, None]
    return Correct(hits[:, 0], hits.any(axis=1))


def error_metrics(candidate: Correct, reference: Correct) -> dict[str, MetricValue]:
    """top1_error and top5_error with the standard error of their paired difference to the reference."""
    return {
        TOP1_ERROR: _paired_error(candidate.top1, reference.top1),
        TOP5_ERROR: _paired_error(candidate.top5, reference.top5),
    }


def _paired_error(candidate: np.ndarray, reference: np.ndarray) -> MetricValue:
    lost = int(np.sum(reference & ~candidate))
    gained = int(np.sum(candidate & ~reference))
    return MetricValue(float(1 - candidate.mean()), paired_sem(lost, gained, len(candidate)))
