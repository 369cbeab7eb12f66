"""`moco profile` and `moco apply`: look at a network, or at what a policy makes of it, without a search."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from moco.compression.policy_file import Origin, read_policy
from moco.errors import CompressionError, PolicyRejectedError
from moco.experiment.build import Overrides, build_job, plan_of, untracked
from moco.experiment.schema import Experiment
from moco.interfaces import Artifact
from moco.metrics import METRICS, cost_ratio, decimal, shown
from moco.policy import Policy
from moco.run.job import prepare
from moco.run_folder.writing import refuse_owned, write_network
from moco.trial import Evaluation, MetricValue


@dataclass(frozen=True)
class Profile:
    """Metrics of a network beside the reference's, and what they were measured by."""

    name: str
    metrics: Mapping[str, MetricValue]
    reference: Mapping[str, MetricValue]
    evaluation: Evaluation
    reference_evaluation: Evaluation

    def ratio(self, metric: str) -> float | None:
        """The cost ratio to the reference; None where one of the two was not measured, or is no cost."""
        value, reference = self.metrics.get(metric), self.reference.get(metric)
        if value is None or reference is None or value.value <= 0 or reference.value <= 0:
            return None
        return cost_ratio(metric, value.value, reference.value)

    def to_json(self) -> dict[str, Any]:
        """All of it: metrics in their stored units, cost ratios, and the raw samples of both networks."""
        metrics = {
            name: {"value": found.value, "sem": found.sem, "unit": METRICS[name].unit, "ratio": self.ratio(name)}
            for name, found in self.metrics.items()
            if name in METRICS
        }
        reference = {name: {"value": found.value, "sem": found.sem} for name, found in self.reference.items()}
        raw = {"network": self.evaluation.to_json(), "reference": self.reference_evaluation.to_json()}
        return {"format": 1, "name": self.name, "metrics": metrics, "reference": reference, "evaluations": raw}


def profiled(experiment: Experiment, policy: Path | None, modules: Path | None = None) -> Profile:
    """The metrics of the policy's network, or of the reference, on the search split and on this machine.

    A MocoError where the policy does not fit, or the network cannot be built or run.
    """
    chosen = None if policy is None else _policy_for(experiment, policy)
    with tempfile.TemporaryDirectory() as folder:
        job = build_job(untracked(experiment), Path(folder) / "run", Overrides(folder=modules))
        with closing(prepare(replace(job, profile_only=True), Path(folder))) as prepared:
            whole = prepared.evaluator.reference.evaluation
            reference = prepared.problem.metrics(whole)
            if chosen is None:
                return Profile(job.network_name, reference, reference, whole, whole)
            try:
                evaluation = prepared.evaluator.evaluate(chosen)
            except PolicyRejectedError as error:
                raise CompressionError(f"{policy}: {error}") from error
        metrics = prepared.problem.metrics(evaluation)
        return Profile(f"{job.network_name}, {policy}", metrics, reference, evaluation, whole)


def profile_table(profile: Profile) -> Table:
    """A metric a row: value, standard error, ratio to the reference; n/a where this machine cannot measure it."""
    table = Table(title=profile.name, title_justify="left")
    for column in ("metric", "value", "standard error", "cost ratio to the reference"):
        table.add_column(column, justify="left" if column == "metric" else "right", no_wrap=column == "metric")
    for name in METRICS:
        value, ratio = profile.metrics.get(name), profile.ratio(name)
        numbers = (value.value, value.sem) if value is not None else (None, None)
        table.add_row(name, *(shown(name, number) for number in numbers), "n/a" if ratio is None else decimal(ratio, 3))
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
