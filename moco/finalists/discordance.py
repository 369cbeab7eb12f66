"""On how many images a trained network and the original will differ in being right: what a relative floor is paid with.

Before anything was trained it is reckoned from the original's errors: networks are of two minds where these are, and
seldom elsewhere. What trained networks of the search have shown then counts for more. Certified networks had 3.2 to
4.4 % on ResNet-56 at a floor of -2 points, with few branches out 1.6 to 3.1 %; 4.2 and 4.9 % on MobileNetV2; and 0 to
0.8 % in the demo.
"""

from __future__ import annotations

from collections.abc import Sequence

from moco.certification.certificate import DISCORDANCE

OF_ERRORS = 0.55
"""Share of images in which they differ, of the share that the original gets wrong: 5.5 and 1 % in the cases above."""
AS_MANY = 1.0
"""Trained networks that what is reckoned counts as."""


def expected_discordance(reference_error: float, seen: Sequence[float] = ()) -> float:
    """The share of images that only one of network and original gets right, from those `seen` of trained networks."""
    reckoned = min(OF_ERRORS * reference_error, DISCORDANCE)
    return (AS_MANY * reckoned + sum(seen)) / (AS_MANY + len(seen))


def discordance_of(error: float, sem: float, reference_error: float, images: int) -> float:
    """The share in one network, from the standard error of its difference to the original on so many images."""
    return (images + 2) * sem**2 + (error - reference_error) ** 2
