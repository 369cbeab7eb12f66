"""A broken ledger of a run folder: set aside, and a new one written of the trials that can be read of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from moco.errors import RunFolderError
from moco.run_folder.manifest import Manifest
from moco.run_folder.writing import LEDGER, MANIFEST, opened
from moco.store_table import MALFORMED
from moco.tracking.database import database_errors, file_address
from moco.tracking.messages import quiet
from moco.tracking.optuna_study import UNREADABLE
from moco.tracking.optuna_trial import RECORD, to_entry, to_trial, trial_of
from moco.trial import Trial
from moco.whole_file import writes

ASIDE = ".broken"
BESIDE = ("", "-journal", "-wal", "-shm")  # what SQLite may keep beside its file

TABLES = {"studies", "study_user_attributes", "trials", "trial_params", "trial_values", "trial_system_attributes"}


@dataclass(frozen=True)
class Repair:
    """What was done.

    Attributes:
        kept: trials in the new ledger.
        lost: those of trials.json, and rows of the old ledger, that could not be read or did not fit to the others;
            None where the file is too broken to tell how many it had, and trials.json does not tell either.
        aside: where the old ledger is; None where it was sound, or there was none.
    """

    ledger: Path
    kept: int
    lost: int | None
    aside: Path | None

    def __str__(self) -> str:
        """One line for the person who asked."""
        if self.aside is None and self.lost == 0:
            return f"{self.ledger}: all {self.kept} trials can be read, nothing was changed"
        lost = "it is not known how many cannot" if self.lost is None else f"{self.lost} cannot"
        old = "there was none" if self.aside is None else f"the old one is {self.aside}"
        return (
            f"{self.ledger}: a new ledger with the {self.kept} trials that can be read, {lost}; {old}; "
            "continue with --resume"
        )


def repair(run: Path) -> Repair:
    """Write the ledger of a run folder anew of what can be read of it; a sound one is left alone, none is deleted.

    Trials are numbered anew where some are missing. A RunFolderError where there is no such run, its ledger is in
    another database, or a search runs there.
    """
    if not (run / MANIFEST).exists() and not (run / LEDGER).exists():
        raise RunFolderError(f"{run}: no run folder, there is neither {LEDGER} nor {MANIFEST} in it")
    with opened(run, resume=True):
        if not (run / LEDGER).exists() and _storage(run) is not None:
            raise RunFolderError(f"{run}: its ledger is in a database of its own (tracking.storage), not in the folder")
        return _repaired(run / LEDGER)


def _repaired(path: Path) -> Repair:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".repair-") as folder, writes(f"{path}:"):
        copy, new = Path(folder) / "old.db", Path(folder) / "new.db"
        studies, sound = _read(copy, *_owner(path.parent)) if _copied(path, copy) else ([], False)
        kept, lost = sum(len(study.kept) for study in studies), sum(study.lost for study in studies)
        if sound and not lost and all(_usable(copy, study) for study in studies if study.is_there or study.found):
            return Repair(path, kept, 0, None)
        _write(studies, new)
        known = _countable(copy)
        aside = _set_aside(path) if os.path.lexists(path) else None
        new.replace(path)
        return Repair(path, kept, _lost(lost, path.parent, studies, known=known), aside)


def _lost(rows: int, run: Path, studies: Sequence[_Study], *, known: bool) -> int | None:
    """How many trials are lost: the rows where the file's number of them is `known`, and what trials.json has besides.

    trials.json is of the last session that ended; a trial since then may be in a broken ledger alone.
    """
    found = {trial.number for study in studies for trial in study.found}
    told = _numbers(run / "trials.json")
    lost = max(rows, len(told - found))
    return lost if known or (lost and found <= told) else None


def _numbers(trials: Path) -> set[int]:
    """The numbers of the trials in the file; none where it cannot be read."""
    with suppress(OSError, *MALFORMED):
        return {int(entry["number"]) for entry in json.loads(trials.read_text(encoding="utf-8"))}
    return set()


def _countable(copy: Path) -> bool:
    """Whether the copy of the ledger says how many trials it had: its table of trials is there, and it is intact."""
    if not copy.exists():
        return False
    with closing(sqlite3.connect(copy)) as database, suppress(sqlite3.Error):
        database.execute("SELECT COUNT(*) FROM trials")
        return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    return False


def _storage(run: Path) -> Any:
    """The address of another database that the run's experiment names."""
    try:
        return json.loads((run / MANIFEST).read_text(encoding="utf-8"))["config"]["tracking"].get("storage")
    except (OSError, *MALFORMED):
        return None


