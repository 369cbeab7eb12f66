"""The ledger: an Optuna study in a database, one committed transaction a finished trial, readable by optuna-dashboard.

What a person looks at (parameters, losses, constraints, metrics) stands where the dashboard expects it. What a restart
needs stands beside it as one JSON value, so that trials come back exactly, also where Optuna's form is narrower.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from moco.constraints import Bound
from moco.errors import RunFolderError
from moco.metrics import Direction
from moco.problem import Problem
from moco.tracking.optuna_trial import to_entry, to_trial
from moco.tracking.quiet import quiet
from moco.trial import Trial


class OptunaLedger:
    """The durable record of one search (see `moco.interfaces.Ledger`)."""

    def __init__(self, study: optuna.Study, storage: RDBStorage, problem: Problem) -> None:
        """Wrap a study that fits the problem; use `open`."""
        self._study = study
        self._storage = storage
        self._problem = problem
        self._constraint_names = tuple(_constraint_name(bound) for bound in problem.bounds)

    @staticmethod
    def open(storage_url: str, study_name: str, problem: Problem, fingerprint: str) -> OptunaLedger:
        """The ledger of that name, created where there is none.

        Args:
            storage_url: SQLAlchemy's, for example `sqlite:///runs/mine/study.db`.
            study_name: name of the search in the database.
            problem: gives the parameters, the names of the losses and of the constraints.
            fingerprint: of everything that trials must share to stand in one record.

        Raises:
            RunFolderError: the database cannot be used, or its study belongs to another search.
        """
        with _database_errors(storage_url, "open"), quiet("optuna"):
            storage = RDBStorage(storage_url)
            _batch_inserts(storage)
            study = _load_or_create(storage, study_name, len(problem.objectives))
            _claim(study, problem, fingerprint, _shown_url(storage_url))
        return OptunaLedger(study, storage, problem)

    def record(self, trial: Trial) -> None:
        """Write a finished trial in one transaction; it is on disk when this returns.

        Raises:
            RunFolderError: the database cannot be written; the trials recorded before are unharmed.
        """
        entry = to_entry(trial, self._problem.space.distributions, self._constraint_names)
        with _database_errors(self._storage.url, "write"), quiet("optuna"):
            self._study.add_trial(entry)

    def trials(self) -> list[Trial]:
        """All recorded trials by number; entries that moco did not write, or not to the end, are left out.

        Raises:
            RunFolderError: the database cannot be read, or two searches have written to it at the same time.
        """
        with _database_errors(self._storage.url, "read"):
            entries = self._study.get_trials(deepcopy=False)
        found: dict[int, Trial] = {}
        for entry in entries:
            trial = to_trial(entry)
            if trial is None:
                continue
            # A server that drops the line after its commit makes Optuna write the same trial again.
            if found.setdefault(trial.number, trial) != trial:
                raise RunFolderError(
                    f"ledger {_shown_url(self._storage.url)}: trial {trial.number} is there twice and differs: two "
                    "searches have written to this run folder at the same time; start again in a new one"
                )
        return [found[number] for number in sorted(found)]

    def close(self) -> None:
        """Let go of the database; nothing is pending, so a process may also just end."""
        self._storage.remove_session()
        self._storage.engine.dispose()


def _batch_inserts(storage: RDBStorage) -> None:
    # Optuna queries once or twice for each parameter, and SQLAlchemy writes out what is pending before each query.
    # Nothing that is queried there depends on it; written at the commit instead, a trial costs a quarter less.
    storage.scoped_session.remove()
    storage.scoped_session.configure(autoflush=False)


def _load_or_create(storage: RDBStorage, name: str, n_losses: int) -> optuna.Study:
    try:
        return optuna.load_study(storage=storage, study_name=name)  # writes nothing: a read-only folder can be read
    except KeyError:
        return optuna.create_study(storage=storage, study_name=name, directions=["minimize"] * n_losses)


def _claim(study: optuna.Study, problem: Problem, fingerprint: str, url: str) -> None:
    """Sign a new study with the fingerprint, or check that of an old one."""
    found = study.user_attrs.get("fingerprint")
    if found is None and not study.get_trials(deepcopy=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([_loss_name(name, sense) for name, sense in problem.objectives.items()])
        study.set_user_attr("constraints", [_constraint_name(bound) for bound in problem.bounds])
        study.set_user_attr("fingerprint", fingerprint)
        found = fingerprint
    if found != fingerprint:
        raise RunFolderError(
            f"ledger {url}: study '{study.study_name}' belongs to another search: expected fingerprint {fingerprint}, "
            f"found {found or 'none (not written by moco)'}; choose another run folder or restore its experiment"
        )


def _loss_name(name: str, direction: str) -> str:
    return f"-{name}" if direction == Direction.MAXIMIZE else name


def _constraint_name(bound: Bound) -> str:
    confidence = "" if bound.confidence is None else f" (confidence {bound.confidence:g})"
    return f"{bound.metric} {bound.op} {bound.value:.6g}{confidence}"


def _shown_url(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


@contextmanager
def _database_errors(url: str, doing: str) -> Iterator[None]:
    """Turn what a database may answer (full, locked, read-only, absent) into one clear line."""
    try:
        yield
    except ImportError as error:
        raise RunFolderError(
            f"ledger {_shown_url(url)}: its database driver is not installed ({error}); install it or use sqlite:///FILE"
        ) from error
    except (StorageInternalError, SQLAlchemyError, RuntimeError) as error:
        raise RunFolderError(
            f"ledger {_shown_url(url)}: cannot {doing} it: {_cause(error)}; check the free space, the permissions and "
            "that nothing else holds it; recorded trials are kept, continue with --resume"
        ) from error


def _cause(error: BaseException) -> str:
    """What the database itself said."""
    while error.__cause__ is not None and not hasattr(error, "orig"):
        error = error.__cause__
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
