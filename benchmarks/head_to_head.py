"""The five systems' problems, searched by agents, models, populations and baselines: kept in short, and a page of them.

`moco compare experiments/head_to_head/NAME.yaml --out runs/head_to_head/NAME` for each file there, then

`python -m benchmarks.head_to_head runs/head_to_head/*`

keeps what came of the comparisons in experiments/recorded/head_to_head/, and writes docs/head_to_head.md from all that
is kept; without a run it writes the page alone. Held equal are the problem, its network and splits, the number of
evaluations and the seeds; a policy is evaluated once for all strategies.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.head_to_head_page import page
from benchmarks.head_to_head_rewards import Compared

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "experiments" / "recorded" / "head_to_head"
PAGE = ROOT / "docs" / "head_to_head.md"
DIGITS = 6
"""Significant ones of a kept score."""


def kept(run: Path) -> dict[str, Any]:
    """What is kept of a comparison that is complete: each trial's score, by strategy and seed.

    Raises:
        SystemExit: it is not complete: with fewer runs of one strategy nothing would be equal.
    """
    found, manifest = (json.loads((run / f"{name}.json").read_text("utf-8")) for name in ("compare", "manifest"))
    if not found["complete"]:
        raise SystemExit(f"{run}: expected a complete comparison; run moco compare there again")
    trials = {
        label: {str(seed): _trials(run / "runs" / label / f"seed{seed}" / "trials.json") for seed in found["seeds"]}
        for label in found["searchers"]
    }
    return {
        "name": found["name"].removeprefix("head_to_head_"),
        "protocol": found["protocol"],
        "objective": manifest["config"]["objective"],
        "network": found["network"],
        "data": manifest["config"]["data"]["source"],
        "problem": found["problem"],
        "trials": found["budget"]["trials"],
        "seeds": found["seeds"],
        "searchers": {label: one["searcher"] for label, one in found["searchers"].items()},
        "scores": {label: {seed: scores for seed, (scores, _) in runs.items()} for label, runs in trials.items()},
        "feasible": {label: {seed: met for seed, (_, met) in runs.items()} for label, runs in trials.items()},
        "distinct": {
            label: [one["distinct"] for one in found["runs"] if one["searcher"] == label]
            for label in found["searchers"]
        },
        "day": manifest["created"][:10],
        "moco": manifest["versions"]["moco"],
    }


def _trials(path: Path) -> tuple[list[float | None], list[int]]:
    """Score of each trial in its order, None where there is none, and 1 where it met every bound."""
    told = sorted(json.loads(path.read_text("utf-8")), key=lambda one: one["number"])
    scores = [None if one["score"] is None else float(f"{one['score']:.{DIGITS}g}") for one in told]
    return scores, [int(bool(one["feasible"])) for one in told]


def main() -> None:
    """Keep the runs that are named, and write the page."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for run in map(Path, sys.argv[1:]):
        one = kept(run)
        (KEPT / f"{one['name']}.json").write_text(json.dumps(one) + "\n", encoding="utf-8")
    known = [Compared.of(json.loads(path.read_text("utf-8"))) for path in sorted(KEPT.glob("*.json"))]
    PAGE.write_text(page(known), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
