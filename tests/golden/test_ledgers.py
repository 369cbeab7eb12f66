"""Ledgers of both formats and a run folder that earlier versions wrote: they are read, and go on as recorded."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from moco.errors import PolicyRejectedError
from moco.policy import Policy
from moco.registry import plugin
from moco.study import Budget, Study
from moco.tracking.optuna_study import OptunaLedger
from moco.trial import Evaluation, MetricValue, Trial
from tests.golden.records import DATA, differences, elsewhere, read
from tests.golden.test_suggestions import OPTIONS, PROBLEMS

STUDIES = {"nsga2": "layers", "tpe": "mixed", "ppo": "layers", "greybox": "mixed"}
"""Searcher and the problem it is tried on; the study in the ledger has the searcher's name."""
SMALL: dict[str, dict[str, Any]] = {
    **OPTIONS,
    "nsga2": {"population": 5},
    "ppo": {"episodes": 4},
    "tpe": {"startup": 6},
}
BEFORE, AFTER = 12, 18
FORMATS = ("ledgers_format1", "ledgers_format2")


def study_of(name: str, ledger: Path) -> Study:
    """The study of that searcher on its ledger; every fifth policy cannot be built, every seventh fails."""
    problem, values = PROBLEMS[STUDIES[name]]
    calls: list[Policy] = []

    def evaluate(policy: Policy) -> Evaluation:
        calls.append(policy)
        if len(calls) % 5 == 0:
            raise PolicyRejectedError("the record wants it so")
        if len(calls) % 7 == 0:
            raise ValueError("the record wants it so")
        return Evaluation({name: MetricValue(value, 0.01) for name, value in values(policy.settings).items()})

    cls = plugin("searcher", name)
    searcher = cls(problem, cls.Options(**SMALL.get(name, {})), 7)
    url = f"sqlite:///{ledger}"
    return Study(problem, searcher, evaluate, ledger=OptunaLedger.open(url, name, problem, "golden"))


def shown(trials: list[Trial]) -> list[dict[str, Any]]:
    """What of a trial is the same each time."""
    return [
        {
            "number": trial.number,
            "state": trial.state.value,
            "suggestion": [trial.suggestion.id, dict(trial.suggestion.point), dict(trial.suggestion.notes)],
            "policy": None if trial.policy is None else trial.policy.text,
            "losses": None if trial.outcome is None else list(trial.outcome.losses),
            "violations": None if trial.outcome is None else list(trial.outcome.violations),
            "sems": None if trial.outcome is None else list(trial.outcome.violation_sems),
            "score": trial.score,
            "reason": trial.reason,
            "distinct": trial.distinct,
        }
        for trial in trials
    ]


def dumped(path: Path) -> str:
    """A database as SQL: a text that can be looked at, and a third of its size."""
    database = sqlite3.connect(path)
    text = "\n".join(database.iterdump())
    database.close()
    return text + "\n"


def restored(text: str, path: Path) -> Path:
    """The database of a dump."""
    database = sqlite3.connect(path)
    database.executescript(text)
    database.close()
    return path


def begun(folder: Path) -> str:
    """Ledgers of searches that have begun, in the format of the code that runs this."""
    for name in STUDIES:
        study = study_of(name, folder / "study.db")
        study.run(Budget(BEFORE))
        study.ledger.close()  # type: ignore[union-attr]
    return dumped(folder / "study.db")


def continued(ledger: str, name: str, folder: Path) -> dict[str, Any]:
    """The trials that the ledger holds, and those that the search adds."""
    study = study_of(name, restored((DATA / f"{ledger}.sql").read_text(encoding="utf-8"), folder / "study.db"))
    held = shown(study.trials)
    study.run(Budget(AFTER))
    study.ledger.close()  # type: ignore[union-attr]
    return {"held": held, "added": shown(study.trials[len(held) :])}


def made(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for ledger in FORMATS:
        for name in STUDIES:
            place = folder / ledger / name
            place.mkdir(parents=True)
            found.setdefault(ledger, {})[name] = continued(ledger, name, place)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("ledger", FORMATS)
def test_a_ledger_is_read_and_its_search_goes_on(ledger: str, name: str, tmp_path: Path) -> None:
    recorded, found = read("ledgers")[ledger][name], continued(ledger, name, tmp_path)
    assert len(found["held"]) == BEFORE
    assert differences(recorded["held"], found["held"]) == []
    if elsewhere():
        pytest.skip(elsewhere())
    assert differences(recorded["added"], found["added"]) == []


@pytest.mark.parametrize(("ledger", "number"), [(FORMATS[0], 1), (FORMATS[1], 2)])
def test_the_ledgers_are_of_the_formats_that_they_stand_for(ledger: str, number: int, tmp_path: Path) -> None:
    database = sqlite3.connect(restored((DATA / f"{ledger}.sql").read_text(encoding="utf-8"), tmp_path / "study.db"))
    rows = database.execute("SELECT value_json FROM trial_system_attributes WHERE key = 'moco:trial'").fetchall()
    database.close()
    assert len(rows) == BEFORE * len(STUDIES)
    assert {json.loads(text)["format"] for (text,) in rows} == {number}
