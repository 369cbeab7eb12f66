"""The search images once more, in the views of a finalist's training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from moco.certification.confidence_bounds import paired_sem
from moco.finalists.plan import FinalistTraining
from moco.finalists.second_look import (
    FLOAT_ERROR,
    SEEN_AGAIN,
    VIEWS,
    SecondLook,
    error_seen,
    lost_by_integers,
    seen_with,
)
from moco.models.augmentation import View
from moco.trial import Evaluation, MetricValue


def network(seed: int) -> nn.Module:
    """A small one that is not the same for a mirrored image."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)).eval()


ORIGINAL, OTHER = network(0), network(1)
IMAGES = torch.randn(250, 1, 8, 8, generator=torch.Generator().manual_seed(2))
LABELS = ORIGINAL(IMAGES).argmax(1)


def look(**training: object) -> SecondLook:
    return SecondLook(ORIGINAL, IMAGES, LABELS, FinalistTraining(**training), seed=3)


def test_the_original_loses_nothing() -> None:
    found = look(flip=True, shift=1).loss(ORIGINAL)
    assert (found.as_they_are, found.in_views, found.sem, found.error) == (0, 0, paired_sem(0, 0, 250), 0)


def test_where_the_training_moves_nothing_images_are_seen_as_they_are() -> None:
    found = look().loss(OTHER)
    wrong = int((OTHER(IMAGES).argmax(1) != LABELS).sum())
    assert found.as_they_are == found.in_views == found.error == pytest.approx(wrong / 250)
    assert found.sem == pytest.approx(paired_sem(wrong, 0, 250), rel=0.05)


def test_each_image_counts_by_the_mean_of_its_views() -> None:
    found = look(flip=True, shift=1).loss(OTHER)
    views = [IMAGES] + [View(3, 1, True, n).shown(IMAGES, torch.arange(250)) for n in range(VIEWS - 1)]
    right = [np.stack([(each(seen).argmax(1) == LABELS).numpy() for seen in views]) for each in (ORIGINAL, OTHER)]
    lost = (right[0].astype(float) - right[1]).mean(axis=0)
    assert found.in_views == pytest.approx(lost.mean())
    assert found.sem == pytest.approx(lost.std() / 250**0.5)
    assert found.as_they_are == look().loss(OTHER).as_they_are != found.in_views


def test_a_file_in_other_bits_is_seen_by_what_it_differs_on_the_images_as_they_are() -> None:
    trained = Evaluation({"top1_error": MetricValue(0.053, 0.005)}, details={SEEN_AGAIN: [0.05, 0.003]})
    file = Evaluation({"top1_error": MetricValue(0.054, 0.005)})
    details = seen_with(trained, file)
    assert error_seen(replace(file, details=details)) == (pytest.approx(0.051), 0.003)
    assert seen_with(file, trained) == {}
    assert error_seen(file) == (0.054, 0.005)
    assert error_seen(Evaluation({"top1_error": MetricValue(0.054)})) == (0.054, None)


@pytest.mark.parametrize(
    ("more", "images", "is_sure"), [(0.003, 1000, False), (0.006, 1000, True), (0.003, 10_000, True)]
)
def test_integers_are_said_to_lose_what_is_not_chance(more: float, images: int, is_sure: bool) -> None:
    file = Evaluation({"top1_error": MetricValue(0.09 + more, 0.005)}, details={FLOAT_ERROR: 0.09})
    lost = lost_by_integers(file, images)
    assert lost is not None
    assert (0 < lost < more) == is_sure
    assert lost_by_integers(Evaluation(file.metrics), images) is None
