"""From an experiment to the plan of its search: plain values, of which nothing has been built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from moco.analysis.payoff.paying_space import PayOffUse
from moco.analysis.payoff.probe import ProbePlan
from moco.baselines.baseline import Baseline
from moco.baselines.by_hand import BY_HAND, ByHand, Recipe
from moco.baselines.sibling import Sibling
from moco.baselines.static_int8 import QUANTIZE_STATIC, StaticInt8
from moco.compression.space.limits import Limit
from moco.compression.space.network_space import SpaceOptions
from moco.data import DataSets, Normalization, SourceOptions
from moco.data.split_data import DataSpec
from moco.errors import ConfigError
from moco.experiment.finalists import finalists_plan
from moco.experiment.identity import mlflow_address, registered_model, resolved, settings_hashes, storage_address
from moco.experiment.schema import Experiment
from moco.experiment.schema_baselines import ByHandConfig, SiblingConfig
from moco.experiment.schema_student import StudentConfig
from moco.export.ranges import RangeOptions
from moco.home import shared_file
from moco.interfaces import Reporter
from moco.models import import_object
from moco.models.trained import ModelSpec
from moco.models.training import TrainingPlan
from moco.recovery.recovery import RecoveryPlan
from moco.recovery.step import RecoveryStep
from moco.registry import Chosen
from moco.run.build import job_of
from moco.run.job import Job
from moco.run.plan import CandidatePlan, DeliveryOptions, JobPlan, Recording, SearchPlan, SpacePlan, TimingSettings
from moco.run.starts import StartPlan, StartSource
from moco.secret import without_secrets
from moco.strategy import Strategy
from moco.study import Budget

MOST_SECONDS = 5.0
"""Of a session's timing, where a standard error is asked for."""
STORE = "evaluations.db"
"""In moco's home (moco/home.py); in the folder of a comparison whose experiment wants none: its runs share theirs."""


@dataclass(frozen=True)
class Overrides:
    """What comes from Python in place of the experiment's; None takes the experiment's."""

    network: nn.Module | None = None
    data: DataSets | None = None
    reporters: tuple[Reporter, ...] = ()  # told of a search's trials beside the experiment's own trackers
    folder: Path | None = None  # searched for modules of the user's own, where the experiment imports some


NOTHING = Overrides()


def build_job(experiment: Experiment, out: Path, overrides: Overrides = NOTHING) -> Job:
    """All parts of the search; a MocoError says in one line which cannot be built and why.

    The evaluation store and MLflow's default store lie in moco's home, or beside the run folder `out` if they have.
    """
    return job_of(plan_of(experiment, out, overrides.folder), overrides.network, overrides.data)


def plan_of(experiment: Experiment, out: Path, folder: Path | None = None) -> JobPlan:
    """What the search is to do; `folder` is searched for modules of the user's own where the experiment names none.

    A ConfigError names an environment variable that is not set, or something that is not there.
    """
    recording = _recording(experiment, out)
    folder = folder if experiment.folder is None else Path(experiment.folder)
    return JobPlan(
        name=experiment.name,
        seed=experiment.seed,
        model=model_spec(experiment, folder),
        data=_data(experiment, folder),
        target=experiment.plugins.target,
        objective=experiment.plugins.objective,
        space=_space(experiment),
        candidates=CandidatePlan(
            recovery=recovery_plan(experiment.plugins.recovery, folder, allow_import=experiment.allow_import),
            ranges=_ranges(experiment),
            timing=_timing(experiment),
            store=store_of(experiment, out),
        ),
        search=SearchPlan(
            strategies=(experiment.plugins.searcher,),
            start=recording.config["searcher"]["start"],
            starts=_starts(experiment),
            budget=Budget(**experiment.budget.model_dump()),
            workers=experiment.workers or 1,
        ),
        delivery=DeliveryOptions(**experiment.certificate.model_dump()),
        finalists=finalists_plan(experiment),
        recording=recording,
        baselines=_told_apart(_baselines(experiment, folder)),
    )


def comparison_of(plan: JobPlan, strategies: Sequence[Strategy], out: Path) -> JobPlan:
    """The plan of a comparison: without the experiment's own searcher and tracker, which need not even fit.

    Its runs share the store, and all that they are known by but their strategies and seeds.
    """
    record, store = plan.recording, plan.candidates.store
    shared = {name: section for name, section in record.config.items() if name not in {"compare", "finalists"}}
    shared |= {"searcher": {"start": plan.search.start}, "comparison": True}
    settings, older = settings_hashes(shared, shared, record.storage)
    return replace(
        plan,
        search=replace(plan.search, strategies=tuple(strategies)),
        candidates=replace(plan.candidates, store=store if store is not None else out / STORE),
        recording=replace(record, settings=settings, older_settings=older, mlflow=None),
        finalists=None,
    )


def untracked(experiment: Experiment) -> Experiment:
    """The experiment without trackers, ledger and store: nothing of it is recorded."""
    tracking = experiment.tracking.model_copy(update={"mlflow": False, "storage": None, "dashboard": False})
    return experiment.model_copy(update={"tracking": tracking, "store": False})


def _recording(experiment: Experiment, out: Path) -> Recording:
    config, mlflow, storage = resolved(experiment), mlflow_address(experiment, out), storage_address(experiment)
    written = without_secrets(config)
    settings, older = settings_hashes(written, config, storage)
    return Recording(
        config=written,
        settings=settings,
        older_settings=older,
        command=_command(experiment),
        ledger=experiment.tracking.dashboard,
        storage=storage,
        mlflow=mlflow,
        registered_model=registered_model(experiment),
    )


