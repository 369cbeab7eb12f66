"""Name to plug-in: built-in, or from an installed package's entry point; and plug-ins made of their options alone."""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, TypeVar

from moco.errors import ConfigError, MocoError, in_one_line, nearest
from moco.optional import needed_by

T = TypeVar("T")

DEFAULT_TARGET, DEFAULT_SEARCHER, DEFAULT_RECOVERY = "onnxruntime", "greybox", "batch_norm"
DEFAULT_TEACHING = "distillation"  # the recovery step that trains a student where none is named
NO_PROTOCOL, ANY_METHOD = "front", "filter_pruning"  # where nothing is searched and an experiment must have both
DEFAULT_OBJECTIVE = "accuracy-guaranteed"  # of `moco.optimize`; an experiment names its own
FITS_ANY_PROBLEM = "nsga2"  # the searcher to name where another one cannot take a problem
BUILT_IN: dict[str, dict[str, str]] = {
    "searcher": {
        "random": "moco.searchers.random:RandomSearcher",
        "uniform": "moco.searchers.uniform:UniformSearcher",
        "grid": "moco.searchers.grid:GridSearcher",
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
        "ppo_q": "moco.searchers.ppo_q:PPOQSearcher",
    },
    "objective": {
        "accuracy-guaranteed": "moco.objectives.accuracy_guaranteed:AccuracyGuaranteedObjective",
        "resource-constrained": "moco.objectives.resource_constrained:ResourceConstrainedObjective",
        "galen": "moco.objectives.galen:GalenObjective",
        "two-stage": "moco.objectives.two_stage:TwoStageObjective",
        "hybrid": "moco.objectives.hybrid:HybridObjective",
        "front": "moco.objectives.front:FrontObjective",
    },
    "target": {
        "onnxruntime": "moco.hardware.onnxruntime:ONNXRuntimeTarget",
        "openvino": "moco.hardware.openvino:OpenVINOTarget",
        "torch": "moco.hardware.pytorch:PyTorchTarget",
        "tensorrt": "moco.hardware.tensorrt:TensorRTTarget",
        "litert": "moco.hardware.litert:LiteRTTarget",
        "tvm": "moco.hardware.tvm:TVMTarget",
        "remote": "moco.hardware.remote:RemoteTarget",
    },
    "recovery_step": {
        "refit": "moco.recovery.refit:RefitStep",
        "batch_norm": "moco.recovery.batch_norm:BatchNormStep",
        "fine_tuning": "moco.recovery.fine_tuning:FineTuningStep",
        "distillation": "moco.recovery.distillation:DistillationStep",
        "fitnets": "moco.recovery.fitnets:FitNetsStep",
        "quantization_aware": "moco.recovery.quantization_aware:QuantizationAwareStep",
        "custom": "moco.recovery.custom:CustomStep",
    },
    "counter": {
        "rapl": "moco.hardware.counters.rapl:RaplCounter",
        "nvml": "moco.hardware.counters.nvml:NVMLCounter",
        "ina3221": "moco.hardware.counters.ina3221:INA3221Counter",
        "tegrastats": "moco.hardware.counters.tegrastats:TegrastatsCounter",
    },
    "method": {
        "filter_pruning": "moco.compression.methods.filter_pruning:FilterPruning",
        "channel_pruning": "moco.compression.methods.channel_pruning:ChannelPruning",
        "input_pruning": "moco.compression.methods.input_pruning:InputPruning",
        "factorisation": "moco.compression.methods.factorisation:Factorisation",
        "sparsity": "moco.compression.methods.sparsity:Sparsity",
        "quantization": "moco.compression.methods.quantization:Quantization",
        "depth": "moco.compression.methods.depth:Depth",
    },
    "ranking": {
        "l1": "moco.compression.rankings.weights:L1",
        "l2": "moco.compression.rankings.weights:L2",
        "l1_inputs": "moco.compression.rankings.weights:L1Inputs",
        "geometric_median": "moco.compression.rankings.weights:GeometricMedian",
        "batch_norm_scale": "moco.compression.rankings.weights:BatchNormScale",
        "taylor": "moco.compression.rankings.calibrated:Taylor",
        "fisher": "moco.compression.rankings.fisher:Fisher",
        "fisher_greedy": "moco.compression.rankings.fisher:FisherGreedy",
        "activation": "moco.compression.rankings.calibrated:Activation",
        "information_dropout": "moco.compression.rankings.information_dropout:InformationDropout",
        "lasso": "moco.compression.rankings.lasso:Lasso",
        "random": "moco.compression.rankings.weights:Random",
    },
}
"""Import path by kind and name. Each plug-in class has an `Options` dataclass beside its own parameters."""

