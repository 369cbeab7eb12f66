"""Is a finished trial ever lost? The demo's search killed (`kill -9`) at random moments, then resumed.

    python benchmarks/kill_resume.py --kills 5 [--trials 20] [--seed 0]

Asked for: no finished trial lost or doubled, and the same final budget, for each kill. A trial is finished when the
ledger holds it, read here by plain Optuna; a trial that is there after the kill must be there in the end, the same in
every number. The moment is drawn over the time that the uninterrupted search takes from its start to its end,
training, export and the certificate included. Ends with status 1 where a figure is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import optuna

COMMAND = Path(sys.executable).with_name("moco")
TrialRecord = tuple[object, ...]


@dataclass(frozen=True)
class Kill:
    """One search that was killed and resumed.

    Attributes:
        moment: seconds after its start.
        before, after: trials in the ledger after the kill, and in the end.
        lost: of those before, how many are not in the end what they were.
        doubled: numbers or suggestions that are there twice in the end.
        told: trials by result.json.
    """

    moment: float
    before: int
    after: int
    lost: int
    doubled: int
    told: int

    def fine(self, budget: int) -> bool:
        """Whether nothing was lost or doubled and the budget is what was asked."""
        return not self.lost and not self.doubled and self.after == self.told == budget


def command(run: Path, trials: int, *options: str) -> list[str]:
    """The demo without a tracker, which is beside the question."""
    settings = ["--set", f"budget.trials={trials}", "--set", "budget.seconds=null", "--set", "tracking.mlflow=false"]
    return [str(COMMAND), "demo", "--out", str(run), *settings, "--set", "store=false", *options]


def ledger(run: Path) -> list[TrialRecord]:
    """What the ledger holds of each trial: number, losses, parameters and all of moco's own record."""
    if not (run / "study.db").exists():
        return []
    try:
        study = optuna.load_study(storage=f"sqlite:///{run / 'study.db'}", study_name="digits")
    except KeyError:  # killed before the study was made
        return []
    return [
        (trial.number, trial.values, trial.params, json.dumps(trial.user_attrs, sort_keys=True))
        for trial in study.get_trials(deepcopy=False)
    ]


def whole(run: Path, trials: int) -> float:
    """Seconds of an uninterrupted search."""
    began = time.perf_counter()
    subprocess.run(command(run, trials), check=True, capture_output=True)
    return time.perf_counter() - began


def killed(run: Path, trials: int, moment: float) -> Kill:
    """A search that is killed at that moment and resumed to its end."""
    process = subprocess.Popen(command(run, trials), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    before = ledger(run)
    resume = ["--resume"] if run.exists() else []
    subprocess.run(command(run, trials, *resume), check=True, capture_output=True)
    after = ledger(run)
    numbers = [number for number, *_ in after]
    records = json.loads((run / "trials.json").read_text(encoding="utf-8"))
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return Kill(
        moment=moment,
        before=len(before),
        after=len(after),
        lost=sum(record not in after for record in before),
        doubled=len(numbers) - len(set(numbers)) + abs(len(records) - len(after)),
        told=result["trials"],
    )


def main() -> int:
    """Print a row a kill; 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    moments = random.Random(asked.seed)
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        seconds = whole(Path(folder) / "whole", asked.trials)
        print(f"an uninterrupted search of {asked.trials} trials takes {seconds:.1f} s")
        print("kill  moment s  trials before  trials after  lost  doubled")
        for number in range(1, asked.kills + 1):
            kill = killed(Path(folder) / str(number), asked.trials, moments.uniform(0, seconds))
            fine = fine and kill.fine(asked.trials)
            counts = f"{kill.before:13d}  {kill.after:12d}  {kill.lost:4d}  {kill.doubled:7d}"
            print(f"{number:4d}  {kill.moment:8.1f}  {counts}", flush=True)
    print("nothing lost, nothing doubled, the same budget" if fine else "MISSED")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