def _owner(run: Path) -> tuple[str | None, str | None]:
    """Name and fingerprint of the search that has written the folder; None where they are not known."""
    try:
        manifest = Manifest.read(run / MANIFEST)
    except (OSError, *MALFORMED):
        return None, None
    if manifest.fingerprint is None or manifest.setting("comparison"):
        return None, None
    return manifest.name, "-".join(manifest.fingerprint.values())


def _copied(path: Path, to: Path) -> bool:
    """Whether there is a file of that name, now copied; a folder or a pipe is none."""
    for end in BESIDE:
        if Path(f"{path}{end}").is_file():
            shutil.copyfile(f"{path}{end}", f"{to}{end}")
    return to.exists()


def _set_aside(path: Path) -> Path:
    names = (path.with_name(f"{path.name}{ASIDE}{number or ''}") for number in range(1000))
    aside = next(name for name in names if not os.path.lexists(name))
    for end in BESIDE:
        with suppress(FileNotFoundError):
            Path(f"{path}{end}").rename(f"{aside}{end}")
    return aside


@dataclass
class _Study:
    """What can be read of a study."""

    name: str
    is_there: bool = True  # in the database, and not known from the manifest alone
    user: dict[str, Any] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    found: list[Trial] = field(default_factory=list)  # in the order of recording
    lost: int = 0  # rows of trials that cannot be read, or that others contradict

    @property
    def kept(self) -> list[Trial]:
        """Each number and each suggestion once, the first that was recorded; numbered anew from 0."""
        numbers, suggestions = dict[int, Trial](), set[int]()
        for trial in self.found:
            if trial.number not in numbers and trial.suggestion.id not in suggestions:
                numbers[trial.number] = trial
                suggestions.add(trial.suggestion.id)
        return [replace(trial, number=place) for place, (_, trial) in enumerate(sorted(numbers.items()))]

    def count_lost(self) -> None:
        """Add what is missing, and what is contradicted, to what cannot be read."""
        first: dict[int, Trial] = {}
        contradicted = sum(first.setdefault(trial.number, trial) != trial for trial in self.found)
        repeated = len(first) - len(self.kept)  # suggestions that stand in several trials
        missing = max(first, default=-1) + 1 - len(first)  # rows that are gone altogether
        self.lost = max(self.lost, missing) + contradicted + repeated


def _read(path: Path, name: str | None, fingerprint: str | None) -> tuple[list[_Study], bool]:
    """The studies of a file, and whether the whole of it is sound; the two are those of the folder's own search."""
    with closing(sqlite3.connect(path)) as database:
        database.text_factory = lambda text: text.decode(errors="replace")
        studies = {number: _Study(title) for number, title in _rows(database, "studies", "study_id", "study_name")}
        of_trial = dict(_rows(database, "trials", "trial_id", "study_id"))
        sound = _whole(database) and set(of_trial.values()) <= set(studies)
        if not studies and name is not None:
            studies[1] = _Study(name, is_there=False)
        _read_attributes(database, studies)
        if name is not None and fingerprint is not None and all(study.name != name for study in studies.values()):
            own = [study for study in studies.values() if study.user.get("fingerprint") == fingerprint]
            for study in own[:1]:
                study.name, sound = name, False
        only = next(iter(studies)) if len(studies) == 1 else -1
        read = _read_trials(database, defaultdict(lambda: studies.get(only), _by_trial(of_trial, studies)))
    for trial, number in of_trial.items():
        if trial not in read and number in studies:
            studies[number].lost += 1
    for study in studies.values():
        sound = sound and ("fingerprint" in study.user or not study.found)
        if study.name == name and fingerprint is not None:
            study.user.setdefault("fingerprint", fingerprint)
        study.count_lost()
    return [study for study in studies.values() if "fingerprint" in study.user], sound and read <= set(of_trial)


def _by_trial(of_trial: Mapping[int, int], studies: Mapping[int, _Study]) -> dict[int, _Study | None]:
    return {trial: studies[number] for trial, number in of_trial.items() if number in studies}


