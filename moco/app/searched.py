"""What a command answers that has run a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moco.app.output import DONE, UNMET, Answer, Output


def searched(
    output: Output, experiment: Any, out: Path | None, modules: Path | None, *, resume: bool, reporters: Any = ()
) -> Answer:
    """Search the experiment into `out`, by default runs/NAME; `modules` is searched for the user's own modules.

    `reporters` are told of its trials beside its own.
    """
    from moco.comparison.importance import importance_of
    from moco.experiment.build import Overrides
    from moco.experiment.search import search_experiment
    from moco.experiment.shared_files import shared_file_lines
    from moco.report.console import console_summary, importance_summary, outcome_line
    from moco.run.progress import Progress
    from moco.run_folder import result as results
    from moco.run_folder.reading import read_run

    folder = out or Path("runs") / experiment.name
    kept = shared_file_lines(experiment, folder)
    with Progress(output.progress, detailed=output.verbose) as progress:
        found = search_experiment(
            experiment,
            folder,
            overrides=Overrides(folder=modules, reporters=tuple(reporters)),
            resume=resume,
            progress=progress,
        )
    result = results.Result.from_json(found)
    code = DONE if result.exit == results.DONE else UNMET
    importance = importance_summary(importance_of(read_run(folder).trials))
    shown = (importance, console_summary(result), *kept, f"report: {folder / 'report.html'}")
    return Answer(found, shown, outcome_line(result), code)