MEMBERS: dict[str, tuple[str, ...]] = {
    "searcher": ("capabilities", "ask", "tell"),
    "objective": ("problem", "score"),
    "target": ("connect", "load", "measure", "describe", "snippet", "findings"),
    "method": ("name", "settings", "parameters_for", "write_settings", "values_of", "expected_instead"),
    "ranking": ("name", "needs", "scores"),
    "recovery_step": ("name", "moment", "apply"),
    "counter": ("available", "joules", "describe"),
}
"""What a class of each kind must have besides `Options`; a `name` among it is the one that it is registered by."""

MADE: dict[str, tuple[str, ...]] = {
    "searcher": ("capabilities",),
    "objective": ("metrics",),
    "target": ("name", "distributions", "capabilities"),
    "counter": ("name", "tick_s"),
}
"""What an object of each kind must have besides; its class may leave that to the constructor."""


def names(kind: str) -> list[str]:
    """All names of that kind, those of installed entry points (group `moco.<kind>`) included."""
    return sorted({*BUILT_IN[kind], *(point.name for point in entry_points(group=f"moco.{kind}"))})


def plugin(kind: str, name: str, where: str | None = None) -> Any:
    """The class registered under that name; a ConfigError names the nearest one, or the extra that is not installed."""
    double = clash(kind, name)
    if name in BUILT_IN[kind]:
        if double is not None:  # no package may change what moco's own names mean
            warnings.warn(f"{where or kind}: {double}; moco's is used", stacklevel=2)
        module, _, attribute = BUILT_IN[kind][name].partition(":")
        with needed_by(f"{where or kind}: '{name}'"):
            return getattr(import_module(module), attribute)
    if double is not None:
        raise ConfigError(f"{where or kind}: {double}; uninstall one")
    for point in entry_points(group=f"moco.{kind}", name=name):
        return _loaded(point, kind, where)
    raise ConfigError(f"{where or kind}: unknown {kind} '{name}'{nearest(name, names(kind))}")


def module_of(kind: str, name: str) -> str:
    """The module that a registered plug-in is imported from."""
    if name in BUILT_IN[kind]:
        return BUILT_IN[kind][name].partition(":")[0]
    return next(point.value.partition(":")[0] for point in entry_points(group=f"moco.{kind}", name=name))


def _loaded(point: EntryPoint, kind: str, where: str | None) -> Any:
    """The class of an installed package, which may not be importable, or not what its group promises."""
    who = named(kind, point.name, where)
    with blaming(f"{who} cannot be imported"):
        found: Any = point.load()
    if (lack := lacking(found, kind, point.name)) is not None:
        raise ConfigError(f"{who} does not meet this version's contract: {lack}")
    return found


def clash(kind: str, name: str) -> str | None:
    """Who has a plug-in of that name, where more than one has, moco among them; else None."""
    owners = [*(["moco"] if name in BUILT_IN[kind] else []), *_packages(kind, name)]
    return f"{' and '.join(map(repr, owners))} each have the {kind} '{name}'" if len(owners) > 1 else None


def _packages(kind: str, name: str) -> list[str]:
    """The installed packages that have a plug-in of that name."""
    return sorted({_package(point) for point in entry_points(group=f"moco.{kind}", name=name)})


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else re.split(r"[.:]", point.value)[0]


def named(kind: str, name: str, where: str | None) -> str:
    """What a plug-in is called in an error: its key path, kind and name, and the package that it is of."""
    of = "".join(f" of the package '{package}'" for package in _packages(kind, name)[:1])
    return f"{where or kind}: {kind} '{name}'{of}"


