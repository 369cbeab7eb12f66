"""The ledger: an Optuna study in a database, one committed transaction a finished trial, readable by optuna-dashboard.

What a person looks at (parameters, losses, constraints, metrics) stands where the dashboard expects it. What a restart
needs stands beside it as one JSON value, so that trials come back exactly, also where Optuna's form is narrower.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, column, select, table
from sqlalchemy.engine import make_url

from moco.constraints import Bound
from moco.errors import RunFolderError
from moco.file_lock import Lock
from moco.metrics import Direction
from moco.problem import Problem
from moco.secret import Secret
from moco.store_table import MALFORMED
from moco.tracking.database import connectable, connection_options, database_errors, way_on
from moco.tracking.messages import quiet
from moco.tracking.optuna_trial import RECORD, to_entry, to_trial
from moco.tracking.patience import patiently, watched
from moco.trial import Trial

T = TypeVar("T")

UNREADABLE = (AssertionError, DuplicatedStudyError, *MALFORMED)
"""What Optuna and moco raise where rows are not as they were written, or a name is taken that cannot be loaded."""

_STUDIES = table("studies", column("study_id"), column("study_name"))
_SIGNED = table("study_user_attributes", column("study_id"), column("key"), column("value_json"))
_TRIALS = table("trials", column("trial_id"), column("study_id"))
_RECORDS = table("trial_system_attributes", column("trial_id"), column("key"))


class OptunaLedger:
    """The durable record of one search (see `moco.interfaces.Ledger`)."""

    def __init__(
        self, study: optuna.Study, storage: RDBStorage, problem: Problem, address: Secret, lock: Lock | None = None
    ) -> None:
        """Wrap a study that fits the problem; use `open`."""
        self._study, self._storage, self._problem = study, storage, problem
        self._address, self._lock = address, lock
        self._known: int | None = None
        self._constraint_names = tuple(_constraint_name(bound) for bound in problem.bounds)

    @staticmethod
    def open(
        storage_url: str | Secret,
        study_name: str,
        problem: Problem,
        fingerprint: str,
        lock: Lock | None = None,
        *,
        sole: bool = False,
    ) -> OptunaLedger:
        """The ledger of that name, created where there is none, at SQLAlchemy's `sqlite:///runs/mine/study.db` or such.

        The problem gives the parameters, the names of the losses and of the constraints; `fingerprint` is of everything
        that trials must share to stand in one record; `lock` says that this search alone writes to it, and is confirmed
        before each trial; `sole` that the database holds this search alone. A RunFolderError where the database cannot
        be used, its rows cannot be read, or its study belongs to another search.
        """
        address = Secret.of(storage_url)
        with database_errors(address, "open"), quiet("optuna"):
            # Optuna fills in what stands in braces; a server that was restarted has dropped the connections.
            address_used = connectable(address)
            url = address_used.replace("{", "{{").replace("}", "}}")
            options = {"pool_pre_ping": True, **connection_options(address_used)}
            storage = RDBStorage(url, engine_kwargs=options)
            if make_url(address_used).get_backend_name() != "sqlite":
                watched(storage.engine)
            _batch_inserts(storage)
            try:
                study = _load_or_create(storage, study_name, len(problem.objectives), fingerprint if sole else None)
                _claim(study, problem, fingerprint, address)
            except UNREADABLE as error:
                raise RunFolderError(
                    f"ledger {address.shown}: its study '{study_name}' cannot be read ({_cause(error)}); "
                    f"{way_on(address)}"
                ) from None
        return OptunaLedger(study, storage, problem, address, lock)

    def record(self, trial: Trial) -> None:
        """Write a finished trial in one transaction; it is on disk when this returns.

        A RunFolderError where the database cannot be written, or another search has taken it over while the lock was
        lost; the trials recorded before are unharmed.
        """
        entry = to_entry(trial, self._problem.space.distributions, self._constraint_names)
        with database_errors(self._address, "write"), quiet("optuna"):
            self._asked(partial(self._write, entry))
        if self._known is not None:
            self._known += 1

    def _asked(self, ask: Callable[[], T]) -> T:
        """What the database gives; one that is a server is waited for."""
        return ask() if self._storage.engine.dialect.name == "sqlite" else patiently(ask)

    def _write(self, entry: FrozenTrial) -> None:
        if self._lock is not None and not self._lock.confirm():
            known = self._known
            if known is not None and len(self.trials()) != known:
                raise RunFolderError(
                    f"ledger {self._address.shown}: another search has written to it while the connection was lost; "
                    "its trials are kept, continue from them with --resume"
                )
        self._study.add_trial(entry)

    def trials(self) -> list[Trial]:
        """All recorded trials by number; entries that moco did not write, or not to the end, are left out.

        A RunFolderError where the database cannot be read, or two searches have written to it at the same time.
        """
        number = 0
        with database_errors(self._address, "read"), quiet("optuna"):
            try:
                entries = self._asked(partial(self._study.get_trials, deepcopy=False))
                found = [trial for number, entry in enumerate(entries) if (trial := to_trial(entry)) is not None]
                if entries and not found and all(entry.state.is_finished() for entry in entries):
                    raise LookupError("no trial has what moco records of it")
            except UNREADABLE as error:
                raise RunFolderError(
                    f"ledger {self._address.shown}: row {number} cannot be read ({_cause(error)}); "
                    f"{way_on(self._address)}"
                ) from None
        trials = _distinct(found, self._address)
        self._known = len(trials)
        return trials

    def close(self) -> None:
        """Let go of the database; nothing is pending, so a process may also just end."""
        self._storage.remove_session()
        self._storage.engine.dispose()


def _distinct(trials: Iterable[Trial], address: Secret) -> list[Trial]:
    """The trials by number: each number from 0 on, and each suggestion, once."""
    ledger, advice = address.shown, way_on(address)
    found: dict[int, Trial] = {}
    for trial in trials:
        # A server that drops the line after its commit makes Optuna write the same trial again.
        if found.setdefault(trial.number, trial) != trial:
            raise RunFolderError(
                f"ledger {ledger}: trial {trial.number} is there twice and differs: two searches have written to it at "
                f"the same time; {advice}"
            )
    suggested: dict[int, int] = {}
    for number, trial in sorted(found.items()):
        first = suggested.setdefault(trial.suggestion.id, number)
        if first != number:
            raise RunFolderError(
                f"ledger {ledger}: trials {first} and {number} are of the same suggestion ({trial.suggestion.id}): two "
                f"searches have written to it at the same time; {advice}"
            )
    missing = next((number for number in range(len(found)) if number not in found), None)
    if missing is not None:
        raise RunFolderError(
            f"ledger {ledger}: trial {missing} of {max(found) + 1} is missing: it was removed, or written by another "
            f"search; {advice}"
        )
    return [found[number] for number in sorted(found)]


def _batch_inserts(storage: RDBStorage) -> None:
    # Optuna queries once or twice for each parameter, and SQLAlchemy writes out what is pending before each query.
    # Nothing that is queried there depends on it; written at the commit instead, a trial costs a quarter less.
    storage.scoped_session.remove()
    storage.scoped_session.configure(autoflush=False)


def _load_or_create(storage: RDBStorage, name: str, n_losses: int, sole: str | None) -> optuna.Study:
    with storage.engine.connect() as connection:
        _check_owned(connection)
    try:
        return optuna.load_study(storage=storage, study_name=name)  # writes nothing: a read-only folder can be read
    except KeyError:
        if sole is not None:
            with storage.engine.connect() as connection:
                _check_absent(connection, sole)
        return optuna.create_study(storage=storage, study_name=name, directions=["minimize"] * n_losses)


def _check_owned(connection: Connection) -> None:
    """Pass rows that belong to what is there; SQLite itself does not see to it."""
    without = _TRIALS.c.study_id.is_(None) | _TRIALS.c.study_id.not_in(select(_STUDIES.c.study_id))
    if connection.execute(select(_TRIALS.c.trial_id).where(without)).first() is not None:
        raise LookupError("there are trials whose study is gone")
    gone = _RECORDS.c.trial_id.is_(None) | _RECORDS.c.trial_id.not_in(select(_TRIALS.c.trial_id))
    if connection.execute(select(_RECORDS.c.trial_id).where(_RECORDS.c.key == RECORD, gone)).first() is not None:
        raise LookupError("there are records whose trial is gone")


def _check_absent(connection: Connection, fingerprint: str) -> None:
    """Pass a database that never held this search; a LookupError where it does under another name."""
    signed = (_SIGNED.c.key == "fingerprint") & (_SIGNED.c.value_json == json.dumps(fingerprint))
    where = select(_STUDIES.c.study_name).join(_SIGNED, _SIGNED.c.study_id == _STUDIES.c.study_id).where(signed)
    if (name := connection.execute(where).scalar()) is not None:
        raise LookupError(f"this search is there as '{name}'")


def _claim(study: optuna.Study, problem: Problem, fingerprint: str, address: Secret) -> None:
    """Sign a new study with the fingerprint, or check that of an old one."""
    found, trials = study.user_attrs.get("fingerprint"), study.get_trials(deepcopy=False)
    if found is None and not trials:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            senses = problem.objectives.items()
            study.set_metric_names([f"-{name}" if sense == Direction.MAXIMIZE else name for name, sense in senses])
        study.set_user_attr("constraints", [_constraint_name(bound) for bound in problem.bounds])
        study.set_user_attr("fingerprint", fingerprint)
        found = fingerprint
    if found is None and any(to_trial(entry) is not None for entry in trials):
        raise LookupError("it has trials and no fingerprint")
    if found != fingerprint:
        raise RunFolderError(
            f"ledger {address.shown}: study '{study.study_name}' belongs to another search: expected fingerprint "
            f"{fingerprint}, found {found or 'none (not written by moco)'}; choose another run folder or restore its "
            "experiment"
        )
    if len(study.directions) != len(problem.objectives):
        raise LookupError(f"it has {len(study.directions)} directions for {len(problem.objectives)} losses")


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"


def _constraint_name(bound: Bound) -> str:
    confidence = "" if bound.confidence is None else f" (confidence {bound.confidence:g})"
    return f"{bound.metric} {bound.op} {bound.value:.6g}{confidence}"
