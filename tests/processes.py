"""The processes that a test has started, without those that others in its process keep, as contract suites do."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.process import BaseProcess

Children = Callable[[], list[BaseProcess]]
"""Gives those that live."""


def born_from_now() -> Children:
    """The living children that were not there yet when this was called."""
    before = set(multiprocessing.active_children())
    return lambda: [
        child
        for child in multiprocessing.active_children()
        # where another thread has taken its exit code, multiprocessing never hears that a child has ended
        if child not in before and not connection.wait([child.sentinel], 0)
    ]
