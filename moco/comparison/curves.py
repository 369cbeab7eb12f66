"""How good a search was at any time: best feasible score and hypervolume, after each trial and each charged second.

Searches that are compared share their evaluations, so the second one to ask for a policy gets its numbers at once. It
is charged what the evaluation took when it was first made: a curve against time then shows what the search would have
taken alone, whatever ran before it.

Curves are step functions that never fall; all values are larger-is-better, -inf before there is one. Several runs of
one strategy are summed up by their median and a bootstrap band.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from moco.pareto import hypervolume, non_dominated
from moco.randomness import generator
from moco.run_folder.result import TrialsAndSeconds
from moco.trial import FIRST_MADE, Trial

SUGGESTING = "search"  # the stage of `Evaluation.seconds` in which the study notes an ask and the tell before it
_NOT_EVALUATING = frozenset({SUGGESTING, "record", "tracking", "wait"})
"""Stages of the study and of the machine, which differ from search to search and are no part of the evaluation."""

RESAMPLES = 1000
"""Bootstrap samples of a band: the ends of a 95 % interval then rest on 25 of them each."""
_POINTS_AT_ONCE = 64


@dataclass(frozen=True)
class Curve:
    """One quantity of one run."""

    values: np.ndarray  # (n,) after each trial, larger is better; -inf before there is one
    seconds: np.ndarray  # (n,) charged wall-clock at which each trial was over
    before: float = -math.inf  # the value with no trial at all

    def after_trials(self, trials: np.ndarray) -> np.ndarray:
        """Values (k,) after so many trials (k,); a run that is over keeps its last value."""
        return self._values(np.minimum(np.asarray(trials, dtype=int), len(self.values)))

    def at_seconds(self, seconds: np.ndarray) -> np.ndarray:
        """Values (k,) at these charged seconds (k,); a run that is over keeps its last value."""
        return self._values(np.searchsorted(self.seconds, seconds, side="right"))

    def _values(self, done: np.ndarray) -> np.ndarray:
        return np.asarray(np.concatenate([[self.before], self.values])[done])


def suggestion_s(trial: Trial) -> float | None:
    """Seconds of the ask, with the tell before it; None where none were noted: the trial failed or was rejected."""
    return None if trial.evaluation is None else trial.evaluation.seconds.get(SUGGESTING)


def evaluation_s(trial: Trial) -> float:
    """Seconds that the trial's evaluation took when it was first made, in this search or in another one.

    0 for a policy that this search had evaluated before: the study itself answers it (W21). A trial without an
    evaluation took what it took: what cannot be built is in no store, and each search finds it out for itself.
    """
    if trial.evaluation is None:
        return trial.seconds
    if not trial.distinct:
        return 0.0
    first = trial.evaluation.details.get(FIRST_MADE)
    seconds = first if first is not None else trial.evaluation.seconds
    return sum(spent for stage, spent in seconds.items() if stage not in _NOT_EVALUATING)


def charged_s(trial: Trial) -> float:
    """Seconds that the trial is charged: its suggestion and its evaluation as first made; 0 for a given start."""
    return 0.0 if trial.suggestion.given else (suggestion_s(trial) or 0.0) + evaluation_s(trial)


def counted(trials: Iterable[Trial]) -> list[Trial]:
    """The trials that count in a budget: all but given starts."""
    return [trial for trial in trials if not trial.suggestion.given]


def is_stored(trial: Trial) -> bool:
    """Whether the trial's evaluation came out of a store: another search had made it."""
    return trial.distinct and trial.evaluation is not None and FIRST_MADE in trial.evaluation.details


def charged_clock(trials: Sequence[Trial]) -> np.ndarray:
    """Charged seconds (n,) at which each counted trial was over."""
    return np.array(list(accumulate(charged_s(trial) for trial in counted(trials))), dtype=float)


def score_curve(trials: Sequence[Trial]) -> Curve:
    """The best score of a feasible trial so far."""
    scores = [trial.score if trial.feasible and trial.score is not None else -math.inf for trial in trials]
    return _curve(trials, list(accumulate(scores, max)), -math.inf)


