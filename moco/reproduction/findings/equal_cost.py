"""Accuracies of networks that cost the same: what may be compared, and how values of one seed become one number.

A search gives a network as `{"cost": ratio, "search": points, "unseen": points}`: its cost over the uncompressed
network's, and its accuracy on the split that was searched on and on images that no search has seen. Three rules:

1. A network counts only where its cost is within TOLERANCE of the target `c`; one that misses it, either way, is no
   evidence, as a dearer network is the more accurate one for nothing that its method did.
2. Where one of several networks is taken, it is that of the highest accuracy on the search split; they are compared
   on unseen images. Of networks that the search split cannot tell apart the mean is taken.
3. Seeds are the observations. What a seed gives at several costs, or on several networks, is averaged first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from moco.reproduction.finding import Evidence, Judgement, Outcome
from moco.reproduction.statistics import FEWEST, paired_t

TOLERANCE = 0.05
"""By how much of the target a network's cost may miss it."""
Found = Mapping[str, float]


def meets(found: Found, target: float) -> bool:
    """Whether a network costs what it should, within the tolerance."""
    return abs(found["cost"] / target - 1) <= TOLERANCE + 1e-9


def unseen_of_best(found: Mapping[str, Found], target: float) -> float | None:
    """The accuracy on unseen images of the network that the search split favours; None where none costs the target."""
    left = [one for one in found.values() if meets(one, target)]
    highest = max((one["search"] for one in left), default=None)
    return None if highest is None else float(np.mean([one["unseen"] for one in left if one["search"] == highest]))


@dataclass(frozen=True)
class Compared:
    """Differences of accuracy in points, one a seed, and what could not be compared."""

    differences: tuple[float, ...]
    pairs: int  # that were compared
    left_out: int  # where one side has no network of the cost

    def judged(self, begin: str, more: str = "", fewest: int = FEWEST) -> Judgement:
        """Student's paired t test over the seeds; inconclusive where nothing can be compared."""
        n = self.pairs + self.left_out
        missed = f"a side missed the cost by over {100 * TOLERANCE:.0f} %"
        told = f" ({self.left_out} of {n} comparisons are left out, as {missed})" if self.left_out else ""
        if not self.differences:
            return Judgement(outcome=Outcome.INCONCLUSIVE, sentence=f"No two networks cost the same{told}.{more}")

        def sentence(mean: float, low: float, high: float) -> str:
            return f"{begin} {mean:+.2f} points more accurate ({low:+.2f} to {high:+.2f}){told}.{more}"

        return paired_t(self.differences, sentence, fewest=fewest)


def compared(evidence: Evidence, one: str, other: str) -> Compared:
    """One side's accuracy less the other's; each side is a mapping of networks, the better of which is taken."""
    by_seed: dict[Any, list[float]] = {}
    left_out = 0
    for place, entry in enumerate(evidence):
        sides = [unseen_of_best(entry[side], entry["c"]) for side in (one, other)]
        if sides[0] is None or sides[1] is None:
            left_out += 1
            continue
        by_seed.setdefault(entry.get("seed", f"entry {place}"), []).append(sides[0] - sides[1])
    pairs = sum(map(len, by_seed.values()))
    return Compared(tuple(float(np.mean(values)) for values in by_seed.values()), pairs, left_out)
