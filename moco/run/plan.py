"""What a search is asked to do, in plain values: all that is known before anything of it is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moco.analysis.payoff.paying_space import PayOffUse
from moco.baselines.baseline import Baseline
from moco.certification.certificate import ATTEMPTS, CONFIDENCE
from moco.compression.rankings.ranking import USUAL_RANKING
from moco.compression.space.network_space import SpaceOptions
from moco.data.split_data import DataSpec
from moco.export.ranges import RangeOptions
from moco.finalists.plan import FinalistsPlan
from moco.measurement import TimingPlan
from moco.models.trained import ModelSpec
from moco.randomness import derived_seed
from moco.readings import READINGS
from moco.recovery.recovery import RecoveryPlan
from moco.registry import Chosen
from moco.run.starts import StartPlan
from moco.secret import Secret
from moco.strategy import Strategy
from moco.study import Budget


@dataclass(frozen=True)
class SpacePlan:
    """What may be done to which layers."""

    groups: str | Mapping[str, Sequence[str]]
    ignore: Sequence[str]
    options: SpaceOptions
    probe: PayOffUse | None = None  # what is made of the layers' pay-off on the target; None probes nothing
    sensitivity: Path | None = None  # the file of an analysis, whose curves become features of the layers
    base: Path | None = None  # the policy.json whose settings the search keeps
    base_weights: Path | None = None  # of its network, from which candidates begin; None begins with the original's

    @property
    def ranking(self) -> str | dict[str, Any]:
        """The ranking of filters, by its name where it has no options: what a policy's reader must know."""
        return next((m.ranking for m in self.options.methods if m.ranking is not None), USUAL_RANKING)


@dataclass(frozen=True)
class TimingSettings:
    """How every candidate is timed beside the reference."""

    seconds: Mapping[int, float]  # of each session, by batch size
    slot_ms: float
    warmup_calls: int
    standard_error: float | None = None  # of a ratio, until which a candidate is timed for longer
    most_seconds: float = 0.0  # that each session then has at most

    def plans(self, metrics: Sequence[str] | frozenset[str], seed: int) -> dict[str, TimingPlan]:
        """A plan for each reading among the metrics that a target can take."""
        return {
            name: TimingPlan(
                reading.batch,
                self.seconds[reading.batch],
                self.slot_ms,
                warmup_calls=self.warmup_calls,
                series=reading.wanted,
                standard_error=self.standard_error,
                most_seconds=self.most_seconds,
                seed=derived_seed(seed, "timing", name),
            )
            for name, reading in READINGS.items()
            if name in metrics
        }


@dataclass(frozen=True)
class CandidatePlan:
    """How a candidate becomes a file, and its file numbers."""

    recovery: RecoveryPlan
    ranges: RangeOptions | None  # how ranges of integers are estimated; None takes the builder's own choice
    timing: TimingSettings
    store: Path | None = None  # the file of earlier evaluations; None keeps none
    before_recovery: bool = False  # whether candidates are scored without their recovery, too


@dataclass(frozen=True)
class SearchPlan:
    """Who searches, from where and for how long."""

    strategies: tuple[Strategy, ...]  # the one of a search, called as its section, or all contenders of a comparison
    start: Any  # the starts as the experiment states them, in JSON
    starts: StartPlan
    budget: Budget
    workers: int = 1  # processes that evaluate at the same time; one is this process


@dataclass(frozen=True)
class DeliveryOptions:
    """How the winner is certified on unseen images and timed again."""

    confidence: float = CONFIDENCE  # of the certificate, one-sided
    attempts: int = ATTEMPTS  # how many candidates may be tried on the certification split
    seconds: float = 2.0  # of the longer timing, for each file and batch size


@dataclass(frozen=True)
class Recording:
    """Where a search is written, and by what it is known again."""

    config: Mapping[str, Any]  # the resolved experiment, the secrets of its addresses starred
    settings: str  # hash of what of it all trials of one search must share
    older_settings: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of earlier versions, with a password
    command: str = ""  # how to run it again from its own run folder
    ledger: bool = True  # whether trials are kept
    storage: Secret | None = None  # the ledger's database; None is RUN/study.db
    mlflow: tuple[Secret, str] | None = None  # address and name of the experiment there; None tells nobody
    registered_model: str | None = None  # of MLflow's registry, that deliveries are versions of; None registers nothing


@dataclass(frozen=True)
class JobPlan:
    """A search as it is asked for."""

    name: str
    seed: int
    model: ModelSpec
    data: DataSpec
    target: Chosen
    objective: Chosen
    space: SpacePlan
    candidates: CandidatePlan
    search: SearchPlan
    delivery: DeliveryOptions
    recording: Recording
    baselines: tuple[Baseline, ...] = ()
    finalists: FinalistsPlan | None = None  # None trains none
