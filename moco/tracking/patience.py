"""Patience with a database server: one that is away is asked again for a minute, one that is frozen is cut off.

A server that does not answer cannot time its own statements, and the client waits for ever. So the connections are
closed from this side after a while, which is an error as any other, and the next try opens new ones.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

from optuna.exceptions import StorageInternalError
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

PAUSES_S = (0.5, 1, 2, 4, 8, 15, 15, 15)
"""Between the tries: a server may need a minute to come back."""
ANSWER_S = 75.0
"""A statement that takes longer has no server behind it."""
CONNECT_S = 10
_OPEN: WeakSet[Any] = WeakSet()


def watched(engine: Engine) -> Engine:
    """The engine, whose connections from now on are closed where the server does not answer."""
    event.listen(engine, "connect", lambda connection, _: _OPEN.add(connection))
    engine.dispose()  # what was opened before is opened again
    return engine


@contextmanager
def answered() -> Iterator[None]:
    """Within, a server is asked, which must answer in time."""
    timer = threading.Timer(ANSWER_S, _cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def patiently(ask: Callable[[], T]) -> T:
    """What `ask` gives, asked again while the server is away; its last error where it stays away."""
    for pause_s in PAUSES_S:
        try:
            with answered():
                return ask()
        except (StorageInternalError, DBAPIError) as error:
            if not is_away(error):
                raise
        time.sleep(pause_s)
    with answered():
        return ask()


def is_away(error: BaseException) -> bool:
    """Whether it says that there is no server, and not that the statement is wrong."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DBAPIError):
        cause = cause.__cause__
    return isinstance(cause, DBAPIError) and (
        cause.connection_invalidated
        or type(cause.orig).__name__ in {"OperationalError", "InterfaceError", "AdminShutdown"}
    )


def _cut_off() -> None:
    for connection in list(_OPEN):
        with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
