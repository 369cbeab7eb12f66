"""What an experiment may say: one frozen model a section of the YAML. Units and defaults: docs/configuration.md."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_serializer, model_validator

from moco.suggest import nearest

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Nats = Annotated[float, Field(gt=0)]
KeepRatio = Annotated[float, Field(gt=0, le=1)]
KeepRatios = tuple[KeepRatio, KeepRatio]
Precision = Literal["float32", "int8", "mixed"]
Bits = Annotated[int, Field(ge=1, le=8)]
Ranking = Literal[
    "l1", "l2", "geometric_median", "batch_norm_scale", "taylor", "fisher", "fisher_greedy", "activation", "random"
]

IMPORT_PATH = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")
NAME = re.compile(r"^\w[\w.+-]*$")


class Section(BaseModel):
    """A mapping of the YAML: unknown keys and values of another type are refused, nothing is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PluginSection(Section):
    """A section whose further keys are the options of the plug-in that it names."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    @property
    def further(self) -> dict[str, Any]:
        """The keys that are not moco's own, as written."""
        return dict(self.model_extra or {})


class TrainConfig(Section):
    """Training on the spot, for small networks; what is not given is the default of moco.models.training."""

    epochs: Count | None = None
    learning_rate: Seconds | None = None
    batch_size: Count | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None


class ModelConfig(Section):
    """The network: of the zoo or of torchvision by name, or the user's own by import path."""

    name: str | None = None
    import_path: str | None = Field(default=None, alias="import")
    weights: str | None = None
    num_classes: Count | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    train: TrainConfig | None = None

    @field_validator("import_path")
    @classmethod
    def _is_import_path(cls, value: str | None) -> str | None:
        return _import_path(value)

    @model_validator(mode="after")
    def _one_origin(self) -> ModelConfig:
        if (self.name is None) == (self.import_path is None):
            raise ValueError("expected either 'name' or 'import', got " + ("neither" if self.name is None else "both"))
        if self.weights is not None and self.train is not None:
            raise ValueError("expected 'weights' or 'train', got both")
        return self


class NormalizeConfig(Section):
    """Mean and standard deviation of each channel, of pixels in [0, 1]."""

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    std: Annotated[tuple[Seconds, ...], Field(min_length=1)]


class SplitsConfig(Section):
    """Images in each split; calibration is taken from the training set, the other two from the test set.

    Without a number, calibration takes 512 and search 1000, of smaller sets a half, and certification all that is left.
    """

    calibration: Count | None = None
    search: Count | None = None
    certification: Count | None = None


class DataConfig(Section):
    """The images."""

    source: Literal["digits", "parquet", "cifar10", "imagefolder", "import", "python"]
    train: str | None = None
    test: str | None = None
    root: str | None = None
    import_path: str | None = Field(default=None, alias="import")
    image_column: str | None = None
    label_column: str | None = None
    resize: Count | None = None
    crop: Count | None = None
    normalize: NormalizeConfig | None = None
    splits: SplitsConfig = SplitsConfig()

    @field_validator("import_path")
    @classmethod
    def _is_import_path(cls, value: str | None) -> str | None:
        return _import_path(value)

    @model_validator(mode="after")
    def _import_goes_with_its_source(self) -> DataConfig:
        if (self.source == "import") != (self.import_path is not None):
            raise ValueError(f"source 'import' and the key 'import' belong together, got source '{self.source}'")
        return self


class KeepConfig(Section):
    """A method with a ratio to keep."""

    keep: KeepRatios = (0.3, 1.0)

    @field_validator("keep")
    @classmethod
    def _in_order(cls, keep: tuple[float, float]) -> tuple[float, float]:
        if keep[0] > keep[1]:
            raise ValueError(f"expected [lowest, highest] ratio to keep, got {list(keep)}")
        return keep


class ChannelPruningConfig(KeepConfig):
    """Channel pruning: ranked by activation, readers refitted; `coupled` also prunes what several layers give."""

    coupled: bool = True


class FilterPruningConfig(ChannelPruningConfig):
    """Filter pruning by a ranking; `coupled` also prunes the channels that several layers give together."""

    rank: Ranking = "l1"


