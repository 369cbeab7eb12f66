"""The folder of a comparison: a ledger for each run in one storage, the trials of each, compare.json and the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from moco.comparison.match import Run
from moco.errors import RunFolderError
from moco.file_lock import Lock
from moco.problem import Problem
from moco.run_folder.comparison_record import ComparisonRecord
from moco.run_folder.reading import COMPARISON
from moco.run_folder.writing import write_json, write_trials
from moco.secret import Secret
from moco.strategy import Strategy
from moco.tracking.database import ledger_address
from moco.tracking.optuna_study import OptunaLedger


@dataclass(frozen=True)
class CompareFolder:
    """Where a comparison is written."""

    out: Path
    name: str  # of the comparison; the first part of each study's name
    problem: Problem
    fingerprint: str  # of all that its trials must share, beside the strategy's options and the seed
    write_page: Callable[[Path], Path]  # writes the page of a folder from its compare.json, and gives its path
    storage: Secret | None = None  # the database of the ledgers; None takes OUT/study.db
    lock: Lock | None = None  # that this comparison alone writes to them

    def ledger(self, strategy: Strategy, seed: int) -> closing[OptunaLedger]:
        """The ledger of a run, closed at the end: an Optuna study of its own, so that a dashboard shows all of them.

        A RunFolderError where it cannot be used, or the strategy had other options when it began.
        """
        options = sha256(repr((strategy.searcher, sorted(asdict(strategy.options).items()))).encode()).hexdigest()
        fingerprint = f"{self.fingerprint}-{options[:16]}"
        address, study = ledger_address(self.out, self.storage), f"{self.name} {strategy.label} seed {seed}"
        return closing(OptunaLedger.open(address, study, self.problem, fingerprint, self.lock))

    def check(self, strategies: Iterable[Strategy], seed: int, *, resume: bool) -> None:
        """Pass ledgers that can be used, before the first run: a wrong option of the last strategy must not cost hours.

        The studies of `seed`, the first one, are made now; only to `resume` may they hold trials. A RunFolderError
        where one cannot be used, or is of another comparison.
        """
        for strategy in strategies:
            with self.ledger(strategy, seed) as ledger:
                if not resume and ledger.trials():
                    raise RunFolderError(
                        f"tracking.storage: the database holds a comparison '{self.name}' with these settings already; "
                        "continue it in its own run folder with --resume, or give this one another name"
                    )

    def write_run(self, run: Run) -> None:
        """OUT/runs/STRATEGY/seedN/trials.csv and trials.json."""
        write_trials(self.out / "runs" / run.label / f"seed{run.seed}", run.trials, self.problem.objectives)

    def write(self, content: ComparisonRecord) -> Path:
        """compare.json, and the page; the path of the page."""
        write_json(self.out / COMPARISON, content.to_json())
        return self.write_page(self.out)


def whole_seeds(runs: Sequence[Run], strategies: Iterable[Strategy]) -> bool:
    """Whether the last run was the last of its seed: a moment to write what is there so far."""
    labels = {strategy.label for strategy in strategies}
    return bool(runs) and {run.label for run in runs if run.seed == runs[-1].seed} >= labels
