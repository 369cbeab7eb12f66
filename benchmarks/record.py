"""Record real evaluations of a prune-and-bits space: what the searchers' benchmarks stand on.

`OMP_NUM_THREADS=1 taskset -c 1 python -m benchmarks.record resnet20 --rows 2200`
`OMP_NUM_THREADS=1 taskset -c 1 python -m benchmarks.record digits --rows 600`

Each row is moco's own evaluation of a policy: surgery, batch-norm re-estimation, the ONNX file with its bits, top-1
error on the search split, and latency as the paired, interleaved ratio to the float network times its constant.
Which policies: recorded/sampling.py. One line is written an evaluation, so a run that was stopped goes on where
it ended; `--pack` writes experiments/recorded/<name>_prune_bits.parquet and its provenance from what is there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.recorded.rows import ERRORS, METRICS, NAMES, pack, read_lines
from benchmarks.recorded.sampling import SHARES, Mixture
from benchmarks.recorded.space import PruneBits
from moco.analysis.sensitivity.layer_sensitivity import KEEP_RATIOS, Levels, analyse, to_json
from moco.experiment.build import build_job
from moco.experiment.loading import experiment_of
from moco.models.trained import network_hash
from moco.policy import Policy
from moco.run.job import Job, Prepared, prepare, store_key
from moco.trial import Evaluation

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"
SEED = 0
COSTS = (("latency_ms", "packed_size_mb", "bops"), ("packed_size_mb",), ("bops",))
"""The children's parents are the front of top-1 error and the mean ratio of one of these sets of metrics."""


def experiment(name: str, data: Path) -> dict[str, Any]:
    """The set-up as an experiment: a short timing, few images, no trackers, no store."""
    common = {
        "seed": SEED,
        "space": {"filter_pruning": {"rank": "l1"}, "quantization": {"precision": ["mixed"]}},
        "recovery": ["batch_norm"],
        "objective": {"protocol": "accuracy-guaranteed", "floor": "-10 pp", "weights": {"latency_ms": 1}},
        "tracking": {"mlflow": False, "dashboard": False},
        "store": False,
    }
    timing = {"seconds_batch1": 0.05, "slot_ms": 2.0}
    if name == "digits":
        return {
            **common,
            "name": "recorded_digits",
            "model": {
                "name": "digits_resnet",
                "train": {"epochs": 18, "learning_rate": 0.1, "batch_size": 64, "weight_decay": 1e-3},
            },
            "data": {"source": "digits", "splits": {"calibration": 128, "search": 597, "certification": 200}},
            "target": {"runtime": "onnxruntime", "threads": 1, "timing": timing},
        }
    return {
        **common,
        "name": "recorded_resnet20",
        "model": {"name": "cifar_resnet20", "weights": str(data / "resnet20_cifar10.safetensors")},
        "data": {
            "source": "parquet",
            "train": str(data / "train.parquet"),
            "test": str(data / "test.parquet"),
            "normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
            "splits": {"calibration": 64, "search": 1000, "certification": 4000},
        },
        "target": {"runtime": "onnxruntime", "threads": 1, "timing": timing},
    }


