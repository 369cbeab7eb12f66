"""The border between a study and its searcher, which may be anybody's: checked, copied, and limited in time.

Whatever crosses it is a copy: what a searcher does to its own points, or to the trials that it is told, changes no
record. What it raises, and an answer that is none, or that never comes, is told as one line that names it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from moco.errors import MocoError, in_one_line
from moco.interfaces import Searcher
from moco.policy import Policy
from moco.space import SearchSpace
from moco.time_limit import CalledError, CallTimeoutError, TimeLimitedCaller
from moco.trial import Suggestion, Trial

ANSWER_SECONDS = 3600.0
"""How long a searcher is waited for where the budget does not say; the slowest of moco's own take minutes."""

UNKNOWN_PARAMETERS = 100
"""Most names of no parameter that are read of a point, to be told; one without end would be read for ever."""


class GuardedSearcher:
    """A searcher behind that border."""

    def __init__(self, searcher: Searcher, space: SearchSpace, failed: Callable[[str], MocoError]) -> None:
        """Guard a searcher of that space; `failed` makes the error that is raised from its text."""
        self._searcher, self._space, self._failed = searcher, space, failed
        self._call, self._ids = TimeLimitedCaller(), set[int]()
        self.limit_s = ANSWER_SECONDS

    def ask(self) -> tuple[Suggestion, Policy]:
        """The next suggestion, its point in Python's own values, and its policy.

        What `failed` makes is raised where the searcher raises anything, gives no answer within `limit_s` seconds, or
        gives what is no new suggestion of the space; a MocoError of the searcher's own as it is.
        """
        answered: tuple[Suggestion, Policy] = self._answer("ask", self._asked)
        return answered

    def tell(self, trial: Trial) -> None:
        """Tell it a copy of the trial; raises as `ask` does."""
        self._ids.add(trial.suggestion.id)
        self._answer("tell", self._searcher.tell, trial.copied())

    def _asked(self) -> tuple[Suggestion, Policy]:
        """Its answer, read where it was given: numbers and mappings of others may exit, raise or never end."""
        given = self._searcher.ask()
        try:
            suggestion = self._checked(given)
            return suggestion, self._space.canonical(suggestion.point)
        except MocoError as error:  # about its answer, and so none of its own
            raise self._error("ask", in_one_line(error)) from error

    def _checked(self, given: object) -> Suggestion:
        if not isinstance(given, Suggestion):
            raise TypeError(f"expected a Suggestion, got {given!r}")
        number = _plain(given.id)
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise TypeError(f"expected an id that is a whole number of at least 0, got {given.id!r}")
        if number in self._ids:
            raise ValueError(f"the id {number} was suggested before")
        self._ids.add(number)
        most = len(self._space.distributions) + UNKNOWN_PARAMETERS
        items = list(islice(given.point.items(), most + 1))
        if len(items) > most:
            raise ValueError(f"expected a point of {len(self._space.distributions)} parameters, got more than {most}")
        point = {str(name): _plain(value) for name, value in items}
        return Suggestion(number, point, json.loads(json.dumps(dict(given.notes), allow_nan=False)))

    def _answer(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return self._call(self.limit_s, function, *args)
        except CallTimeoutError:
            late = f"it did not return within {self.limit_s:g} s (budget.answer_seconds)"
            raise self._error(what, late) from None
        except CalledError as called:
            if isinstance(called.error, MocoError):
                raise called.error from None
            raise self._error(what, in_one_line(called.error)) from called.error

    def _error(self, what: str, why: str) -> MocoError:
        cls = type(self._searcher)
        return self._failed(f"the searcher {cls.__module__}.{cls.__qualname__} failed to {what}: {why}")


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value
