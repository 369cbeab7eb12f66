"""An executor without threads or processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class InlineExecutor(Executor):
    """Runs what is submitted at once, in this thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` now; its result or its exception is in the future that is given."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except KeyboardInterrupt:  # the user's, who ends the search
            raise
        except BaseException as error:  # carried to the one that asks for the result; SystemExit ends no search
            future.set_exception(error)
        return future
