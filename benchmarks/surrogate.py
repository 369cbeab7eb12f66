"""Check the surrogate of a recorded benchmark, find its front, and evaluate policies of that front for real.

`OMP_NUM_THREADS=1 python -m benchmarks.surrogate resnet20 [--evaluate 24 --data FOLDER]`

Prints and writes to experiments/recorded/<name>_surrogate.json: held-out error and rank correlations by 10-fold
cross-validation, over all rows and over those within ten points of the reference; the lengths of the Gaussian process;
the reference point; the front with its hypervolume; and, with `--evaluate`, how the files of so many policies of the
front, spread evenly along it, differ from what the surrogate says of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from benchmarks.recorded.benchmark import COST_METRICS, Benchmark, space_of
from benchmarks.recorded.rows import FOLDER, NAMES, Recorded, load, write_json
from benchmarks.recorded.search import surrogate_front
from benchmarks.recorded.space import values as grid_of
from benchmarks.recorded.surrogate import (
    ErrorModel,
    LatencyModel,
    Lengths,
    Surrogate,
    features,
    fitted_lengths,
    logit,
    share,
)
from moco.pareto import hypervolume, non_dominated

FOLDS = 10
TEN_POINTS = 0.10


def main() -> None:
    """Print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--evaluate", type=int, default=0, help="policies of the front to evaluate for real")
    parser.add_argument("--data", type=Path, default=None, help="folder of CIFAR-10 and the trained networks")
    parser.add_argument("--out", type=Path, default=Path("runs/recorded"))
    asked = parser.parse_args()
    recorded = load(asked.name)
    report = checked(recorded)
    if asked.evaluate:
        report["evaluated"] = evaluated(asked.name, recorded, report, asked.evaluate, asked.data, asked.out)
        for line in told("policies of the front, as their files", report["evaluated"]):
            print(line)
    write_json(FOLDER / f"{asked.name}_surrogate.json", report)


def checked(recorded: Recorded) -> dict[str, Any]:
    """Held-out figures, lengths, the reference point and the front."""
    space, images = space_of(recorded), int(recorded.about["images"]["search"])
    points = recorded.points(list(space.distributions))
    inputs, errors = features(space, points), recorded.columns["top1_error"].astype(float)
    lengths = fitted_lengths(inputs, logit(errors, images))
    report: dict[str, Any] = {"rows": len(recorded), "held_out": held_out(recorded, inputs, points, lengths)}
    for name, found in report["held_out"].items():
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in found.items()))
    report["lengths"] = asdict(lengths)
    bench = Benchmark(recorded, report)
    report["reference"] = {name: value.value for name, value in bench.reference.items()}
    report["reference_point"] = dict(zip(("top1_error", "cost"), bench.reference_point, strict=True))
    return {**report, **front_of(bench, points)}


def held_out(
    recorded: Recorded, inputs: np.ndarray, points: np.ndarray, lengths: Lengths
) -> dict[str, dict[str, float]]:
    """Figures of predictions of rows that the models were not given; lengths alone were fitted to some of them."""
    space, images = space_of(recorded), int(recorded.about["images"]["search"])
    errors, latency = recorded.columns["top1_error"].astype(float), recorded.columns["latency_ms"].astype(float)
    logits = logit(errors, images)
    fold = np.random.default_rng(0).permutation(len(points)) % FOLDS
    predicted = {name: np.zeros(len(points)) for name in ("mean", "trees", "process", "latency")}
    for k in range(FOLDS):
        kept, out = fold != k, fold == k
        model = ErrorModel(inputs[kept], logits[kept], lengths)
        predicted["trees"][out], predicted["process"][out] = model.trees(inputs[out]), model.process(inputs[out])
        predicted["mean"][out] = model(inputs[out])
        predicted["latency"][out] = LatencyModel(space, points[kept], latency[kept])(points[out])
    near = errors <= errors[0] + TEN_POINTS
    rows = {"all rows": np.ones(len(points), dtype=bool), "within 10 points": near}
    found = {
        f"top-1 error, {where}, {name}": _compared(share(predicted[name][mask], images), errors[mask])
        for where, mask in rows.items()
        for name in ("mean", "trees", "process")
    }
    noise = recorded.columns["top1_error_sem"].astype(float)
    found["top-1 error, its own noise"] = {"mean standard error, pp": 100 * float(noise[near].mean())}
    ratios = latency / predicted["latency"]
    found["latency"] = {
        "relative RMSE": float(np.sqrt(np.mean((ratios - 1) ** 2))),
        "its own relative standard error": float((recorded.columns["latency_ms_sem"] / latency).mean()),
        "spearman": float(spearmanr(predicted["latency"], latency)[0]),
        "kendall": float(kendalltau(predicted["latency"], latency)[0]),
    }
    return found


