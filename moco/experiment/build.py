"""From the names in an experiment to the objects of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from moco.analysis.payoff.paying_space import PayOffUse
from moco.analysis.payoff.probe import ProbePlan
from moco.analysis.sensitivity.layer_sensitivity import features, read_sensitivity
from moco.compression.space.network_space import SpaceOptions
from moco.data import DataSets, ImageSet, Normalization, SourceOptions, from_torch, load_data, same_classes
from moco.data.splits import make_splits
from moco.errors import ConfigError, DataError
from moco.execution.retrying_target import RetryingTarget
from moco.execution.workers import too_many_workers
from moco.experiment.identity import fingerprint, mlflow_address, older_fingerprint, storage_address
from moco.experiment.loading import (
    Experiment,
    methods_of,
    objective_options,
    resolved,
    searcher_options,
    target_options,
)
from moco.experiment.recovery import recovery_plan
from moco.export.ranges import RangeOptions
from moco.interfaces import Objective, Reporter, Target
from moco.measurement import TimingPlan
from moco.models import build_model, import_object, load_weights
from moco.models.training import TrainingPlan, seeded_torch, train
from moco.objectives.shared.measurable import measurable
from moco.randomness import derived_seed
from moco.readings import READINGS
from moco.registry import complete, plugin
from moco.run.job import DeliveryOptions, Job
from moco.run.starts import StartPlan, StartSource
from moco.secret import without_secrets
from moco.study import Budget
from moco.tracking.background import BackgroundReporter
from moco.tracking.mlflow import MLflowReporter


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
    mlflow_address(experiment, out)  # a variable that is not set is better known before data and network are loaded
    storage, config = storage_address(experiment), resolved(experiment)
    network, folder = overrides.network, overrides.folder
    name = network_name(experiment, network)
    target: Target = _target(experiment)
    objective, warnings = _objective(experiment, target)
    data = overrides.data if overrides.data is not None else build_data(experiment, folder)
    _check_apart(data)
    if network is None:
        warnings = (*warnings, *_warnings_of_model(experiment))
        network = build_network(experiment, data, folder)
    else:
        check_fit(network.eval(), data)
    return Job(
        name=experiment.name,
        seed=experiment.seed,
        network=network,
        network_name=name,
        data=data,
        split_sizes=_split_sizes(experiment, data),
        groups=experiment.space.groups,
        ignore=experiment.space.ignore,
        space=_space_options(experiment),
        probe=_probe(experiment),
        ranges=_ranges(experiment),
        recovery=recovery_plan(experiment.recovery, folder),
        target=target,
        timing=_timing(experiment, target),
        objective=objective,
        searcher=experiment.searcher.name,
        searcher_options=searcher_options(experiment),
        start=config["searcher"]["start"],
        starts=_starts(experiment),
        budget=Budget(experiment.budget.trials, experiment.budget.seconds),
        delivery=DeliveryOptions(
            experiment.certificate.confidence, experiment.certificate.attempts, experiment.certificate.seconds
        ),
        config=without_secrets(config),
        fingerprint=fingerprint(without_secrets(config), network, data, target, storage),
        older_fingerprint=older_fingerprint(config, storage),
        ledger=experiment.tracking.dashboard,
        storage=storage,
        store=_store(experiment, out),
        reporters=_reporters(experiment, out, target),
        workers=experiment.workers or 1,
        warnings=(*warnings, *too_many_workers(experiment.workers or 1)),
    )


def untracked(experiment: Experiment) -> Experiment:
    """The experiment without trackers, ledger and store: nothing of it is recorded."""
    tracking = experiment.tracking.model_copy(update={"mlflow": False, "storage": None, "dashboard": False})
    return experiment.model_copy(update={"tracking": tracking, "store": False})


def build_data(experiment: Experiment, folder: Path | None = None) -> DataSets:
    """The training and the test set; `folder` is searched for a module of the user's own.

    Raises:
        DataError, ConfigError: a set is missing, empty or malformed.
    """
    data = experiment.data
    normalize = None if data.normalize is None else Normalization(tuple(data.normalize.mean), tuple(data.normalize.std))
    if data.source == "import":
        sets = _called(str(data.import_path), "data.import", folder)
        if not isinstance(sets, tuple | list) or len(sets) != 2:
            raise ConfigError(
                f"data.import: '{data.import_path}' gave a {type(sets).__name__}, expected (training set, test set)"
            )
        return as_data_sets(sets[0], sets[1], normalize)
    if data.source == "python":
        raise ConfigError("data.source: 'python' stands for data sets given to moco.optimize; name a source of files")
    given = {field.name: getattr(data, field.name) for field in fields(SourceOptions)}
    options = SourceOptions(**given)
    return load_data(data.source, options, normalize)


def as_data_sets(train_set: Any, test_set: Any, normalize: Normalization | None = None) -> DataSets:
    """Two map-style data sets, or image sets, as moco takes them."""
    sets = [
        given if isinstance(given, ImageSet) else from_torch(given, name=name, normalize=normalize)
        for name, given in (("training set", train_set), ("test set", test_set))
    ]
    return same_classes(*sets)


def build_network(experiment: Experiment, data: DataSets, folder: Path | None = None) -> nn.Module:
    """The trained network, in evaluation mode.

    Raises:
        ConfigError, DataError: an unknown model, or weights or a data set that do not fit it.
    """
    model = experiment.model
    if model.import_path is not None:
        network = _called(model.import_path, "model.import", folder, **model.options)
        if not isinstance(network, nn.Module):
            raise ConfigError(
                f"model.import: '{model.import_path}' gave a {type(network).__name__}, expected a torch.nn.Module"
            )
    elif "num_classes" in model.options:
        raise ConfigError("model.options.num_classes: write it as model.num_classes")
    else:
        classes = model.num_classes if model.num_classes is not None else data.train.classes
        with seeded_torch(derived_seed(experiment.seed, "network")):
            network = build_model(str(model.name), classes, **model.options)
    if model.weights is not None:
        load_weights(network, model.weights, model.name)
    check_fit(network.eval(), data)
    if model.train is not None:
        splits = make_splits(data.train.labels, data.test.labels, _split_sizes(experiment, data), experiment.seed)
        images, labels = data.train.images(splits.train), data.train.labels[splits.train].copy()
        plan = TrainingPlan(**model.train.model_dump(exclude_none=True))
        train(network, images, labels, plan=plan, seed=derived_seed(experiment.seed, "training"))
    return network.eval()


def _warnings_of_model(experiment: Experiment) -> tuple[str, ...]:
    """Says that a network of the zoo was not trained; a user's own function may well give a trained one."""
    model = experiment.model
    if model.import_path is not None or model.weights is not None or model.train is not None:
        return ()
    return ("model: neither 'weights' nor 'train' is given: the network's weights are random",)


