"""A search of a network from its experiment, on one runtime or on several that are compared."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from moco.experiment.build import NOTHING, Overrides, plan_of
from moco.experiment.runtimes import on_runtimes
from moco.experiment.schema import Experiment
from moco.experiment.worker import execution_of
from moco.run.deliveries import Delivery, check_targets, delivered_side_by_side, write_comparison
from moco.run.progress import Progress
from moco.run.search import Search
from moco.run.session import session
from moco.run_folder.profile import RuntimeComparison
from moco.run_folder.result import DONE, Result


def search_experiment(
    experiment: Experiment,
    out: Path,
    *,
    overrides: Overrides = NOTHING,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the experiment into `out`, or go on with the search that it holds, and give the content of result.json.

    A MocoError says in one line what is wrong; finished trials stay in the ledger.
    """
    plan = plan_of(experiment, out, overrides.folder)
    parts = overrides.network, overrides.data
    with session(plan, out, plan.name, parts, resume=resume, progress=progress) as begun:
        execution = partial(execution_of, begun.prepared, experiment, overrides, out)
        return Search(begun, progress, execution, overrides.reporters).run(resume).to_json()


def search_on_runtimes(
    experiment: Experiment,
    names: str,
    out: Path,
    *,
    overrides: Overrides = NOTHING,
    resume: bool = False,
    progress: Progress | None = None,
) -> tuple[RuntimeComparison, bool]:
    """One experiment searched on each runtime of `NAME,NAME`, each with its whole budget; what they deliver, in turn.

    Each search has the folder of its runtime's name in `out`, where runtimes.json and runtimes.html compare them. The
    second value says whether every search ended as asked. With `resume` a search that is over is not run again. A
    MocoError as by `search_experiment`.
    """
    experiments = on_runtimes(experiment, names)
    plans = [plan_of(one, out, overrides.folder) for one in experiments]
    check_targets(plans)
    results = []
    for one in experiments:
        folder = out / one.target.runtime
        found = search_experiment(
            one, folder, overrides=overrides, resume=resume and folder.exists(), progress=progress
        )
        results.append((folder, Result.from_json(found)))
    deliveries = [Delivery(plan, folder, result) for plan, (folder, result) in zip(plans, results, strict=True)]
    compared = delivered_side_by_side(deliveries)
    write_comparison(compared, out)
    return compared, all(result.exit == DONE for _, result in results)
