"""One experiment over several seeds: the retimed cost, the certificate, and how often the floor holds.

`python benchmarks/seeds.py experiments/resnet56_cifar10_accuracy_guaranteed.yaml --seeds 5 --out runs/seeds`

Each seed has splits, timings and a search of its own, and an evaluation store of its own: nothing is shared. A seed
that is finished already is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Run what is missing, then print a row a seed and the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    results = []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        folder = arguments.out / f"seed{seed}" / arguments.experiment.stem
        if not (folder / "result.json").exists():
            changes = [f"seed={seed}", *arguments.set]
            run(arguments.experiment, folder, changes)
        results.append(json.loads((folder / "result.json").read_text(encoding="utf-8")))
        print(row(seed, results[-1]), flush=True)
    costs = [retimed_cost(result) for result in results]
    holds = sum(bool(result["certificate"]["holds"]) for result in results)
    print(f"cost: median {statistics.median(costs):.3f}, {min(costs):.3f} to {max(costs):.3f}")
    print(f"the floor holds in {holds} of {len(results)} seeds")


def run(experiment: Path, folder: Path, changes: list[str]) -> None:
    """One search in a process of its own; what it prints goes to a file beside its folder."""
    settings = [word for change in changes for word in ("--set", change)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "moco.app.cli", "search", str(experiment), "--out", str(folder), *settings]
    alone = {**os.environ, "MOCO_HOME": str(folder.parent)}  # an evaluation store of its own
    with (folder.parent / "log.txt").open("w", encoding="utf-8") as log:
        subprocess.run(command, env=alone, stdout=log, stderr=subprocess.STDOUT, check=False)


def row(seed: int, result: dict[str, Any]) -> str:
    """The outcome of one seed in a line."""
    certificate, reference = result["certificate"], result["reference"]
    retimed = result["retimed"]
    ratios = (
        retimed["latency_ms"]["value"] / reference["latency_ms"],
        reference["throughput_ips"] / retimed["throughput_ips"]["value"],
        result["best"]["metrics"]["size_mb"] / reference["size_mb"],
    )
    parts = "  ".join(f"{ratio:.3f}" for ratio in ratios)
    return (
        f"seed {seed}: cost {retimed_cost(result):.3f} (latency, 1/throughput, size: {parts})  "
        f"accuracy {100 * certificate['estimate']:+.2f} points, at least {100 * certificate['lower_bound']:+.2f}, "
        f"attempts {len(certificate['attempts'])}, floor {'holds' if certificate['holds'] else 'does not hold'}; "
        f"{result['distinct']} distinct of {result['trials']} trials, {result['seconds']['total']:.0f} s"
    )


def retimed_cost(result: dict[str, Any]) -> float:
    """Cost of the delivered network, timed again at the end."""
    return float(result["retimed"]["cost"]["value"])


if __name__ == "__main__":
    main()
