"""The database of a ledger: its errors in one clear line without its password, and the lock of one search on a study.

The lock is in the database, or beside its file, for the life of the search.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from sqlalchemy.pool import NullPool

from moco.errors import ConfigError, RunFailedError, RunFolderError
from moco.file_lock import FileLock, Holder, Lock, closed_in_children, open_in_children
from moco.run_folder.writing import LEDGER
from moco.secret import EXAMPLES, Secret
from moco.tracking.patience import CONNECT_S, PAUSES_S, watched

_ADVICE = "wait until it ends, or give this one another name"
_KEEPALIVE = {"tcp_keepalives_idle": "60", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "6"}
"""A machine that loses its power lets go of its lock after two minutes, and not after the server's two hours."""
_PLAIN = re.compile(r"^postgres(ql)?://")
"""An address that leaves the driver open: psycopg, which `moco[postgres]` brings."""


_BROKEN = (
    "malformed",
    "can't decode",
    "not a database",
    "no such table",
    "has no column",
    "no such column",
    "table schema",  # the row of its version is another one
    "constraint failed",
    "datatype mismatch",
)
"""What a database says of tables and rows that are not as they were written."""


class _HeldError(RunFolderError):
    """Another connection has the lock; `ours` says that it was one of this process, which the server still holds."""

    def __init__(self, text: str, *, ours: bool) -> None:
        super().__init__(text)
        self.ours = ours


def connectable(address: Secret) -> str:
    """The address as SQLAlchemy takes it."""
    return _PLAIN.sub("postgresql+psycopg://", address.value)


def connection_options(address: str) -> dict[str, Any]:
    """What the driver is told besides: a server that cannot be reached is not waited for by the minute."""
    url = make_url(address)
    known = url.get_backend_name() == "postgresql" and "connect_timeout" not in url.query
    return {"connect_args": {"connect_timeout": CONNECT_S}} if known else {}


def database_address(written: str, where: str) -> Secret:
    """The database at that address; a ConfigError at the key path `where` if SQLAlchemy cannot use it."""
    address = Secret.of(written, where)
    try:
        with warnings.catch_warnings(), suppress(ImportError):  # whoever opens it says which driver is missing
            warnings.simplefilter("error", SAWarning)  # of options that would be ignored
            create_engine(connectable(address), poolclass=NullPool)
    except (SQLAlchemyError, SAWarning, TypeError, ValueError) as error:
        cause = address.hide(_cause(error))
        raise ConfigError(f"{where}: '{address.shown}' cannot be used: {cause}; expected {EXAMPLES}") from None
    return address


def file_address(path: Path) -> Secret:
    """The address of a SQLite file, whatever characters its path has."""
    address = f"sqlite:///{path}"
    if make_url(address).database != str(path):
        address = URL.create("sqlite", database=str(path)).render_as_string()
    return Secret(address, address)


def ledger_address(out: Path, storage: Secret | None) -> Secret:
    """The database of the ledger: the one that was asked for, or RUN/study.db."""
    return storage if storage is not None else file_address((out / LEDGER).resolve())


@contextmanager
def database_errors(address: Secret, doing: str) -> Iterator[None]:
    """Turn an error of the database's into a RunFolderError; `doing` is what could not be done with it.

    What can be opened and fails later is a RunFailedError.
    """
    try:
        yield
    except ImportError as error:
        extra = "pip install 'moco[postgres]'" if _is_postgres(address) else "install it"
        raise RunFolderError(
            f"ledger {address.shown}: its database driver is not installed ({error}); {extra}, or use sqlite:///FILE"
        ) from error
    except (StorageInternalError, SQLAlchemyError, RuntimeError, UnicodeDecodeError) as error:
        kind, cause = RunFolderError if doing == "open" else RunFailedError, _cause(error)
        check = "the free space, the permissions and that nothing else holds it"
        if "://" in address.value and not address.value.startswith("sqlite"):
            check = "that its server runs and takes this user's connections, and its free space"
        advice = f"check {check}; recorded trials are kept, continue with --resume"
        if any(word in cause for word in _BROKEN) or _is_no_file(address):
            advice = way_on(address)
        raise kind(f"ledger {address.shown}: cannot {doing} it: {address.hide(cause)}; {advice}") from None


def way_on(address: Secret) -> str:
    """What to do where the ledger cannot be read, as it is in a run folder or in another database."""
    path = Path(make_url(address.value).database or "")
    if make_url(address.value).get_backend_name() == "sqlite" and path.name == LEDGER:
        return f"`moco repair {path.parent}` sets it aside and keeps the trials that can be read; then use --resume"
    return "start again in a new run folder"


def _is_no_file(address: Secret) -> bool:
    """Whether a folder, or a pipe, is where SQLite's file would be."""
    if not address.value.startswith("sqlite"):  # it may be no address at all
        return False
    path = Path(make_url(address.value).database or "")
    return path.exists() and not path.is_file()


