"""The words of Distiller's schedules and of W&B's sweeps, and what each is in an experiment of moco's."""

from __future__ import annotations

from dataclasses import dataclass

FILTERS, CHANNELS = "Filters", "Channels"
METHODS = {FILTERS: "filter_pruning", CHANNELS: "input_pruning"}
"""Method by group type. `Channels` of a block's first convolution means the map between its two (S2.10)."""

RANKINGS = {"L1RankedStructureParameterPruner": "l1", "L2RankedStructureParameterPruner": "l2"}
"""Ranking of filters by the class of a pruner."""
BY_L1 = "L1RankedStructureParameterPruner"

DECAY = "ExponentialLR"

SEARCHERS = {"grid": "grid", "random": "random", "bayes": "gp"}
"""Searcher by the method of a sweep; any Bayesian one may take the place of the third."""

TYPOS = {"bayse": "bayes", "LiRankedStructureParameterPruner": BY_L1}
"""Slips of the published files: what they mean."""

HYBRID = "hybrid"
FRONT = "front"
TRAINING = "fine_tuning"


@dataclass(frozen=True)
class Target:
    """What a metric of a sweep is: `goal` as a sweep writes it; `metric` of moco's, minimised or maximised."""

    goal: str
    metric: str | None  # None where it is the score of the protocol of that name
    direction: str = "minimize"


_LATENCY, _TOP1, _SPEED = Target("minimize", "latency_ms"), Target("maximize", "top1_error"), "throughput_ips"
TARGETS = {
    "latency": _LATENCY,
    "latency_ms": _LATENCY,
    "top1": _TOP1,
    "top_1": _TOP1,
    "accuracy": _TOP1,
    "top1_error": Target("minimize", "top1_error"),
    "throughput": Target("maximize", _SPEED, "maximize"),
    "fps": Target("maximize", _SPEED, "maximize"),
    "size": Target("minimize", "size_mb"),
    "size_mb": Target("minimize", "size_mb"),
    HYBRID: Target("maximize", None),
}
"""By the name of a sweep's metric, in small letters and with `_` for spaces and dashes."""
