"""A registered searcher with its options, and whether it can take a space or a problem."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from moco.errors import ConfigError
from moco.interfaces import Searcher, SearcherCapabilities, misfit, refuse_misfit
from moco.problem import Problem
from moco.registry import plugin
from moco.space import SearchSpace


@dataclass(frozen=True)
class Strategy:
    """A searcher with its options.

    Attributes:
        label: what it is called in the comparison, its studies and its files.
        searcher: registered name.
        options: an instance of the searcher's `Options`.
        cls: the searcher's class, where it has been looked up already.
    """

    label: str
    searcher: str
    options: Any
    cls: Any = field(default=None, compare=False, repr=False)

    @property
    def kind(self) -> Any:
        """The searcher's class."""
        return self.cls or plugin("searcher", self.searcher)

    def build(self, problem: Problem, seed: int) -> Searcher:
        """The searcher as it begins."""
        built: Searcher = self.kind(problem, self.options, seed)
        return built

    def check(self, problem: Problem) -> None:
        """Pass a problem that the searcher, with these options, can take.

        Raises:
            ConfigError: it cannot; what is in the way is named.
        """
        refuse_misfit(self.kind, self.label, problem)
        refuse_misfit(self.build(problem, 0), self.label, problem)  # where its options decide

    def warnings(self, problem: Problem) -> list[str]:
        """What the searcher has to say of the problem before it begins; a searcher need not say anything."""
        told = getattr(self.build(problem, 0), "warnings", None)
        return [] if told is None else list(told(problem))

    def to_json(self) -> dict[str, Any]:
        """The searcher's name and all of its options."""
        return {"searcher": self.searcher, "options": dataclasses.asdict(self.options)}


def strategy_warnings(strategies: Sequence[Strategy], problem: Problem, trials: int) -> list[str]:
    """All of them, each once.

    Raises:
        ConfigError: a strategy cannot take the space.
    """
    return [*slow_strategies(strategies, problem.space, trials), *idle_options(strategies, problem)]


def slow_strategies(strategies: Sequence[Strategy], space: SearchSpace, trials: int) -> list[str]:
    """Searchers that are not made for so many trials, each once.

    Raises:
        ConfigError: a strategy cannot take the space.
    """
    searchers = {strategy.searcher: strategy.kind for strategy in strategies}
    return [text for name, kind in searchers.items() for text in _slow(name, kind, space, trials)]


def idle_options(strategies: Sequence[Strategy], problem: Problem) -> list[str]:
    """Options that were chosen and have no effect on this problem, by the strategies' labels."""
    return [f"{strategy.label}.{text}" for strategy in strategies for text in strategy.warnings(problem)]


def checked_searcher(searcher: str, space: SearchSpace, trials: int) -> list[str]:
    """Pass a registered searcher that can take the space, with a warning where it is not made for so many trials.

    Raises:
        ConfigError: it cannot; the parameter that is in the way is named.
    """
    return _slow(searcher, plugin("searcher", searcher, "searcher.name"), space, trials)


def _slow(searcher: str, kind: Any, space: SearchSpace, trials: int) -> list[str]:
    """Told before minutes are spent on the reference."""
    capabilities = kind.capabilities
    if not isinstance(capabilities, SearcherCapabilities):  # a class whose options decide: its instance will tell
        return []
    reason = capabilities.why_not_in(space)
    if reason is not None:
        raise ConfigError(misfit(searcher, reason, "searcher.name"))
    if capabilities.max_trials is None or trials <= capabilities.max_trials:
        return []
    most = capabilities.max_trials
    return [f"budget.trials: {trials} is more than the {most} that '{searcher}' is made for; it becomes slow"]
