"""Confidence bounds on accuracies, absolute and paired: pure functions of counts (W01, W02).

All counts come from the same images scored by two networks: `lost` are those that only the reference gets right,
`gained` those that only the candidate gets right, and the difference in accuracy is (gained - lost) / images.

| quantity | method |
|---|---|
| bound on the difference | score interval of Tango 1998 (Statistics in Medicine 17:891-908), one tail |
| bound on an accuracy | Clopper and Pearson 1934, exact, one tail |
| standard error on the search split | Wald with half an image added to each cell, Agresti and Min 2005 |

Tango's interval is an approximation; docs/certificate.md has its exact coverage. Where no image is discordant its
bound, z^2 / (images + z^2) below zero, is too short; the exact bound of zero losses, 1 - alpha^(1/images) (about
3/images at 95 %), takes its place: no discordance is never read as no difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from moco.errors import ConfigError, DataError

Correct = NDArray[np.bool_]
"""Whether each image is classified correctly, (images,), in one order for all networks."""

TANGO = "Tango score bound for paired proportions"
EXACT = "exact (Clopper-Pearson) bound"


@dataclass(frozen=True)
class PairedBound:
    """Accuracy of a candidate minus that of the reference, as fractions."""

    difference: float
    lower: float  # its one-sided bound at the confidence asked
    lost: int  # images that only the reference gets right
    gained: int  # images that only the candidate gets right


def paired_lower_bound(reference_correct: ArrayLike, candidate_correct: ArrayLike, confidence: float) -> PairedBound:
    """The candidate's accuracy minus the reference's with its one-sided bound, from the same images in the same order.

    A DataError where the two do not have one entry for each of the same images, or there is none; a ConfigError where
    the confidence is not in [0.5, 1).
    """
    reference, candidate = correct_array(reference_correct), correct_array(candidate_correct)
    if reference.shape != candidate.shape:
        raise DataError(f"certificate: {len(reference)} images of the reference, {len(candidate)} of the candidate")
    return bound_of_counts(
        int((reference & ~candidate).sum()), int((candidate & ~reference).sum()), len(reference), confidence
    )


def bound_of_counts(lost: int, gained: int, images: int, confidence: float) -> PairedBound:
    """`paired_lower_bound` from the discordant counts, which are all that it depends on."""
    _check_counts(lost, gained, images)
    check_confidence(confidence)
    return PairedBound((gained - lost) / images, _lowest(lost, gained, images, confidence), lost, gained)


def score_statistic(lost: int, gained: int, images: int, difference: float) -> float:
    """Tango's z of the hypothesis that the true difference is `difference`; it falls as `difference` grows.

    With q the probability of losing an image, estimated under the hypothesis (the larger root of its quadratic
    likelihood equation) and q + difference that of gaining one:

        z = (gained - lost - images * difference) / sqrt(images * (2 q + difference - difference^2))
    """
    linear = (2 * images - gained + lost) * difference - (lost + gained)
    constant = -lost * difference * (1 - difference)
    root = math.sqrt(max(linear * linear - 8 * images * constant, 0.0))
    # Of the two equal forms of the root, the one that subtracts no like numbers.
    q = (root - linear) / (4 * images) if linear <= 0 else -2 * constant / (linear + root)
    variance = images * (2 * q + difference - difference * difference)
    excess = gained - lost - images * difference
    return excess / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, excess) if excess else 0.0


def absolute_lower_bound(correct: ArrayLike, confidence: float) -> float:
    """Exact one-sided lower bound of an accuracy (Clopper-Pearson): 0 where no image is right."""
    right = correct_array(correct)
    check_confidence(confidence)
    images, hits = len(right), int(right.sum())
    # The accuracy at which so many hits or more have the probability 1 - confidence, by the incomplete beta function.
    return float(betaincinv(hits, images - hits + 1, 1 - confidence)) if hits else 0.0


def paired_sem(lost: int, gained: int, images: int) -> float:
    """Standard error of the difference in accuracy, with half an image added to each of the four cells; never 0."""
    _check_counts(lost, gained, images)
    n, b, c = images + 2, lost + 0.5, gained + 0.5
    return math.sqrt(b + c - (b - c) ** 2 / n) / n


def required_images(margin: float, discordance: float, confidence: float = 0.95) -> int:
    """Images that put the paired bound `margin` below the estimate, where that share of images is discordant (W02).

    The margin is a fraction; 0.01 is 1 point. The discordance is the share of images that one network gets right and
    the other wrong; without a reference, for the bound on an accuracy p, p * (1 - p). The confidence is one-sided. A
    ConfigError where a number is out of range.
    """
    check_confidence(confidence)
    if not 0 < margin < 1 or not 0 < discordance <= 1:
        raise ConfigError(f"certificate: expected a margin and a discordance in (0, 1), got {margin} and {discordance}")
    return math.ceil((NormalDist().inv_cdf(confidence) / margin) ** 2 * discordance)


def expected_margin(images: int, discordance: float, confidence: float = 0.95) -> float:
    """How far the bound will lie below the estimate, as a fraction: the inverse of `required_images`."""
    check_confidence(confidence)
    return NormalDist().inv_cdf(confidence) * math.sqrt(discordance / images)


def flawless_bound(images: int, confidence: float) -> float:
    """Exact lower bound of a share that was 1 on every image: no certificate reaches higher."""
    check_confidence(confidence)
    return float((1 - confidence) ** (1 / images))


def correct_array(values: ArrayLike) -> Correct:
    """The values as an array of bool, (images,); a DataError where it has another type or shape, or no image."""
    correct = np.asarray(values)
    if correct.ndim != 1 or correct.dtype != np.bool_ or not len(correct):
        raise DataError(
            f"certificate: expected one True or False per image, got {correct.dtype} of shape {correct.shape}"
        )
    return correct


def check_confidence(confidence: float) -> None:
    """Pass a one-sided confidence; a ConfigError where it is not in [0.5, 1)."""
    if not 0.5 <= confidence < 1:
        raise ConfigError(f"certificate.confidence: expected a number in [0.5, 1), got {confidence}")


def _check_counts(lost: int, gained: int, images: int) -> None:
    if min(lost, gained) < 0 or images < 1 or lost + gained > images:
        raise DataError(f"certificate: {lost} images lost and {gained} gained do not fit {images} images")


def _lowest(lost: int, gained: int, images: int, confidence: float) -> float:
    if lost == 0 and gained == 0:
        return flawless_bound(images, confidence) - 1
    if lost == images:
        return -1.0
    # By bisection from the estimate, where the hypothesis stands, to -1, where it does not; the outer side is taken.
    z, inside, outside = NormalDist().inv_cdf(confidence), (gained - lost) / images, -1.0
    for _ in range(60):
        middle = (inside + outside) / 2
        if score_statistic(lost, gained, images, middle) <= z:
            inside = middle
        else:
            outside = middle
    return outside


def chance_warnings(right: np.ndarray, labels: np.ndarray) -> list[str]:
    """A warning where a network is not better, with 95 % confidence, than the most frequent label for every image."""
    chance = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    if chance == 1:
        return [f"all {len(labels)} search images are of one class: an accuracy on them says nothing"]
    if absolute_lower_bound(right, 0.95) > chance:
        return []
    text = (
        f"the reference gets only {right.mean():.1%} of the search images right, where naming their most frequent "
        f"class each time gets {chance:.1%}: are its weights loaded, and the images normalised as in its training?"
    )
    return [text]
