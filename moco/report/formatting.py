"""How the report names, prints and compares numbers: the same words on the page, the console and the card."""

from __future__ import annotations

from collections.abc import Iterable

from moco.metrics import COLUMNS, ERRORS, METRICS, Direction, decimal
from moco.metrics import shown as shown_metric

NOT_AVAILABLE = "n/a"

_MANY = 100.0  # from here on decimals are noise


def label(metric: str) -> str:
    """What a person calls the metric; errors are shown as accuracies and called so."""
    known = METRICS.get(metric)
    return (known.label if known is not None else "") or metric.replace("_", " ")


def unit(metric: str) -> str:
    """Unit of the printed number, "" without one."""
    return METRICS[metric].shown_as if metric in METRICS else ""


def larger_is_better(metric: str) -> bool:
    """Direction of the number as shown: accuracies and rates grow."""
    return metric in ERRORS or (metric in METRICS and METRICS[metric].direction is Direction.MAXIMIZE)


def plotted(metric: str, value: float) -> float:
    """The number on an axis: accuracy in percent for an error, otherwise in the metric's printed unit."""
    value = 1 - value if metric in ERRORS else value
    return value * (METRICS[metric].scale if metric in METRICS else 1.0)


def shown(metric: str, value: float | None) -> str:
    """`value` (in its stored unit) for people, with its unit; errors as accuracies, None as n/a."""
    if value is None:
        return NOT_AVAILABLE
    if metric in ERRORS:
        return shown_metric(metric, 1 - value)
    if abs(number := plotted(metric, value)) >= _MANY:
        return f"{number:,.0f} {unit(metric)}".rstrip()
    return shown_metric(metric, value)


def shown_interval(metric: str, low: float, high: float) -> str:
    """`[low, high]` without units, in the order of the numbers shown."""
    ends = sorted((plotted(metric, low), plotted(metric, high)))
    if metric not in ERRORS and abs(ends[1]) >= _MANY:
        return f"[{ends[0]:,.0f}, {ends[1]:,.0f}]"
    return f"[{', '.join(decimal(end, 2 if metric in ERRORS else 3) for end in ends)}]"


def points(difference: float | str | None) -> str:
    """A difference of accuracies (a fraction) in percentage points; text is taken as it is."""
    if difference is None:
        return NOT_AVAILABLE
    return difference if isinstance(difference, str) else f"{float(decimal(100 * difference, 2)):+g} pp"


def ratio(value: float | None, reference: float | None) -> float | None:
    """value / reference; None where one is missing or the reference is zero."""
    if value is None or reference is None or reference == 0:
        return None
    return value / reference


def shown_ratio(value: float | None) -> str:
    """A ratio as `0.47x`."""
    return NOT_AVAILABLE if value is None else f"{decimal(value, 2)}x"


def seconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return NOT_AVAILABLE
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    large, small = (f"{minutes} min", f"{rest} s") if minutes < 60 else (f"{minutes // 60} h", f"{minutes % 60} min")
    return large if small.startswith("0 ") else f"{large} {small}"


def after_trials(count: float) -> str:
    """How many trials something took: a count from 1, and no trial's number, which begins at 0 everywhere."""
    return f"after {count:g} trial{'' if count == 1 else 's'}"


def ordered(metrics: Iterable[str]) -> list[str]:
    """Metric names without repeats, what matters most first."""
    names = dict.fromkeys(metrics)
    return [name for name in COLUMNS if name in names] + [name for name in names if name not in COLUMNS]
