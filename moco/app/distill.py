"""The command that trains a student of another architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.text import Text
from typer import Option

from moco.app.application import app, experiment_in
from moco.app.command import command
from moco.app.options import AllowImport, ExperimentPath, Resume, SetKeys
from moco.app.output import Answer, Output


@command(app, "moco distill mine.yaml --set student.model=cifar_resnet8 --out runs/student")
def distill(
    output: Output,
    experiment: ExperimentPath,
    out: Annotated[Path | None, Option(metavar="RUN", help="Run folder; default: runs/NAME_student")] = None,
    overrides: SetKeys = None,
    resume: Resume = False,
    allow_import: AllowImport = False,
) -> Answer:
    """Train a student of another architecture from the experiment's network, and measure it beside that."""
    from moco.experiment.student import distilled
    from moco.students.text import brief_of, lines_of

    asked = experiment_in(experiment, overrides, allow_import)
    folder = out or Path("runs") / f"{asked.name}_student"
    found = distilled(asked, folder, resume=resume, modules=experiment.parent, tell=output.progress.print)
    return Answer(found.to_json(), [Text(line) for line in lines_of(found, folder)], Text(brief_of(found, folder)))
