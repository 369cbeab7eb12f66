"""The floor of a first experiment: the usual one, or what so few test images can certify."""

from __future__ import annotations

from dataclasses import dataclass

from moco.certification.certificate import ATTEMPTS, CONFIDENCE, DISCORDANCE
from moco.certification.confidence_bounds import expected_margin
from moco.data.split_data import usual_search_images
from moco.first_experiment.images import FoundImages

FLOORS = (2, 3, 5, 10)
"""Points of accuracy below the uncompressed network; the first is what is usual."""


@dataclass(frozen=True)
class ChosenFloor:
    """The floor, and why it is not the usual one."""

    points: int  # below the uncompressed network
    guessed: tuple[str, ...] = ()


def floor_for(found: FoundImages) -> ChosenFloor:
    """The first of `FLOORS` that a network which loses nothing will likely be certified for, or the last."""
    if found.test is None:
        return ChosenFloor(FLOORS[0])
    there = found.test.images
    margin = expected_margin(max(there - usual_search_images(there), 1), DISCORDANCE, 1 - (1 - CONFIDENCE) / ATTEMPTS)
    points = next((points for points in FLOORS if margin <= points / 100), FLOORS[-1])
    few = f"a floor of -{points} pp: {there} test images can hardly certify one of -{FLOORS[0]} pp"
    return ChosenFloor(points, (few,) if points > FLOORS[0] else ())
