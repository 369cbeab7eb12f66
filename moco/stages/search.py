"""The search of an experiment in stages: a run folder a stage, each beginning with what the one before it delivered."""

from __future__ import annotations

from pathlib import Path

from moco.data.split_data import split_data
from moco.errors import MocoError
from moco.experiment.build import Overrides, plan_of
from moco.experiment.loading import STAGES
from moco.experiment.schema import Experiment
from moco.experiment.search import search_experiment
from moco.report.stages_page import stages_page
from moco.run.certification_log import CERTIFICATION
from moco.run.job import certificate_forecast, floor_of
from moco.run.progress import Progress
from moco.run.session import claim
from moco.run_folder.reading import read_run
from moco.run_folder.result import DONE, Result
from moco.run_folder.seal import check_seal
from moco.run_folder.stages import PAGE, STAGES_FILE, StagesRecord
from moco.run_folder.writing import RESULT, write_json, write_text
from moco.stages.fronts import stages_record
from moco.stages.staged import POLICY, WEIGHTS, Stage, StagedExperiment


def search_in_stages(
    staged: StagedExperiment,
    out: Path,
    *,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> StagesRecord:
    """Search stage after stage, each into a folder of its own in `out`, and write what all of them found there.

    `folder` is searched for the user's own modules. With `resume` stages that are over stay as they are, and the search
    goes on in the one that is not. A stage that delivers nothing, or that its user ends, is the last one, and the
    record's notes say so. A MocoError as by `search_experiment`; nothing has been searched where the plan of a stage,
    or its floor, does not fit.
    """
    _check(staged, out, folder)
    over: list[Stage] = []
    notes: list[str] = []
    experiment = staged.stages[0].alone
    for stage in staged.stages:
        where = out / stage.folder
        result = _over(experiment, where, folder) if resume and stage is not staged.stages[-1] else None
        if result is None:
            if progress is not None:
                progress.step(f"stage {stage.number} of {len(staged.stages)}: {stage.name}")
            given, again = Overrides(folder=folder), resume and where.exists()
            found = search_experiment(experiment, where, overrides=given, resume=again, progress=progress)
            result = Result.from_json(found)
        over.append(stage)
        if (reason := _ends(staged, stage, result, where)) is not None:
            notes.append(reason)
            break
        if stage.number < len(staged.stages):
            notes += _doubts(stage, result)
            experiment = _next(staged, stage, where / "best", result)
    record = stages_record(staged, out, over, notes)
    write_json(out / STAGES_FILE, record.to_json())
    write_text(out / PAGE, stages_page(record))
    return record


def _check(staged: StagedExperiment, out: Path, folder: Path | None) -> None:
    """Pass stages each of which has a plan, and a floor that the certification images can show."""
    data = None
    for stage in staged.stages:
        try:
            plan = plan_of(staged.whole(stage), out / stage.folder, folder)
            data = data or split_data(plan.data, None)
            certificate_forecast(floor_of(plan.objective.made()), plan.delivery, data)
        except MocoError as error:
            if STAGES not in str(error):
                error.args = (f"{STAGES}[{stage.number - 1}] ('{stage.name}'): {error}",)
            raise


def _over(experiment: Experiment, where: Path, folder: Path | None) -> Result | None:
    """What an earlier session found in a stage that it brought to an end; None where there is still work in it.

    A RunFolderError where the stage was another one then.
    """
    if not (where / RESULT).exists():
        return None
    result = read_run(where).result
    record = plan_of(experiment, where, folder).recording
    claim(where, {"settings": record.settings}, record.older_settings)
    if result.stopped:
        # Its network was tested when its user ended it: what came of that must not choose what is handed on.
        (where / CERTIFICATION).unlink(missing_ok=True)
    if result.stopped or result.best is None:
        return None
    check_seal(where / "best", (POLICY, WEIGHTS))
    return result


def _ends(staged: StagedExperiment, stage: Stage, result: Result, where: Path) -> str | None:
    """Why no stage follows; None where one does, or this one was the last."""
    if stage.number == len(staged.stages):
        return None
    if result.stopped:
        return f"stage {stage.number} '{stage.name}' was ended by its user; --resume goes on with it"
    if result.best is None:
        return f"stage {stage.number} '{stage.name}' delivered no network for the next to begin with; see {where}"
    return None


def _doubts(stage: Stage, result: Result) -> list[str]:
    if result.exit == DONE:
        return []
    named = f"stage {stage.number} '{stage.name}'"
    return [f"{named} does not keep what it was asked; the next begins with its network all the same"]


def _next(staged: StagedExperiment, stage: Stage, best: Path, result: Result) -> Experiment:
    """The experiment of the stage that follows; above nothing where all stages so far left the network as it is."""
    following = staged.stages[stage.number]
    assert result.best is not None
    return staged.above(following, best.absolute()) if result.best.policy else following.alone
