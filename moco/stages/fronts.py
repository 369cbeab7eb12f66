"""What the stages found over size and accuracy (S5.01), from their run folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from moco.metrics import FILE_SIZE, PACKED_SIZE, TOP1_ERROR
from moco.pareto import non_dominated
from moco.run_folder.reading import numbers, read_run
from moco.run_folder.result import DONE
from moco.run_folder.stages import FrontPoint, StageRecord, StagesRecord
from moco.run_folder.trial_record import TrialRecord
from moco.stages.staged import Stage, StagedExperiment


def stages_record(staged: StagedExperiment, out: Path, over: Sequence[Stage], notes: Sequence[str]) -> StagesRecord:
    """What the stages that are over found; a RunFolderError where a run folder of theirs cannot be read."""
    records = tuple(stage_record(stage, out / stage.folder) for stage in over)
    last = read_run(out / over[-1].folder).result
    ended = len(over) == len(staged.stages) and last.best is not None
    return StagesRecord(
        experiment=staged.name,
        network=last.network,
        planned=tuple(stage.name for stage in staged.stages),
        reference=numbers(last.reference),
        stages=records,
        front=front_of([point for record in records for point in record.front]),
        delivered=f"{over[-1].folder}/best" if ended else None,
        certificate=last.certificate if ended else None,
        holds=(last.exit == DONE) if ended else None,
        notes=tuple(notes),
    )


def stage_record(stage: Stage, folder: Path) -> StageRecord:
    """What a stage found; a RunFolderError where its run folder cannot be read."""
    run = read_run(folder)
    result = run.result
    known = [
        t for t in run.trials if t.state == "complete" and t.distinct and {PACKED_SIZE, TOP1_ERROR} <= t.metrics.keys()
    ]
    return StageRecord(
        number=stage.number,
        name=stage.name,
        folder=stage.folder,
        methods=stage.methods,
        kept=tuple(result.space.kept or ()),
        exit=result.exit,
        trials=result.trials,
        processor_s=result.processor_s,
        points=tuple((trial.metrics[PACKED_SIZE], trial.metrics[TOP1_ERROR]) for trial in known),
        front=front_of([_point(stage.number, trial) for trial in known if trial.feasible]),
        best=result.best,
    )


def front_of(points: Sequence[FrontPoint]) -> tuple[FrontPoint, ...]:
    """The points that no other one beats in size and accuracy, the smallest first."""
    places = [(point.metrics[PACKED_SIZE], point.metrics[TOP1_ERROR]) for point in points]
    front = [(place, point) for place, point, kept in zip(places, points, non_dominated(places), strict=True) if kept]
    return tuple(point for _, point in sorted(front, key=lambda pair: pair[0]))


def _point(number: int, trial: TrialRecord) -> FrontPoint:
    metrics = {name: trial.metrics[name] for name in (PACKED_SIZE, TOP1_ERROR, FILE_SIZE) if name in trial.metrics}
    return FrontPoint(stage=number, trial=trial.number, metrics=metrics, before_recovery=trial.before_recovery or None)
