"""`moco search` of an experiment in stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from moco.app.output import DONE, UNMET, Answer, Output
from moco.errors import ConfigError


def searched_in_stages(  # noqa: PLR0913 - each is an option of the command
    output: Output,
    path: Path,
    out: Path | None,
    overrides: Sequence[str],
    targets: str | None,
    *,
    allow_import: bool,
    resume: bool,
) -> Answer:
    """Search the stages of the file into `out`, by default runs/NAME; they are of one target."""
    from moco.report.console import stages_table
    from moco.report.stages_page import stages_line
    from moco.run.progress import Progress
    from moco.run_folder.stages import PAGE
    from moco.stages.search import search_in_stages
    from moco.stages.staged import staged_experiment

    if targets is not None:
        raise ConfigError("--targets: an experiment in stages is of one target, that of its section `target`")
    staged = staged_experiment(path, overrides, allow_import)
    folder = out or Path("runs") / staged.name
    with Progress(output.progress, detailed=output.verbose) as progress:
        found = search_in_stages(staged, folder, folder=path.parent, resume=resume, progress=progress)
    shown = (stages_table(found), *map(Text, found.notes), Text(f"report: {folder / PAGE}"))
    return Answer(found.to_json(), shown, Text(stages_line(found)), DONE if found.holds else UNMET)
