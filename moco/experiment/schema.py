"""What an experiment may say: one frozen model a section of the YAML. Units and defaults: docs/configuration.md.

`model` and `data` stand in schema_network, `space` and `recovery` in schema_space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PrivateAttr, field_validator, model_validator

from moco.certification.certificate import ATTEMPTS, CONFIDENCE
from moco.compression.methods.method import Method
from moco.errors import nearest
from moco.experiment.schema_base import Count, PluginSection, Positive, Seconds, Section, Seed
from moco.experiment.schema_baselines import BaselineConfig, SiblingConfig, check_baseline
from moco.experiment.schema_network import DataConfig, ModelConfig
from moco.experiment.schema_space import RecoverySection, SpaceConfig
from moco.experiment.schema_student import StudentConfig
from moco.registry import DEFAULT_RECOVERY, DEFAULT_SEARCHER, DEFAULT_TARGET, Chosen
from moco.strategy import Strategy

NAME = re.compile(r"^\w[\w.+-]{0,99}\Z")


class TimingConfig(Section):
    """How every candidate is timed beside the reference; each session gets that long.

    With a `standard_error` it gets longer, `most_seconds` at most, until the ratio is known that well.
    """

    seconds_batch1: Seconds = 0.2
    seconds_batch32: Seconds = 0.6
    slot_ms: Annotated[float, Field(gt=0, le=60_000)] = 10.0
    warmup_calls: Annotated[int, Field(ge=0, le=10_000)] = 3
    standard_error: Annotated[float, Field(gt=0, lt=1)] | None = None
    most_seconds: Seconds | None = None  # 5 where a standard error is asked for


class TargetConfig(PluginSection):
    """The device; further keys are the runtime's options."""

    runtime: str = DEFAULT_TARGET
    timing: TimingConfig = TimingConfig()


class ObjectiveConfig(PluginSection):
    """The protocol; further keys are its options."""

    protocol: str


class StartConfig(Section):
    """One source of starts, counted in the budget or not; exactly one of the first three keys."""

    policies: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # files, or folders that hold some
    store: Count | None = None  # at most so many of its evaluations
    sensitivity: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None  # nats, see StartSource
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


Share = Annotated[float, Field(gt=0, lt=1)]
START_SOURCES = ("policies", "store", "sensitivity")
StartWord = Literal["none", "reference", "ladder", "store", "sensitivity"]
Starts = StartWord | StartConfig | Annotated[tuple[StartWord | StartConfig, ...], Field(min_length=1)]


class SearcherConfig(PluginSection):
    """The search strategy; further keys are its options."""

    name: str = DEFAULT_SEARCHER
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


class StrategyConfig(PluginSection):
    """A strategy of a comparison; in YAML its searcher's name alone, or with a label and the searcher's options."""

    name: str
    label: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_or_mapping(cls, given: object) -> object:
        return {"name": given} if isinstance(given, str) else given


class CompareConfig(Section):
    """What `moco compare` compares, where its command line does not say; a search looks at none of it."""

    searchers: tuple[StrategyConfig, ...] = ()
    seeds: Count | None = None


class BudgetConfig(Section):
    """When the search ends: after so many trials or seconds, or when it stalls, whatever comes first."""

    trials: Count = 100
    seconds: Seconds | None = None
    answer_seconds: Seconds | None = None  # for one answer of the searcher's; by default an hour
    processor_seconds: Seconds | None = None  # of all processors together, preparation included
    patience: Count | None = None  # trials without a better one, after which it has stalled


class FinalistsConfig(Section):
    """How finalists are trained after the search; defaults as in moco.finalists.plan."""

    share: Share | None = None  # of the budget's seconds
    candidates: Count | None = None
    keep: Share | None = None
    last: Share | None = None
    training: dict[str, Any] = Field(default_factory=dict)  # options of moco.finalists.plan.FinalistTraining