def _compared(predicted: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Figures of predicted errors against those that were found."""
    off = predicted - found
    return {
        "rows": float(len(found)),
        "MAE, pp": 100 * float(np.abs(off).mean()),
        "RMSE, pp": 100 * float(np.sqrt((off**2).mean())),
        "bias, pp": 100 * float(off.mean()),
        "spearman": float(spearmanr(predicted, found)[0]),
        "kendall": float(kendalltau(predicted, found)[0]),
    }


def front_of(bench: Benchmark, points: np.ndarray) -> dict[str, Any]:
    """The surrogate's front in the region that one would deploy from, and its hypervolume."""
    grids = [grid_of(distribution) for distribution in bench.space.distributions.values()]
    names = list(bench.space.distributions)
    places = np.column_stack([np.searchsorted(grid, column) for grid, column in zip(grids, points.T, strict=True)])
    found, losses = surrogate_front(
        lambda rows: losses_of(bench.surrogate, bench, _points(grids, rows)),
        np.array([len(grid) for grid in grids]),
        np.array(bench.reference_point),
        places,
    )
    volume, rounded = hypervolume(losses, bench.reference_point), np.round(losses, 6)
    kept = non_dominated(rounded)  # what differs beyond the places that are written is no other policy of the front
    found, rounded = found[kept], rounded[kept]
    print(f"front: {len(found)} policies, hypervolume {volume:.6f} below {bench.reference_point}")
    return {
        "hypervolume": volume,
        "front": {
            "parameters": names,
            "points": _points(grids, found).tolist(),
            "losses": rounded.tolist(),
        },
    }


def losses_of(surrogate: Surrogate, bench: Benchmark, points: np.ndarray) -> np.ndarray:
    """(n, 2) top-1 error and cost of points (n, n_parameters)."""
    metrics = surrogate(points)
    ratios = [metrics[name] / bench.reference[name].value for name in COST_METRICS]
    return np.column_stack([metrics["top1_error"], np.mean(ratios, axis=0)])


def evaluated(
    name: str, recorded: Recorded, report: Mapping[str, Any], count: int, data: Path | None, out: Path
) -> dict[str, Any]:
    """Real evaluations of policies of the front beside what the surrogate says of them."""
    from benchmarks.record import SHARED, Recorder  # builds the network and its file: only where it is asked for

    recorder = Recorder(name, data or SHARED, out)
    front = report["front"]
    chosen = np.linspace(0, len(front["points"]) - 1, count).round().astype(int)
    reference = {metric: float(report["reference"][metric]) for metric in COST_METRICS}  # as of what is said
    bench, rows = Benchmark(recorded, report), []
    for index in chosen:
        point = dict(zip(front["parameters"], front["points"][index], strict=True))
        line = recorder.evaluated(bench.space.canonical(point))
        said = front["losses"][index]
        rows.append(
            {
                "said": said,
                "found": [line["top1_error"], float(np.mean([line[m] / reference[m] for m in COST_METRICS]))],
                "top1_error_sem": line["top1_error_sem"],
            }
        )
        print(
            f"said {said[0]:.3f} {said[1]:.3f}, found {rows[-1]['found'][0]:.3f} {rows[-1]['found'][1]:.3f}", flush=True
        )
    return {"policies": rows}


def told(what: str, found: Mapping[str, Any]) -> list[str]:
    """The differences between what was said and what was found, as lines."""
    said, real = (np.array([row[key] for row in found["policies"]]) for key in ("said", "found"))
    error, cost = (_compared(said[:, column], real[:, column]) for column in (0, 1))
    return [
        f"{len(said)} {what}, said minus found:",
        f"top-1 error {error['bias, pp']:+.2f} pp, MAE {error['MAE, pp']:.2f} pp, Spearman {error['spearman']:.3f}",
        f"cost {cost['bias, pp'] / 100:+.4f}, MAE {cost['MAE, pp'] / 100:.4f}, Spearman {cost['spearman']:.3f}",
    ]


def _points(grids: list[np.ndarray], places: np.ndarray) -> np.ndarray:
    return np.column_stack([grid[column] for grid, column in zip(grids, places.T, strict=True)])


if __name__ == "__main__":
    main()
