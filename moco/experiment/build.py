"""From an experiment to the plan of its search: plain values, of which nothing has been built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from moco.analysis.payoff.paying_space import PayOffUse
from moco.analysis.payoff.probe import ProbePlan
from moco.compression.space.network_space import SpaceOptions
from moco.data import DataSets, Normalization, SourceOptions
from moco.data.split_data import DataSpec
from moco.experiment.identity import mlflow_address, settings_hashes, storage_address
from moco.experiment.recovery import recovery_plan
from moco.experiment.resolved import resolved
from moco.experiment.schema import Experiment
from moco.export.ranges import RangeOptions
from moco.models.trained import ModelSpec
from moco.models.training import TrainingPlan
from moco.run.build import job_of
from moco.run.job import Job
from moco.run.plan import CandidatePlan, DeliveryOptions, JobPlan, Recording, SearchPlan, SpacePlan, TimingSettings
from moco.run.starts import StartPlan, StartSource
from moco.secret import without_secrets
from moco.strategy import Strategy
from moco.study import Budget

STORE = "evaluations.db"
"""Beside the run folder; in that of a comparison whose experiment wants none beside it: its runs share theirs."""


@dataclass(frozen=True)
class Overrides:
    """What comes from Python in place of the experiment's.

    Attributes:
        network, data: None takes the experiment's.
        folder: searched for modules of the user's own, where the experiment imports some.
    """

    network: nn.Module | None = None
    data: DataSets | None = None
    folder: Path | None = None


NOTHING = Overrides()


def build_job(experiment: Experiment, out: Path, overrides: Overrides = NOTHING) -> Job:
    """All parts of the search.

    Args:
        out: the run folder; the evaluation store and MLflow's default store lie beside it.
        overrides: what comes in place of the experiment's.

    Raises:
        MocoError: in one line, which part cannot be built and why.
    """
    return job_of(plan_of(experiment, out, overrides.folder), overrides.network, overrides.data)


def plan_of(experiment: Experiment, out: Path, folder: Path | None = None) -> JobPlan:
    """What the search is to do.

    Args:
        folder: searched for modules of the user's own.

    Raises:
        ConfigError: an environment variable is not set, or something that is named is not there.
    """
    recording = _recording(experiment, out)
    certificate = experiment.certificate
    return JobPlan(
        name=experiment.name,
        seed=experiment.seed,
        model=_model(experiment, folder),
        data=_data(experiment, folder),
        target=experiment.plugins.target,
        objective=experiment.plugins.objective,
        space=_space(experiment),
        candidates=CandidatePlan(
            recovery=recovery_plan(experiment.plugins.recovery, folder),
            ranges=_ranges(experiment),
            timing=_timing(experiment),
            store=_store(experiment, out),
        ),
        search=SearchPlan(
            strategies=(experiment.plugins.searcher,),
            start=recording.config["searcher"]["start"],
            starts=_starts(experiment),
            budget=Budget(experiment.budget.trials, experiment.budget.seconds),
            workers=experiment.workers or 1,
        ),
        delivery=DeliveryOptions(certificate.confidence, certificate.attempts, certificate.seconds),
        recording=recording,
    )


def comparison_of(plan: JobPlan, strategies: Sequence[Strategy], out: Path) -> JobPlan:
    """The plan of a comparison: without the experiment's own searcher and tracker, which need not even fit.

    Its runs share the store, and all that they are known by but their strategies and seeds.
    """
    record, store = plan.recording, plan.candidates.store
    shared = {name: section for name, section in record.config.items() if name != "compare"}
    shared |= {"searcher": {"start": plan.search.start}, "comparison": True}
    settings, older = settings_hashes(shared, shared, record.storage)
    return replace(
        plan,
        search=replace(plan.search, strategies=tuple(strategies)),
        candidates=replace(plan.candidates, store=store if store is not None else out / STORE),
        recording=replace(record, settings=settings, older_settings=older, mlflow=None),
    )


def untracked(experiment: Experiment) -> Experiment:
    """The experiment without trackers, ledger and store: nothing of it is recorded."""
    tracking = experiment.tracking.model_copy(update={"mlflow": False, "storage": None, "dashboard": False})
    return experiment.model_copy(update={"tracking": tracking, "store": False})


def _recording(experiment: Experiment, out: Path) -> Recording:
    storage, mlflow, config = storage_address(experiment), mlflow_address(experiment, out), resolved(experiment)
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
    )


def _command(experiment: Experiment) -> str:
    """How to run the search again from its own run folder."""
    model, data = experiment.model, experiment.data
    if data.source == "python":
        return "moco.optimize(…) in Python, with the same network, data sets and settings (experiment.yaml)"
    imports = " --allow-import" if model.import_path or data.import_path else ""
    return f"moco search experiment.yaml --out again{imports}"


def _model(experiment: Experiment, folder: Path | None) -> ModelSpec:
    model = experiment.model
    return ModelSpec(
        name=model.name,
        import_path=model.import_path,
        options=model.options,
        num_classes=model.num_classes,
        weights=model.weights,
        train=None if model.train is None else TrainingPlan(**model.train.model_dump(exclude_none=True)),
        seed=experiment.seed,
        folder=folder,
    )


def _data(experiment: Experiment, folder: Path | None) -> DataSpec:
    data = experiment.data
    normalize = data.normalize
    named = {field.name: getattr(data, field.name) for field in fields(SourceOptions) if field.name != "folder"}
    return DataSpec(
        source=data.source,
        options=SourceOptions(**named, folder=folder),
        normalize=None if normalize is None else Normalization(tuple(normalize.mean), tuple(normalize.std)),
        **data.splits.model_dump(),
        seed=experiment.seed,
    )


def _space(experiment: Experiment) -> SpacePlan:
    space = experiment.space
    options = SpaceOptions(experiment.plugins.methods, choose=space.choose)
    options = replace(options, channel_multiples=_multiples(space.channel_multiple, options.precisions))
    analysis = None if space.sensitivity is None else Path(space.sensitivity)
    probed = space.widths != "all" or space.drop_losing
    use = PayOffUse(ProbePlan(seconds=space.probe_seconds), space.widths == "paying", space.drop_losing)
    return SpacePlan(space.groups, space.ignore, options, use if probed else None, analysis)


def _ranges(experiment: Experiment) -> RangeOptions | None:
    asked = next((method.ranges for method in experiment.plugins.methods if method.ranges is not None), "auto")
    if asked == "auto":
        return None
    return RangeOptions(asked, "output_error" if asked == "output_error" else "max_abs")


def _timing(experiment: Experiment) -> TimingSettings:
    timing = experiment.target.timing
    return TimingSettings({1: timing.seconds_batch1, 32: timing.seconds_batch32}, timing.slot_ms, timing.warmup_calls)


def _starts(experiment: Experiment) -> StartPlan:
    analysis, declared = experiment.space.sensitivity, experiment.searcher.starts
    sources = tuple(source if isinstance(source, str) else StartSource(**source.model_dump()) for source in declared)
    return StartPlan(sources, None if analysis is None else Path(analysis))


def _multiples(multiple: int | Mapping[Any, int] | None, precisions: Sequence[str]) -> dict[str, int] | None:
    if multiple is None:
        return None
    return dict.fromkeys(precisions, multiple) if isinstance(multiple, int) else dict(multiple)


def _store(experiment: Experiment, out: Path) -> Path | None:
    if experiment.store is False:
        return None
    if experiment.store is True or experiment.store is None:
        return out.resolve().parent / STORE
    return Path(experiment.store)