def _command(experiment: Experiment) -> str:
    """How to run the search again from its own run folder."""
    if experiment.data.source == "python":
        return "moco.optimize(…) in Python, with the same network, data sets and settings (experiment.yaml)"
    imports = " --allow-import" if experiment.imports else ""
    return f"moco search experiment.yaml --out again{imports}"


def model_spec(
    experiment: Experiment, folder: Path | None, other: SiblingConfig | StudentConfig | None = None
) -> ModelSpec:
    """The network that is searched, or another one: a sibling or a student of it."""
    model = other or experiment.model
    train = None if model.train is None else TrainingPlan(**model.train.model_dump(exclude_none=True))
    return ModelSpec(
        **model.model_dump(exclude={"train", "candidate", "training", "processor_seconds", "seeds"}),
        train=train,
        seed=experiment.seed,
        folder=folder,
        allow_import=experiment.allow_import,
    )


def _baselines(experiment: Experiment, folder: Path | None) -> Iterator[Baseline]:
    """The baselines in their order."""
    for place, given in enumerate(experiment.baselines):
        where = f"baselines[{place}]"
        if isinstance(given, SiblingConfig):
            model = model_spec(experiment, folder, given)
            yield Sibling(where, model.shown, model, given.candidate)
        elif isinstance(given, ByHandConfig):
            yield ByHand(f"{where}.{BY_HAND}", BY_HAND, Recipe(**given.by_hand.model_dump()))
        else:
            yield StaticInt8(where, QUANTIZE_STATIC)


def _told_apart(baselines: Iterable[Baseline]) -> tuple[Baseline, ...]:
    """The baselines, a name that stood before with its number added."""
    seen, found = Counter[str](), []
    for baseline in baselines:
        seen[baseline.name] += 1
        again = seen[baseline.name]
        found.append(baseline if again == 1 else replace(baseline, name=f"{baseline.name} #{again}"))
    return tuple(found)


def _data(experiment: Experiment, folder: Path | None) -> DataSpec:
    data = experiment.data
    given = data.model_dump(exclude={"source", "normalize", "splits", "classes", "allow_duplicates"})
    options = SourceOptions(**given, folder=folder, allow_import=experiment.allow_import)
    normalize = None if data.normalize is None else Normalization(**data.normalize.model_dump())
    return DataSpec(
        data.source,
        options,
        normalize,
        **data.splits.model_dump(),
        seed=experiment.seed,
        allow_duplicates=bool(data.allow_duplicates),
        classes=None if data.classes is None else tuple(data.classes),
    )


def _space(experiment: Experiment) -> SpacePlan:
    space = experiment.space
    limits = {name: Limit(limit.min, limit.max, limit.values) for name, limit in (space.limits or {}).items()}
    options = SpaceOptions(experiment.plugins.methods, choose=space.choose, limits=limits)
    multiple = space.channel_multiple
    if multiple is not None:
        by: Mapping[Any, int] = multiple if isinstance(multiple, dict) else dict.fromkeys(options.precisions, multiple)
        options = replace(options, channel_multiples=by)
    analysis = None if space.sensitivity is None else Path(space.sensitivity)
    base = None if space.base is None else Path(space.base)
    probed = space.widths != "all" or space.drop_losing
    use = PayOffUse(ProbePlan(seconds=space.probe_seconds), space.widths == "paying", space.drop_losing)
    return SpacePlan(space.groups, space.ignore, options, use if probed else None, analysis, base)


def recovery_plan(steps: Iterable[Chosen], folder: Path | None = None, *, allow_import: bool = False) -> RecoveryPlan:
    """The plan of the chosen steps; `folder` is searched for modules of the user's own.

    A ConfigError refuses a step that stands twice, two ways of training, and a function that cannot, or must not,
    be imported.
    """
    return RecoveryPlan(tuple(_step(step, folder, allow_import) for step in steps))


def _step(step: Chosen, folder: Path | None, allow_import: bool) -> RecoveryStep:
    if not step.cls.takes_function:
        return step.made()  # type: ignore[no-any-return]
    function = import_object(step.options, folder, allowed=allow_import)
    if not callable(function):
        raise ConfigError(f"recovery.{step.name}.import: '{step.options}' is no function")
    return step.cls(step.cls.Options(function))  # type: ignore[no-any-return]


def _ranges(experiment: Experiment) -> RangeOptions | None:
    asked = next((method.ranges for method in experiment.plugins.methods if method.ranges is not None), "auto")
    if asked == "auto":
        return None
    return RangeOptions(asked, "output_error" if asked == "output_error" else "max_abs")


def _timing(experiment: Experiment) -> TimingSettings:
    timing = experiment.target.timing
    seconds = {1: timing.seconds_batch1, 32: timing.seconds_batch32}
    most_seconds = 0.0 if timing.standard_error is None else timing.most_seconds or MOST_SECONDS
    return TimingSettings(seconds, timing.slot_ms, timing.warmup_calls, timing.standard_error, most_seconds)


def _starts(experiment: Experiment) -> StartPlan:
    analysis, declared = experiment.space.sensitivity, experiment.searcher.starts
    sources = tuple(source if isinstance(source, str) else StartSource(**source.model_dump()) for source in declared)
    return StartPlan(sources, None if analysis is None else Path(analysis))


def store_of(experiment: Experiment, out: Path) -> Path | None:
    """The file of earlier evaluations; None where the experiment wants none."""
    if experiment.store is False:
        return None
    return Path(experiment.store) if isinstance(experiment.store, str) else shared_file(STORE, out)
