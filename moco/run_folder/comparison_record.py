"""The content of RUN/compare.json: how several strategies searched the same problem (docs/comparing.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moco.run_folder.manifest import ProblemRecord
from moco.run_folder.record import Record, inlined, left_out
from moco.run_folder.result import TrialsAndSeconds


@dataclass(frozen=True, kw_only=True)
class ComparedProblem(ProblemRecord):
    """The problem of all runs; `policies` is None where they are uncountable."""

    parameters: int
    policies: int | None = None


@dataclass(frozen=True, kw_only=True)
class StrategyRecord(Record):
    """A searcher and its options."""

    searcher: str
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReferencePoint(Record):
    """Losses by objective that hypervolumes are taken from, and whose they are."""

    losses: Mapping[str, float]
    of: str


@dataclass(frozen=True, kw_only=True)
class MomentsRecord(Record):
    """How many seeds got somewhere, and when: medians over all of them, None where most never did."""

    seeds: int
    trials: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class SuggestionSeconds(Record):
    """What a suggestion took: median and 90th percentile."""

    median: float
    p90: float


@dataclass(frozen=True, kw_only=True)
class RunRecord(Record):
    """One strategy with one seed; `reason` says why it failed."""

    searcher: str
    seed: int
    state: str
    reason: str | None = None
    trials: int  # counted ones, `given` come beside them
    given: int = 0
    distinct: int
    feasible: int
    rejected: int
    failed: int
    stored: int  # evaluations that another run had made
    values: Mapping[str, float | None] = inlined()  # by quantity, what it had at its end
    first_feasible: TrialsAndSeconds | None = None
    beyond_start: TrialsAndSeconds | None = None
    charged_s: float
    spent_s: float  # as the clock had them
    suggestion_s: SuggestionSeconds | None = None


@dataclass(frozen=True, kw_only=True)
class StrategySummary(Record):
    """A strategy over its seeds; `medians` by measure, such as `score_at_equal_trials`."""

    seeds: int
    medians: Mapping[str, float | None] = inlined()
    first_feasible: MomentsRecord
    beyond_start: MomentsRecord
    distinct: float
    charged_s: float
    suggestion_s: SuggestionSeconds | None = None
    evaluation_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class CurveRecord(Record):
    """Median over the seeds and the interval of the median at each x; None where too few seeds have a value."""

    x: tuple[float, ...]
    median: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class FriedmanRecord(Record):
    """Friedman's test over all strategies; agreement is Kendall's W."""

    statistic: float
    p: float
    agreement: float
    seeds: int
    mean_ranks: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class PairRecord(Record):
    """Two strategies: the verdict on the first, its test and effect sizes."""

    first: str
    second: str
    verdict: str
    seeds: int
    wins: int
    ties: int
    losses: int
    median_difference: float | None = None
    p: float
    p_holm: float
    a12: float
    rank_biserial: float


@dataclass(frozen=True)
class Measure:
    """One number a run."""

    quantity: str  # `score` or `hypervolume`
    axis: str  # `trials` or `seconds`: what is equal for all runs when the number is taken

    @property
    def key(self) -> str:
        """What the measure is called."""
        return f"{self.quantity}_at_equal_{self.axis}"


@dataclass(frozen=True, kw_only=True)
class MeasureTests(Measure, Record):
    """The tests of one measure."""

    friedman: FriedmanRecord | None = None
    pairs: tuple[PairRecord, ...]


@dataclass(frozen=True, kw_only=True)
class ComparisonRecord(Record):
    """A comparison; one on a callable has neither network nor protocol."""

    format: int
    name: str
    complete: bool
    network: str | None = left_out()
    protocol: str | None = left_out()
    problem: ComparedProblem
    budget: TrialsAndSeconds
    start: Any = None
    seeds: tuple[int, ...]
    searchers: Mapping[str, StrategyRecord]
    reference_point: ReferencePoint | None = None
    equal: TrialsAndSeconds  # what all finished runs have
    alpha: float  # probability of a wrong claim that each family of tests keeps
    primary: str  # the quantity to look at first
    seeds_needed: int  # fewer can never show a difference
    runs: tuple[RunRecord, ...]
    summary: Mapping[str, StrategySummary]
    # by strategy, quantity and axis
    curves: Mapping[str, Mapping[str, Mapping[str, CurveRecord]]] = field(default_factory=dict)
    tests: Mapping[str, MeasureTests]  # by measure
    warnings: tuple[str, ...]
