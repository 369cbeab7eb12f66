"""What came of a search, in one sentence and in rows of a table: the same on the page, the console and the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from moco.metrics import COST, COUNTED_IN_VERDICT, ERRORS, IN_VERDICT, TOP1_ERROR, interval, percent
from moco.report.formatting import NOT_AVAILABLE, label, ordered, plotted, points, ratio, seconds, shown_ratio
from moco.report.run_summary import plain
from moco.run_folder.reading import numbers
from moco.run_folder.result import INFEASIBLE, BoundRecord, CertificateRecord, Result, Rival
from moco.run_folder.trial_record import Baseline, TrialRecord


class Status(StrEnum):
    """How a search ended."""

    CERTIFIED = "certified"
    NOT_CERTIFIED = "not certified"
    WITHIN = "within every bound"  # where no accuracy floor was asked, there is nothing to certify
    BEYOND = "not within every bound"
    DELIVERED = "delivered"
    INFEASIBLE = "infeasible, best effort"
    NOTHING = "no network"


TONES = {
    **dict.fromkeys((Status.CERTIFIED, Status.WITHIN), "good"),
    **dict.fromkeys((Status.NOT_CERTIFIED, Status.BEYOND), "warn"),
    **dict.fromkeys((Status.INFEASIBLE, Status.NOTHING), "bad"),
    Status.DELIVERED: "plain",
}
"""How good an ending is: the page and the console colour it by this."""


@dataclass(frozen=True)
class Verdict:
    """The outcome and the sentence that says it."""

    status: Status
    text: str


@dataclass(frozen=True)
class Claim:
    """One thing that fresh evidence says of the delivered network."""

    holds: bool
    text: str


def verdict(result: Result, network: str | None = None) -> Verdict:
    """What came of the search; the network has the result's own name unless one is given."""
    found = _outcome(result, network)
    more = [_stopped(result)] if result.stopped else []
    more += [beaten_by(result)] if any(rival.better for rival in result.rivals) else []
    return replace(found, text=" ".join([found.text, *more]))


def _stopped(result: Result) -> str:
    budget = "" if result.budget is None or result.budget.trials is None else f" of {result.budget.trials}"
    return f"The search was stopped after {result.trials - result.given}{budget} trials; --resume goes on with it."


def _outcome(result: Result, network: str | None) -> Verdict:
    if result.best is None:
        cause = "" if result.failure is None else f": {result.failure.rstrip('.')}"
        text = f"No network could be built, measured and scored in {result.trials} trials{cause}."
        return Verdict(Status.NOTHING, text)
    summary = _summary(result, network or result.network or "The chosen network")
    if not is_feasible(result):
        return Verdict(Status.INFEASIBLE, f"No feasible network in {result.trials} trials; best effort: {summary}.")
    if result.certificate is None:
        return Verdict(Status.NOT_CERTIFIED, f"{summary}; not certified on unseen images.")
    evidence = claims(result.certificate)
    return Verdict(_status(result.certificate, evidence), f"{'; '.join([summary, *(c.text for c in evidence)])}.")


def _status(certificate: CertificateRecord, evidence: Sequence[Claim]) -> Status:
    """Certified is what keeps an accuracy floor; a search without one keeps its bounds, or has promised nothing."""
    hold = all(claim.holds for claim in evidence)
    if certificate.floor is not None:
        return Status.CERTIFIED if hold and evidence else Status.NOT_CERTIFIED
    if not any(bound.holds is not None for bound in certificate.bounds):
        return Status.DELIVERED
    return Status.WITHIN if hold else Status.BEYOND


def beaten_by(result: Result) -> str:
    """The sentence on the baselines that do better than the delivered network, of which the first is the best."""
    better = sorted((rival for rival in result.rivals if rival.better), key=lambda rival: rival.metrics.get(COST, 0.0))
    first, *others = better
    costs = first.metrics.get(COST), chosen_metrics(result).get(COST)
    facts = [] if costs[0] is None else [f"{shown_ratio(costs[0])} the cost"]
    facts += [] if costs[1] is None else [f"not {shown_ratio(costs[1])}"]
    if first.unseen is not None and result.certificate is not None:
        measured, lower = (
            accuracy_text(n, result.certificate) for n in (first.unseen.estimate, first.unseen.lower_bound)
        )
        facts.append(f"top-1 measured {measured}, lower bound {lower}, on the same unseen images but not certified")
    if first.processor_s is not None:
        facts.append(f"{seconds(first.processor_s)} of processor time{_of_search(result, first)}")
    also = f"; so {'do' if len(others) > 1 else 'does'} {_names(others)}" if others else ""
    return f"Without a search, the baseline '{first.name}' does better: {', '.join(facts)}{also}."


