"""The command that trains a student of another architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.text import Text
from typer import Argument, Option

from moco.app.application import app
from moco.app.command import command
from moco.app.options import AllowImport, Resume, SetKeys
from moco.app.output import DONE, UNMET, Answer, Output


@command(app, "moco distill mine.yaml --set student.model=cifar_resnet8 --out runs/student")
def distill(
    output: Output,
    experiment: Annotated[Path, Argument(metavar="EXPERIMENT.yaml", help="Names teacher, student and data, in YAML.")],
    out: Annotated[Path | None, Option(metavar="RUN", help="Run folder; default: runs/NAME_student")] = None,
    overrides: SetKeys = None,
    resume: Resume = False,
    allow_import: AllowImport = False,
) -> Answer:
    """Train a student of another architecture from the experiment's network, and measure it beside that."""
    from moco.experiment.student import distilled, load_student
    from moco.students.text import brief_of, lines_of

    asked = load_student(experiment, overrides or (), allow_import)
    folder = out or Path("runs") / f"{asked.name}_student"
    found = distilled(asked, folder, resume=resume, modules=experiment.parent, tell=output.progress.print)
    shown = [Text(line) for line in lines_of(found, folder)]
    return Answer(found.to_json(), shown, Text(brief_of(found, folder)), DONE if found.holds else UNMET)
