"""Where a candidate's time goes: median milliseconds of each stage over the distinct trials of a run folder.

`python benchmarks/overhead.py RUN [RUN ...]`

Overhead is all that is not scoring, timing, or the forward passes of recovery and calibration. `other` is what no
stage accounts for.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

STAGES = ("search", "compress", "recover", "calibrate", "export", "load", "score", "measure", "tracking", "record")
WORK = {"recover", "calibrate", "score", "measure"}


def main() -> None:
    """Print a table a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path)
    for run in parser.parse_args().runs:
        trials = json.loads((run / "trials.json").read_text(encoding="utf-8"))
        report(run, [trial for trial in trials if trial["evaluation"] and trial["distinct"]])


def report(run: Path, trials: list[dict[str, Any]]) -> None:
    """Print the medians of these trials."""
    print(f"{run}: {len(trials)} distinct trials")
    spent = [trial["evaluation"]["seconds"] for trial in trials]
    for stage in STAGES:
        show(stage, [seconds.get(stage, 0.0) for seconds in spent])
    others = [max(t["seconds"] - sum(s.values()), 0.0) for t, s in zip(trials, spent, strict=True)]
    show("other", others)
    overheads = [
        sum(value for stage, value in s.items() if stage not in WORK) + other
        for s, other in zip(spent, others, strict=True)
    ]
    show("overhead", overheads)
    totals = [trial["seconds"] for trial in trials]
    show("candidate", totals)
    print(f"  other is {100 * sum(others) / sum(totals):.1f} % of the total")


def show(name: str, seconds: list[float]) -> None:
    """Print median and range in milliseconds."""
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"  {name:10} {1000 * middle:8.1f} ms   ({1000 * low:.1f} to {1000 * high:.1f})")


if __name__ == "__main__":
    main()
