"""How long no trial has been better than all before: by this a stalled search is seen."""

from __future__ import annotations

LEAST_GAIN = 0.01
"""Share by which a score (or what is missed of the bounds) must improve to count: less is the noise of a timing."""


class Improvement:
    """Sees trials one by one, and how many counted ones have gone by since the last that was better."""

    def __init__(self) -> None:
        """Begin with none."""
        self.since = 0
        self._best: tuple[bool, float] | None = None

    def see(self, rank: tuple[bool, float] | None, *, counted: bool) -> None:
        """Take the next trial's rank (`moco.trial_rank.rank`); None where it is not complete."""
        if counted:
            self.since += 1
        if rank is not None and self._is_better(rank):
            self._best, self.since = rank, 0

    def _is_better(self, found: tuple[bool, float]) -> bool:
        if self._best is None or found[0] != self._best[0]:
            return self._best is None or found > self._best
        return found[1] > self._best[1] + LEAST_GAIN * abs(self._best[1])