def _of_search(result: Result, rival: Rival) -> str:
    """What the search took in comparison, and what the baseline's seconds leave out."""
    took = "" if result.processor_s is None else f" against the search's {seconds(result.processor_s)}"
    return took if rival.note is None else f"{took} ({rival.note})"


def _names(rivals: Sequence[Rival]) -> str:
    return " and ".join(f"'{rival.name}'" for rival in rivals)


def is_feasible(result: Result) -> bool:
    """Whether the chosen network meets the constraints: on the search split, or the floor by its certificate."""
    if result.best is None or result.exit == INFEASIBLE:
        return False
    if result.best.feasible is not None:  # also by unseen images, where on the search split none was
        return result.best.feasible
    return result.feasible != 0


def chosen_metrics(result: Result) -> dict[str, float]:
    """Metrics of the chosen network; the longer timing at the end replaces that of the search."""
    retimed = {name: entry.value for name, entry in result.retimed.items() if entry is not None}
    return {**numbers({} if result.best is None else result.best.metrics), **numbers(retimed)}


def _summary(result: Result, network: str) -> str:
    metrics, reference = chosen_metrics(result), numbers(result.reference)
    names = [name for name in IN_VERDICT if name in metrics] or [name for name in COUNTED_IN_VERDICT if name in metrics]
    facts = [f"{label(name)} {shown_ratio(ratio(metrics[name], reference.get(name)))}" for name in names]
    if TOP1_ERROR in metrics:
        accuracy = f"top-1 {plotted(TOP1_ERROR, metrics[TOP1_ERROR]):.1f} % on the search images"
        if TOP1_ERROR in reference:
            accuracy += f" (reference {plotted(TOP1_ERROR, reference[TOP1_ERROR]):.1f} %)"
        facts.append(accuracy)
    origin = "search" if result.best is None else result.best.origin
    network = (result.best and result.best.network) or network
    start = network + _came_about(origin, result)
    if COST in metrics:
        start += f" at {shown_ratio(metrics[COST])} the cost"
    return f"{start}: {', '.join(facts)}" if facts else start


def _came_about(origin: str, result: Result) -> str:
    """How the chosen network came about, where not by the searcher alone."""
    trained = next((one for one in result.finalists or () if result.best and one.trial == result.best.trial), None)
    if trained is not None:
        again = "" if trained.bits_of is None else ", then its weights in fewer bits"
        return f" (the network of trial {trained.of}, trained on for {trained.steps:,} steps{again})"
    if result.best is not None and result.best.network is not None:
        return f" (the sibling '{origin}', not of the search)"
    return "" if origin == "search" else f" (the start '{origin}')"


def claims(certificate: CertificateRecord) -> list[Claim]:
    """What the certificate says of the floor, of the bounds, and of the accuracy where no floor was asked."""
    bounds = [bound for bound in certificate.bounds if bound.holds is not None]
    found = [*_of_floor(certificate), *_of_bounds(bounds, holds=True), *_of_bounds(bounds, holds=False)]
    lower = certificate.lower_bound
    if certificate.floor is None and isinstance(lower, (int, float)):
        side = f"at most {points(lower).lstrip('-')} below" if lower < 0 else f"at least {points(lower)} above"
        found.append(Claim(True, f"top-1 {side} the reference{_evidence(certificate)}"))
    return found or [Claim(False, "not certified on unseen images")]


def _of_floor(certificate: CertificateRecord) -> list[Claim]:
    floor, lower, holds = certificate.floor, certificate.lower_bound, certificate.holds
    if isinstance(floor, (int, float)) and isinstance(lower, (int, float)):
        # `holds` may speak of the bounds too
        holds = lower >= floor
    if floor is None or holds is None:
        return []
    words = "holds" if holds else "does not hold"
    text = f"the floor of {accuracy_text(floor, certificate)} {words}{_evidence(certificate)}"
    numbers = {"measured": certificate.estimate, "lower bound": lower}
    told = [f"{name} {accuracy_text(value, certificate)}" for name, value in numbers.items() if value is not None]
    text += f" ({', '.join(told)})" if told else ""
    if holds and (missed := sum(not attempt.holds for attempt in certificate.attempts)):
        text += f"; {missed} other candidate{'' if missed == 1 else 's'} did not reach it"
    return [Claim(bool(holds), text)]


def _of_bounds(bounds: Sequence[BoundRecord], holds: bool) -> list[Claim]:
    names = list(dict.fromkeys(label(bound.metric) for bound in bounds if bound.holds is holds))
    if not names:
        return []
    one, many = ("holds", "hold") if holds else ("does not hold", "do not hold")
    words = f"bound on {names[0]} {one}" if len(names) == 1 else f"bounds on {' and '.join(names)} {many}"
    return [Claim(holds, f"the {words} on the delivered file")]