class Recorder:
    """Appends one row an evaluation."""

    def __init__(self, name: str, data: Path, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.name, self.lines_path, self.about_path = name, out / f"{name}.jsonl", out / f"{name}.json"
        job = build_job(experiment_of(experiment(name, data)), out / "run")
        begun = json.loads(self.about_path.read_text()) if self.about_path.exists() else None
        constants = {"latency_ms": begun["reference"]["latency_ms"]} if begun else None
        self.prepared: Prepared = prepare(job, out / f"{name}_files", constants)
        self.space = PruneBits(str(job.network_name), job.data.train.shape, {}).space
        self.about = begun or self._about(job)
        if begun and begun["context"] != self._context():
            raise SystemExit(f"{self.about_path}: made with another network, data, machine or version; move it away")
        self.about_path.write_text(json.dumps(self.about, indent=1), encoding="utf-8")

    def run(self, rows: int) -> None:
        """Evaluate until there are so many rows."""
        mixture, lines = Mixture(self.space, SEED), read_lines(self.lines_path)
        names = list(self.space.distributions)
        while len(lines) < rows:
            places = mixture.places(
                np.array([[line[name] for name in names] for line in lines]).reshape(-1, len(names))
            )
            source, drawn = mixture.draw(len(lines), places, self._losses(lines))
            point = mixture.point(drawn)
            line = {**point, "source": source, **self.evaluated(self.space.canonical(point))}
            with self.lines_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            lines.append(line)
            if len(lines) % 20 == 0:
                spent = sum(line["seconds"] for line in lines[-20:]) / 20
                best = min(line["top1_error"] for line in lines)
                print(f"{len(lines)} rows, {spent:.2f} s an evaluation, least error {best:.3f}", flush=True)

    def _losses(self, lines: list[dict[str, Any]]) -> list[np.ndarray]:
        """(rows, 2) of top-1 error and cost, for each of `COSTS`; ratios are to the network in int8, the first row."""
        errors = np.array([line["top1_error"] for line in lines])
        return [
            np.column_stack([errors, np.mean([[ln[m] / lines[0][m] for m in metrics] for ln in lines], axis=1)])
            for metrics in (COSTS if lines else ())
        ]

    def evaluated(self, policy: Policy) -> dict[str, Any]:
        """A row's metrics, standard errors, whether the timing was doubted, seconds and the file's hash."""
        start = time.perf_counter()
        evaluation: Evaluation = self.prepared.evaluator.evaluate(policy)
        values = {metric: evaluation.metrics[metric].value for metric in METRICS}
        sems = {f"{metric}_sem": evaluation.metrics[metric].sem for metric in ERRORS}
        return {
            **values,
            **sems,
            "doubted": bool(evaluation.details["warnings"]),
            "seconds": round(time.perf_counter() - start, 3),
            "sha256": str(evaluation.artifact_sha256)[:16],
        }

    def _context(self) -> dict[str, Any]:
        return dict(json.loads(json.dumps(store_key(self.prepared.job))))

    def _about(self, job: Job) -> dict[str, Any]:
        """Provenance, with the sensitivity of every layer on the calibration images."""
        splits, compressor = job.data.splits, self.prepared.evaluator.builder.compressor
        images = job.data.train.images(splits.calibration)
        layers = [layer for group in self.space.groups[1:] for layer in group.layers]
        study = analyse(compressor, images, layers, Levels(KEEP_RATIOS, (8, 6, 4, 3, 2), (8, 6, 4, 3, 2), int8=True))
        reference = self.prepared.evaluator.reference.evaluation.metrics
        return {
            "name": self.name,
            "model": job.network_name,
            "shape": list(job.data.train.shape),
            "network_sha256": network_hash(job.network),
            "began": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "seed": SEED,
            "sampling": {"shares_after_the_design": SHARES},
            "images": {name: splits.sizes[name] for name in ("calibration", "search", "certification")},
            "reference": {metric: value.value for metric, value in reference.items()},
            "context": self._context(),
            "sensitivity": to_json(study),
        }


def main() -> None:
    """Record, or pack what was recorded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--rows", type=int, default=2200)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of CIFAR-10 and the trained networks")
    parser.add_argument("--out", type=Path, default=Path("runs/recorded"))
    parser.add_argument("--pack", action="store_true", help="evaluate nothing; write the Parquet file")
    asked = parser.parse_args()
    if asked.pack:
        about = json.loads((asked.out / f"{asked.name}.json").read_text(encoding="utf-8"))
        path = pack(read_lines(asked.out / f"{asked.name}.jsonl"), about, asked.name)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
        return
    torch.set_num_threads(1)
    Recorder(asked.name, asked.data, asked.out).run(asked.rows)


if __name__ == "__main__":
    main()
