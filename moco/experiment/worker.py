"""What a worker process builds its evaluator from: the experiment, and what the search has measured before."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from moco.analysis.payoff.verdicts import PayOffReport
from moco.data.description import InputDescription
from moco.execution.workers import Execution, StartMethod, in_workers
from moco.experiment.build import Overrides, build_job, untracked
from moco.experiment.schema import Experiment
from moco.models.weights import load_weights
from moco.policy import Policy
from moco.run.job import Prepared, prepare
from moco.run.session import FILES
from moco.run_folder.writing import write_weights
from moco.torch_threads import one_thread
from moco.trial import Evaluation


def execution_of(
    prepared: Prepared, experiment: Experiment, overrides: Overrides, out: Path
) -> AbstractContextManager[Execution]:
    """Where the search in `out` evaluates: in this process, or in as many workers as its job asks for."""
    search = prepared.job.plan.search
    if search.workers == 1:
        return nullcontext(Execution(prepared.evaluator))
    recipe = WorkerRecipe.of(prepared, experiment, overrides, out)
    processes = min(search.workers, search.budget.trials + len(prepared.starts))
    return in_workers(processes, recipe, recipe.start, prepared.evaluator.through_store)


@dataclass(frozen=True)
class WorkerRecipe:
    """Builds, in a worker process, an evaluator of the same search; plain values where nothing comes from Python."""

    experiment: Experiment
    overrides: Overrides
    files: Path  # of the candidates; each worker has a folder of its own in it
    weights: Path  # the search's own network as safetensors: what is trained on the spot is trained once
    constants: Mapping[str, float]  # what the search has measured: the scale of all its trials
    payoff: PayOffReport | None  # likewise, their space
    description: InputDescription  # what the files of all candidates say

    @staticmethod
    def of(prepared: Prepared, experiment: Experiment, overrides: Overrides, out: Path) -> WorkerRecipe:
        """The recipe of a search in its run folder, its network written there."""
        files, reference = out / FILES, prepared.evaluator.reference.evaluation.metrics
        constants = {name: reference[name].value for name in prepared.evaluator.plan.timing}
        weights = files / "network.safetensors"
        write_weights(weights, prepared.job.network)
        described = prepared.job.description
        return WorkerRecipe(experiment, overrides, files, weights, constants, prepared.payoff, described)

    @property
    def start(self) -> StartMethod:
        """Objects that live in this process only are handed on by fork; all else is built in a fresh interpreter."""
        return "spawn" if self.overrides.network is None and self.overrides.data is None else "fork"

    def __call__(self) -> Callable[[Policy], Evaluation]:
        """A function from a policy to its evaluation; it looks into no store and reports to nobody."""
        with one_thread(for_children=True):
            model = self.experiment.model.model_copy(update={"train": None, "weights": None})
            experiment = untracked(self.experiment.model_copy(update={"model": model}))
            job = build_job(experiment, self.files, self.overrides)
            if self.overrides.network is None:
                load_weights(job.network, self.weights)
            job = replace(job, description=self.description)
            folder = self.files / f"worker-{os.getpid()}"
            evaluator = prepare(job, folder, self.constants, self.payoff, starts=()).evaluator

        def evaluate(policy: Policy) -> Evaluation:
            with one_thread():
                return evaluator.evaluate(policy)

        return evaluate
