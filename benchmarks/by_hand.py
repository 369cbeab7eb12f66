"""What a search with finalists delivers beside what an engineer makes by hand, one after the other, over several seeds.

`python -m benchmarks.by_hand experiments/resnet56_cifar10_finalists.yaml --seeds 3 --write`

Each seed is one command with an evaluation store of its own: a search, then the hand's recipe with the same processor
seconds (residual branches left out by divergence, batch-norms re-estimated, distillation, ONNX Runtime's
`quantize_static`), then ONNX Runtime's int8 alone, all timed again beside the reference and counted on the same
unseen images. A seed that is finished already is not run again. `--write` adds these runs, and finished ones that
`--keep` names, to those of other days and machines (by_hand_page.py), and puts all into the table of
experiments/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from benchmarks import by_hand_page
from benchmarks.seeds import run

OVERHEAD_S = 40.0
"""Of the hand's seconds what is no training: decoding, the order of the branches, quantizing, scoring and timing."""


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
    parser.add_argument("--keep", action="append", default=[], type=Path, metavar="RUN", help="another finished run")
    parser.add_argument("--write", action="store_true", help="keep the runs, and write the table")
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
        report(folder, arguments.write)
    for folder in arguments.keep:
        report(folder, arguments.write)
    if arguments.write:
        by_hand_page.write()


def report(folder: Path, is_kept: bool) -> None:
    """Print what a run came to, and keep it for the table."""
    if not (folder / "result.json").exists():
        print(f"{folder}: failed, see log.txt beside the folder", flush=True)
        return
    outcome = by_hand_page.outcome_of(folder)
    print("\n".join(by_hand_page.rows_of(outcome)), flush=True)
    if is_kept:
        by_hand_page.keep(outcome)


if __name__ == "__main__":
    main()