def _check_apart(data: DataSets) -> None:
    """Pass when the two sets are not the same images.

    Raises:
        DataError: they are.
    """
    if data.train.content_hash == data.test.content_hash:
        raise DataError(
            f"the training set {data.train.name} and the test set {data.test.name} hold the same images: "
            "accuracy on images that a network was trained on says nothing; give a test set of its own"
        )


def _called(path: str, where: str, folder: Path | None, **options: Any) -> Any:
    """What the user's own function gives.

    Raises:
        ConfigError: it cannot be imported, or fails.
    """
    function = import_object(path, folder)
    try:
        return function(**options)
    except Exception as error:  # a user's function may raise anything
        raise ConfigError(f"{where}: '{path}' failed: {type(error).__name__}: {error}") from error


def network_name(experiment: Experiment, network: nn.Module | None = None) -> str:
    """Name of the network for people and for policy.json."""
    if network is not None:
        return type(network).__name__
    return str(experiment.model.name or experiment.model.import_path)


def check_fit(network: nn.Module, data: DataSets) -> None:
    """Pass a network that takes the images and gives a logit for each class.

    Raises:
        DataError: it does not.
    """
    with torch.no_grad():
        try:
            logits = network(torch.zeros(1, *data.train.shape))
        except Exception as error:  # a user's network may raise anything
            raise DataError(
                f"the network does not take images of shape {data.train.shape} from {data.train.name}: "
                f"{type(error).__name__}: {error}"
            ) from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or logits.shape[1] < data.train.classes:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise DataError(
            f"the network gives {got}, {data.train.name} has {data.train.classes} classes; expected (1, classes)"
        )


