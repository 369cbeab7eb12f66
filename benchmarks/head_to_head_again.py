"""One strategy's runs of a head-to-head comparison made again after it was changed, kept beside the first ones.

A searcher that is changed after its results were seen is no longer one that had not seen the problem. So the page shows
both, and its tests and ranks stay those of the first runs. That the later runs are of the same problem is shown by
witnesses: strategies that ran again beside it and, having no chance in them, must have earned exactly the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.head_to_head_rewards import Compared

EQUAL = ("name", "objective", "network", "data", "problem", "trials", "seeds")
LATER = "later"
CHANGED = "{}, changed"
"""A changed strategy's row, beside the one of its first runs."""


def with_later(record: Mapping[str, Any], again: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The record with the strategy's runs of `again` beside its first ones, in place of later ones that it had.

    Raises:
        SystemExit: `again` is of another problem, holds no such strategy, or no witness earned the same.
    """
    where = f"{again['name']}: again '{label}'"
    if differs := [key for key in EQUAL if record[key] != again[key]]:
        raise SystemExit(f"{where}: expected the kept comparison's problem, got another {', '.join(differs)}")
    if label not in again["scores"] or label not in record["scores"]:
        raise SystemExit(f"{where}: expected a strategy of both, got {', '.join(again['scores'])}")
    witnesses = [one for one in again["scores"] if one != label and one in record["scores"]]
    if not witnesses or any(record["scores"][one] != again["scores"][one] for one in witnesses):
        told = ", ".join(witnesses) or "none"
        raise SystemExit(f"{where}: expected a strategy without chance beside it with the kept scores, got {told}")
    of = {"scores": again["scores"][label], "feasible": again["feasible"][label], "day": again["day"]}
    return {**record, LATER: {**record.get(LATER, {}), label: of}}


def changed(one: Compared) -> dict[str, list[float]]:
    """Best feasible scores of the later runs, by strategy, by seed; -inf where none met the bounds."""
    later = one.record.get(LATER, {})
    runs = {key: {label: of[key] for label, of in later.items()} for key in ("scores", "feasible")}
    return {label: list(best.values()) for label, best in Compared.of({**one.record, **runs}).best.items()}


def changes(known: Sequence[Compared], number: Callable[[float], str]) -> str:
    """The page's section on the later runs; empty where nothing ran again."""
    rows = []
    for one in known:
        for label, scores in changed(one).items():
            first, later = one.record["scores"][label], one.record[LATER][label]["scores"]
            same = sum(first[seed] == later[seed] for seed in first)
            medians = [number(float(np.median(values))) for values in (list(one.best[label].values()), scores)]
            rows.append(f"| {one.name} | {label} | {' | '.join(medians)} | {same} of {len(first)} |")
    if not rows:
        return ""
    text = (
        "## Changed after it was seen\n\nA strategy that is `changed` above had failed here, was mended for that "
        "reason, and ran again on the same problems, networks and seeds, beside one without chance, which earned the "
        "same as before. That says that the defect is mended; how the strategy does where nobody had looked it cannot "
        "say. So ranks and tests are of the first runs alone. Medians of the best feasible score, and how many runs "
        "are the same in every trial:\n"
    )
    return "\n".join([text, "| problem | strategy | first | later | the same |", "|---|---|---|---|---|", *rows, ""])