class QuantizationConfig(Section):
    """Precisions that a layer group may have, and the [fewest, most] bits of `mixed`."""

    precision: Annotated[tuple[Precision, ...], Field(min_length=1)] = ("float32", "int8")
    weight_bits: tuple[Bits, Bits] = (2, 8)
    activation_bits: tuple[Bits, Bits] = (4, 8)
    range: Literal["auto", "minmax", "percentile", "output_error"] = "auto"

    @field_validator("precision")
    @classmethod
    def _each_once(cls, precision: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(precision)) < len(precision):
            raise ValueError(f"expected each precision once, got {list(precision)}")
        return precision


class SpaceConfig(Section):
    """What may be done to which layers."""

    groups: Literal["per-layer", "per-block", "per-stage"] | dict[str, tuple[str, ...]] = "per-block"
    ignore: tuple[str, ...] = ()
    channel_multiple: Count | dict[Precision, Count] | None = None
    filter_pruning: FilterPruningConfig | None = None
    channel_pruning: ChannelPruningConfig | None = None
    factorisation: KeepConfig | None = None
    sparsity: KeepConfig | None = None
    quantization: QuantizationConfig | None = None
    choose: bool = False
    widths: Literal["all", "paying"] = "all"
    drop_losing: bool = False
    probe_seconds: Seconds = 60.0
    sensitivity: str | None = None

    @model_validator(mode="after")
    def _some_method(self) -> SpaceConfig:
        methods = ("filter_pruning", "channel_pruning", "factorisation", "sparsity", "quantization")
        if all(getattr(self, name) is None for name in methods):
            raise ValueError(f"expected at least one of {', '.join(map(repr, methods))}, got none")
        return self

    @field_validator("groups")
    @classmethod
    def _patterns(cls, groups: str | dict[str, tuple[str, ...]]) -> str | dict[str, tuple[str, ...]]:
        if not isinstance(groups, str) and not all(groups.values()):
            raise ValueError("expected at least one pattern in each group")
        if not groups:
            raise ValueError("expected at least one group")
        return groups


class RecoverySection(Section):
    """One step of recovery; in YAML its name alone, or {name: {option: value}}."""

    name: Literal["refit", "batch_norm", "fine_tuning", "distillation", "quantization_aware", "custom"]
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _name_or_mapping(cls, given: object) -> object:
        if isinstance(given, str):
            return {"name": given}
        if isinstance(given, dict) and "name" not in given:
            if len(given) != 1 or not isinstance(next(iter(given.values())), dict):
                raise ValueError(f"expected a step's name, or {{name: {{option: value}}}}, got {given!r}")
            ((name, options),) = given.items()
            return {"name": name, "options": options}
        return given

    @model_serializer
    def _as_written(self) -> str | dict[str, Any]:
        return {self.name: self.options} if self.options else self.name


class TimingConfig(Section):
    """How every candidate is timed beside the reference; each session gets that long."""

    seconds_batch1: Seconds = 0.2
    seconds_batch32: Seconds = 0.6
    slot_ms: Seconds = 10.0
    warmup_calls: Annotated[int, Field(ge=0)] = 3


class TargetConfig(PluginSection):
    """The device; further keys are the runtime's options."""

    runtime: str = "onnxruntime"
    threads: Count = 1
    timing: TimingConfig = TimingConfig()


class ObjectiveConfig(PluginSection):
    """The protocol; further keys are its options."""

    protocol: str


