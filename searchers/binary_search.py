"""Binary search on a threshold: every layer is compressed as far as it loses no more than the threshold alone.

As FastNAS of NVIDIA's Model Optimizer does it (modelopt/torch/prune/fastnas.py): a sensitivity map first, then the
thresholds. Each threshold stands for one policy, and the policies of all thresholds are a line from light to heavy, on
which the place is sought where the bounds are met. Losses of single layers are taken to order layers, not to add up.

Departures from FastNAS:
1. The single steps that measure the map are asks of their own and count in the budget, unless the space's features
   carry a sensitivity analysis of every parameter.
2. Each policy on the line that is looked at is evaluated, but for those that miss a bound on an exact cost; when the
   place is found, the widest gaps of the line follow, which gives a front (`moco.searchers.steps.steps_then_line`).
3. Curves are read between the measured levels (`moco.searchers.steps.measured_curves`).
4. Any number of bounds, also on what must be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moco.searchers.steps.measured_curves import Alternative
from moco.searchers.steps.steps_then_line import Line, StepsThenLine
from moco.trial import Point


def below(threshold: float, ways: Sequence[Alternative]) -> Alternative | None:
    """Of the alternatives that lose no more than the threshold, the one that saves most; of equals the better one."""
    allowed = [way for way in ways if way.loss <= threshold and way.saving > 0]
    return max(allowed, key=lambda way: (way.saving, -way.loss), default=None)


def all_thresholds(base: Point, alternatives: Mapping[str, Sequence[Alternative]]) -> Line:
    """The points of all thresholds, from light to heavy, each once."""
    points = [dict(base)]
    for threshold in sorted({way.loss for ways in alternatives.values() for way in ways}):
        chosen = [below(threshold, ways) for ways in alternatives.values()]
        point = dict(base)
        for way in chosen:
            point |= {} if way is None else way.changes
        if point != points[-1]:
            points.append(point)
    return Line(len(points), points.__getitem__)


class BinarySearchSearcher(StepsThenLine):
    """Single steps, then the thresholds."""

    make_line = staticmethod(all_thresholds)
