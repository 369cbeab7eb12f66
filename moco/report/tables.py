"""The tables of the report as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moco.report.against_reference import Row, compared_metrics
from moco.report.formatting import (
    NOT_AVAILABLE,
    is_accuracy,
    label,
    ordered,
    seconds,
    shown,
    shown_interval,
    shown_ratio,
)
from moco.report.markup import Html, element, join
from moco.report.policy_text import describe_groups
from moco.report.verdict import accuracy_text
from moco.run_folder.reading import TrialRecord


def table(head: Sequence[str], rows: Sequence[Html], caption: str, class_: str | None = None) -> Html:
    """A table in a box that scrolls by itself where the page is narrow."""
    cells = join(element("th", name, scope="col") for name in head)
    body = element(
        "table", element("caption", caption), element("thead", element("tr", cells)), element("tbody", join(rows))
    )
    return element(
        "div", body, class_=f"scroll {class_ or ''}".strip(), tabindex="0", role="region", aria_label=caption
    )


def definitions(pairs: Mapping[str, str]) -> Html:
    """A list of names and values; absent values are shown as n/a."""
    return element("dl", join(element("div", element("dt", name), element("dd", text)) for name, text in pairs.items()))


def comparison_table(rows: Sequence[Row]) -> Html:
    """Networks down, metrics across: value, ratio to the reference and 95 % interval."""
    metrics = compared_metrics(rows)
    head = ["network", *(label(name) for name in metrics), "feasible"]
    return table(
        head, [_comparison_row(row, metrics) for row in rows], "Chosen network, reference and baselines", "wide"
    )


def trials_table(trials: Sequence[TrialRecord], groups: Sequence[Mapping[str, Any]]) -> Html:
    """Every trial of the search with its metrics and its policy, or why it has none."""
    metrics = [name for name in ordered(name for t in trials for name in t.metrics) if name in _IN_TRIALS]
    head = ["trial", "origin", "state", *(label(name) for name in metrics), "score", "time", "policy or reason"]
    return table(head, [_trial_row(trial, metrics, groups) for trial in trials], "All trials", "wide small")


def attempts_table(certificate: Mapping[str, Any]) -> Html:
    """The networks that were put to the certification split, in order."""
    terms = {key: certificate.get(key) for key in ("floor", "relative")}
    rows = [
        _row(
            str(place + 1),
            f"trial {entry['trial']}" if "trial" in entry else str(entry.get("candidate", NOT_AVAILABLE)),
            *(accuracy_text({**terms, **entry}, key) for key in _ATTEMPT),
            yes_no(entry.get("holds")),
        )
        for place, entry in enumerate(certificate.get("attempts") or [])
    ]
    return table(["attempt", "network", "estimate", "lower bound", "holds"], rows, "Attempts at the certificate")


def bounds_table(bounds: Sequence[Mapping[str, Any]]) -> Html:
    """Each bounded metric: what was asked, the estimate and its pessimistic end."""
    rows = []
    for entry in bounds:
        name = str(entry["metric"])
        cells = [_bound(name, entry.get(key)) for key in ("bound", "estimate", "upper")]
        rows.append(_row(label(name), *cells, yes_no(entry.get("holds"))))
    return table(["metric", "bound", "estimate", "pessimistic end", "holds"], rows, "Bounds on the delivered file")


_ATTEMPT = ("estimate", "lower_bound")


def yes_no(value: bool | None) -> str:
    """yes, no or n/a."""
    return NOT_AVAILABLE if value is None else "yes" if value else "no"


_IN_TRIALS = frozenset({"top1_error", "cost", "latency_ms", "throughput_ips", "size_mb", "energy_j", "power_w"})


def _row(first: str, *others: str, class_: str | None = None) -> Html:
    cells = join(element("td", text) for text in others)
    return element("tr", element("th", first, scope="row"), cells, class_=class_)


def _comparison_row(row: Row, metrics: Sequence[str]) -> Html:
    trial = Html("") if row.trial is None else element("small", f"trial {row.trial}")
    cells = [_comparison_cell(row, name) for name in metrics]
    first = join([element("span", row.name), trial])
    return _row(first, *cells, yes_no(row.feasible), class_="chosen" if row.name in {"chosen", "best effort"} else None)


def _comparison_cell(row: Row, name: str) -> Html:
    parts = [element("span", shown(name, row.metrics.get(name)))]
    relative = row.ratios.get(name)
    if relative is not None and not is_accuracy(name):
        parts.append(element("b", shown_ratio(relative)))
    if name in row.intervals and name in row.metrics:
        parts.append(element("small", shown_interval(name, *row.intervals[name])))
    return join(parts)


def _trial_row(trial: TrialRecord, metrics: Sequence[str], groups: Sequence[Mapping[str, Any]]) -> Html:
    state = trial.state if trial.state != "complete" else "feasible" if trial.feasible else "infeasible"
    state += "" if trial.distinct else ", seen before"
    words = trial.reason or "; ".join(describe_groups(trial.policy, groups)) or NOT_AVAILABLE
    return _row(
        str(trial.number),
        trial.origin,
        state,
        *(shown(name, trial.metrics.get(name)) for name in metrics),
        NOT_AVAILABLE if trial.score is None else f"{trial.score:.4g}",
        seconds(trial.seconds),
        words,
        class_="feasible" if trial.feasible else None,
    )


def _bound(name: str, value: float | str | None) -> str:
    return value if isinstance(value, str) else shown(name, value)
