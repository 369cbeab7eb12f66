"""A search of a network from its experiment: the job is built, prepared and run."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from moco.errors import RunFolderError
from moco.experiment.build import NOTHING, Overrides, build_job
from moco.experiment.identity import storage_address
from moco.experiment.loading import Experiment
from moco.experiment.worker import execution_of
from moco.run.ownership import owned
from moco.run.progress import Progress
from moco.run.search import FILES, Search, prepared_again
from moco.run_folder.writing import (
    LEDGER,
    claim,
)
from moco.torch_threads import one_thread


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
    study = experiment.name if experiment.tracking.dashboard else None
    with owned(out, study, storage_address(experiment), resume=resume) as lock, one_thread(for_children=True):
        job = build_job(experiment, out, overrides)
        job = replace(job, warnings=(*job.warnings, *lock.warnings))
        begun = claim(out, job.fingerprint, job.older_fingerprint)
        job = replace(job, fingerprint=(begun and begun.fingerprint) or job.fingerprint)
        if begun and not (job.ledger and (job.storage or (out / LEDGER).exists())):
            raise RunFolderError(
                f"{out}: nothing to resume, a search without a ledger (tracking.dashboard: false) keeps no trials; "
                "choose another --out"
            )
        if progress is not None:
            progress.step(f"preparing: tracing, exporting, scoring and timing the reference of {job.network_name}")
        prepared = prepared_again(job, out / FILES, begun)
        sessions = [*(begun.sessions if begun else ()), dt.datetime.now(dt.UTC).isoformat(timespec="seconds")]
        with closing(prepared):
            execution = partial(execution_of, prepared, experiment, overrides, out)
            return Search(prepared, out, progress, sessions, lock, execution).run(resume).to_json()
