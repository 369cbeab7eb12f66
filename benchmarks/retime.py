"""Delivered networks timed once more, on the machine as it is now: ratios to the reference, and the cost they make.

`python benchmarks/retime.py RUN [RUN ...] --seconds 2`

For runs that ended while the machine was busy. Builds each run's reference and its delivered network again, checks
that the bytes are those of the file in `best/`, and times both interleaved at batch 1 and 32.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from moco.compression.policy_file import read_policy
from moco.experiment.build import build_job
from moco.experiment.loading import load_experiment
from moco.metrics import COST
from moco.readings import READINGS
from moco.run.job import prepare
from moco.run_folder.network_file import file_name
from moco.trial import MetricValue


def main() -> None:
    """Print a row a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for run in arguments.runs:
        print(retimed(run, arguments.seconds), flush=True)


def retimed(run: Path, seconds: float) -> str:
    """The run's ratios as measured now, in a line."""
    overrides = [
        "store=false",
        "tracking.mlflow=false",
        "target.timing.seconds_batch1=0.05",
        "target.timing.seconds_batch32=0.05",
    ]
    experiment = load_experiment(run / "experiment.yaml", overrides)
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(build_job(experiment, Path(folder) / "run"), Path(folder))
        artifact, _ = prepared.evaluator.builder.build(read_policy(run / "best" / "policy.json"))
        shipped = run / "best" / file_name(artifact.path)
        target, reference = prepared.job.target, prepared.evaluator.reference
        sessions = [reference.session, target.load(artifact)]
        metrics = dict(reference.evaluation.metrics)
        parts = []
        for name, plan in prepared.evaluator.plan.timing.items():
            reading = READINGS[name]
            ratio = target.measure(sessions, replace(plan, seconds=seconds)).ratio(series=reading.series)
            metrics[name] = reading.metric(metrics[name].value, ratio)
            parts.append(f"{name} {ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]")
        size = artifact.size_bytes / reference.artifact.size_bytes
        metrics["size_mb"] = MetricValue(artifact.size_bytes / 1e6)
        cost = prepared.problem.derived[COST](metrics).value
    is_same = hashlib.sha256(shipped.read_bytes()).hexdigest() == artifact.sha256
    same = "same bytes" if is_same else f"OTHER BYTES than {shipped.relative_to(run)}"
    trial = json.loads((run / "result.json").read_text(encoding="utf-8"))["best"]["trial"]
    load = os.getloadavg()[0]
    times = ", ".join(parts)
    return f"{run}: trial {trial}, cost {cost:.3f}; time of a call {times}; size {size:.3f}; {same}; load {load:.1f}"


if __name__ == "__main__":
    main()
