"""What came of a search, in one sentence: the same on the page, the console and the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from moco.report.values import label, numbers, plotted, points, ratio, shown_ratio

_RATIOS = ("latency_ms", "throughput_ips", "size_mb", "energy_j")
_UNTIMED_RATIOS = ("parameters", "macs", "bops")


class Status(StrEnum):
    """How a search ended."""

    CERTIFIED = "certified"
    NOT_CERTIFIED = "not certified"
    INFEASIBLE = "infeasible, best effort"
    NOTHING = "no network"


@dataclass(frozen=True)
class Verdict:
    """The outcome and the sentence that says it."""

    status: Status
    text: str


def verdict(result: Mapping[str, Any], network: str | None = None) -> Verdict:
    """What came of the search.

    Args:
        result: content of RUN/result.json.
        network: how to call the network; None takes the result's own name for it.
    """
    best = result.get("best")
    trials = result["trials"]
    if best is None:
        return Verdict(Status.NOTHING, f"No network could be built and measured in {trials} trials.")
    summary = _summary(result, network or result.get("network") or "The chosen network")
    if not is_feasible(result):
        return Verdict(Status.INFEASIBLE, f"No feasible network in {trials} trials; best effort: {summary}.")
    certificate = result.get("certificate") or {}
    if certificate.get("holds") is None:
        return Verdict(Status.NOT_CERTIFIED, f"{summary}; not certified on unseen images.")
    status = Status.CERTIFIED if certificate["holds"] else Status.NOT_CERTIFIED
    return Verdict(status, f"{summary}; {_certified(certificate)}.")


def is_feasible(result: Mapping[str, Any]) -> bool:
    """Whether the chosen network meets the constraints on the search split."""
    best = result.get("best")
    if best is None or result.get("exit") == "infeasible":
        return False
    return best.get("feasible") is not False and result.get("feasible") != 0


def chosen_metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of the chosen network; the longer timing at the end replaces that of the search."""
    best = result.get("best") or {}
    retimed = {name: entry["value"] for name, entry in (result.get("retimed") or {}).items() if entry}
    return {**numbers(best.get("metrics")), **numbers(retimed)}


def _summary(result: Mapping[str, Any], network: str) -> str:
    metrics, reference = chosen_metrics(result), numbers(result["reference"])
    names = [name for name in _RATIOS if name in metrics] or [name for name in _UNTIMED_RATIOS if name in metrics]
    facts = [f"{label(name)} {shown_ratio(ratio(metrics[name], reference.get(name)))}" for name in names]
    if "top1_error" in metrics:
        accuracy = f"top-1 {plotted('top1_error', metrics['top1_error']):.1f} %"
        if "top1_error" in reference:
            accuracy += f" (reference {plotted('top1_error', reference['top1_error']):.1f} %)"
        facts.append(accuracy)
    start = f"{network} at {metrics['cost']:.2f}x the cost" if "cost" in metrics else network
    return f"{start}: {', '.join(facts)}" if facts else start


def _certified(certificate: Mapping[str, Any]) -> str:
    holds = certificate["holds"]
    floor, bounds = certificate.get("floor"), certificate.get("bounds") or []
    if floor is not None:
        claim = f"the floor of {points(floor)} {'holds' if holds else 'does not hold'}"
    elif bounds:
        metrics = " and ".join(dict.fromkeys(label(str(bound["metric"])) for bound in bounds))
        claim = f"the bounds on {metrics} {'hold' if holds else 'do not hold'}"
    else:
        claim = f"the certificate {'holds' if holds else 'does not hold'}"
    return claim + _evidence(certificate)


def _evidence(certificate: Mapping[str, Any]) -> str:
    images, confidence = certificate.get("images"), certificate.get("confidence")
    text = "" if images is None else f" on {images:,} unseen images"
    text += "" if confidence is None else f" at {100 * confidence:g} % confidence"
    if not certificate["holds"] and isinstance(certificate.get("lower_bound"), (int, float)):
        text += f" (lower bound {points(certificate['lower_bound'])})"
    return text
