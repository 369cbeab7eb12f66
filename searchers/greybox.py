"""Grey-box search: what moco knows of compression, and a model of what it does not know.

Where neutral is known, a top-1 or top-5 error follows from the harms of all layers, which add up, each with a
sensitivity that is learnt (models/harm.py), and a Gaussian process over the decoded policy (channels, ranks, bits)
models what they do not explain; elsewhere the process models all. What a policy costs comes from the space, exactly,
and what must be measured, such as latency, from a process of its own.

The search begins with a ladder of uniform policies: few of the policies that a general optimiser would draw first are
of any use. Neutral comes first, then all kinds of parameters half way, and each alone; the next rung is the uniform
policy from which the models expect most, so the ladder climbs where the bounds are, and it ends where other policies
are worth twice as much.
Proposed is then the policy of largest expected hypervolume improvement (M. Emmerich, K. Giannakoglou and B. Naujoks,
"Single- and multiobjective evolutionary optimization assisted by Gaussian random field metamodels", IEEE TEC 2006), or
of largest expected improvement of the protocol's score, of draws that meet the constraints, among children of the
present front: all of them legal, canonical and new.

Departures from the paper:
1. The improvement is maximised over a pool of children and their children, not by an evolutionary run.
2. It is a mean over quasi-random draws from the processes, taken as independent, not an integral.
3. Variances of the processes are fitted whenever there are a fifth more trials, always from the same first guess.
4. On a plain space there is no ladder unless the user tells layers or directions (`Problem(groups=…, monotone=…)`), or
   both ends of the space show that all parameters trade an error for another loss (steps/directions.py). Otherwise
   Sobol points come first, and every parameter has a process of its own.
5. Pending asks are not modelled: suggestions depend on told trials only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from moco.encoding import decode, encode, project
from moco.interfaces import SearcherCapabilities
from moco.pareto import non_dominated
from moco.policy import Policy
from moco.problem import Problem
from moco.randomness import generator
from moco.searchers.models import acquisition
from moco.searchers.models.candidate_pool import CandidatePool
from moco.searchers.models.policy_models import PolicyModels
from moco.searchers.shared import criteria
from moco.searchers.shared.option_checks import at_least
from moco.searchers.shared.proposals import ProposalCounter
from moco.searchers.shared.trial_history import TrialHistory
from moco.searchers.steps.choices import with_ordered_choices
from moco.searchers.steps.directions import ends, with_directions
from moco.searchers.steps.ladder import all_uniform, kinds, opening, single_steps
from moco.space import SearchSpace
from moco.trial import Point, Suggestion, Trial, TrialState

MODEL_FROM = 4
"""Complete trials before there is anything to model; until then what is proposed are uniform draws."""
RUNGS_FROM = 2  # likewise while rungs may be proposed
RUNG = 0.5  # a uniform policy is next while it is worth this share of what the best other candidate is
PARENTS = 24  # children have so many parents at least, where there are: the front, then the fronts behind it
ROUNDS, CHILDREN, BEST = 6, 240, 24
"""Of the pool: how often children are made, how many each time, and of how many of the best so far after the first."""
FINALISTS = 24  # candidates whose costs are computed exactly
TRIED = 200  # candidates that are decoded at most to find so many that are new


@dataclass(frozen=True)
class GreyboxOptions:
    """Options of the grey-box search."""

    ladder: int = 20  # asks in which uniform policies may be proposed, >= 1; on a plain space so many Sobol points
    steps: int = 0  # single steps around the knee of the ladder's asks that follow them, at most, >= 0
    optimise: str = criteria.LOSSES  # `losses`, the whole front, or `score`, the one scalar that orders trials

    def __post_init__(self) -> None:
        at_least("ladder", self.ladder, 1)
        at_least("steps", self.steps, 0)
        criteria.check(self.optimise)


class GreyboxSearcher:
    """The ladder, the steps, then the model; see the module's text."""

    Options = GreyboxOptions
    capabilities = SearcherCapabilities(max_trials=1000, order=3)

    def __init__(self, problem: Problem, options: GreyboxOptions, seed: int) -> None:
        self._options, self._asks = options, ProposalCounter(problem, seed, redraws=1)
        self._take(problem, [*ends(problem), *sobol(problem.space, options.ladder, seed)])
        self._started: set[Policy] = set()
        self._told = TrialHistory()
        self._complete: list[Trial] = []

    def _take(self, problem: Problem, otherwise: list[Point]) -> None:
        """Model this problem; `otherwise` is what a space without kinds begins with."""
        problem, ordered = with_ordered_choices(problem)
        self._problem, self._space, self._has_kinds = problem, problem.space, bool(kinds(problem.space))
        self._pool, self._models = CandidatePool(problem.space, ordered), PolicyModels(problem, ordered)
        opens = opening(problem.space)[: self._options.ladder] or otherwise[: self._options.ladder]
        self._opening = [(problem.space.canonical(point), point) for point in opens]
        self._uniform = all_uniform(problem.space)
        self._coordinates: dict[int, np.ndarray] = {}

    def ask(self) -> Suggestion:
        """What the design has left, then the candidate of largest expected improvement."""
        designed: Point | None = None
        with self._asks.surviving("propose"):
            designed = self._told.next_of(self._design(), self._asks.count)
        return self._asks.next(self._draw) if designed is None else self._asks.number(designed)

    def tell(self, trial: Trial) -> None:
        """Learn from a complete trial; of a policy that was told before there is nothing to learn."""
        self._asks.tell(trial)
        if trial.policy is not None and trial.suggestion.id < 0:
            self._started.add(trial.policy)
        known = trial.policy is None or self._told.complete(trial.policy) is not None
        if trial.state is TrialState.COMPLETE and not known:
            self._complete.append(trial)
        self._told.add(trial)
        if (directed := with_directions(self._problem, self._told)) is not None:
            self._take(directed, [])

    def _design(self) -> list[Point]:
        """What the design has left: the ladder's opening, then steps around its knee; nothing that was told."""
        design = [(policy, point) for policy, point in self._opening if policy not in self._started]
        if self._has_kinds and self._complete and self._options.steps and not self._is_on_the_ladder():
            steps = single_steps(self._space, self._knee(self._rungs()), self._options.steps)
            design += [(self._space.canonical(point), point) for point in steps]
        return [point for policy, point in design if policy not in self._told]

    def _rungs(self) -> int:
        """How many asks are rungs of the ladder; starts take the place of some."""
        return max(self._options.ladder - len(self._started), 0)

    def _is_on_the_ladder(self) -> bool:
        """Whether the next ask may be a rung."""
        return self._has_kinds and self._asks.count < self._rungs()

    def _knee(self, n_first: int) -> Point:
        """The policy among the starts and the first asks that dominates most alone, or misses the bounds by least."""
        known = [trial for trial in self._complete if trial.suggestion.id < n_first] or self._complete
        feasible = [trial for trial in known if trial.feasible]
        losses = np.array([trial.outcome.losses for trial in feasible if trial.outcome is not None])
        if len(losses):
            r = acquisition.reference_point(self._problem, losses, losses[non_dominated(losses)])
            chosen = feasible[int(np.argmax(np.prod(np.maximum(r - losses, 0.0), axis=1)))]
        else:
            chosen = known[int(np.argmin([acquisition.total_violation(trial) for trial in known]))]
        return project(self._space, chosen.point)

    def _draw(self, rng: np.random.Generator) -> Point:
        """The most promising of the candidates that are new; a uniform draw where there is nothing to go by."""
        if len(self._complete) < (RUNGS_FROM if self._is_on_the_ladder() else MODEL_FROM):
            return self._anywhere(rng)
        self._models.learn(self._complete)
        gain, parents = self._gain(rng), self._parents()
        pool, worth = np.empty((0, len(self._space.distributions))), np.empty(0)
        for _ in range(ROUNDS):
            children = self._pool.children(parents, CHILDREN, rng)
            pool, worth = np.vstack([pool, children]), np.append(worth, self._screened(children, gain))
            parents = pool[np.argsort(-worth, kind="stable")[:BEST]]
        if len(self._uniform) and self._is_on_the_ladder():
            rungs = self._screened(self._uniform, gain)
            if rungs.max() >= RUNG * worth.max():
                return self._best_of(self._uniform, rungs, gain) or self._anywhere(rng)
        return self._best_of(pool, worth, gain) or self._anywhere(rng)

    def _anywhere(self, rng: np.random.Generator) -> Point:
        """A uniform draw from the space."""
        return decode(self._space, rng.random(len(self._space.distributions)))

    def _screened(self, candidates: np.ndarray, gain: acquisition.Gain) -> np.ndarray:
        """What candidates (n, n_parameters) are worth (n,) by the processes alone."""
        return gain(self._models.screened(self._models.depths.of_unit(candidates), gain.names))

    def _best_of(self, candidates: np.ndarray, worth: np.ndarray, gain: acquisition.Gain) -> Point | None:
        """Of the candidates that are new and of most worth, the best by exact costs; None where none is new.

        Rungs are few, so while asks are pending as many of the best are passed over: they may be those.
        """
        found = self._new(candidates[np.argsort(-worth, kind="stable")[:TRIED]])
        if not found:
            return None
        policies, points = list(found), list(found.values())
        executed = [self._space.executed(policy, point) for policy, point in found.items()]
        known = gain(self._models.computed(self._models.depths.of_points(executed), policies, gain.names))
        passed = self._told.n_pending(self._asks.count) if candidates is self._uniform else 0
        return points[int(np.argsort(-known, kind="stable")[min(passed, len(points) - 1)])]

    def _gain(self, rng: np.random.Generator) -> acquisition.Gain:
        if self._options.optimise == criteria.SCORE:
            return acquisition.ExpectedImprovement(self._problem, self._models, self._complete)
        return acquisition.ExpectedHypervolumeImprovement(self._problem, self._models, self._complete, rng)

    def _parents(self) -> np.ndarray:
        """(k, n_parameters) the first fronts of the feasible trials, then those that miss the bounds by least."""
        losses = np.array([trial.outcome.losses for trial in self._complete if trial.outcome is not None])
        misses = np.array([acquisition.total_violation(trial) for trial in self._complete])
        left, found = np.flatnonzero(misses <= 0), np.empty(0, dtype=int)
        while len(left) and len(found) < PARENTS:
            front = non_dominated(losses[left])
            found, left = np.append(found, left[front]), left[~front]
        others = [i for i in np.argsort(misses, kind="stable") if misses[i] > 0][: max(PARENTS - len(found), 0)]
        return np.array([self._coordinates_of(int(i)) for i in (*found, *others)])

    def _coordinates_of(self, place: int) -> np.ndarray:
        """(n_parameters,) of the complete trial at that place; parents are the same ones for long."""
        if place not in self._coordinates:
            self._coordinates[place] = encode(self._space, project(self._space, self._complete[place].point))
        return self._coordinates[place]

    def _new(self, candidates: np.ndarray) -> dict[Policy, Point]:
        """The first `FINALISTS` of these coordinates (n, n_parameters) whose policies were not told, by policy."""
        found: dict[Policy, Point] = {}
        for coordinates in dict.fromkeys(map(tuple, candidates)):  # children repeat, and decoding takes longest
            point = decode(self._space, np.array(coordinates))
            policy = self._space.canonical(point)
            if policy not in self._told:
                found.setdefault(policy, point)
            if len(found) == FINALISTS:
                break
        return found


def sobol(space: SearchSpace, count: int, seed: int) -> list[Point]:
    """So many scrambled Sobol points of the space."""
    sequence = qmc.Sobol(len(space.distributions), rng=generator(seed, "sobol"))
    return [decode(space, row) for row in sequence.random_base2(max(count - 1, 0).bit_length())[:count]]
