"""Trials an hour of a search with one worker and with several, turn by turn in one run.

`python -m benchmarks.workers [--data DIR] [--workers 2] [--trials 200] [--rounds 3]`

The search scores candidates and times nothing, so that no worker waits for the device. It draws the same policies with
either number of workers (random search, one seed, no store). Trials an hour are those of the search itself, from its
first suggestion to its last result, the start of the workers included; `whole` is the command from start to end.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

DIGITS = {"source": "digits", "splits": {"calibration": 256, "search": 398, "certification": 399}}


def experiment(data: Path | None) -> dict[str, Any]:
    """ResNet-20 on CIFAR-10 where the data is, otherwise a small network on digits."""
    common = {
        "name": "workers",
        "space": {
            "groups": "per-block",
            "filter_pruning": {"keep": [0.3, 1.0]},
            "quantization": {"precision": ["float32", "int8"]},
        },
        "objective": {"protocol": "accuracy-guaranteed", "floor": "-5 pp", "weights": {"size_mb": 1}},
        "searcher": {"name": "random", "start": "reference"},
        "store": False,
    }
    if data is None:
        return {**common, "model": {"name": "digits_resnet", "train": {"epochs": 5}}, "data": DIGITS}
    images = {
        "source": "parquet",
        "train": str(data / "train.parquet"),
        "test": str(data / "test.parquet"),
        "normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        "splits": {"calibration": 256, "search": 1000, "certification": 2000},
    }
    weights = str(data / "resnet20_cifar10.safetensors")
    return {**common, "model": {"name": "cifar_resnet20", "weights": weights}, "data": images}


def searched(file: Path, out: Path, workers: int, trials: int) -> dict[str, float]:
    """Trials an hour of the search, and seconds of the whole command."""
    shutil.rmtree(out, ignore_errors=True)
    moco = [sys.executable, "-m", "moco.app.cli", "search", str(file), "--out", str(out)]
    began = time.perf_counter()
    done = subprocess.run(
        [*moco, "--workers", str(workers), "--set", f"budget.trials={trials}"],
        capture_output=True,
        text=True,
        check=False,
    )
    whole_s = time.perf_counter() - began
    if done.returncode not in (0, 3):
        raise SystemExit(f"the search failed: {done.stderr}")
    with sqlite3.connect(out / "study.db") as database:
        first, last, count = database.execute(
            "SELECT MIN(datetime_start), MAX(datetime_complete), COUNT(*) FROM trials"
        ).fetchone()
    span_s = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    return {"workers": workers, "trials": count, "per_hour": 3600 * count / span_s, "whole_s": whole_s}


def main() -> None:
    """Print a line a search, and the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10 and the trained ResNet-20; digits without it")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/workers"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "workers.yaml"
    file.write_text(yaml.safe_dump(experiment(given.data and given.data.resolve()), sort_keys=False), encoding="utf-8")
    ratios, whole = [], []
    for turn in range(given.rounds):
        one, more = (searched(file, given.out / f"with{n}", n, given.trials) for n in (1, given.workers))
        ratios.append(more["per_hour"] / one["per_hour"])
        whole.append(one["whole_s"] / more["whole_s"])
        print(json.dumps({"round": turn, "searches": [one, more], "ratio": ratios[-1], "whole": whole[-1]}), flush=True)
    print(
        f"{given.workers} workers: {statistics.median(ratios):.2f} times the trials an hour "
        f"({min(ratios):.2f} to {max(ratios):.2f}), whole command {statistics.median(whole):.2f} times as fast"
    )


if __name__ == "__main__":
    main()
