"""`moco profile`, `moco apply` and `moco doctor`: look at a network, a policy or this machine without a search."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from moco.compression.policy_file import Origin, read_policy
from moco.errors import CompressionError, PolicyRejectedError
from moco.experiment.build import Overrides, build_job, plan_of, untracked
from moco.experiment.schema import Experiment
from moco.hardware.doctor import probe
from moco.interfaces import Artifact
from moco.metrics import METRICS, cost_ratio, shown
from moco.policy import Policy
from moco.run.job import prepare
from moco.run_folder.writing import refuse_owned, write_network
from moco.trial import MetricValue


@dataclass(frozen=True)
class Profile:
    """Metrics of a network beside the reference's."""

    name: str
    metrics: Mapping[str, MetricValue]
    reference: Mapping[str, MetricValue]


def profiled(experiment: Experiment, policy: Path | None, modules: Path | None = None) -> Profile:
    """The metrics of the policy's network, or of the reference, on the search split and on this machine.

    A MocoError where the policy does not fit, or the network cannot be built or run.
    """
    chosen = None if policy is None else _policy_for(experiment, policy)
    with tempfile.TemporaryDirectory() as folder:
        job = build_job(untracked(experiment), Path(folder) / "run", Overrides(folder=modules))
        with closing(prepare(replace(job, profile_only=True), Path(folder))) as prepared:
            reference = prepared.problem.metrics(prepared.evaluator.reference.evaluation)
            if chosen is None:
                return Profile(job.network_name, reference, reference)
            try:
                evaluation = prepared.evaluator.evaluate(chosen)
            except PolicyRejectedError as error:
                raise CompressionError(f"{policy}: {error}") from error
        return Profile(f"{job.network_name}, {policy}", prepared.problem.metrics(evaluation), reference)


def profile_table(profile: Profile) -> Table:
    """A metric a row: value, standard error, ratio to the reference; n/a where this machine cannot measure it."""
    table = Table(title=profile.name, title_justify="left")
    for column in ("metric", "value", "standard error", "cost ratio to the reference"):
        table.add_column(column, justify="left" if column == "metric" else "right", no_wrap=column == "metric")
    for name in METRICS:
        value, reference = profile.metrics.get(name), profile.reference.get(name)
        ratio = "n/a"
        if value is not None and reference is not None and value.value > 0 and reference.value > 0:
            ratio = f"{cost_ratio(name, value.value, reference.value):.3f}"
        numbers = (value.value, value.sem) if value is not None else (None, None)
        table.add_row(name, *(shown(name, number) for number in numbers), ratio)
    return table


def applied(experiment: Experiment, policy: Path, out: Path, modules: Path | None = None) -> Artifact:
    """The policy's network in `out`: model.onnx, network.safetensors and policy.json; a MocoError where it fails."""
    chosen = _policy_for(experiment, policy)
    refuse_owned(out)
    with tempfile.TemporaryDirectory() as folder:
        job = build_job(untracked(experiment), Path(folder) / "run", Overrides(folder=modules))
        with closing(prepare(job, Path(folder))) as prepared:
            artifact, network = prepared.evaluator.builder.build(chosen)
        said, ranking = job.description.metadata, job.plan.space.ranking
        write_network(out, artifact, chosen, job.network_name, network, ranking=ranking, metadata=said)
    return Artifact(out / "model.onnx", artifact.sha256, artifact.size_bytes)


def _policy_for(experiment: Experiment, path: Path) -> Policy:
    """The policy, read before anything is loaded or trained; it must be of the experiment's network and ranking."""
    plan = plan_of(untracked(experiment), path.parent)
    return read_policy(path, Origin(plan.model.shown, plan.space.ranking))


def doctor_table() -> Table:
    """What this machine can measure and run."""
    table = Table(title="This machine", title_justify="left")
    for column in ("", "what", "found", "what to do"):
        table.add_column(column)
    for finding in probe(Path.cwd()):
        table.add_row("ok" if finding.ok else "-", finding.name, finding.detail, finding.advice)
    return table
