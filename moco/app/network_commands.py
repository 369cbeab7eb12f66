"""The commands that look at networks, one or many: profile, apply, payoff, sensitivity, correlate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.text import Text
from typer import Argument, Option

from moco.app.application import app, experiment_in
from moco.app.command import command
from moco.app.options import AllowImport, ExperimentPath, SetKeys, Targets
from moco.app.output import Answer, Output


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
    runs: Annotated[int, Option(metavar="N", help="Look at the slow end of 200 to 10000000 calls; 0: do not.")] = 0,
    deadline: Annotated[
        float | None, Option(metavar="MS", help="What a call may take; --runs counts those that take longer.")
    ] = None,
    layers: Annotated[bool, Option("--layers", help="The time of each operator, where the runtime tells it.")] = False,
    overrides: SetKeys = None,
    allow_import: AllowImport = False,
) -> Answer:
    """Measure the reference, or a policy, with every metric that this machine can measure."""
    from moco.app.profile_files import profile_paths, write_profile
    from moco.experiment.profile import ProfileRequest, profile_of
    from moco.report.console import profile_tables
    from moco.report.profile_page import profile_line, profiles_of
    from moco.run.profile import ProfilePlan
    from moco.run.progress import stages_text

    request = ProfileRequest(policy, targets, ProfilePlan(runs, deadline, layers))
    paths = () if out is None else profile_paths(out)  # before anything is measured
    found = profile_of(experiment_in(experiment, overrides, allow_import), request, experiment.parent)
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
    """Build the network of a policy: its file, network.safetensors, policy.json."""
    from moco.experiment.profile import applied
    from moco.metrics import decimal

    artifact = applied(experiment_in(experiment, overrides, allow_import), policy, out, experiment.parent)
    line = Text(f"{artifact.path}: {decimal(artifact.size_bytes / 1e6, 3)} MB, sha256 {artifact.sha256}")
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
    from moco.experiment.shared_files import store_line
    from moco.report.console import payoff_table

    plan = ProbePlan(seconds, batch=batch)
    asked = experiment_in(experiment, overrides, allow_import)
    folder = out or Path("runs") / f"{asked.name}_payoff"
    kept = store_line(asked, folder)
    found = probed_experiment(asked, plan, folder, experiment.parent)
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
    from moco.app.sensitivity import sensitivity_table, write_study
    from moco.experiment.sensitivity import studied
    from moco.run.progress import StudyProgress
    from moco.run_folder.writing import refuse_owned

    asked = experiment_in(experiment, overrides, allow_import)
    folder = out or Path("runs") / f"{asked.name}_sensitivity"
    refuse_owned(folder)
    levels = None if parameters is None else Levels.of(parameters.split(","))
    with StudyProgress(output.progress) as progress:
        study = studied(asked, images, count=groups, modules=experiment.parent, levels=levels, seen=progress)
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
