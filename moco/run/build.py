"""From the plan of a search to its parts: target, objective, images, network, each built by the room that owns it."""

from __future__ import annotations

import hashlib
import json

from torch import nn

from moco.compression.space.base_policy import read_base
from moco.data import DataSets
from moco.data.description import InputDescription
from moco.data.split_data import SplitData, split_data
from moco.execution.device_lock import DeviceLock
from moco.execution.retrying_target import RetryingTarget
from moco.execution.workers import too_many_workers
from moco.interfaces import Reporter, Target
from moco.models.plain import plain, unwrapped
from moco.models.trained import Task, check_fit, network_hash, trained_network
from moco.objectives.shared.measurable import measurable
from moco.registry import blaming, named
from moco.run.base_weights import base_weights_hash
from moco.run.job import Job, certificate_forecast, floor_of
from moco.run.plan import JobPlan
from moco.run.presentation import ReportWords
from moco.tracking.background import BackgroundReporter
from moco.tracking.mlflow import MLflowReporter
from moco.tracking.mlflow_model import ModelTerms


def job_of(
    plan: JobPlan, network: nn.Module | None = None, sets: DataSets | None = None, *, certified: bool = False
) -> Job:
    """All parts of the search; a MocoError says in one line which cannot be built and why.

    `network` and `sets` are what comes from Python; None builds and loads what the plan names. Where a network is to be
    `certified` at the end, a floor that the images cannot show is refused before the network is trained.
    """
    target: Target = plan.target.made()
    distributions = tuple(target.distributions)
    target = RetryingTarget(target)
    with blaming(f"{named('target', plan.target.name, 'target.runtime')} cannot be used"):
        target.connect()
        machine = hashlib.sha256(json.dumps(dict(target.describe()), sort_keys=True).encode()).hexdigest()
    lock, crowded = DeviceLock(target.describe()), too_many_workers(plan.search.workers)
    objective, warnings = measurable(plan.objective.made(), target.capabilities.metrics)
    name = plan.model.shown if network is None else type(unwrapped(network)).__name__
    data = split_data(plan.data, sets)
    if certified:
        certificate_forecast(floor_of(objective), plan.delivery, data)
    task = Task(data.train.shape, data.train.classes, data.train.name, data.least_outputs)
    if network is None:
        warnings = (*warnings, *plan.model.warnings)
        network = trained_network(plan.model, task, lambda outputs: data.for_outputs(outputs).images("train"))
    data = data.for_outputs(check_fit(network := plain(network, task.shape), task))
    images = hashlib.sha256(" ".join(data.content_hashes).encode()).hexdigest()
    return Job(
        plan=plan,
        network=network,
        network_name=name,
        data=data,
        target=target,
        objective=objective,
        network_hash=(hashed := network_hash(network)),
        device_lock=lock,
        fingerprint={
            "settings": plan.recording.settings,
            "network": hashed[:16],
            "data": images[:16],
            "machine or runtime": machine[:16],
            **_base(plan),
        },
        reporters=_reporters(plan, distributions, data),
        warnings=(*warnings, *crowded, *data.warnings),
        description=InputDescription.of(data.train),
    )


def _base(plan: JobPlan) -> dict[str, str]:
    """The part of the fingerprint that says which base policy; what the path names may change. Empty without one."""
    if plan.space.base is None:
        return {}
    weights = base_weights_hash(plan.space)
    trained = {} if weights is None else {"base weights": weights[:16]}
    return {"base policy": read_base(plan.space.base).key[:16], **trained}


def _reporters(plan: JobPlan, distributions: tuple[str, ...], data: SplitData) -> tuple[Reporter, ...]:
    if plan.recording.mlflow is None:
        return ()
    address, name = plan.recording.mlflow
    terms = ModelTerms(
        distributions=distributions,
        example=lambda: data.set_of("search").images(data.splits.search[:1]),
        registered=plan.recording.registered_model,
    )
    reporter = MLflowReporter(address, name, plan.name, ReportWords(), terms)
    return (BackgroundReporter(reporter, "MLflow", hide=address.hide),)