@contextmanager
def blaming(what: str, told: Callable[[str], MocoError] = ConfigError) -> Iterator[None]:
    """Within runs what others have written: all that it raises, but moco's errors and Ctrl-C, is told as that error."""
    try:
        yield
    except (MocoError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too, which would end the command without a word
        raise told(f"{what}: {in_one_line(error)}") from error


def package_to_blame(error: BaseException) -> str | None:
    """The installed package whose plug-in's code was running when the error was raised; None where none was."""
    points = [point for kind in BUILT_IN for point in entry_points(group=f"moco.{kind}")]
    packages = {top: _package(point) for point in points if (top := re.split(r"[.:]", point.value)[0]) != "moco"}
    ran = [frame.f_globals.get("__name__", "").split(".")[0] for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((packages[top] for top in reversed(ran) if top in packages), None)


def lacking(found: Any, kind: str, name: str) -> str | None:
    """What a class lacks to be a plug-in of its kind that is registered by this name; None where it lacks nothing."""
    missing = [member for member in MEMBERS[kind] if getattr(found, member, None) is None]
    if missing:
        return f"it has no {', '.join(missing)}"
    if not callable(found) or not is_dataclass(getattr(found, "Options", None)):
        return "it has no dataclass Options"
    named = "name" in MEMBERS[kind] and found.name != name
    return f"it calls itself '{found.name}'" if named else None


def complete(made: T, kind: str, name: str, where: str | None = None) -> T:
    """The object that a plug-in's class has made; a ConfigError says what of the contract its constructor left out."""
    missing = [member for member in MADE.get(kind, ()) if getattr(made, member, None) is None]
    if missing:
        who = named(kind, name, where)
        raise ConfigError(f"{who} does not meet this version's contract: its objects have no {', '.join(missing)}")
    return made


def made_by(cls: Any, kind: str, name: str, where: str | None, *given: Any) -> Any:
    """What the class of that plug-in makes of what it is given; a ConfigError as by `complete`, or that it failed."""
    if name in BUILT_IN[kind]:
        return cls(*given)
    with blaming(f"{named(kind, name, where)} cannot be made"):
        return complete(cls(*given), kind, name, where)


@dataclass(frozen=True)
class NoOptions:
    """The options of a plug-in that takes none."""


@dataclass(frozen=True)
class NamedPlugin:
    """A plug-in that is registered by its name and made of its options; without options it has the usual ones.

    Its `Options` are a frozen dataclass whose fields all have defaults.
    """

    options: Any = None  # an instance of `Options`

    name: ClassVar[str]
    Options: ClassVar[type[Any]] = NoOptions

    def __post_init__(self) -> None:
        if self.options is None:
            object.__setattr__(self, "options", self.Options())

    @property
    def written(self) -> str | dict[str, Any]:
        """Its name alone where its options are the usual ones, else {name: …, option: value}."""
        return self.name if self.options == self.Options() else {"name": self.name, **written_options(self.options)}


@dataclass(frozen=True)
class OptionOfKind:
    """Marks an option, in `Annotated`, that names a plug-in of a kind: `l1`, or `{name: l1, option: value}`."""

    kind: str


def written_options(options: Any) -> dict[str, Any]:
    """Options by field, as they stand in YAML; plug-ins among them by their name. What is None is not given."""
    given = ((field.name, getattr(options, field.name)) for field in fields(options))
    values = {name: value for name, value in given if value is not None}
    return {name: value.written if isinstance(value, NamedPlugin) else value for name, value in values.items()}


@dataclass(frozen=True)
class Chosen:
    """A plug-in that was chosen by its name, with its options checked."""

    kind: str
    name: str
    cls: Any
    options: Any  # an instance of the class's `Options`
    where: str | None = None  # key path that names it, for errors

    def made(self) -> Any:
        """The plug-in, made of its options; a ConfigError as by `made_by`."""
        return made_by(self.cls, self.kind, self.name, self.where, self.options)