class CertificateConfig(Section):
    """The certificate: one-sided confidence, candidates that may be tried, seconds of the longer timing."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = CONFIDENCE
    attempts: Count = ATTEMPTS
    seconds: Seconds = 2.0


class MLflowConfig(Section):
    """Where MLflow keeps the runs; without a `uri` in a SQLite store in moco's home (moco/home.py).

    Each delivery becomes a version of the `registered_model`, where one is named.
    """

    uri: str | None = None
    experiment: str | None = None
    registered_model: str | None = None


class TrackingConfig(Section):
    """Who is told; `storage` is the ledger's database URL, in place of RUN/study.db.

    Without `dashboard` there is no ledger, and a search that is interrupted cannot be resumed.
    """

    mlflow: bool | MLflowConfig = False
    dashboard: bool = True
    storage: str | None = None


@dataclass(frozen=True)
class Plugins:
    """All that an experiment names of the registry, looked up when it was read, each with its checked options."""

    methods: tuple[Method, ...]  # in the order of the registry
    objective: Chosen
    searcher: Strategy
    target: Chosen
    recovery: tuple[Chosen, ...]  # of a step that takes a function of the user's, the options are its import path


class Experiment(Section):
    """A whole experiment."""

    name: str
    seed: Seed = 0
    model: ModelConfig
    data: DataConfig
    space: SpaceConfig
    recovery: tuple[RecoverySection, ...] = (RecoverySection(name=DEFAULT_RECOVERY),)
    before_recovery: bool | None = None  # whether each network is built and scored before recovery, too
    target: TargetConfig = TargetConfig()
    objective: ObjectiveConfig
    searcher: SearcherConfig = SearcherConfig()
    budget: BudgetConfig = BudgetConfig()
    finalists: bool | FinalistsConfig | None = None  # true takes the defaults, false or null trains none
    workers: Count | None = None  # processes that evaluate at the same time; None is one
    compare: CompareConfig | None = None
    certificate: CertificateConfig = CertificateConfig()
    baselines: tuple[BaselineConfig, ...] = ("quantize_static",)  # [] makes none
    student: StudentConfig | None = None  # of another architecture, which `moco distill` trains; a search trains none
    tracking: TrackingConfig = TrackingConfig()
    store: bool | str | None = True  # a file for later searches to use, true or null for the usual one, false for none
    folder: str | None = None  # where import paths are looked up first; by default the file's own
    _plugins: Plugins | None = PrivateAttr(default=None)
    _allow_import: bool = PrivateAttr(default=False)

    @property
    def plugins(self) -> Plugins:
        """What it names of the registry."""
        assert self._plugins is not None, "an experiment comes from load_experiment or experiment_of"
        return self._plugins

    @property
    def allow_import(self) -> bool:
        """Whether code of the user's that it names may be imported: whoever read it has said so, never the file."""
        return self._allow_import

    def with_plugins(self, plugins: Plugins, *, allow_import: bool = False) -> Experiment:
        """The experiment that carries them, and the leave to import, from now on; copies of it do so too."""
        found = self.model_copy()
        found._plugins, found._allow_import = plugins, allow_import
        return found

    @property
    def imports(self) -> dict[str, str]:
        """Import paths of code of the user's by key path, however they were written."""
        found = {"model.import": self.model.import_path, "data.import": self.data.import_path}
        found |= {} if self.student is None else {"student.import": self.student.import_path}
        steps = [step for step in self.plugins.recovery if step.cls.takes_function]
        functions = {f"recovery.{step.name}.import": step.options for step in steps}
        siblings = {f"baselines[{n}].import": path for n, path in enumerate(map(_import_of, self.baselines))}
        return {where: path for where, path in {**found, **functions, **siblings}.items() if path is not None}

    @field_validator("baselines", mode="before")
    @classmethod
    def _known_baselines(cls, given: object) -> object:
        for baseline in given if isinstance(given, (list, tuple)) else ():
            check_baseline(baseline)
        return _with_tuples(given)

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not NAME.match(name):
            raise ValueError(
                f"expected at most 100 letters, digits and . _ + - (it names the run folder), got {name!r}"
            )
        return name


def _import_of(baseline: BaselineConfig) -> str | None:
    return baseline.import_path if isinstance(baseline, SiblingConfig) else None


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
