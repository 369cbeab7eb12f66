"""The command that runs a sweep of the dissertation's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.text import Text
from typer import Argument, Option

from moco.app.application import app, experiment_in
from moco.app.command import command
from moco.app.options import AllowImport, Resume, SetKeys, Workers
from moco.app.output import Answer, Output
from moco.app.searched import searched


@command(app, "moco sweep sweep.yaml --schedule schedule.yaml --experiment base.yaml --out runs/sweep")
def sweep(  # noqa: PLR0913, PLR0917 - each is an option of the command
    output: Output,
    sweep: Annotated[Path, Argument(metavar="SWEEP.yaml", help="Method, metric and parameters, as for W&B.")],
    schedule: Annotated[Path, Option("--schedule", metavar="SCHEDULE.yaml", help="Pruners, as for Distiller.")],
    experiment: Annotated[Path, Option("--experiment", metavar="BASE.yaml", help="Says model, data, target, budget.")],
    out: Annotated[Path | None, Option(metavar="RUN", help="Run folder; default: runs/NAME")] = None,
    overrides: SetKeys = None,
    resume: Resume = False,
    allow_import: AllowImport = False,
    workers: Workers = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Print the experiment that it comes to; search nothing.")
    ] = False,
) -> Answer:
    """Search what a sweep and a schedule name; the experiment that they come to is written to RUN.yaml.

    RUN/schedules/ has the schedule of each trial.
    """
    from moco.sweep.made_experiment import made_experiment
    from moco.sweep.trial_schedules import TrialSchedules

    made = made_experiment(sweep, schedule, experiment, overrides or (), allow_import)
    for note in made.notes:
        output.progress.print(Text(f"note: {note}"))
    if dry_run:
        return Answer(made.sections, (Text(made.yaml),), Text(made.yaml))
    folder = out or Path("runs") / made.name
    path = made.written_beside(folder)
    asked, schedules = experiment_in(path, None, allow_import, workers), TrialSchedules(made.schedule)
    return searched(output, asked, folder, path.parent, resume=resume, reporters=(schedules,))
