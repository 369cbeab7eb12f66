"""The command line: a thin layer over the functions of moco.app. Errors are one line, exit codes those of the design.

0 done, 1 failed, 2 bad usage or configuration, 3 finished without a network that keeps what was asked. Each command
gives an `Answer`, and all have `--json`, `--quiet` and `--verbose` (moco/app/command.py).
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text
from typer import Argument, Option

from moco import __version__
from moco.app.command import Commands, command
from moco.app.options import AllowImport, ExperimentPath, Resume, SetKeys, Targets, Workers, searcher_names
from moco.app.output import DONE, FAILED, UNMET, Answer, Output
from moco.registry import DEFAULT_TARGET

DEMO = "digits.yaml"

app = typer.Typer(
    cls=Commands,
    help="Compress trained vision networks by search, measured and certified on the device that will run them.",
    epilog=f"moco {__version__}. Begin with: moco demo, or moco init for your own data",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


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
    loaded = _loaded(experiment, overrides, allow_import, workers)
    if targets is not None:
        return _search_on(output, loaded, out, targets, experiment.parent, resume=resume)
    return _search(output, loaded, out, experiment.parent, resume=resume)


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
    return _search(output, experiment, out, None, resume=resume)


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
    from moco.app.shared_files import shared_file_lines
    from moco.experiment.build import Overrides
    from moco.report.comparison.page import PAGE
    from moco.report.console import compare_summary, comparison_line
    from moco.run.progress import Progress

    loaded = _loaded(experiment, overrides, allow_import, workers)
    folder = out or Path("runs") / f"{loaded.name}_compare"
    request = CompareRequest([name.strip() for name in (searchers or "").split(",") if name.strip()], seeds)
    kept, replaced = shared_file_lines(loaded, folder), Overrides(folder=experiment.parent)
    with Progress(output.progress, detailed=output.verbose) as progress:
        found = compare_experiment(loaded, request, folder, overrides=replaced, resume=resume, progress=progress)
    finished = any(run.state == "finished" for run in found.runs)
    code = FAILED if not finished else DONE if any(run.feasible for run in found.runs) else UNMET
    shown = (compare_summary(found), *kept, f"report: {folder / PAGE}")
    return Answer(found.to_json(), shown, comparison_line(found), code)


@command(app, "moco report runs/mine")
def report(run: Annotated[Path, Argument(metavar="RUN", help="The folder of a search or of a comparison.")]) -> Answer:
    """Write RUN/report.html anew and print the verdict."""
    from moco.app.deployment import snippet
    from moco.report.comparison.page import write_compare_page
    from moco.report.console import compare_summary, comparison_line, console_summary, outcome_line
    from moco.report.page import write_report
    from moco.run_folder.reading import COMPARISON, read_comparison, read_run
    from moco.run_folder.seal import check_seals

    check_seals(run)
    if (run / COMPARISON).exists():
        page, compared = write_compare_page(run), read_comparison(run)
        shown = (compare_summary(compared), f"report: {page}")
        return Answer(compared.to_json(), shown, comparison_line(compared))
    page, result = write_report(run, snippet), read_run(run).result
    return Answer(result.to_json(), (console_summary(result), f"report: {page}"), outcome_line(result))


@command(app, "moco repair runs/mine")
def repair(run: Annotated[Path, Argument(metavar="RUN", help="A run folder.")]) -> Answer:
    """Set a broken ledger aside and write one of the trials that can be read, so that --resume goes on."""
    from moco.tracking.repair import repair as repaired

    done = repaired(run)
    line = Text(str(done))
    return Answer(asdict(done), (line,), line)


@command(app, "moco profile mine.yaml --policy runs/mine/best/policy.json --out profile.json")
def profile(  # noqa: PLR0913, PLR0917 - each is an option of the command
    output: Output,
    experiment: ExperimentPath,
    policy: Annotated[
        Path | None, Option("--policy", metavar="P.json", help="Of RUN/best, for example; default: the reference")
    ] = None,
    out: Annotated[
        Path | None,
        Option(metavar="FOLDER|FILE.json", help="Where the measurements go, raw samples and a page; default: nowhere"),
    ] = None,
    targets: Targets = None,
    runs: Annotated[int, Option(metavar="N", help="Calls whose slow end is looked at, such as 10000.")] = 0,
    deadline: Annotated[
        float | None, Option(metavar="MS", help="What a call may take; --runs counts those that take longer.")
    ] = None,
    layers: Annotated[bool, Option("--layers", help="The time of each operator, where the runtime tells it.")] = False,
    overrides: SetKeys = None,
    allow_import: AllowImport = False,
) -> Answer:
    """Measure the reference, or a policy, with every metric that this machine can measure."""
    from moco.app.profile import ProfileRequest, profile_of
    from moco.app.profile_files import profile_paths, write_profile
    from moco.report.console import profile_tables
    from moco.report.profile_page import profile_line, profiles_of
    from moco.run.profile import ProfilePlan
    from moco.run.progress import stages_text

    request = ProfileRequest(policy, targets, ProfilePlan(runs, deadline, layers))
    paths = () if out is None else profile_paths(out)  # before anything is measured
    found = profile_of(_loaded(experiment, overrides, allow_import), request, experiment.parent)
    if output.verbose:
        output.progress.print("\n".join(f"{one.name}: {stages_text(one.evaluation)}" for one in profiles_of(found)))
    if paths:
        write_profile(found, *paths)
    told = [Text(f"measurements: {', '.join(map(str, paths))}")] if paths else []
    return Answer(found.to_json(), (*profile_tables(found), *told), Text(profile_line(found)))


@command(app, "moco apply mine.yaml --policy runs/mine/best/policy.json --out small")
def apply(
    experiment: ExperimentPath,
    policy: Annotated[Path, Option("--policy", metavar="P.json", help="A policy, of RUN/best for example.")],
    out: Annotated[Path, Option("--out", metavar="FOLDER", help="Where the network goes.")],
    overrides: SetKeys = None,
    allow_import: AllowImport = False,
) -> Answer:
    """Build the network of a policy: model.onnx, network.safetensors, policy.json."""
    from moco.app.profile import applied
    from moco.metrics import decimal

    artifact = applied(_loaded(experiment, overrides, allow_import), policy, out, experiment.parent)
    line = Text(f"{out / 'model.onnx'}: {decimal(artifact.size_bytes / 1e6, 3)} MB, sha256 {artifact.sha256}")
    data = {"file": artifact.path, "size_bytes": artifact.size_bytes, "sha256": artifact.sha256}
    return Answer(data, (line,), line)


@command(app, "moco payoff mine.yaml --seconds 30")
def payoff(
    experiment: ExperimentPath,
    out: Annotated[Path | None, Option(metavar="FOLDER", help="Where the page goes; default: runs/NAME_payoff")] = None,
    seconds: Annotated[float, Option(metavar="S", help="Time for the whole network, in seconds.")] = 60.0,
    batch: Annotated[int, Option(metavar="N", help="Images in a call.")] = 1,
    overrides: SetKeys = None,
    allow_import: AllowImport = False,
) -> Answer:
    """Measure at which widths, precisions and ranks the layers really get faster on this target."""
    from moco.analysis.payoff.probe import ProbePlan
    from moco.app.payoff import probed_experiment
    from moco.app.shared_files import store_line
    from moco.report.console import payoff_table

    plan = ProbePlan(seconds, batch=batch)
    loaded = _loaded(experiment, overrides, allow_import)
    folder = out or Path("runs") / f"{loaded.name}_payoff"
    kept = store_line(loaded, folder)
    found = probed_experiment(loaded, plan, folder, experiment.parent)
    page = Text(str(folder / "payoff.html"))
    return Answer(found.to_json(), (payoff_table(found.to_json()), *kept, page), page)


@command(app, "moco sensitivity mine.yaml --images 128 --parameters keep,int8")
def sensitivity(  # noqa: PLR0913, PLR0917 - each is an option of the command
    output: Output,
    experiment: ExperimentPath,
    out: Annotated[
        Path | None, Option(metavar="FOLDER", help="Where the page goes; default: runs/NAME_sensitivity")
    ] = None,
    images: Annotated[
        int | None, Option(metavar="N", help="Images of the calibration split; default: 256, or all of fewer")
    ] = None,
    groups: Annotated[
        int | None, Option(metavar="N", help="Layer groups to find; default: as many as are unlike")
    ] = None,
    parameters: Annotated[
        str | None, Option(metavar="NAME,NAME", help="Of keep, weight_bits, activation_bits, int8; default: all")
    ] = None,
    overrides: SetKeys = None,
    allow_import: AllowImport = False,
) -> Answer:
    """Measure how much compression each layer bears, and suggest layer groups for the search."""
    from moco.analysis.sensitivity.layer_sensitivity import Levels
    from moco.app.sensitivity import StudyProgress, sensitivity_table, studied, write_study
    from moco.run_folder.writing import refuse_owned

    loaded = _loaded(experiment, overrides, allow_import)
    folder = out or Path("runs") / f"{loaded.name}_sensitivity"
    refuse_owned(folder)
    levels = None if parameters is None else Levels.of(parameters.split(","))
    with StudyProgress(output.progress) as progress:
        study = studied(loaded, images, count=groups, modules=experiment.parent, levels=levels, seen=progress)
    page = Text(str(write_study(study, folder)))
    return Answer(study.to_json(), (sensitivity_table(study), Text(study.yaml), page), page)


@command(app, "moco correlate runs/mine --out runs/mine_correlations")
def correlate(
    runs: Annotated[list[Path], Argument(metavar="RUN...", help="Folders of searches and comparisons.")],
    out: Annotated[Path | None, Option(metavar="FOLDER", help="Where the page goes; default: nowhere")] = None,
) -> Answer:
    """Correlate the metrics of all measured networks, and count where two of them order networks otherwise."""
    from moco.report.console import correlations_line, correlations_summary
    from moco.report.correlation_page import write_correlations

    found, page = write_correlations(runs, out)
    last = correlations_line(found) if page is None else Text(str(page))
    return Answer(found.to_json(), (correlations_summary(found), *([] if page is None else [last])), last)


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
    from moco.app.init import InitRequest, write_experiment

    written = write_experiment(InitRequest(tuple(data or ()), model, train, test, weights), out)
    return Answer(written.to_json(), [Text(line) for line in written.lines], Text(written.lines[-1]))


@command(app, "moco doctor --json")
def doctor(
    output: Output, url: Annotated[str | None, Option(metavar="URL", help="Of an agent: look at its device.")] = None
) -> Answer:
    """Tell what this machine can measure and run, and which packages are there and work."""
    from moco.app.doctor import doctor_line, doctor_table
    from moco.hardware.doctor import probe, probe_elsewhere

    if url is None:
        output.progress.print("looking at this machine, and at each package in a process of its own: some ten seconds")
    findings = probe(Path.cwd()) if url is None else probe_elsewhere(url)
    data = {"findings": [vars(finding) for finding in findings]}
    return Answer(data, (doctor_table(findings),), Text(doctor_line(findings)))


@command(app, "MOCO_TOKEN=$(cat token) moco serve --runtime onnxruntime --port 8080")
def serve(  # noqa: PLR0913, PLR0917 - each is an option of the command
    output: Output,
    runtime: Annotated[str, Option(metavar="NAME", help="The target that is served.")] = DEFAULT_TARGET,
    settings: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Option of the target: threads=1. Repeatable.")
    ] = None,
    host: Annotated[str, Option(help="Address to listen at; another than this machine's own needs TLS.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    folder: Annotated[Path | None, Option(help="For files and answers; default: agent in moco's home")] = None,
    cert: Annotated[Path | None, Option(metavar="FILE.pem", help="TLS certificate.")] = None,
    key: Annotated[Path | None, Option(metavar="FILE.pem", help="Its private key.")] = None,
    plain_http: Annotated[bool, Option("--plain-http", help="Let other machines connect without TLS.")] = False,
    max_mb: Annotated[float, Option(help="Largest file that is taken.")] = 256.0,
) -> Answer:
    """Serve this device to searches on other machines; the environment variable MOCO_TOKEN has the token."""
    from moco.optional import needed_by

    with needed_by("moco serve"):
        from moco.serving.serve import ServeRequest
        from moco.serving.serve import serve as served
    request = ServeRequest(runtime, settings or (), host, port, folder, cert, key, plain_http).with_max_mb(max_mb)
    served(request, output.progress.print)
    return Answer({"runtime": runtime}, (), Text("the agent has ended"))


def _loaded(experiment: Path, overrides: list[str] | None, allow_import: bool, workers: int | None = None) -> Any:
    from moco.experiment.loading import load_experiment

    changed = [*(overrides or ()), *([] if workers is None else [f"workers={workers}"])]
    return load_experiment(experiment, changed, allow_import=allow_import)


def _search(output: Output, experiment: Any, out: Path | None, modules: Path | None, *, resume: bool) -> Answer:
    from moco.app.shared_files import shared_file_lines
    from moco.experiment.build import Overrides
    from moco.experiment.search import search_experiment
    from moco.report.console import console_summary, outcome_line
    from moco.run.progress import Progress
    from moco.run_folder import result as results

    folder = out or Path("runs") / experiment.name
    kept = shared_file_lines(experiment, folder)
    with Progress(output.progress, detailed=output.verbose) as progress:
        found = search_experiment(
            experiment, folder, overrides=Overrides(folder=modules), resume=resume, progress=progress
        )
    result = results.Result.from_json(found)
    code = DONE if result.exit == results.DONE else UNMET
    shown = (console_summary(result), *kept, f"report: {folder / 'report.html'}")
    return Answer(found, shown, outcome_line(result), code)


def _search_on(
    output: Output, experiment: Any, out: Path | None, targets: str, modules: Path | None, *, resume: bool
) -> Answer:
    from moco.experiment.build import Overrides
    from moco.experiment.runtimes import on_runtimes
    from moco.experiment.search import search_on_runtimes
    from moco.report.console import profile_tables
    from moco.report.profile_page import profile_line
    from moco.run.deliveries import PAGE
    from moco.run.progress import Progress

    folder, wanted = out or Path("runs") / experiment.name, on_runtimes(experiment, targets)
    with Progress(output.progress, detailed=output.verbose) as progress:
        found, done = search_on_runtimes(
            wanted, folder, overrides=Overrides(folder=modules), resume=resume, progress=progress
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