def accuracy_text(value: float | str | None, terms: CertificateRecord) -> str:
    """A number in the certificate's terms: points to the reference, or an accuracy where the floor is one."""
    return points(value) if terms.in_points or not isinstance(value, (int, float)) else percent(value)


def certificate_facts(certificate: CertificateRecord, images: str) -> dict[str, str]:
    """What the certificate says, by name; `images` tells how many it rests on."""
    confidence = certificate.confidence
    return {
        "Holds": plain(certificate.holds),
        "Floor": accuracy_text(certificate.floor, certificate),
        "Estimate": accuracy_text(certificate.estimate, certificate),
        "Lower bound": accuracy_text(certificate.lower_bound, certificate),
        "Confidence": NOT_AVAILABLE if confidence is None else f"{100 * confidence:g} %, one-sided",
        "Images": images,
        "Method": plain(certificate.method),
    }


def _evidence(certificate: CertificateRecord) -> str:
    images, confidence = certificate.images, certificate.confidence
    text = "" if images is None else f" on {images:,} unseen images"
    return text + ("" if confidence is None else f" at {100 * confidence:g} % confidence")


@dataclass(frozen=True)
class Row:
    """One network of the comparison."""

    name: str
    trial: int | None  # its number in the ledger; None where it is not one (the reference, when no trial evaluated it)
    feasible: bool | None  # None for the reference, which is not judged
    metrics: Mapping[str, float]  # in stored units
    ratios: Mapping[str, float | None] = field(default_factory=dict)  # value / reference by metric
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # 95 %, in stored units
    processor_s: float | None = None  # that making and measuring it took; None where that is not known


def compare(result: Result, trials: Sequence[TrialRecord] = ()) -> list[Row]:
    """The chosen network, the reference, the starts, then the other baselines; without a chosen network the rest."""
    reference, best, baselines = numbers(result.reference), result.best, _baselines(result)
    all_metrics = [entry.metrics for entry in ([] if best is None else [best]) + baselines]
    if any(COST in metrics for metrics in (*all_metrics, *(rival.metrics for rival in result.rivals))):
        reference.setdefault(COST, 1.0)
    by_number = {trial.number: trial for trial in trials}
    rows = [Row("reference", None, None, reference)]
    if best is not None:
        metrics = chosen_metrics(result)
        name = "chosen" if is_feasible(result) else "best effort"
        ratios = _ratios(metrics, reference)
        ends, spent_s = _chosen_intervals(result), result.processor_s
        rows.insert(0, Row(name, best.trial, is_feasible(result), metrics, ratios, ends, spent_s))
    for entry in baselines:
        metrics = numbers(entry.metrics)
        intervals = _trial_intervals(None if entry.trial is None else by_number.get(entry.trial), metrics)
        rows.append(Row(entry.name, entry.trial, entry.feasible, metrics, _ratios(metrics, reference), intervals))
    return rows + [_row(rival, reference) for rival in result.rivals]


def _row(rival: Rival, reference: Mapping[str, float]) -> Row:
    metrics = numbers(rival.metrics)
    ends = {name: (two[0], two[1]) for name, two in rival.intervals.items() if len(two) == 2}
    return Row(rival.name, None, rival.feasible, metrics, _ratios(metrics, reference), ends, rival.processor_s)


def compared_metrics(rows: Sequence[Row]) -> list[str]:
    """The metrics that any of the rows has, what matters most first."""
    return ordered(name for row in rows for name in row.metrics)


def _baselines(result: Result) -> list[Baseline]:
    return [entry for entry in result.baselines if entry.name != "reference"]


def _ratios(metrics: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float | None]:
    # the ratio of two accuracies or of a cost, which is a ratio already, says nothing
    compared = [name for name in metrics if name not in {*ERRORS, COST}]
    return {name: ratio(metrics[name], reference.get(name)) for name in compared}


def _chosen_intervals(result: Result) -> dict[str, tuple[float, float]]:
    known = [(name, ends) for name, ends in result.intervals.items() if ends is not None]
    intervals = {name: (low, high) for name, (low, high) in known if low is not None and high is not None}
    return intervals | {name: (entry.low, entry.high) for name, entry in result.retimed.items() if entry is not None}


def _trial_intervals(trial: TrialRecord | None, metrics: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    if trial is None:
        return {}
    sems = {name: sem for name, sem in trial.sems.items() if name in metrics and sem > 0}
    return {name: interval(name, metrics[name], sem) for name, sem in sems.items()}
