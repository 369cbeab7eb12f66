"""Correlations in words: the cells, the names of the metrics and the sentences that page and console share."""

from __future__ import annotations

import math
from collections.abc import Mapping

from moco.comparison.correlation.coefficients import Coefficient
from moco.comparison.correlation.matrices import ALL, FLOATS, INTEGERS, Correlations, Matrix
from moco.comparison.correlation.reversals import Reversal, Reversals, Side
from moco.metrics import COUNTED_IN_VERDICT, ERRORS, IN_VERDICT, METRICS
from moco.metrics import shown as shown_metric
from moco.report.formatting import NOT_AVAILABLE, label

TITLES = {ALL: "All networks", FLOATS: "Networks in floats only", INTEGERS: "Networks with layers in integers"}

MEASURED = next(name for name in IN_VERDICT if METRICS[name].timed)
"""What counted numbers are taken for where nothing is measured: the first timed metric of a verdict, latency."""
_NEARLY = 0.995  # from here on two decimals would say 1


def named(metric: str) -> str:
    """A metric as correlations mean it: an error is called so, because its sign is that of the error."""
    return f"{label(metric)} error" if metric in ERRORS else label(metric)


def cell(found: Coefficient | None) -> str:
    """A coefficient with two decimals and its sign; ±1.00 only where it is exact."""
    if found is None or found.value is None:
        return NOT_AVAILABLE
    return _end(found.value)


def with_interval(found: Coefficient) -> str:
    """A coefficient, its 95 % interval and the number of networks, or why there is none."""
    if found.value is None:
        return f"{NOT_AVAILABLE} ({found.reason})"
    if found.low is None or found.high is None:
        return f"{cell(found)} (n = {found.trials}; {found.reason})"
    return f"{cell(found)} [{_end(found.low)}, {_end(found.high)}] (n = {found.trials})"


def by_pair(matrix: Matrix) -> Mapping[tuple[str, str], tuple[Coefficient, Coefficient]]:
    """Pearson's and Spearman's coefficient by the two metrics, in either order."""
    found = {pair.metrics: (pair.pearson, pair.spearman) for pair in matrix.pairs}
    return found | {(b, a): coefficients for (a, b), coefficients in found.items()}


def lead(found: Correlations) -> str:
    """What was correlated, in a sentence or two."""
    networks = found.matrices[0].trials
    left = ", ".join(f"{count} {state}" for state, count in found.left_out.items())
    folders = len([run for run in found.runs if run.apart is None])
    runs = f"{folders} run{'' if folders == 1 else 's'}"
    return f"{networks} measured networks of {runs}: {found.network} on {found.target}. Left out: {left or 'no trial'}."


def set_apart(found: Correlations) -> list[str]:
    """A line for each run whose trials are not in the matrices."""
    return [f"{run.run} was set apart ({run.trials} trials): {run.apart}" for run in found.runs if run.apart]


def absences(matrix: Matrix) -> list[str]:
    """The reasons why metrics are n/a, a line a reason."""
    reasons: dict[str, list[str]] = {}
    for metric, why in matrix.absent.items():
        reasons.setdefault(why, []).append(named(metric))
    return [f"n/a: {', '.join(metrics)} ({why})" for why, metrics in reasons.items()]


def proxies(matrix: Matrix) -> list[str]:
    """How far counted numbers predict the measured one, a line each; none without a matrix."""
    pairs, turned = by_pair(matrix), {frozenset(one.metrics): one for one in matrix.reversals}
    lines = []
    for metric in COUNTED_IN_VERDICT:
        if (found := pairs.get((metric, MEASURED))) is None:
            continue
        linear, ranked = map(with_interval, found)
        line = f"{named(metric)} and {named(MEASURED)}: Pearson {linear}, Spearman {ranked}"
        reversed_ = turned.get(frozenset((metric, MEASURED)))
        lines.append(line + (f"; {counted(reversed_)}" if reversed_ is not None else ""))
    return lines


def counted(found: Reversals) -> str:
    """How often two metrics contradict each other."""
    if found.share is None:
        return "no two networks are told apart by both"
    return f"{found.count:,} of {found.pairs:,} pairs in contradiction ({100 * found.share:.1f} %)"


def among_costs(matrix: Matrix) -> list[Reversals]:
    """The reversals of two costs, the larger share first: that an error contradicts a cost is the trade-off itself."""
    costs = [one for one in matrix.reversals if not set(one.metrics) & set(ERRORS)]
    return sorted(costs, key=lambda one: -(one.share or 0.0))


def striking(matrix: Matrix, count: int = 3) -> list[Reversal]:
    """The clearest reversals among all pairs of costs, each of other networks."""
    found = [one for pair in among_costs(matrix) for one in pair.striking]
    clearest: dict[frozenset[tuple[str, int]], Reversal] = {}
    for one in sorted(found, key=lambda one: -one.strength):
        clearest.setdefault(frozenset((side.run, side.trial) for side in (one.first, one.second)), one)
    return list(clearest.values())[:count]


def told(found: Reversal) -> str:
    """A reversal in a sentence: both networks with both values and their intervals."""
    a, b = found.first.values
    place = f" of {found.first.run}" if found.first.run == found.second.run else ""
    first, second = (_name(side, not place) for side in (found.first, found.second))
    return (
        f"{first} beats {second}{place} by {named(a)}, {_value(found.first, a)} against {_value(found.second, a)}, "
        f"and loses by {named(b)}, {_value(found.first, b)} against {_value(found.second, b)}"
    )


def _name(side: Side, whole: bool) -> str:
    return f"trial {side.trial}" + (f" of {side.run}" if whole else "")


def _value(side: Side, metric: str) -> str:
    low, high = side.intervals[metric]
    text = shown_metric(metric, side.values[metric])
    if low == high:
        return text
    scale = METRICS[metric].scale
    return f"{text} [{low * scale:.4g}, {high * scale:.4g}]"


def _end(value: float) -> str:
    if abs(value) < _NEARLY or abs(value) == 1:
        return f"{value:+.2f}"
    return f"{math.copysign(min(abs(value), 0.9999), value):+.4f}"
