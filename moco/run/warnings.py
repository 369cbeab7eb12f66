"""Warnings of strategies before they run: too many trials for one, options that have no effect here."""

from __future__ import annotations

from collections.abc import Sequence

from moco.problem import Problem
from moco.space import SearchSpace
from moco.strategy import Strategy, checked_searcher


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
    searchers = dict.fromkeys(strategy.searcher for strategy in strategies)
    return [text for searcher in searchers for text in checked_searcher(searcher, space, trials)]


def idle_options(strategies: Sequence[Strategy], problem: Problem) -> list[str]:
    """Options that were chosen and have no effect on this problem, by the strategies' labels."""
    return [f"{strategy.label}.{text}" for strategy in strategies for text in strategy.warnings(problem)]
