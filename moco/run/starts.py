"""Where a search of a network starts: ladder, given policies, the sensitivity analysis, earlier evaluations.

Earlier evaluations are judged by the problem at hand: what was feasible for another protocol may not be. Each start
counts in the budget, or was declared as given (`counted: false`) and costs nothing of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moco import pareto
from moco.analysis.sensitivity.curve_decisions import tolerable
from moco.analysis.sensitivity.layer_sensitivity import Sensitivity, read_sensitivity
from moco.compression.compressor import Compressor
from moco.compression.policy_file import Origin, read_policy
from moco.errors import ConfigError, SpaceError
from moco.evaluation.evaluator import Evaluator
from moco.finalists.bit_allocations import rewards_small_weights
from moco.policy import Policy
from moco.problem import Problem
from moco.run.uniform_starts import distinct, starts_in_fewer_bits, uniform_starts
from moco.run_folder.manifest import GivenStart
from moco.space import SearchSpace
from moco.store_table import MALFORMED
from moco.study import Start
from moco.trial import Evaluation, Suggestion, Trial, TrialState
from moco.trial_rank import best, rank

STORED = "stored"
"""What names of starts from the evaluation store begin with."""
MOST_STORED = 10
"""How many of these `store` alone takes."""
DIVERGENCES = (0.01, 0.03, 0.1, 0.3)
"""Nats that `sensitivity` alone lets a layer cost: from what is barely seen in the outputs to what is felt."""
POLICY = "policy.json"


@dataclass(frozen=True)
class StartSource:
    """One source of starts: exactly one of the first three is given."""

    policies: str | tuple[str, ...] | None = None  # policy.json files, or folders that hold some
    store: int | None = None  # at most so many earlier evaluations of the evaluation store
    sensitivity: tuple[float, ...] | None = None  # nats, each of which gives the policy that no layer's curve exceeds
    counted: bool = True  # in the budget


@dataclass(frozen=True)
class StartPlan:
    """The starts of an experiment, in the order in which they are listed; earlier evaluations come last."""

    sources: tuple[StartSource | str, ...]  # each on its own, or a word that stands for one with its defaults
    sensitivity: Path | None = None  # the file of space.sensitivity

    def known(self, compressor: Compressor, space: SearchSpace, origin: Origin) -> tuple[list[Start], list[str]]:
        """The starts that need no reference, and a warning for each that is not what it was asked to be.

        A ConfigError, SpaceError or DataError where a policy or an analysis is missing, malformed or of another
        network or ranking than the `origin`.
        """
        found: list[Start] = []
        warnings: list[str] = []
        for source in self._sources():
            if isinstance(source, str):
                found += uniform_starts(space, source)
            elif source.policies is not None:
                paths = (source.policies,) if isinstance(source.policies, str) else source.policies
                for name, policy in (pair for path in paths for pair in _policies(Path(path), compressor, origin)):
                    start, warning = _start_of(name, policy, space, not source.counted)
                    found.append(start)
                    warnings += warning
            elif source.sensitivity is not None:
                assert self.sensitivity is not None
                found += _tolerable(read_sensitivity(self.sensitivity), source, space)
        return distinct(space, _told_apart(found)), warnings

    def with_measured(
        self, known: Sequence[Start], problem: Problem, evaluator: Evaluator
    ) -> tuple[list[Start], list[str]]:
        """The starts with those that ask for the reference's numbers, and a warning where the store holds none.

        The ladder's in fewer bits where these are of use, then those of the evaluation store.
        """
        found, warnings = list(known), []
        for source in self._sources():
            if source == "ladder":
                found = distinct(problem.space, [*found, *_in_fewer_bits(problem, evaluator)])
            if isinstance(source, str) or source.store is None:
                continue
            taken = {problem.space.canonical(start.point) for start in found}
            more = stored_starts(problem, evaluator.stored(), source.store, taken, not source.counted)
            if not more:
                warnings.append(
                    "searcher.start: the store holds no further evaluation that was made of this network under these "
                    "conditions and is of this space"
                )
            found += more
        return list(_told_apart(found)), warnings

    def _sources(self) -> Iterator[StartSource | str]:
        """Words that stand for a source with its defaults, as that source."""
        defaults = {"store": StartSource(store=MOST_STORED), "sensitivity": StartSource(sensitivity=DIVERGENCES)}
        for source in self.sources:
            yield defaults.get(source, source) if isinstance(source, str) else source


def _in_fewer_bits(problem: Problem, evaluator: Evaluator) -> list[Start]:
    """Starts in fewer bits, where that is of use."""
    found, packed = starts_in_fewer_bits(problem.space), evaluator.target.capabilities.placement.packed
    of_use = bool(found) and rewards_small_weights(problem, evaluator.reference.evaluation, packed=packed)
    return found if of_use else []


def stored_starts(
    problem: Problem,
    evaluations: Sequence[tuple[Policy, Evaluation]],
    most: int,
    taken: Collection[Policy] = (),
    given: bool = False,
) -> list[Start]:
    """At most so many starts: the best network, the rest of the feasible front, then others, the better first.

    A front that is longer than that is thinned evenly, so that its ends stay. Where nothing is feasible, what misses
    least comes first. The evaluations are in the problem's metrics; policies that are not of its space, or that other
    starts have (`taken`), are left out. `given` declares the starts as given.
    """
    trials = list(_judged(problem, evaluations, frozenset(taken)))
    ordered = sorted(trials, key=lambda trial: (rank(trial), -trial.number), reverse=True)
    front = pareto.front(trials)
    chosen = ordered[:1]
    chosen += _thinned([trial for trial in front if trial not in chosen], most - len(chosen))
    chosen += [trial for trial in ordered if trial not in chosen][: most - len(chosen)]
    return [Start(f"{STORED} {place}", trial.point, given) for place, trial in enumerate(chosen, start=1)]


def _judged(
    problem: Problem, evaluations: Sequence[tuple[Policy, Evaluation]], taken: frozenset[Policy]
) -> Iterator[Trial]:
    codec = problem.space.codec
    assert codec is not None
    for number, (policy, evaluation) in enumerate(evaluations):
        try:
            point = codec.point(policy)
            if policy in taken or codec.policy(point) != policy:
                continue
        except (*MALFORMED, SpaceError):  # whoever wrote it into the store, it is no policy of this space
            continue
        try:
            outcome, score = problem.judge(evaluation), problem.score(evaluation)
        except ValueError:  # it would fail as a trial, too
            continue
        yield Trial(number, Suggestion(number, point), TrialState.COMPLETE, point, policy, evaluation, outcome, score)


def _thinned(front: Sequence[Trial], most: int) -> list[Trial]:
    """At most so many of them, at even distances by their place, both ends included."""
    if len(front) <= most:
        return list(front)
    return [front[place] for place in np.unique(np.linspace(0, len(front) - 1, max(most, 0)).round().astype(int))]


def as_records(found: Sequence[Start]) -> tuple[GivenStart, ...]:
    """Starts as the manifest keeps them: a resumed search has the same ones, whatever became of files and store."""
    return tuple(GivenStart(name=start.name, given=start.given, point=start.point) for start in found)


def from_records(records: Sequence[GivenStart]) -> list[Start]:
    """The starts that the manifest keeps."""
    return [Start(record.name, record.point, record.given) for record in records]


def _policies(path: Path, compressor: Compressor, origin: Origin) -> Iterator[tuple[str, Policy]]:
    """The policies of a file or a folder, checked against the network, each with a name for people."""
    for file, name in _files(path):
        try:
            policy = read_policy(file, origin)
        except SpaceError as error:
            raise SpaceError(f"searcher.start.policies: {error}") from None
        try:
            compressor.check(policy)
        except SpaceError as error:
            raise SpaceError(f"searcher.start.policies: {file}: {error}") from None
        yield name, policy


def _files(path: Path) -> list[tuple[Path, str]]:
    """(policy.json, name) of a file, of a folder that holds one, or of a run folder: its best and its front."""
    if path.is_file():
        return [(path, path.parent.name if path.name == POLICY else path.stem)]
    if (path / POLICY).is_file():
        return [(path / POLICY, f"{path.parent.name}/{path.name}")]
    found = [path / "best" / POLICY, *sorted((path / "front").glob(f"*/{POLICY}"), key=_number)]
    found = [file for file in found if file.is_file()]
    if not found:
        raise ConfigError(f"searcher.start.policies: {path}: expected a {POLICY} or a run folder with one in best/")
    return [(file, f"{path.name}/{file.parent.relative_to(path)}") for file in found]


def _number(file: Path) -> tuple[int, str]:
    name = file.parent.name
    return (int(name) if name.isdecimal() else -1), name


def _start_of(name: str, policy: Policy, space: SearchSpace, given: bool) -> tuple[Start, list[str]]:
    """The start, or the nearest of this space and a warning."""
    assert space.codec is not None
    point = space.codec.point(policy)
    if space.canonical(point) == policy:
        return Start(f"policy {name}", point, given), []
    warning = f"searcher.start.policies: '{name}' is no policy of this space; the search starts from the nearest one"
    return Start(f"policy {name} (nearest)", point, given), [warning]


def _tolerable(sensitivity: Sensitivity, source: StartSource, space: SearchSpace) -> Iterator[Start]:
    """From light to heavy, the policy of each divergence."""
    assert source.sensitivity is not None
    for most in sorted(source.sensitivity):
        yield Start(f"sensitivity {most:g}", tolerable(space, sensitivity, most), not source.counted)


def _told_apart(found: Sequence[Start]) -> Iterator[Start]:
    """Starts whose names are all different: a name that stood before has its number added."""
    seen: dict[str, int] = {}
    for start in found:
        seen[start.name] = seen.get(start.name, 0) + 1
        again = seen[start.name]
        yield start if again == 1 else Start(f"{start.name} #{again}", start.point, start.given)


def baselines(trials: Sequence[Trial]) -> list[Trial]:
    """The starts that were evaluated; of earlier evaluations the best alone, as there may be many."""
    complete = [trial for trial in trials if trial.is_start and trial.evaluation is not None]
    earlier = [trial for trial in complete if trial.origin.startswith(STORED)]
    best_earlier = best(earlier)
    return [trial for trial in complete if trial not in earlier or trial is best_earlier]
