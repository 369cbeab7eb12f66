"""The database of a ledger: its address, and what it may answer as one clear line without its password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from moco.errors import RunFolderError
from moco.run_folder.writing import LEDGER
from moco.secret import Secret


def ledger_address(out: Path, storage: Secret | None) -> Secret:
    """The database of the ledger: the one that was asked for, or RUN/study.db."""
    if storage is not None:
        return storage
    address = f"sqlite:///{(out / LEDGER).resolve()}"
    return Secret(address, address)


@contextmanager
def database_errors(address: Secret, doing: str) -> Iterator[None]:
    """Turn an error of the database's into a RunFolderError; `doing` is what could not be done with it."""
    try:
        yield
    except ImportError as error:
        raise RunFolderError(
            f"ledger {address.shown}: its database driver is not installed ({error}); install it or use sqlite:///FILE"
        ) from error
    except (StorageInternalError, SQLAlchemyError, RuntimeError) as error:
        raise RunFolderError(
            f"ledger {address.shown}: cannot {doing} it: {address.hide(_cause(error))}; check the free space, the "
            "permissions and that nothing else holds it; recorded trials are kept, continue with --resume"
        ) from None


def _cause(error: BaseException) -> str:
    """What the database itself said."""
    while error.__cause__ is not None and not hasattr(error, "orig"):
        error = error.__cause__
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
