"""Sobol's sequence: points that fill the space more evenly than independent draws do; learns nothing.

The n-th ask is the n-th point of the sequence over the unit cube of the space, scrambled from the seed: I. Sobol, "On
the distribution of points in a cube and the approximate evaluation of integrals", USSR Computational Mathematics and
Mathematical Physics 7(4), 1967; direction numbers of S. Joe and F. Kuo, 2008; scrambling of J. Matoušek, "On the
L2-discrepancy for anchored boxes", Journal of Complexity 14(4), 1998. All three as in scipy.stats.qmc.

Departures from the papers: a point whose policy was told before, which rounding makes frequent in a small space, is
replaced by a neighbour (`asks.NEIGHBOURS`), as the sequence itself would be shifted by a redraw.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

from moco.encoding import decode
from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.randomness import generator
from moco.registry import NoOptions
from moco.searchers.shared.proposals import ProposalCounter
from moco.trial import Point, Suggestion, Trial


class SobolSearcher:
    """Walks the sequence."""

    Options = NoOptions
    capabilities = SearcherCapabilities(max_trials=2**30)

    def __init__(self, problem: Problem, options: NoOptions, seed: int) -> None:  # noqa: ARG002
        self._space = problem.space
        self._asks = ProposalCounter(problem, seed, redraws=0)
        self._sequence = qmc.Sobol(len(problem.space.distributions), rng=generator(seed, "searcher", "scrambling"))

    def ask(self) -> Suggestion:
        """The next point of the sequence."""
        return self._asks.next(self._draw)

    def tell(self, trial: Trial) -> None:
        """Remember that the policy was tried."""
        self._asks.tell(trial)

    def _draw(self, rng: np.random.Generator) -> Point:  # noqa: ARG002, the sequence has its own
        ahead = self._asks.count - self._sequence.num_generated
        if ahead > 0:  # a searcher that was rebuilt goes on after the last ask that it has heard of
            self._sequence.fast_forward(ahead)
        return decode(self._space, self._sequence.random(1)[0])
