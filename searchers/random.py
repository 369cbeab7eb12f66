"""Uniform random search: the baseline that every other strategy must beat at an equal budget.

Each ask draws a point uniformly from the unit cube of the space; discrete values are equally likely, and log scales
are uniform in the logarithm (J. Bergstra and Y. Bengio, "Random search for hyper-parameter optimization", JMLR 2012).

Departures from the paper: a draw whose policy was told before is redrawn (`asks.REDRAWS`), as in all searchers here.
"""

from __future__ import annotations

import numpy as np

from moco.encoding import decode
from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.registry import NoOptions
from moco.searchers.shared.proposals import ProposalCounter
from moco.trial import Point, Suggestion, Trial


class RandomSearcher:
    """Independent uniform draws; learns nothing."""

    Options = NoOptions
    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: NoOptions, seed: int) -> None:  # noqa: ARG002
        self._space = problem.space
        self._asks = ProposalCounter(problem, seed)

    def ask(self) -> Suggestion:
        """A uniform draw."""
        return self._asks.next(self._draw)

    def tell(self, trial: Trial) -> None:
        """Remember that the policy was tried."""
        self._asks.tell(trial)

    def _draw(self, rng: np.random.Generator) -> Point:
        return decode(self._space, rng.random(len(self._space.distributions)))