class StartConfig(Section):
    """One source of starts, counted in the budget or not; exactly one of the first three keys.

    Attributes:
        policies: policy.json files, or folders that hold one: RUN/best, RUN (its best and its front).
        store: at most so many earlier evaluations of the evaluation store.
        sensitivity: divergences in nats, each of which gives the policy that no layer's curve exceeds.
    """

    policies: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    store: Count | None = None
    sensitivity: Annotated[tuple[Nats, ...], Field(min_length=1)] | None = None
    counted: bool = True

    @property
    def source(self) -> str:
        """The one of the three that is given."""
        return next(name for name in START_SOURCES if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _one_source(self) -> StartConfig:
        given = [name for name in START_SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join(START_SOURCES)}, got {' and '.join(given) or 'none'}")
        return self


START_SOURCES = ("policies", "store", "sensitivity")
StartWord = Literal["none", "reference", "ladder", "store", "sensitivity"]


Starts = StartWord | StartConfig | Annotated[tuple[StartWord | StartConfig, ...], Field(min_length=1)]


class SearcherConfig(PluginSection):
    """The search strategy; further keys are its options."""

    name: str = "greybox"
    start: Starts = "ladder"

    @model_validator(mode="before")
    @classmethod
    def _of_a_name(cls, given: object) -> object:
        """`searcher: tpe` is short for `searcher: {name: tpe}`."""
        return {"name": given} if isinstance(given, str) else given

    @property
    def starts(self) -> tuple[StartWord | StartConfig, ...]:
        """The starts one by one, in their order."""
        return self.start if isinstance(self.start, tuple) else (self.start,)

    @field_validator("start", mode="before")
    @classmethod
    def _known_starts(cls, given: object) -> object:
        for start in given if isinstance(given, list) else (given,):
            _check_start(start)
        if given == []:
            raise ValueError("expected at least one start, got []; 'none' starts from nothing")
        if isinstance(given, list) and "none" in given and len(given) > 1:
            raise ValueError(f"'none' stands alone, got {given}")
        return _with_tuples(given)


class ContenderConfig(PluginSection):
    """A strategy of a comparison; in YAML its searcher's name alone, or with a label and the searcher's options."""

    name: str
    label: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_or_mapping(cls, given: object) -> object:
        return {"name": given} if isinstance(given, str) else given


class CompareConfig(Section):
    """What `moco compare` compares, where its command line does not say; a search looks at none of it."""

    searchers: tuple[ContenderConfig, ...] = ()
    seeds: Count | None = None


class BudgetConfig(Section):
    """When the search ends: after so many trials or so many seconds, whatever comes first."""

    trials: Count = 100
    seconds: Seconds | None = None


class CertificateConfig(Section):
    """The honest end: one-sided confidence, candidates that may be tried, seconds of the longer timing."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    attempts: Count = 5
    seconds: Seconds = 2.0


class MLflowConfig(Section):
    """Where MLflow keeps the runs; without a `uri` in a SQLite store beside the run folder."""

    uri: str | None = None
    experiment: str | None = None


class TrackingConfig(Section):
    """Who is told; `storage` is the ledger's database URL, in place of RUN/study.db.

    Without `dashboard` there is no ledger, and a search that is interrupted cannot be resumed.
    """

    mlflow: bool | MLflowConfig = False
    dashboard: bool = True
    storage: str | None = None


class Experiment(Section):
    """A whole experiment.

    Attributes:
        store: evaluations that later searches can use: a file, true (or null) for the usual one, false for none.
        folder: where import paths are looked up first; the file's own folder unless it says otherwise.
    """

    name: str
    seed: Annotated[int, Field(ge=0)] = 0
    model: ModelConfig
    data: DataConfig
    space: SpaceConfig
    recovery: tuple[RecoverySection, ...] = (RecoverySection(name="batch_norm"),)
    target: TargetConfig = TargetConfig()
    objective: ObjectiveConfig
    searcher: SearcherConfig = SearcherConfig()
    budget: BudgetConfig = BudgetConfig()
    compare: CompareConfig | None = None
    certificate: CertificateConfig = CertificateConfig()
    tracking: TrackingConfig = TrackingConfig()
    store: bool | str | None = True
    folder: str | None = None

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not NAME.match(name):
            raise ValueError(f"expected letters, digits and . _ + - (it names the run folder), got {name!r}")
        return name


def _check_start(start: object) -> None:
    words = get_args(StartWord)
    expected = f"expected {', '.join(words)} or {{policies, store or sensitivity: …}}, got {start!r}"
    if isinstance(start, str):
        if start not in words:
            raise ValueError(f"{expected}{nearest(start, words)}")
    elif isinstance(start, dict):
        for key in start:
            if key not in StartConfig.model_fields:
                raise ValueError(f"unknown key '{key}'{nearest(key, StartConfig.model_fields)}")
    elif not isinstance(start, StartConfig):
        raise ValueError(expected)  # noqa: TRY004, pydantic takes a ValueError


def _with_tuples(given: Any) -> Any:
    """YAML's lists as tuples: once Python has looked at a value, pydantic no longer takes a list for one."""
    if isinstance(given, dict):
        return {key: _with_tuples(value) for key, value in given.items()}
    return tuple(map(_with_tuples, given)) if isinstance(given, list) else given


def _import_path(value: str | None) -> str | None:
    if value is not None and not IMPORT_PATH.match(value):
        raise ValueError(f"expected 'package.module:attribute', got {value!r}")
    return value
