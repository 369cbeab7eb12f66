"""Is a finished trial ever lost? The demo's search killed (`kill -9`) at random moments, then resumed.

    python benchmarks/kill_resume.py --kills 5 [--trials 20] [--seed 0]

Asked for: no finished trial lost or doubled, and the same final budget, for each kill. A trial is finished when the
ledger holds it; one that is there after the kill must be there in the end, the same in every number. The moment is up
to a second after a trial that is drawn from all but the last, so within any stage of a later one. Ends with status 1
where a figure is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import optuna

from moco.tracking.optuna_trial import to_trial
from moco.trial import Trial

COMMAND = Path(sys.executable).with_name("moco")


@dataclass(frozen=True)
class Kill:
    """One search that was killed and resumed.

    Attributes:
        moment: seconds after its start.
        before, after: trials in the ledger after the kill, and in the end.
        lost: of those before, how many are not in the end what they were.
        doubled: numbers and suggestions that are there twice in the end, and trials that trials.json has besides.
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


def ledger(run: Path) -> list[Trial]:
    """The trials of the ledger, every number of them."""
    if not (run / "study.db").exists():
        return []
    try:
        study = optuna.load_study(storage=f"sqlite:///{run / 'study.db'}", study_name="digits")
    except KeyError:  # killed before the study was made
        return []
    return [trial for entry in study.get_trials(deepcopy=False) if (trial := to_trial(entry)) is not None]


def repeated(values: Sequence[int]) -> int:
    """How many stand there more than once."""
    return len(values) - len(set(values))


def count(run: Path) -> int:
    """Trials in the ledger, read without a lock while the search writes."""
    try:
        with closing(sqlite3.connect(f"file:{run / 'study.db'}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT COUNT(*) FROM trials").fetchone()[0])
    except sqlite3.OperationalError:  # no ledger yet, or just being made
        return 0


def killed(run: Path, trials: int, after: int, delay: float) -> Kill:
    """A search that is killed `delay` seconds after a trial and resumed to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(command(run, trials), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while count(run) < after and process.poll() is None:
        time.sleep(0.01)
    time.sleep(delay)
    process.kill()
    process.wait()
    moment = time.perf_counter() - began
    before = ledger(run)
    resumed = subprocess.run(command(run, trials, "--resume"), check=False, capture_output=True, text=True)
    if resumed.returncode not in {0, 3}:
        raise SystemExit(f"after a kill at {moment:.1f} s --resume ended with {resumed.returncode}: {resumed.stderr}")
    in_the_end = ledger(run)
    records = json.loads((run / "trials.json").read_text(encoding="utf-8"))
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return Kill(
        moment=moment,
        before=len(before),
        after=len(in_the_end),
        lost=sum(trial not in in_the_end for trial in before),
        doubled=repeated([trial.number for trial in in_the_end])
        + repeated([trial.suggestion.id for trial in in_the_end])
        + abs(len(records) - len(in_the_end)),
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
    drawn = random.Random(asked.seed)
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        print(
            f"searches of {asked.trials} trials\nkill  moment s  trials before  trials after  lost  doubled", flush=True
        )
        for number in range(1, asked.kills + 1):
            after, delay = drawn.randrange(1, asked.trials), drawn.uniform(0, 1)
            kill = killed(Path(folder) / str(number), asked.trials, after, delay)
            fine = fine and kill.fine(asked.trials)
            counts = f"{kill.before:13d}  {kill.after:12d}  {kill.lost:4d}  {kill.doubled:7d}"
            print(f"{number:4d}  {kill.moment:8.1f}  {counts}", flush=True)
    print("nothing lost, nothing doubled, the same budget" if fine else "MISSED")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
