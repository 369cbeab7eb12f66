"""One strategy's runs of a head-to-head comparison made again, with those before kept beside them.

A searcher that is changed after its results were seen is no longer one that had not seen the problem: the page tells
of both. That the runs are of the same problem is shown by witnesses: strategies that ran again beside it and, having no
chance in them, must have earned exactly the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.head_to_head_rewards import Compared

EQUAL = ("name", "objective", "network", "data", "problem", "trials", "seeds")
OF_STRATEGY = ("scores", "feasible", "distinct")
RENEWED = "renewed"


def renewed(record: Mapping[str, Any], again: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The record with the strategy's runs of `again` in place of its own; the first ones are kept.

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
    first = {key: record[key][label] for key in ("scores", "feasible")}
    before = {label: {**first, "day": record["day"]}, **record.get(RENEWED, {})}  # what was first stays
    of = {key: {**record[key], label: again[key][label]} for key in OF_STRATEGY}
    return {**record, **of, RENEWED: before}


def changes(known: Sequence[Compared], number: Callable[[float], str]) -> str:
    """The page's section: best feasible scores before and after, by problem; empty where nothing ran again."""
    rows = []
    for one in known:
        for label, before in one.record.get(RENEWED, {}).items():
            first = Compared.of({**one.record, **{key: {label: before[key]} for key in ("scores", "feasible")}})
            cells = [_told(list(of[label].values()), number) for of in (first.best, one.best)]
            rows.append(f"| {one.name} | {label} | {' | '.join(cells)} |")
    if not rows:
        return ""
    text = (
        "## Changed after it was seen\n\nThese strategies were changed after their results had been seen here, and ran "
        "again on the same problems and seeds; the others are as they were. The tables above hold the later runs. So "
        "they say that a defect is mended, not how the strategy does on problems that it was not mended on. "
        "Median [least, greatest] of the best feasible scores:\n"
    )
    return "\n".join([text, "| problem | strategy | before | now |", "|---|---|---|---|", *rows, ""])


def _told(values: Sequence[float], number: Callable[[float], str]) -> str:
    return f"{number(float(np.median(values)))} [{number(min(values))}, {number(max(values))}]"