def _read_attributes(database: sqlite3.Connection, studies: Mapping[int, _Study]) -> None:
    for table, kind in (("study_user_attributes", "user"), ("study_system_attributes", "system")):
        for _, study, key, text in _rows(database, table, f"{table[:-1]}_id", "study_id, key, value_json"):
            with suppress(*MALFORMED):
                number = study if study in studies or len(studies) > 1 else next(iter(studies))
                getattr(studies[number], kind)[key] = json.loads(text)


def _read_trials(database: sqlite3.Connection, study_of: Mapping[int, _Study | None]) -> set[int]:
    """Put the trials and their distributions into their studies; the ids of those that can be read."""
    read = set[int]()
    parameters = "trial_params", "param_id", "trial_id, param_name, distribution_json"
    for _, trial, parameter, text in _rows(database, *parameters):
        study = study_of[trial]
        with suppress(*MALFORMED):
            if study is not None:
                study.distributions[parameter] = json_to_distribution(text)
    attributes = "trial_system_attributes", "trial_system_attribute_id", "trial_id, key, value_json"
    for _, trial, key, text in _rows(database, *attributes):
        study = study_of[trial]
        with suppress(*MALFORMED, RunFolderError):
            if study is not None and key == RECORD:
                study.found.append(trial_of(json.loads(text)))
                read.add(trial)
    return read


def _whole(database: sqlite3.Connection) -> bool:
    with suppress(sqlite3.Error):
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return tables >= TABLES and database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return False


def _usable(path: Path, study: _Study) -> bool:
    """Whether a search could go on from the study: what it reads is what was found, and another trial can be added."""
    storage: RDBStorage | None = None
    try:
        with quiet("optuna"):
            storage = RDBStorage(_url(path))
            there = optuna.load_study(storage=storage, study_name=study.name)
            read = [trial for entry in there.get_trials(deepcopy=False) if (trial := to_trial(entry)) is not None]
            for trial in study.kept[:1]:
                there.add_trial(to_entry(trial, study.distributions, _constraints(study.user, trial)))
        return there.user_attrs.get("fingerprint") == study.user["fingerprint"] and read == study.found
    except (RunFolderError, SQLAlchemyError, OptunaError, RuntimeError, *UNREADABLE):
        return False
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _url(path: Path) -> str:
    """As Optuna takes it, which fills in what stands in braces."""
    return file_address(path.resolve()).value.replace("{", "{{").replace("}", "}}")


def _rows(database: sqlite3.Connection, table: str, key: str, columns: str) -> Iterator[tuple[Any, ...]]:
    """The rows by their key, from both ends and then one by one, so that a damaged page costs its own rows only."""
    found: dict[int, tuple[Any, ...]] = {}
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error):
            for row in database.execute(f"SELECT {key}, {columns} FROM {table} ORDER BY {key} {order}"):
                found[row[0]] = row
            break
    else:
        for number in range(min(found, default=0), max(found, default=0)):
            if number not in found:
                with suppress(sqlite3.Error):
                    query = f"SELECT {key}, {columns} FROM {table} WHERE {key} = ?"
                    found |= {row[0]: row for row in database.execute(query, (number,))}
    return iter([found[number] for number in sorted(found)])


def _write(studies: Sequence[_Study], path: Path) -> None:
    """A ledger of what was read; one that holds no study where nothing could be."""
    with database_errors(file_address(path.resolve()), "write"), quiet("optuna"):
        storage = RDBStorage(_url(path))
        try:
            for study in studies:
                _add(storage, study)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _add(storage: RDBStorage, study: _Study) -> None:
    losses = next((len(trial.outcome.losses) for trial in study.kept if trial.outcome is not None), None)
    losses = losses or len(study.system.get("study:metric_names", ()))
    if not losses:
        return  # it has no trial, and is made anew by whoever knows its problem
    new = optuna.create_study(storage=storage, study_name=study.name, directions=["minimize"] * losses)
    for key, value in study.system.items():
        storage.set_study_system_attr(new._study_id, key, value)
    for key, value in study.user.items():
        new.set_user_attr(key, value)
    for trial in study.kept:
        new.add_trial(to_entry(trial, study.distributions, _constraints(study.user, trial)))


def _constraints(attributes: Mapping[str, Any], trial: Trial) -> Sequence[str]:
    """The names of the trial's violations."""
    count = 0 if trial.outcome is None else len(trial.outcome.violations)
    known = attributes.get("constraints") or ()
    return known if len(known) == count else [f"constraint {place}" for place in range(count)]
