"""What a search with finalists delivers beside what an engineer makes by hand, one after the other, over several seeds.

`python -m benchmarks.by_hand experiments/resnet56_cifar10_finalists.yaml --seeds 3 --write`

Each seed is one command with an evaluation store of its own: a search, then the hand's recipe with the same processor
seconds (residual branches left out by divergence, batch-norms re-estimated, distillation, ONNX Runtime's
`quantize_static`), then ONNX Runtime's int8 alone, all timed again beside the reference and counted on the same
unseen images. A seed that is finished already is not run again. `--write` puts the table into experiments/README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.page import replaced
from benchmarks.seeds import run

README = Path(__file__).parents[1] / "experiments" / "README.md"
OVERHEAD_S = 40.0
"""Of the hand's seconds what is no training: decoding, the order of the branches, quantizing, scoring and timing."""
HEAD = (
    "| experiment | seed | by | cost | measured on unseen images | at least, at 95 % | floor | processor s |",
    "|---|---|---|---|---|---|---|---|",
)


def main() -> None:
    """Run what is missing, then print the table and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--seconds", type=float, help="of the processor; without it the experiment's own")
    parser.add_argument("--drop", type=int, default=10, help="residual branches that the hand leaves out")
    parser.add_argument("--rate", type=float, default=0.01, help="the hand's learning rate")
    parser.add_argument("--out", type=Path, default=Path("runs/by_hand"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--write", action="store_true", help="put the table of all runs in --out into the README")
    arguments = parser.parse_args()
    budget = yaml.safe_load(arguments.experiment.read_text(encoding="utf-8"))["budget"]
    seconds = arguments.seconds or budget["processor_seconds"]
    recipe = f"drop: {arguments.drop}, processor_seconds: {seconds - OVERHEAD_S:g}, learning_rate: {arguments.rate}"
    changes = [
        f"budget.processor_seconds={seconds:g}",
        f"baselines=[quantize_static, {{by_hand: {{{recipe}, flip: true, shift: 4}}}}]",
        *arguments.set,
    ]
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        folder = arguments.out / f"{arguments.experiment.stem}-{seconds:g}s-seed{seed}" / "run"
        if not (folder / "result.json").exists():
            run(arguments.experiment, folder, [f"seed={seed}", *changes])
        print("\n".join(rows_of(folder)), flush=True)
    found = sorted(arguments.out.glob("*/run/result.json"))
    if arguments.write:
        table = "\n".join([*HEAD, *(row for path in found for row in rows_of(path.parent)), "", *medians(found)])
        README.write_text(replaced(README.read_text(encoding="utf-8"), "by_hand", table), encoding="utf-8")


def rows_of(folder: Path) -> list[str]:
    """A row for the search and for each of its baselines; none where it has not finished."""
    path = folder / "result.json"
    if not path.exists():
        return [f"| {folder.parent.name} | | failed, see log.txt beside its folder | | | | | |"]
    result = json.loads(path.read_text(encoding="utf-8"))
    name, certificate = f"{result['experiment']} | {result['seed']}", result["certificate"]
    holds = "certified" if certificate["holds"] else "not certified"
    ours = certificate["estimate"], certificate["lower_bound"], holds, result.get("processor_s")
    rows = [row(name, "moco", result["retimed"]["cost"]["value"], *ours)]
    for rival in result.get("rivals", []):
        unseen = rival["unseen"] or {}
        judged = "would hold" if rival["holds"] else "would not hold"
        told = unseen.get("estimate"), unseen.get("lower_bound"), judged, rival["processor_s"]
        rows.append(row(name, rival["name"], rival["metrics"]["cost"], *told))
    return rows


def row(  # noqa: PLR0913, PLR0917, a column each
    name: str, by: str, cost: float, measured: float | None, least: float | None, floor: str, spent_s: float | None
) -> str:
    """One network of the table; accuracies are differences to the reference."""
    cells = [f"{100 * value:+.2f}" if value is not None else "n/a" for value in (measured, least)]
    spent = "n/a" if spent_s is None else f"{spent_s:.0f}"
    return f"| {name} | {by} | {cost:.3f} | {' | '.join(cells)} | {floor} | {spent} |"


def medians(found: Iterable[Path]) -> list[str]:
    """By experiment, median and range of the cost, and how often it was certified."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for path in found:
        result = json.loads(path.read_text(encoding="utf-8"))
        by_name.setdefault(result["experiment"], []).append(result)
    lines = []
    for name, results in by_name.items():
        costs = [result["retimed"]["cost"]["value"] for result in results]
        held = sum(bool(result["certificate"]["holds"]) for result in results)
        spread = f"{statistics.median(costs):.3f} ({min(costs):.3f} to {max(costs):.3f})"
        lines.append(f"{name}: median cost {spread}, certified in {held} of {len(results)} seeds.")
    return lines


if __name__ == "__main__":
    main()