def _target(experiment: Experiment) -> Target:
    """The target, connected.

    Raises:
        ConfigError: it does not have what the contract asks for, or cannot be reached.
    """
    name = experiment.target.runtime
    target: Target = complete(plugin("target", name)(target_options(experiment)), "target", name, "target.runtime")
    retrying = RetryingTarget(target)
    retrying.connect()
    return retrying


def _objective(experiment: Experiment, target: Target) -> tuple[Objective, tuple[str, ...]]:
    name = experiment.objective.protocol
    objective = plugin("objective", name)(objective_options(experiment))
    return measurable(complete(objective, "objective", name, "objective.protocol"), target.capabilities.metrics)


def _starts(experiment: Experiment) -> StartPlan:
    analysis = experiment.space.sensitivity
    declared = experiment.searcher.starts
    sources = tuple(source if isinstance(source, str) else StartSource(**source.model_dump()) for source in declared)
    return StartPlan(sources, None if analysis is None else Path(analysis))


def _space_options(experiment: Experiment) -> SpaceOptions:
    space = experiment.space
    options = SpaceOptions(tuple(methods_of(experiment)), choose=space.choose)
    return replace(
        options,
        channel_multiples=_multiples(space.channel_multiple, options.precisions),
        layer_features={} if space.sensitivity is None else features(read_sensitivity(Path(space.sensitivity))),
    )


def _ranges(experiment: Experiment) -> RangeOptions | None:
    asked = next((method.ranges for method in methods_of(experiment) if method.ranges is not None), "auto")
    if asked == "auto":
        return None
    return RangeOptions(asked, "output_error" if asked == "output_error" else "max_abs")


def _probe(experiment: Experiment) -> PayOffUse | None:
    space = experiment.space
    if space.widths == "all" and not space.drop_losing:
        return None
    return PayOffUse(ProbePlan(seconds=space.probe_seconds), space.widths == "paying", space.drop_losing)


def _multiples(multiple: int | Mapping[Any, int] | None, precisions: Sequence[str]) -> dict[str, int] | None:
    if multiple is None:
        return None
    return dict.fromkeys(precisions, multiple) if isinstance(multiple, int) else dict(multiple)


def _timing(experiment: Experiment, target: Target) -> dict[str, TimingPlan]:
    """A plan for each reading that the target can take."""
    timing = experiment.target.timing
    seconds = {1: timing.seconds_batch1, 32: timing.seconds_batch32}
    return {
        name: TimingPlan(
            reading.batch,
            seconds[reading.batch],
            timing.slot_ms,
            warmup_calls=timing.warmup_calls,
            series=reading.wanted,
        )
        for name, reading in READINGS.items()
        if name in target.capabilities.metrics
    }


def _split_sizes(experiment: Experiment, data: DataSets) -> dict[str, int]:
    """The sizes asked, or those that docs/configuration.md states where they are not given."""
    splits = experiment.data.splits
    calibration, search, certification = splits.calibration, splits.search, splits.certification
    if calibration is None:
        calibration = max(min(512, len(data.train) // 2), 1)
    if search is None:
        search = max(min(1000, len(data.test) // 2), 1)
    if certification is None:
        certification = max(len(data.test) - search, 1)
    return {"calibration": calibration, "search": search, "certification": certification}


def _store(experiment: Experiment, out: Path) -> Path | None:
    if experiment.store is False:
        return None
    if experiment.store is True or experiment.store is None:
        return out.resolve().parent / "evaluations.db"
    return Path(experiment.store)


def _reporters(experiment: Experiment, out: Path, target: Target) -> tuple[Reporter, ...]:
    address = mlflow_address(experiment, out)
    if address is None:
        return ()
    reporter = MLflowReporter(*address, experiment.name, distributions=target.distributions)
    return (BackgroundReporter(reporter, "MLflow", hide=address[0].hide),)
