"""Groups found by sensitivity against the hand-made ones of Chalmers' second thesis, in the same search (W24).

`python -m benchmarks.groups experiments/resnet56_cifar10_s2_groups.yaml [--seeds 3] [--trials 60] [--out runs/groups]`

For each seed, `moco sensitivity` finds groups and layers to leave alone on calibration images. Then the experiment is
searched with these and with its own, all else equal: seed, splits, searcher, trials. Compared is the hypervolume of
top-1 error and cost, that is the mean of the ratios of MACs and file size (no timing, so a busy machine does not
count), up to ten points of error above the reference and the reference's cost. Finished searches are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.refit_ablation import interval
from moco.pareto import hypervolume

INFEASIBLE = 3
"""Exit status of a search that found no feasible network; it is complete all the same."""
POINTS = 0.10
"""Top-1 error above the reference's at which a network counts nothing."""
OBJECTIVE = {"protocol": "accuracy-guaranteed", "floor": "-10 pp", "weights": {"macs": 1, "size_mb": 1}}


def main() -> None:
    """Run what is missing, then print a row a seed and the paired differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--images", type=int, default=128, help="of the sensitivity analysis")
    parser.add_argument("--out", type=Path, default=Path("runs/groups"))
    asked = parser.parse_args()
    rows = []
    for seed in range(asked.seeds):
        folder = asked.out / f"{asked.trials}trials_{asked.images}images" / f"seed{seed}"
        experiments = variants(asked.experiment, folder, seed, asked.trials, asked.images)
        volumes = {name: volume(searched(path)) for name, path in experiments.items()}
        rows.append(list(volumes.values()))
        print(f"seed {seed}: " + "  ".join(f"{name} {value:.4f}" for name, value in volumes.items()), flush=True)
    hand_made, automatic = np.array(rows).T
    print(f"automatic over hand-made, percent: {interval(100 * (automatic / hand_made - 1))}")


def variants(experiment: Path, folder: Path, seed: int, trials: int, images: int) -> dict[str, Path]:
    """The experiment with each kind of groups, as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load(experiment.read_text(encoding="utf-8"))
    settings |= {"seed": seed, "objective": OBJECTIVE, "budget": {"trials": trials}, "tracking": {"mlflow": False}}
    settings["certificate"] = {"attempts": 1, "seconds": 0.05}
    for where, key in (("model", "weights"), ("data", "train"), ("data", "test")):
        settings[where][key] = str((experiment.parent / settings[where][key]).resolve())
    hand_made = written(folder / "hand_made.yaml", settings)
    groups = suggested(hand_made, folder / "sensitivity", images)
    space = {key: value for key, value in settings["space"].items() if key not in {"groups", "ignore"}}
    automatic = written(folder / "automatic.yaml", {**settings, "space": {**space, **groups}})
    return {"hand-made": hand_made, "automatic": automatic}


def suggested(experiment: Path, out: Path, images: int) -> dict[str, Any]:
    """What `moco sensitivity` suggests for the space; not measured again where it is there."""
    if not (out / "groups.yaml").exists():
        moco("sensitivity", experiment, out, "--images", images, "--parameters", "keep")
    space: dict[str, Any] = yaml.safe_load((out / "groups.yaml").read_text(encoding="utf-8"))["space"]
    return space


def searched(experiment: Path) -> Path:
    """The run folder of a search; not run again where it is finished."""
    out = experiment.with_suffix("")
    if not (out / "result.json").exists():
        moco("search", experiment, out)
    return out


def moco(command: str, experiment: Path, out: Path, *more: object) -> None:
    """One command in a process of its own; what it prints goes to a file beside its folder."""
    words = [sys.executable, "-m", "moco.app.cli", command, str(experiment), "--out", str(out), *map(str, more)]
    told = out.with_suffix(".log")
    with told.open("w", encoding="utf-8") as log:
        alone = {**os.environ, "MOCO_HOME": str(out.parent)}  # the variants of a seed share their evaluations
        done = subprocess.run(words, env=alone, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode not in {0, INFEASIBLE}:
        raise SystemExit(f"moco {command} {experiment} failed; see {told}")


def volume(run: Path) -> float:
    """Share of the region of loss below the reference point that the front of all complete trials dominates."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    trials = json.loads((run / "trials.json").read_text(encoding="utf-8"))
    worst = (result["reference"]["top1_error"] + POINTS, 1.0)
    losses = [tuple(trial["losses"]) for trial in trials if trial["losses"]]
    return hypervolume(losses, worst) / float(worst[0])


def written(path: Path, settings: dict[str, Any]) -> Path:
    """The settings as a YAML file."""
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
