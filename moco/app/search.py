"""A search of a network from its experiment: planned, prepared in its folder, and run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from moco.experiment.build import NOTHING, Overrides, plan_of
from moco.experiment.schema import Experiment
from moco.experiment.worker import execution_of
from moco.run.progress import Progress
from moco.run.search import Search
from moco.run.session import session


def search_experiment(
    experiment: Experiment,
    out: Path,
    *,
    overrides: Overrides = NOTHING,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the experiment into `out` and give the content of result.json.

    Args:
        overrides: what comes in place of the experiment's.
        resume: continue the search that `out` holds.

    Raises:
        MocoError: in one line, what is wrong; finished trials stay in the ledger.
    """
    plan = plan_of(experiment, out, overrides.folder)
    parts = overrides.network, overrides.data
    with session(plan, out, plan.name, parts, resume=resume, progress=progress) as begun:
        execution = partial(execution_of, begun.prepared, experiment, overrides, out)
        return Search(begun, progress, execution).run(resume).to_json()
