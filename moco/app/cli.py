"""The command line: a thin layer over the functions of moco.app. Errors are one line, exit codes those of the design.

0 done, 1 failed, 2 bad usage or configuration, 3 finished without a network that keeps what was asked. Each command
gives an `Answer`, and all have `--json`, `--quiet` and `--verbose` (moco/app/command.py). The commands that search are
here, the others in network_commands and machine_commands.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

from rich.text import Text
from typer import Argument, Option

from moco.app import distill as distill_command
from moco.app import machine_commands, network_commands, sweep
from moco.app import reproduce as reproduce_command
from moco.app.application import app, changed, experiment_in
from moco.app.command import command
from moco.app.options import AllowImport, ExperimentPath, Resume, SetKeys, Targets, Workers, searcher_names
from moco.app.output import DONE, FAILED, UNMET, Answer, Output
from moco.app.searched import searched
from moco.app.stages import searched_in_stages

__all__ = ["app", "main"]

DEMO = "digits.yaml"
ALSO = (network_commands, machine_commands, sweep, reproduce_command, distill_command)
"""Modules whose commands are registered when they are imported."""


@command(app, "moco search mine.yaml --out runs/mine --set budget.trials=20")
def search(  # noqa: PLR0913, PLR0917 - each is an option of the command
    output: Output,
    experiment: ExperimentPath,
    out: Annotated[Path | None, Option(metavar="RUN", help="Run folder; default: runs/NAME")] = None,
    targets: Targets = None,
    overrides: SetKeys = None,
    resume: Resume = False,
    allow_import: AllowImport = False,
    workers: Workers = None,
) -> Answer:
    """Search for the best compressed networks and deliver the certified one, or one for each of --targets."""
    from moco.stages.staged import is_staged

    if is_staged(experiment):
        return searched_in_stages(
            output, experiment, out, changed(overrides, workers), targets, allow_import=allow_import, resume=resume
        )
    asked = experiment_in(experiment, overrides, allow_import, workers)
    if targets is not None:
        return _search_on(output, asked, out, targets, experiment.parent, resume=resume)
    return searched(output, asked, out, experiment.parent, resume=resume)


@command(app, "moco demo --out runs/demo")
def demo(
    output: Output,
    out: Annotated[Path, Option(metavar="RUN", help="Run folder.")] = Path("runs/demo"),
    overrides: SetKeys = None,
    resume: Resume = False,
) -> Answer:
    """Train a small network on real digits on the spot, and search it: the main job in two minutes.

    The run folder of an earlier demo is replaced. MLflow shows it too, where it is installed.
    """
    from moco.experiment.loading import load_experiment
    from moco.optional import installed
    from moco.run_folder.writing import forget

    untracked = [] if installed("mlflow") else ["tracking.mlflow=false"]
    with as_file(files("moco.app") / DEMO) as path:
        experiment = load_experiment(path, [*untracked, *(overrides or ())])
    if untracked:
        output.progress.print("MLflow is not installed, so the demo is not shown there: pip install 'moco[mlflow]'")
    if not resume:
        forget(out, experiment.name)
    return searched(output, experiment, out, None, resume=resume)


@command(app, "moco compare mine.yaml --searchers random,greybox --seeds 8")
def compare(  # noqa: PLR0913, PLR0917 - each is an option of the command
    output: Output,
    experiment: ExperimentPath,
    searchers: Annotated[
        str | None,
        Option(
            metavar="NAME,NAME",
            autocompletion=searcher_names,
            help="What to compare: random,tpe,greybox; default: the section `compare`",
        ),
    ] = None,
    seeds: Annotated[
        int | None, Option(min=1, metavar="N", help="Seeds of each, such as 8; default: the section's, or 5")
    ] = None,
    out: Annotated[Path | None, Option(metavar="RUN", help="Run folder; default: runs/NAME_compare")] = None,
    overrides: SetKeys = None,
    resume: Annotated[bool, Option("--resume", help="Go on; strategies and seeds may be added.")] = False,
    allow_import: AllowImport = False,
    workers: Workers = None,
) -> Answer:
    """Compare search strategies fairly: the same problem, budget, start, seeds and evaluations for all."""
    from moco.app.compare import CompareRequest, compare_experiment
    from moco.experiment.build import Overrides
    from moco.experiment.shared_files import shared_file_lines
    from moco.report.comparison.page import PAGE
    from moco.report.console import compare_summary, comparison_line
    from moco.run.progress import Progress

    asked = experiment_in(experiment, overrides, allow_import, workers)
    folder = out or Path("runs") / f"{asked.name}_compare"
    request = CompareRequest([name.strip() for name in (searchers or "").split(",") if name.strip()], seeds)
    kept, replaced = shared_file_lines(asked, folder), Overrides(folder=experiment.parent)
    with Progress(output.progress, detailed=output.verbose) as progress:
        found = compare_experiment(asked, request, folder, overrides=replaced, resume=resume, progress=progress)
    finished = any(run.state == "finished" for run in found.runs)
    code = FAILED if not finished else DONE if any(run.feasible for run in found.runs) else UNMET
    shown = (compare_summary(found), *kept, f"report: {folder / PAGE}")
    return Answer(found.to_json(), shown, comparison_line(found), code)


@command(app, "moco report runs/mine")
def report(run: Annotated[Path, Argument(metavar="RUN", help="The folder of a search or of a comparison.")]) -> Answer:
    """Write RUN/report.html anew and print the verdict."""
    from moco.app.deployment import snippet
    from moco.comparison.importance import importance_of
    from moco.report.comparison.page import write_compare_page
    from moco.report.console import compare_summary, comparison_line, console_summary, importance_summary, outcome_line
    from moco.report.page import write_report
    from moco.run_folder.reading import COMPARISON, read_comparison, read_run
    from moco.run_folder.seal import check_seals

    check_seals(run)
    if (run / COMPARISON).exists():
        page, compared = write_compare_page(run), read_comparison(run)
        shown = (compare_summary(compared), f"report: {page}")
        return Answer(compared.to_json(), shown, comparison_line(compared))
    page, found = write_report(run, snippet), read_run(run)
    result, importance = found.result, importance_summary(importance_of(found.trials))
    return Answer(result.to_json(), (importance, console_summary(result), f"report: {page}"), outcome_line(result))


@command(app, "moco repair runs/mine")
def repair(run: Annotated[Path, Argument(metavar="RUN", help="A run folder.")]) -> Answer:
    """Set a broken ledger aside and write one of the trials that can be read, so that --resume goes on."""
    from moco.tracking.repair import repair as repaired

    done = repaired(run)
    line = Text(str(done))
    return Answer(asdict(done), (line,), line)


@command(app, "moco init photos --model resnet18 --weights resnet18.safetensors")
def init(
    data: Annotated[
        list[Path] | None,
        Argument(metavar="FOLDER|FILE", help="Where images and weights are; default: this folder"),
    ] = None,
    model: Annotated[
        str | None, Option(metavar="NAME|MODULE:NAME", help="resnet18, cifar_resnet20, or your own: my.module:network.")
    ] = None,
    train: Annotated[Path | None, Option(metavar="FOLDER|FILE", help="Training images: a folder or parquet.")] = None,
    test: Annotated[Path | None, Option(metavar="FOLDER|FILE", help="Test images: a folder or parquet.")] = None,
    weights: Annotated[Path | None, Option(metavar="W.safetensors", help="Weights of the trained network.")] = None,
    out: Annotated[Path, Option(metavar="FILE.yaml", help="The file to write; it must not exist.")] = Path(
        "experiment.yaml"
    ),
) -> Answer:
    """Write a commented experiment for your data: what was found, what was guessed, and what could be changed."""
    from moco.first_experiment import InitRequest, write_experiment

    written = write_experiment(InitRequest(tuple(data or ()), model, train, test, weights), out)
    return Answer(written.to_json(), [Text(line) for line in written.lines], Text(written.lines[-1]))


def _search_on(
    output: Output, experiment: Any, out: Path | None, targets: str, modules: Path | None, *, resume: bool
) -> Answer:
    from moco.experiment.build import Overrides
    from moco.experiment.search import search_on_runtimes
    from moco.report.console import profile_tables
    from moco.report.profile_page import profile_line
    from moco.run.deliveries import PAGE
    from moco.run.progress import Progress

    folder = out or Path("runs") / experiment.name
    with Progress(output.progress, detailed=output.verbose) as progress:
        found, done = search_on_runtimes(
            experiment, targets, folder, overrides=Overrides(folder=modules), resume=resume, progress=progress
        )
    shown = (*profile_tables(found), Text(f"report: {folder / PAGE}"))
    return Answer(found.to_json(), shown, Text(profile_line(found)), DONE if done else UNMET)


def main() -> None:
    """Entry point of the `moco` command."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker: two beside a busy neighbour ruin every timing
    if not sys.stdout.isatty():
        os.environ.setdefault("_TYPER_FORCE_DISABLE_TERMINAL", "1")  # typer colours help on GitHub, terminal or not
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode must not end a search
    app()


if __name__ == "__main__":
    main()
