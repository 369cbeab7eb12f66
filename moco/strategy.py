"""A registered searcher with its options, and whether it can take a space or a problem."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from moco.errors import ConfigError, MocoError, in_one_line, printed
from moco.guarded_searcher import ANSWER_SECONDS
from moco.interfaces import Searcher, SearcherCapabilities, misfit, refuse_misfit
from moco.problem import Problem
from moco.registry import BUILT_IN, made_by, named, plugin
from moco.space import SearchSpace
from moco.time_limit import CalledError, CallTimeoutError, TimeLimitedCaller
from moco.trial import Trial

MOST_FAILURES = 5
"""Different failures of a searcher that a result tells; the texts of some have a number that is never the same."""


@dataclass(frozen=True)
class Strategy:
    """A searcher with its options."""

    label: str  # what it is called in the comparison, its studies and its files
    searcher: str  # registered name
    options: Any  # an instance of the searcher's `Options`
    cls: Any = field(default=None, compare=False, repr=False)  # where it has been looked up already
    answer_s: float = field(default=ANSWER_SECONDS, compare=False, repr=False)  # one of others is waited for so long

    @property
    def kind(self) -> Any:
        """The searcher's class."""
        return self.cls or plugin("searcher", self.searcher)

    def build(self, problem: Problem, seed: int) -> Searcher:
        """The searcher as it begins; a ConfigError names one of another package that cannot be made, or not in time."""
        given = self.kind, "searcher", self.searcher, None, problem.copied(), self.options, seed
        built: Searcher = self._in_time("be made", made_by, *given)
        return built

    def warm_up(self, problem: Problem, seed: int) -> None:
        """Let it import what its first suggestion needs; a ConfigError as by `build`."""
        self._in_time("ask", self.build(problem, seed).ask)

    def within(self, answer_s: float | None) -> Strategy:
        """The strategy whose searcher is waited for so long; None takes `moco.guarded_searcher.ANSWER_SECONDS`."""
        return replace(self, answer_s=answer_s or ANSWER_SECONDS)

    def check(self, problem: Problem) -> None:
        """Pass a problem that the searcher, with these options, can take; a ConfigError says what is in the way."""
        refuse_misfit(self.kind, self.label, problem)
        refuse_misfit(self.build(problem, 0), self.label, problem)  # where its options decide

    def warnings(self, problem: Problem) -> list[str]:
        """What the searcher has to say of the problem before it begins; a searcher need not say anything."""
        told = getattr(self.build(problem, 0), "warnings", None)
        if told is None:
            return []
        texts: list[str] = self._in_time("say what to warn of", lambda: [str(text) for text in told(problem.copied())])
        return texts

    def to_json(self) -> dict[str, Any]:
        """The searcher's name and all of its options."""
        return {"searcher": self.searcher, "options": dataclasses.asdict(self.options)}

    def _in_time(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """What a searcher answers before its search, which has a guard of its own; one of others may raise or hang."""
        if self.searcher in BUILT_IN["searcher"]:
            return function(*args)
        failed = f"{named('searcher', self.searcher, None)} cannot {what}"
        try:
            return TimeLimitedCaller()(self.answer_s, function, *args)
        except CallTimeoutError:
            late = f"it did not return within {self.answer_s:g} s (budget.answer_seconds)"
            raise ConfigError(f"{failed}: {late}") from None
        except CalledError as called:
            if isinstance(called.error, MocoError):
                raise called.error from None
            raise ConfigError(f"{failed}: {in_one_line(called.error)}") from called.error


def strategy_warnings(strategies: Sequence[Strategy], problem: Problem, trials: int) -> list[str]:
    """Both kinds of warnings about the strategies; a ConfigError where one cannot take the space."""
    return [*slow_strategies(strategies, problem.space, trials), *idle_options(strategies, problem)]


def failure_warnings(trials: Sequence[Trial], who: str = "the searcher") -> list[str]:
    """What the searcher's model failed at in these trials, each once, with how often; of many the most frequent."""
    counts = Counter(printed(text) for trial in trials for text in trial.suggestion.failures)
    told = counts.most_common(MOST_FAILURES)
    rest = counts.total() - sum(count for _, count in told)
    texts = [f"{who} {text}" + (f" ({count} times)" if count > 1 else "") for text, count in told]
    return [*texts, f"{who} failed {rest} more times, for other reasons"] if rest else texts


def slow_strategies(strategies: Sequence[Strategy], space: SearchSpace, trials: int) -> list[str]:
    """Searchers that are not made for so many trials, each once; a ConfigError where one cannot take the space.

    It is told before minutes are spent on the reference.
    """
    slow = []
    for name, kind in {strategy.searcher: strategy.kind for strategy in strategies}.items():
        can = kind.capabilities
        if not isinstance(can, SearcherCapabilities):  # a class whose options decide: its instance will tell
            continue
        if (reason := can.why_not_in(space)) is not None:
            raise ConfigError(misfit(name, reason, "searcher.name"))
        if (most := can.max_trials) is not None and trials > most:
            slow.append(f"budget.trials: {trials} is more than the {most} that '{name}' is made for; it becomes slow")
    return slow


def idle_options(strategies: Sequence[Strategy], problem: Problem) -> list[str]:
    """Options that were chosen and have no effect on this problem, by the strategies' labels."""
    return [f"{strategy.label}.{text}" for strategy in strategies for text in strategy.warnings(problem)]
