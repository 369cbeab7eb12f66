"""What runs of benchmarks/by_hand.py came to, on all machines so far: kept in short, shown as a table.

A run stays in experiments/recorded/by_hand/ as JSON: of each network its cost, what it lost on unseen images, and the
seconds of the processor that it took.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.page import replaced

README = Path(__file__).parents[1] / "experiments" / "README.md"
KEPT = README.parent / "recorded" / "by_hand"
HEAD = (
    "| experiment | machine, day | seed | by | cost | on unseen images | at least, at 95 % | floor | processor s |",
    "|---|---|---|---|---|---|---|---|---|",
)
FAST = {"amx_int8": "AMX", "avx512_vnni": "VNNI", "avx512_bf16": "bfloat16"}
"""What of a processor's instruction sets int8 and training go by."""

Outcome = Mapping[str, Any]


def outcome_of(folder: Path) -> Outcome:
    """What is kept of a finished run. JSON; a ValueError where it had no floor, or no limit of processor seconds."""
    result, manifest = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("result", "manifest"))
    certificate, hardware, seconds = result["certificate"], manifest["hardware"], result["budget"]["processor_seconds"]
    if certificate["floor"] is None or seconds is None:
        raise ValueError(f"{folder}: expected a run with a floor and budget.processor_seconds; the table is of these")
    sets = [text for name, text in FAST.items() if name in hardware["instruction_sets"]]
    ours = {"by": "moco", "cost": result["retimed"]["cost"]["value"], "processor_s": result["processor_s"]}
    judged = {"measured": certificate["estimate"], "least": certificate["lower_bound"], "holds": certificate["holds"]}
    rivals = [
        {
            "by": rival["name"],
            "cost": rival["metrics"]["cost"],
            "processor_s": rival["processor_s"],
            "measured": (rival["unseen"] or {}).get("estimate"),
            "least": (rival["unseen"] or {}).get("lower_bound"),
            "holds": rival["holds"],
        }
        for rival in result.get("rivals", [])
    ]
    return {
        "experiment": result["experiment"],
        "floor_points": round(100 * certificate["floor"], 3),
        "seconds": seconds,
        "seed": result["seed"],
        "machine": f"{hardware['processor'].partition('(')[0].strip()} ({', '.join(sets) or 'AVX2 at most'})",
        "day": manifest["created"][:10],
        "settings": manifest["fingerprint"]["settings"][:6],
        "networks": [ours | judged, *rivals],
    }


def keep(outcome: Outcome) -> None:
    """Put it beside the others; a run that is kept already is not kept twice, one of another code is another run."""
    maker = outcome["machine"].partition(" ")[0].lower()
    floor, seconds = outcome["floor_points"], outcome["seconds"]
    text = json.dumps(outcome, indent=1) + "\n"
    run = f"{outcome['day']}_{maker}_seed{outcome['seed']}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    name = f"{outcome['experiment']}_{floor:g}_{seconds:g}s_{run}"
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.json").write_text(text, encoding="utf-8")


def write() -> None:
    """Put the table of all that is kept into experiments/README.md."""
    known = [json.loads(path.read_text(encoding="utf-8")) for path in KEPT.glob("*.json")]
    known.sort(key=lambda one: (titled(one), one["day"], one["seed"]))
    table = [*HEAD, *(row for outcome in known for row in rows_of(outcome)), "", *medians(known)]
    README.write_text(replaced(README.read_text(encoding="utf-8"), "by_hand", "\n".join(table)), encoding="utf-8")


def titled(outcome: Outcome) -> str:
    """Experiment, floor and budget in words."""
    return f"{outcome['experiment']}, floor {outcome['floor_points']:g}, {outcome['seconds']:g} s"


def rows_of(outcome: Outcome) -> list[str]:
    """A row for the search and for each of its baselines."""
    name = f"{titled(outcome)} | {outcome['machine']}, {outcome['day']} | {outcome['seed']}"
    return [row(name, network) for network in outcome["networks"]]


def row(name: str, network: Mapping[str, Any]) -> str:
    """One network of the table; accuracies are differences to the reference in points."""
    certified = ("certified", "not certified") if network["by"] == "moco" else ("would hold", "would not hold")
    told = [f"{100 * network[key]:+.2f}" if network[key] is not None else "n/a" for key in ("measured", "least")]
    spent = "n/a" if network["processor_s"] is None else f"{network['processor_s']:.0f}"
    floor = certified[0 if network["holds"] else 1]
    return f"| {name} | {network['by']} | {network['cost']:.3f} | {' | '.join(told)} | {floor} | {spent} |"


def medians(outcomes: Sequence[Outcome]) -> list[str]:
    """By experiment and machine, median and range of the cost, and how often it was certified."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for outcome in outcomes:
        by_name.setdefault(f"{titled(outcome)}, {outcome['machine']}", []).append(outcome["networks"][0])
    lines = []
    for name, networks in by_name.items():
        costs, held = [network["cost"] for network in networks], sum(bool(network["holds"]) for network in networks)
        spread = f"{statistics.median(costs):.3f} ({min(costs):.3f} to {max(costs):.3f})"
        lines.append(f"- {name}: median cost {spread}, certified in {held} of {len(networks)} runs.")
    return lines
