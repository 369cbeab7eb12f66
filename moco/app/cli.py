"""The command line: a thin layer over the functions of moco.app. Errors are one line, exit codes those of the design.

0 done, 1 failed, 2 bad usage or configuration, 3 finished without a feasible network.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from functools import wraps
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer import Argument, Option

from moco import __version__
from moco.errors import MocoError, in_one_line, printed
from moco.redaction import starred
from moco.registry import package_to_blame

DONE, FAILED, USAGE, INFEASIBLE = 0, 1, 2, 3
DEMO = "digits.yaml"
PLAIN_WIDTH = 120

app = typer.Typer(
    help="Compress trained vision networks by search, measured and certified on the device that will run them.",
    epilog=f"moco {__version__}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ExperimentPath = Annotated[Path, Argument(metavar="EXPERIMENT.yaml", help="What to search, in YAML.")]
SetKeys = Annotated[
    list[str] | None, Option("--set", metavar="KEY=VALUE", help="Change one key, such as budget.trials=20.")
]
AllowImport = Annotated[bool, Option("--allow-import", help="Let the experiment import models and data sets of yours.")]
Workers = Annotated[
    int | None, Option("--workers", metavar="N", help="Processes that evaluate at the same time; default 1.")
]
PolicyPath = Annotated[Path, Option("--policy", metavar="P.json", help="A policy.json, of a run folder for example.")]


def console() -> Console:
    """The console that results go to; wider than a terminal where it is none."""
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False)
    return Console(highlight=False, markup=False, soft_wrap=True, width=int(os.environ.get("COLUMNS") or PLAIN_WIDTH))


def fails_in_one_line(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an error of moco's into one line on the error stream and its exit code."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except MocoError as error:
            typer.echo(f"moco: {printed(str(error))}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("moco: interrupted; finished trials are in the ledger, continue with --resume", err=True)
            raise typer.Exit(FAILED) from None
        except BaseException as error:
            package = package_to_blame(error)
            if os.environ.get("MOCO_DEBUG") or not (package or isinstance(error, (OSError, MemoryError))):
                raise
            text = printed(starred(in_one_line(error)))
            told = text if package is None else f"the package '{package}' failed: {text}; MOCO_DEBUG=1 tells where"
            typer.echo(f"moco: {told}", err=True)
            raise typer.Exit(FAILED) from None

    return guarded


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"moco {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, Option("--version", callback=_show_version, is_eager=True, help="Show moco's version and exit.")
    ] = False,
) -> None:
    """What all commands share."""


@app.command()
@fails_in_one_line
def search(
    experiment: ExperimentPath,
    out: Annotated[Path | None, Option(help="Run folder; default runs/NAME.")] = None,
    overrides: SetKeys = None,
    resume: Annotated[bool, Option("--resume", help="Continue the search in the run folder.")] = False,
    allow_import: AllowImport = False,
    workers: Workers = None,
) -> None:
    """Search for the best compressed networks and deliver the certified one."""
    loaded = _loaded(experiment, overrides, allow_import, workers)
    _search(loaded, out, experiment.parent, resume=resume)


@app.command()
@fails_in_one_line
def demo(
    out: Annotated[Path, Option(help="Run folder.")] = Path("runs/demo"),
    overrides: SetKeys = None,
    resume: Annotated[bool, Option("--resume", help="Continue the search in the run folder.")] = False,
) -> None:
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
        console().print("MLflow is not installed, so the demo is not shown there: pip install 'moco[mlflow]'")
    if not resume:
        forget(out, experiment.name)
    _search(experiment, out, None, resume=resume)


@app.command()
@fails_in_one_line
def compare(  # noqa: PLR0913, PLR0917 - each is an option of the command
    experiment: ExperimentPath,
    searchers: Annotated[
        str | None, Option(metavar="NAME,NAME", help="What to compare; default: the `compare` section.")
    ] = None,
    seeds: Annotated[int | None, Option(min=1, help="Seeds of each; default: the section's, or 5.")] = None,
    out: Annotated[Path | None, Option(help="Run folder; default runs/NAME_compare.")] = None,
    overrides: SetKeys = None,
    resume: Annotated[bool, Option("--resume", help="Continue; strategies and seeds may be added.")] = False,
    allow_import: AllowImport = False,
    workers: Workers = None,
) -> None:
    """Compare search strategies fairly: the same problem, budget, start, seeds and evaluations for all."""
    from moco.app.compare import CompareRequest, compare_experiment
    from moco.experiment.build import Overrides
    from moco.report.comparison.page import PAGE
    from moco.report.console import compare_summary
    from moco.run.progress import Progress

    loaded = _loaded(experiment, overrides, allow_import, workers)
    folder = out or Path("runs") / f"{loaded.name}_compare"
    request = CompareRequest([name.strip() for name in (searchers or "").split(",") if name.strip()], seeds)
    screen, replaced = console(), Overrides(folder=experiment.parent)
    with Progress(screen) as progress:
        found = compare_experiment(loaded, request, folder, overrides=replaced, resume=resume, progress=progress)
    screen.print(compare_summary(found))
    screen.print(f"report: {folder / PAGE}")
    if not any(run.state == "finished" for run in found.runs):
        raise typer.Exit(FAILED)
    if not any(run.feasible for run in found.runs):
        raise typer.Exit(INFEASIBLE)


@app.command()
@fails_in_one_line
def report(run: Annotated[Path, Argument(metavar="RUN", help="A run folder.")]) -> None:
    """Write RUN/report.html anew and print the verdict."""
    from moco.app.deployment import snippet
    from moco.report.comparison.page import write_compare_page
    from moco.report.console import compare_summary, console_summary
    from moco.report.page import write_report
    from moco.run_folder.reading import COMPARISON, read_comparison, read_run
    from moco.run_folder.seal import check_seals

    check_seals(run)
    if (run / COMPARISON).exists():
        page, summary = write_compare_page(run), compare_summary(read_comparison(run))
    else:
        page, summary = write_report(run, snippet), console_summary(read_run(run).result)
    screen = console()
    screen.print(summary)
    screen.print(f"report: {page}")


@app.command()
@fails_in_one_line
def repair(run: Annotated[Path, Argument(metavar="RUN", help="A run folder.")]) -> None:
    """Set a broken ledger aside and write one of the trials that can be read, so that --resume goes on."""
    from moco.tracking.repair import repair as repaired

    console().print(str(repaired(run)))


@app.command()
@fails_in_one_line
def profile(
    experiment: ExperimentPath,
    policy: Annotated[Path | None, Option("--policy", metavar="P.json", help="Default: the reference.")] = None,
    overrides: SetKeys = None,
    allow_import: AllowImport = False,
) -> None:
    """Measure the reference, or a policy, with every metric that this machine can measure."""
    from moco.app.profile import profile_table, profiled

    loaded = _loaded(experiment, overrides, allow_import)
    console().print(profile_table(profiled(loaded, policy, experiment.parent)))


@app.command()
@fails_in_one_line
def apply(
    experiment: ExperimentPath,
    policy: PolicyPath,
    out: Annotated[Path, Option("--out", metavar="DIR", help="Where the network goes.")],
    overrides: SetKeys = None,
    allow_import: AllowImport = False,
) -> None:
    """Build the network of a policy: model.onnx, network.safetensors, policy.json."""
    from moco.app.profile import applied

    artifact = applied(_loaded(experiment, overrides, allow_import), policy, out, experiment.parent)
    console().print(f"{out / 'model.onnx'}: {artifact.size_bytes / 1e6:.3f} MB, sha256 {artifact.sha256}")


@app.command()
@fails_in_one_line
def payoff(
    experiment: ExperimentPath,
    out: Annotated[Path | None, Option(metavar="DIR", help="Default runs/NAME_payoff.")] = None,
    seconds: Annotated[float, Option(help="Time for the whole network.")] = 60.0,
    batch: Annotated[int, Option(help="Images in a call.")] = 1,
    overrides: SetKeys = None,
    allow_import: AllowImport = False,
) -> None:
    """Measure at which widths, precisions and ranks the layers really get faster on this target."""
    from moco.analysis.payoff.probe import ProbePlan
    from moco.app.payoff import payoff_table, probed_experiment

    plan = ProbePlan(seconds, batch=batch)
    loaded = _loaded(experiment, overrides, allow_import)
    folder = out or Path("runs") / f"{loaded.name}_payoff"
    report = probed_experiment(loaded, plan, folder, experiment.parent)
    screen = console()
    screen.print(payoff_table(report))
    screen.print(f"{folder / 'payoff.html'}")


@app.command()
@fails_in_one_line
def sensitivity(  # noqa: PLR0913, PLR0917 - each is an option of the command
    experiment: ExperimentPath,
    out: Annotated[Path | None, Option(metavar="DIR", help="Default runs/NAME_sensitivity.")] = None,
    images: Annotated[
        int | None, Option(help="Images of the calibration split; default 256, or all where they are fewer.")
    ] = None,
    groups: Annotated[int | None, Option(help="Layer groups to find; default: as many as are unlike.")] = None,
    parameters: Annotated[
        str | None, Option(metavar="NAME,NAME", help="Of keep, weight_bits, activation_bits, int8; default: all.")
    ] = None,
    overrides: SetKeys = None,
    allow_import: AllowImport = False,
) -> None:
    """Measure how much compression each layer bears, and suggest layer groups for the search."""
    from moco.analysis.sensitivity.layer_sensitivity import Levels
    from moco.app.sensitivity import StudyProgress, sensitivity_table, studied, write_study
    from moco.run_folder.writing import refuse_owned

    loaded = _loaded(experiment, overrides, allow_import)
    folder = out or Path("runs") / f"{loaded.name}_sensitivity"
    refuse_owned(folder)
    screen, levels = console(), None if parameters is None else Levels.of(parameters.split(","))
    with StudyProgress(screen) as progress:
        study = studied(loaded, images, count=groups, modules=experiment.parent, levels=levels, seen=progress)
    page = write_study(study, folder)
    screen.print(sensitivity_table(study))
    screen.print(study.yaml)
    screen.print(page)


@app.command()
@fails_in_one_line
def doctor() -> None:
    """Tell what this machine can measure and run."""
    from moco.app.profile import doctor_table

    console().print(doctor_table())


def _loaded(experiment: Path, overrides: list[str] | None, allow_import: bool, workers: int | None = None) -> Any:
    from moco.experiment.loading import load_experiment

    changed = [*(overrides or ()), *([] if workers is None else [f"workers={workers}"])]
    return load_experiment(experiment, changed, allow_import=allow_import)


def _search(experiment: Any, out: Path | None, modules: Path | None, *, resume: bool) -> None:
    from moco.app.optimize import search_experiment
    from moco.experiment.build import Overrides
    from moco.report.console import console_summary
    from moco.run.progress import Progress
    from moco.run_folder.result import Result

    folder = out or Path("runs") / experiment.name
    screen = console()
    with Progress(screen) as progress:
        found = search_experiment(
            experiment, folder, overrides=Overrides(folder=modules), resume=resume, progress=progress
        )
    result = Result.from_json(found)
    screen.print(console_summary(result))
    screen.print(f"report: {folder / 'report.html'}")
    if result.exit == "infeasible":
        raise typer.Exit(INFEASIBLE)


def main() -> None:
    """Entry point of the `moco` command."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker: two beside a busy neighbour ruin every timing
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode must not end a search
    app()


if __name__ == "__main__":
    main()
