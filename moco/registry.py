"""Name to plug-in: built-in, or from an installed package's entry point."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from moco.errors import ConfigError
from moco.optional import needed_by
from moco.suggest import nearest

DEFAULT_TARGET = "onnxruntime"
BUILT_IN: dict[str, dict[str, str]] = {
    "searcher": {
        "random": "moco.searchers.random:RandomSearcher",
        "uniform": "moco.searchers.uniform:UniformSearcher",
        "tpe": "moco.searchers.tpe:TPESearcher",
        "nsga2": "moco.searchers.nsga2:NSGA2Searcher",
        "nsga3": "moco.searchers.nsga3:NSGA3Searcher",
        "sobol": "moco.searchers.sobol:SobolSearcher",
        "evolution": "moco.searchers.evolution:EvolutionSearcher",
        "cmaes": "moco.searchers.cmaes:CMAESSearcher",
        "greedy": "moco.searchers.greedy:GreedySearcher",
        "binary_search": "moco.searchers.binary_search:BinarySearchSearcher",
        "knapsack": "moco.searchers.knapsack:KnapsackSearcher",
        "gp": "moco.searchers.gp:GPSearcher",
        "botorch": "moco.searchers.botorch:BoTorchSearcher",
        "ax": "moco.searchers.ax:AxSearcher",
        "greybox": "moco.searchers.greybox:GreyboxSearcher",
        "ddpg": "moco.searchers.ddpg:DDPGSearcher",
        "ppo": "moco.searchers.ppo:PPOSearcher",
    },
    "objective": {
        "accuracy-guaranteed": "moco.objectives.accuracy_guaranteed:AccuracyGuaranteedObjective",
        "resource-constrained": "moco.objectives.resource_constrained:ResourceConstrainedObjective",
        "galen": "moco.objectives.galen:GalenObjective",
        "two-stage": "moco.objectives.two_stage:TwoStageObjective",
        "hybrid": "moco.objectives.hybrid:HybridObjective",
        "front": "moco.objectives.front:FrontObjective",
    },
    "target": {"onnxruntime": "moco.hardware.onnxruntime:ONNXRuntimeTarget"},
    "recovery_step": {
        "refit": "moco.recovery.refit:RefitStep",
        "batch_norm": "moco.recovery.batch_norm:BatchNormStep",
        "fine_tuning": "moco.recovery.fine_tuning:FineTuningStep",
        "distillation": "moco.recovery.distillation:DistillationStep",
        "quantization_aware": "moco.recovery.quantization_aware:QuantizationAwareStep",
        "custom": "moco.recovery.custom:CustomStep",
    },
    "counter": {"rapl": "moco.hardware.counters.rapl:RaplCounter"},
}
"""Import path by kind and name. Each plug-in class has an `Options` dataclass beside its own parameters."""


def names(kind: str) -> list[str]:
    """All names of that kind, those of installed entry points (group `moco.<kind>`) included."""
    return sorted({*BUILT_IN[kind], *(point.name for point in entry_points(group=f"moco.{kind}"))})


def plugin(kind: str, name: str, where: str | None = None) -> Any:
    """The class registered under that name.

    Raises:
        ConfigError: no such plug-in, and the nearest name is given; or it needs an extra that is not installed.
    """
    if name in BUILT_IN[kind]:
        module, _, attribute = BUILT_IN[kind][name].partition(":")
        with needed_by(f"{where or kind}: '{name}'"):
            return getattr(import_module(module), attribute)
    for point in entry_points(group=f"moco.{kind}", name=name):
        return point.load()
    raise ConfigError(f"{where or kind}: unknown {kind} '{name}'{nearest(name, names(kind))}")