def hypervolume_curve(trials: Sequence[Trial], reference_point: Sequence[float]) -> Curve:
    """Hypervolume of the feasible front so far, from losses in the objectives' order; 0 before there is one."""
    found = [trial.outcome.losses if trial.feasible and trial.outcome is not None else None for trial in trials]
    return _curve(trials, hypervolumes(found, reference_point), 0.0)


def hypervolumes(found: Iterable[tuple[float, ...] | None], reference_point: Sequence[float]) -> list[float]:
    """Hypervolume of the front after each of these losses; 0 before the first, and as it was after a None."""
    front: list[tuple[float, ...]] = []
    values, volume = [], 0.0
    for losses in found:
        if losses is not None:
            candidates = [*front, losses]
            kept = non_dominated(candidates)
            if kept[-1]:
                front = [point for point, keep in zip(candidates, kept, strict=True) if keep]
                volume = hypervolume(front, reference_point)
        values.append(volume)
    return values


def first_feasible(trials: Sequence[Trial]) -> TrialsAndSeconds | None:
    """When the first feasible trial was over; None where there is none."""
    return _first(trials, [trial.feasible for trial in trials])


def first_beyond_starts(trials: Sequence[Trial]) -> TrialsAndSeconds | None:
    """When the searcher first had a feasible trial with a better score than every feasible start; None where never."""
    starts = [t.score for t in trials if t.is_start and t.feasible and t.score is not None]
    bar = max(starts, default=-math.inf)
    beyond = [t.origin == "search" and t.feasible and t.score is not None and t.score > bar for t in trials]
    return _first(trials, beyond)


def pooled_reference_point(runs: Sequence[Sequence[Trial]]) -> tuple[float, ...] | None:
    """The worst loss of each objective over the feasible trials of all runs, and a tenth of the range beyond it.

    A fixed point for problems that state none: the same for all runs, and beyond every front, so that the ends of a
    front count too (H. Ishibuchi et al., "How to specify a reference point in hypervolume calculation for fair
    performance comparison", Evolutionary Computation 26(3), 2018). None where nothing is feasible.
    """
    losses = np.array([t.outcome.losses for run in runs for t in run if t.feasible and t.outcome is not None])
    if not len(losses):
        return None
    worst, span = losses.max(axis=0), np.ptp(losses, axis=0)
    # Where all losses are equal there is no range: any point beyond them will do.
    return tuple(float(value) for value in worst + 0.1 * np.where(span > 0, span, np.maximum(np.abs(worst), 1.0)))


def band(values: np.ndarray, seed: int, confidence: float = 0.95) -> tuple[np.ndarray, ...]:
    """Median over runs and both ends of its percentile bootstrap interval (B. Efron, Annals of Statistics 7(1), 1979).

    Each is (k,), for values (runs, k), -inf allowed; `seed` is that of the resamples, `confidence` two-sided. Runs are
    resampled whole, the same resamples at each point. Of few runs the interval is hardly narrower than their range, and
    holds its confidence only roughly.
    """
    values = np.asarray(values, dtype=float)
    rows = generator(seed, "bootstrap").integers(len(values), size=(RESAMPLES, len(values)))
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.empty(values.shape[1]), np.empty(values.shape[1])
    for at in range(0, values.shape[1], _POINTS_AT_ONCE):
        part = slice(at, at + _POINTS_AT_ONCE)
        medians = np.median(values[:, part][rows], axis=1)
        # An order statistic: to interpolate towards -inf gives no number.
        low[part], high[part] = np.quantile(medians, ends, axis=0, method="inverted_cdf")
    return np.median(values, axis=0), low, high


def _curve(trials: Sequence[Trial], values: Sequence[float], nothing: float) -> Curve:
    """The curve over the counted trials; given starts, which come first, are known with no trial at all."""
    n_given = sum(trial.suggestion.given for trial in trials)
    before = values[n_given - 1] if n_given else nothing
    return Curve(np.array(values[n_given:], dtype=float), charged_clock(trials), before)


def _first(trials: Sequence[Trial], happened: Sequence[bool]) -> TrialsAndSeconds | None:
    if True not in happened:
        return None
    place = happened.index(True)
    until = trials[: place + 1]
    return TrialsAndSeconds(trials=len(counted(until)), seconds=math.fsum(charged_s(trial) for trial in until))
