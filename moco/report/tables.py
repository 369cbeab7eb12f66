"""The tables of the report as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moco.metrics import COLUMNS, ERRORS, TOP1_ERROR
from moco.report.document import Html, element, join, row
from moco.report.formatting import NOT_AVAILABLE, label, ordered, seconds, shown, shown_interval, shown_ratio
from moco.report.policy_text import describe_groups
from moco.report.verdict import Row, accuracy_text, compared_metrics
from moco.run_folder.manifest import GroupRecord
from moco.run_folder.result import AttemptRecord, BoundRecord, CertificateRecord, FinalistRecord, Result
from moco.run_folder.trial_record import Delivered, TrialRecord

PROCESSOR_TIME = "processor time"


def table(head: Sequence[str], rows: Sequence[Html], caption: str, class_: str | None = None) -> Html:
    """A table in a box that scrolls by itself where the page is narrow."""
    cells = join(element("th", name, scope="col") for name in head)
    parts = element("thead", element("tr", cells)), element("tbody", join(rows))
    body = element("table", element("caption", caption), *parts)
    classes = f"scroll {class_ or ''}".strip()
    return element("div", body, class_=classes, tabindex="0", role="region", aria_label=caption)


def definitions(pairs: Mapping[str, str]) -> Html:
    """A list of names and values; absent values are shown as n/a."""
    return element("dl", join(element("div", element("dt", name), element("dd", text)) for name, text in pairs.items()))


def comparison_table(rows: Sequence[Row]) -> Html:
    """Networks down, metrics across: value, ratio to the reference and 95 % interval."""
    metrics = compared_metrics(rows)
    timed = any(found.processor_s is not None for found in rows)
    head = ["network", *map(label, metrics), "feasible", *([PROCESSOR_TIME] if timed else [])]
    cells = [_comparison_row(found, metrics, timed) for found in rows]
    return table(head, cells, "Chosen network, reference and baselines", "wide")


def rivals_table(result: Result) -> Html:
    """The baselines made without the search, on the evidence that the delivered network has."""
    rows = []
    for rival in result.rivals:
        unseen, terms = rival.unseen or AttemptRecord(), result.certificate or CertificateRecord()
        accuracies = (accuracy_text(value, terms) for value in (unseen.estimate, unseen.lower_bound))
        cells = [*accuracies, yes_no(rival.holds), yes_no(rival.better), seconds(rival.processor_s)]
        rows.append(row(rival.name, *cells, rival.note or ""))
    head = ["baseline", "measured", "lower bound", "holds", "better", PROCESSOR_TIME, "note"]
    return table(head, rows, "Baselines on the certification images")


def trials_table(trials: Sequence[TrialRecord], groups: Sequence[GroupRecord]) -> Html:
    """Every trial of the search with its metrics and its policy, or why it has none."""
    metrics = [name for name in ordered(name for t in trials for name in t.metrics) if name in COLUMNS]
    recovered = any(trial.before_recovery for trial in trials)
    before = ["top-1 before recovery"] if recovered else []
    head = ["trial", "origin", "state", *map(label, metrics), *before, "score", "time", "policy or reason"]
    return table(head, [_trial_row(t, metrics, groups, recovered) for t in trials], "All trials", "wide small")


def finalists_table(finalists: Sequence[FinalistRecord], trials: Sequence[TrialRecord], best: Delivered | None) -> Html:
    """Every finalist after every round: how long it was trained, and what it then gave."""
    by_number = {trial.number: trial for trial in trials}
    known = [by_number[one.trial] for one in finalists if one.trial in by_number]
    metrics = [name for name in ordered(name for trial in known for name in trial.metrics) if name in COLUMNS]
    head = ["round", "trial", "network of", "steps", "processor time", *map(label, metrics), "feasible"]
    rows = []
    for one in finalists:
        trial = by_number.get(one.trial)
        values = {} if trial is None else trial.metrics
        cells = [shown(name, values.get(name)) for name in metrics]
        chosen = "chosen" if best is not None and best.trial == one.trial else None
        network = f"trial {one.of}" if one.bits_of is None else f"trial {one.bits_of}, in fewer bits"
        spent = seconds(one.processor_s) if one.bits_of is None else "none"
        about = str(one.round + 1), str(one.trial), network, f"{one.steps:,}", spent
        rows.append(row(*about, *cells, yes_no(None if trial is None else trial.feasible), class_=chosen))
    return table(head, rows, "Finalists, round by round", "wide")


def attempts_table(certificate: CertificateRecord) -> Html:
    """The networks that were put to the certification split, in order."""
    rows = [
        row(
            str(place),
            _attempted(attempt),
            *(accuracy_text(value, certificate) for value in (attempt.estimate, attempt.lower_bound)),
            yes_no(attempt.holds),
        )
        for place, attempt in enumerate(certificate.attempts, start=1)
    ]
    return table(["attempt", "network", "estimate", "lower bound", "holds"], rows, "Attempts at the certificate")


def bounds_table(bounds: Sequence[BoundRecord]) -> Html:
    """Each bounded metric: what was asked, the estimate and its pessimistic end."""
    rows = []
    for one in bounds:
        cells = [_bound(one.metric, value) for value in (one.bound, one.estimate, one.upper)]
        rows.append(row(label(one.metric), *cells, yes_no(one.holds)))
    return table(["metric", "bound", "estimate", "pessimistic end", "holds"], rows, "Bounds on the delivered file")


def classes_table(result: Result) -> Html:
    """Accuracy of each class before and after, the one that lost most first."""
    names = (result.description or {}).get("classes") or ()
    rows = [
        row(
            str(names[one.label]) if one.label < len(names) else str(one.label),
            f"{one.images:,}",
            *(f"{100 * share:.1f} %" for share in (one.reference, one.network)),
            f"{100 * (one.network - one.reference):+.1f} pp",
        )
        for one in sorted(result.per_class, key=lambda one: one.network - one.reference)
    ]
    return table(["class", "images", "reference", "network", "difference"], rows, "Accuracy by class", "small")


def yes_no(value: bool | None) -> str:
    """yes, no or n/a."""
    return NOT_AVAILABLE if value is None else "yes" if value else "no"


def _attempted(attempt: AttemptRecord) -> str:
    if attempt.trial is not None:
        return f"trial {attempt.trial}"
    return NOT_AVAILABLE if attempt.candidate is None else str(attempt.candidate)


def _comparison_row(found: Row, metrics: Sequence[str], timed: bool) -> Html:
    trial = Html("") if found.trial is None else element("small", f"trial {found.trial}")
    cells = [_comparison_cell(found, name) for name in metrics]
    first = join([element("span", found.name), trial])
    class_ = "chosen" if found.name in {"chosen", "best effort"} else None
    last = [NOT_AVAILABLE if found.processor_s is None else seconds(found.processor_s)] if timed else []
    return row(first, *cells, yes_no(found.feasible), *last, class_=class_)


def _comparison_cell(found: Row, name: str) -> Html:
    parts = [element("span", shown(name, found.metrics.get(name)))]
    relative = found.ratios.get(name)
    if relative is not None and name not in ERRORS:
        parts.append(element("b", shown_ratio(relative)))
    if name in found.intervals and name in found.metrics:
        parts.append(element("small", shown_interval(name, *found.intervals[name])))
    return join(parts)


def _trial_row(trial: TrialRecord, metrics: Sequence[str], groups: Sequence[GroupRecord], recovered: bool) -> Html:
    state = trial.state if trial.state != "complete" else "feasible" if trial.feasible else "infeasible"
    state += "" if trial.distinct else ", seen before"
    words = trial.reason or "; ".join(describe_groups(trial.policy, groups)) or NOT_AVAILABLE
    return row(
        str(trial.number),
        trial.origin,
        state,
        *(shown(name, trial.metrics.get(name)) for name in metrics),
        *([shown(TOP1_ERROR, trial.before_recovery.get(TOP1_ERROR))] if recovered else []),
        NOT_AVAILABLE if trial.score is None else f"{trial.score:.4g}",
        seconds(trial.seconds),
        words,
        class_="feasible" if trial.feasible else None,
    )


def _bound(name: str, value: float | str | None) -> str:
    return value if isinstance(value, str) else shown(name, value)
