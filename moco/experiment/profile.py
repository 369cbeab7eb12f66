"""`moco profile` and `moco apply`: look at a network, or at what a policy makes of it, without a search."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from moco.compression.policy_file import Origin, read_policy
from moco.experiment.build import Overrides, build_job, plan_of, untracked
from moco.experiment.runtimes import on_runtimes
from moco.experiment.schema import Experiment
from moco.interfaces import Artifact
from moco.policy import Policy
from moco.run.job import prepare
from moco.run.profile import ProfilePlan, check_comparable, profiled, side_by_side
from moco.run_folder.network_file import file_name
from moco.run_folder.profile import Profile, RuntimeComparison
from moco.run_folder.writing import refuse_owned, write_network


@dataclass(frozen=True)
class ProfileRequest:
    """What is to be looked at, and how."""

    policy: Path | None = None  # None looks at the reference
    targets: str | None = None  # runtimes, as NAME,NAME; None takes the experiment's
    plan: ProfilePlan = field(default_factory=ProfilePlan)


def profile_of(
    experiment: Experiment, request: ProfileRequest, modules: Path | None = None
) -> Profile | RuntimeComparison:
    """The metrics of a network on this machine, on one runtime or on several side by side.

    A MocoError where the policy does not fit, or the network cannot be built or run.
    """
    chosen = None if request.policy is None else _policy_for(experiment, request.policy)
    wanted = [experiment] if request.targets is None else on_runtimes(experiment, request.targets)
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in wanted]
        jobs = [
            build_job(untracked(one), folder / "run", Overrides(folder=modules))
            for one, folder in zip(wanted, folders, strict=True)
        ]
        check_comparable([job.target.describe() for job in jobs])  # before anything is measured
        runtimes = []
        for job, folder in zip(jobs, folders, strict=True):
            prepared = stack.enter_context(closing(prepare(replace(job, profile_only=True), folder)))
            runtimes.append(stack.enter_context(profiled(prepared, chosen, request.plan, str(request.policy))))
        return runtimes[0].profile if len(runtimes) == 1 else side_by_side(runtimes)


def applied(experiment: Experiment, policy: Path, out: Path, modules: Path | None = None) -> Artifact:
    """The policy's network in `out`: its file, network.safetensors and policy.json; a MocoError where it fails."""
    chosen = _policy_for(experiment, policy)
    refuse_owned(out)
    with tempfile.TemporaryDirectory() as folder:
        job = build_job(untracked(experiment), Path(folder) / "run", Overrides(folder=modules))
        with closing(prepare(job, Path(folder))) as prepared:
            artifact, network = prepared.evaluator.builder.build(chosen)
        said, ranking = job.description.metadata, job.plan.space.ranking
        write_network(out, artifact, chosen, job.network_name, network, ranking=ranking, metadata=said)
    return Artifact(out / file_name(artifact.path), artifact.sha256, artifact.size_bytes)


def _policy_for(experiment: Experiment, path: Path) -> Policy:
    """The policy, read before anything is loaded or trained; it must be of the experiment's network and ranking."""
    plan = plan_of(untracked(experiment), path.parent)
    return read_policy(path, Origin(plan.model.shown, plan.space.ranking))
