"""Run folders with trials made by hand, as a search writes them, for correlations."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "data" / "run"
FLOPS = (100.0, 200.0, 300.0, 400.0, 500.0)
LATENCY = ((2.0, 0.1), (1.0, 0.1), (4.0, 0.1), (3.9, 0.1), (5.0, 0.1))  # the third and fourth are not told apart


def entry(
    number: int,
    metrics: Mapping[str, Any],
    precision: str = "float32",
    state: str = "complete",
    sha256: str | None = None,
) -> Any:
    """A trial as trials.json has it; a number stands for a value without a standard error."""
    pairs = {name: list(value) if isinstance(value, tuple) else [value, None] for name, value in metrics.items()}
    found: dict[str, Any] = {"number": number, "state": state, "point": {}}
    if state == "complete":
        found["policy"] = {"a": {"precision": precision, "n": number}}
        found["evaluation"] = {"metrics": pairs, "samples": {}, "seconds": {}, "artifact_sha256": sha256, "details": {}}
    return found


def five(precision: str = "float32") -> list[Any]:
    """Five networks: FLOPs in order, latencies not; sizes all the same."""
    rows = enumerate(zip(FLOPS, LATENCY, strict=True))
    return [entry(n, {"flops": flops, "latency_ms": ms, "size_mb": 0.1}, precision) for n, (flops, ms) in rows]


def run(folder: Path, trials: Sequence[Any], *, network: str = "net", threads: int = 1) -> Path:
    """A finished search's folder of these trials."""
    folder.mkdir(parents=True)
    for name in ("result.json", "experiment.yaml"):
        shutil.copy(GOLDEN / name, folder / name)
    manifest = json.loads((GOLDEN / "manifest.json").read_text(encoding="utf-8"))
    manifest["network"]["name"] = network
    manifest["hardware"]["threads"] = threads
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "trials.json").write_text(json.dumps(list(trials)), encoding="utf-8")
    return folder


def comparison(folder: Path, trials: Mapping[str, Sequence[Any]]) -> Path:
    """A comparison's folder; trials by searcher, of one seed."""
    folder.mkdir(parents=True)
    shutil.copy(GOLDEN / "manifest.json", folder / "manifest.json")
    (folder / "compare.json").write_text(json.dumps(COMPARISON), encoding="utf-8")
    for name, entries in trials.items():
        inner = folder / "runs" / name / "seed0"
        inner.mkdir(parents=True)
        (inner / "trials.json").write_text(json.dumps(list(entries)), encoding="utf-8")
    return folder


COMPARISON: dict[str, Any] = {
    "format": 1,
    "name": "c",
    "complete": True,
    "problem": {"parameters": 1, "objectives": {"latency_ms": "minimize"}},
    "budget": {},
    "seeds": [0],
    "searchers": {},
    "equal": {},
    "alpha": 0.05,
    "primary": "score",
    "seeds_needed": 6,
    "runs": [],
    "summary": {},
    "tests": {},
    "warnings": [],
}
