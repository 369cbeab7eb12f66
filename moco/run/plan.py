"""What a search is asked to do, in plain values: all that is known before anything of it is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moco.analysis.payoff.paying_space import PayOffUse
from moco.compression.rankings.ranking import USUAL_RANKING
from moco.compression.space.network_space import SpaceOptions
from moco.data.split_data import DataSpec
from moco.export.ranges import RangeOptions
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
    """What may be done to which layers.

    Attributes:
        probe: what is made of the layers' pay-off on the target; None probes nothing.
        sensitivity: the file of an analysis, whose curves become features of the layers.
    """

    groups: str | Mapping[str, Sequence[str]]
    ignore: Sequence[str]
    options: SpaceOptions
    probe: PayOffUse | None = None
    sensitivity: Path | None = None

    @property
    def ranking(self) -> str | dict[str, Any]:
        """The ranking of filters, by its name where it has no options: what a policy's reader must know."""
        return next((m.ranking for m in self.options.methods if m.ranking is not None), USUAL_RANKING)


@dataclass(frozen=True)
class TimingSettings:
    """How every candidate is timed beside the reference.

    Attributes:
        seconds: by batch size, of each session.
    """

    seconds: Mapping[int, float]
    slot_ms: float
    warmup_calls: int

    def plans(self, metrics: Sequence[str] | frozenset[str], seed: int) -> dict[str, TimingPlan]:
        """A plan for each reading among the metrics that a target can take."""
        return {
            name: TimingPlan(
                reading.batch,
                self.seconds[reading.batch],
                self.slot_ms,
                warmup_calls=self.warmup_calls,
                series=reading.wanted,
                seed=derived_seed(seed, "timing", name),
            )
            for name, reading in READINGS.items()
            if name in metrics
        }


@dataclass(frozen=True)
class CandidatePlan:
    """How a candidate becomes a file, and its file numbers.

    Attributes:
        ranges: how the ranges of integers are estimated; None takes the builder's own choice.
        store: the file of earlier evaluations; None keeps none.
    """

    recovery: RecoveryPlan
    ranges: RangeOptions | None
    timing: TimingSettings
    store: Path | None = None


@dataclass(frozen=True)
class SearchPlan:
    """Who searches, from where and for how long.

    Attributes:
        strategies: the one of a search, called as its section, or all contenders of a comparison.
        start: the starts as the experiment states them, in JSON.
        workers: processes that evaluate at the same time; one is this process.
    """

    strategies: tuple[Strategy, ...]
    start: Any
    starts: StartPlan
    budget: Budget
    workers: int = 1


@dataclass(frozen=True)
class DeliveryOptions:
    """How the honest end is made.

    Attributes:
        confidence: of the certificate, one-sided.
        attempts: how many candidates may be tried on the certification split.
        seconds: of the longer timing, for each file and batch size.
    """

    confidence: float = 0.95
    attempts: int = 5
    seconds: float = 2.0


@dataclass(frozen=True)
class Recording:
    """Where a search is written, and by what it is known again.

    Attributes:
        config: the resolved experiment, the secrets of its addresses starred.
        settings: hash of what of it all trials of one search must share.
        older_settings: hashes that an earlier version made of the same, with a password in them.
        command: how to run it again from its own run folder.
        ledger: whether trials are kept; `storage` is the ledger's database, None RUN/study.db.
        mlflow: address and name of the experiment there; None tells nobody.
    """

    config: Mapping[str, Any]
    settings: str
    older_settings: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    ledger: bool = True
    storage: Secret | None = None
    mlflow: tuple[Secret, str] | None = None


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