def _is_postgres(address: Secret) -> bool:
    return make_url(connectable(address)).get_backend_name() == "postgresql"


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None and not hasattr(error, "orig"):
        error = error.__cause__
    return (str(getattr(error, "orig", None) or error).strip() or type(error).__name__).splitlines()[0]


def ledger_lock(address: Secret, study: str) -> Lock:
    """The lock on the study of that name, taken; a RunFolderError says who holds it, or why no database answers."""
    with database_errors(address, "open"):
        url = make_url(connectable(address))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)
            create_engine(url, poolclass=NullPool)  # before anything is measured: is its driver installed?
        if url.get_backend_name() == "postgresql":
            return PostgresLock(address, study)
        if url.get_backend_name() == "sqlite":
            return _beside_the_file(url, address, study)
    return Lock(
        f"tracking.storage: moco knows no lock for {url.get_backend_name()}; see to it that one search alone writes to "
        f"the study '{study}'"
    )


def _beside_the_file(url: URL, address: Secret, study: str) -> Lock:
    path = Path((url.database or "").removeprefix("file:")).resolve()
    if url.database in {None, "", ":memory:"}:
        return Lock()
    name = f".{path.name}.{sha256(study.encode()).hexdigest()[:12]}.lock"
    try:
        return FileLock(path.with_name(name), _held(address, study), _ADVICE)
    except OSError:  # no such folder, or not writable: the database itself will say so in better words
        return Lock()


def _held(address: Secret, study: str) -> str:
    return f"ledger {address.shown}: the study '{study}' is being searched already"


class PostgresLock(Lock):
    """An advisory lock of PostgreSQL's, held by a connection of its own; the server frees it when the process dies.

    The connection's application name says who holds it. Behind a pooler that shares connections between clients
    (pgbouncer in transaction mode) such locks do not work: give the server's own address.
    """

    def __init__(self, address: Secret, study: str) -> None:
        """Take the lock at once; a RunFolderError names another search that holds it.

        Where the server cannot be reached it is a SQLAlchemyError or an ImportError.
        """
        super().__init__()
        self._address, self._study = address, study
        self._key = int.from_bytes(sha256(f"moco {study}".encode()).digest()[:8], signed=True)
        options = {"poolclass": NullPool, "isolation_level": "AUTOCOMMIT", **connection_options(connectable(address))}
        self._engine = watched(create_engine(connectable(address), **options))
        self._descriptor: int | None = None
        self._name = _as_name(Holder.here())
        self._connection = self._taken()

    def confirm(self) -> bool:
        """Whether the connection has stood all the time; where it has not, the lock is taken anew.

        A RunFolderError where another search has it now, or the server cannot be reached.
        """
        try:
            self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            self.release()
            with database_errors(self._address, "reach"):
                self._connection = self._taken_again()
            return False
        return True

    def release(self) -> None:
        """Close the connection, and with it the lock."""
        if self._descriptor is not None:
            open_in_children(self._descriptor)
            self._descriptor = None
        with suppress(SQLAlchemyError):
            self._connection.close()

    def _taken_again(self) -> Connection:
        for pause_s in PAUSES_S:
            try:
                return self._taken()
            except SQLAlchemyError:
                pass
            except _HeldError as error:
                if not error.ours:
                    raise
            time.sleep(pause_s)
        return self._taken()

    def _taken(self) -> Connection:
        connection = self._engine.connect()
        try:
            self._take(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _take(self, connection: Connection) -> None:
        settings = {**_KEEPALIVE, "application_name": self._name}
        for name, value in settings.items():
            connection.execute(text("SELECT set_config(:name, :value, false)"), {"name": name, "value": value})
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar():
            application = self._holder(connection)
            held = f"{_held(self._address, self._study)}, by {_named(application) or 'another process'}; {_ADVICE}"
            raise _HeldError(held, ours=application == self._name)
        # A forked child must not keep the connection open when this process has died.
        descriptor = getattr(connection.connection.driver_connection, "fileno", lambda: None)()
        if descriptor is not None:
            closed_in_children(descriptor)
        self._descriptor = descriptor

    def _holder(self, connection: Connection) -> str | None:
        query = (
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE "
            "l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid::bigint = :high AND "
            "l.objid::bigint = :low AND a.datname = current_database()"
        )
        high, low = divmod(self._key % 2**64, 2**32)
        found: str | None = connection.execute(text(query), {"high": high, "low": low}).scalar()
        return found


def _as_name(holder: Holder) -> str:
    """The holder within the 63 characters of an application name; a long host name is cut."""
    return f"moco:{holder.pid}:{round(time.time())}:{holder.host}"[:63]


def _named(application: str | None) -> str:
    try:
        _, pid, since, host = str(application).split(":", 3)
        when = datetime.fromtimestamp(int(since), UTC).isoformat(timespec="seconds")
        return str(Holder(int(pid), host, when))
    except ValueError:
        return str(application or "")
