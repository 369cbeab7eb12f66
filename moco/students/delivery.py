"""All seeds of a student trained, measured beside the teacher, and written to a run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scipy.stats import beta

from moco.baselines.baseline import Ground
from moco.certification.confidence_bounds import paired_sem
from moco.errors import RunFolderError
from moco.evaluation.accuracy import Correct, correct, logits_of
from moco.metrics import METRICS, TOP1_ERROR, TWO_SIDED_95
from moco.products import with_products
from moco.run.fresh_evidence import timed_ends
from moco.run.job import Prepared
from moco.run.rivals import ground_of
from moco.run_folder.writing import EXPERIMENT, write_json, write_weights, write_yaml
from moco.store_table import MALFORMED
from moco.students.measuring import MeasuredFile, measured_files
from moco.students.plan import StudentPlan
from moco.students.record import FILE, FileRecord, SeedRecord, StudentRecord
from moco.students.training import Teaching, checked_student
from moco.trial import MetricValue
from moco.whole_file import write_bytes

WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class Delivery:
    """The students of one run on their way into its folder; `tell` hears what is being done."""

    prepared: Prepared
    plan: StudentPlan
    out: Path
    tell: Callable[[str], None] = lambda _text: None

    @cached_property
    def ground(self) -> Ground:
        """What students are made from."""
        return ground_of(self.prepared)

    @cached_property
    def teachers(self) -> Correct:
        """Which of the certification images the teacher has right."""
        images, labels = self.prepared.job.data.images("certification")
        return correct(logits_of(self.prepared.evaluator.reference.session, images), labels)

    def seed(self, seed: int) -> SeedRecord:
        """The student of a seed, trained, or trained on from where it was interrupted, and its files."""
        folder, teaching = self.out / f"seed{seed}", Teaching(self.ground, seed)
        student = teaching.new(self.plan.model)
        self.tell(f"training {self.plan.model.shown}, seed {seed}")
        tuned = teaching.train(student, self.plan.step, checkpoint=folder / "training.safetensors")
        said = dict(self.prepared.job.description.metadata)
        write_weights(folder / WEIGHTS, student, {"network": self.plan.model.shown, **said})
        files = measured_files(self.prepared, self.ground, student, self.prepared.evaluator)
        return SeedRecord(
            seed=seed,
            epochs=tuned.epochs,
            steps=tuned.steps,
            processor_s=tuned.processor_s,
            losses=tuned.losses,
            weights=str((folder / WEIGHTS).relative_to(self.out)),
            files=tuple(self._file(file, folder, seed) for file in files),
        )

    def teacher(self) -> FileRecord:
        """The teacher as the students are told."""
        found = self.prepared.evaluator.reference.evaluation.metrics
        return _record("teacher", found, self.teachers)

    def _file(self, file: MeasuredFile, folder: Path, seed: int) -> FileRecord:
        path = folder / f"model{file.suffix.replace(' ', '_')}.onnx"
        write_bytes(path, file.artifact.path.read_bytes())
        lost = int((self.teachers.top1 & ~file.right.top1).sum())
        gained = int((file.right.top1 & ~self.teachers.top1).sum())
        change = 100 * (gained - lost) / len(file.right.top1)
        margin = 100 * TWO_SIDED_95 * paired_sem(lost, gained, len(file.right.top1))
        return _record(
            f"{self.plan.model.shown}{file.suffix}, seed {seed}",
            file.evaluation.metrics,
            file.right,
            file=str(path.relative_to(self.out)),
            sha256=file.artifact.sha256,
            change_pp=change,
            change_interval=(change - margin, change + margin),
            intervals=dict(timed_ends(self.prepared, file.evaluation)),
        )


def delivered(
    prepared: Prepared,
    plan: StudentPlan,
    written: Mapping[str, Any],
    out: Path,
    *,
    resume: bool = False,
    tell: Callable[[str], None] = lambda _text: None,
) -> StudentRecord:
    """Everything in the folder `out`; `written` is the experiment as it is written there.

    With `resume` a training goes on where it was interrupted. A RunFolderError where the folder holds a run already; a
    ConfigError where the student is none for the teacher's images and classes.
    """
    delivery = Delivery(prepared, plan, out, tell)
    checked_student(plan.model, delivery.ground)
    if not resume and (out / EXPERIMENT).exists():
        raise RunFolderError(f"{out}: holds results already; continue them with --resume or choose another --out")
    write_yaml(out / EXPERIMENT, written)
    seeds = tuple(delivery.seed(seed) for seed in range(plan.seeds))
    record = StudentRecord(
        experiment=prepared.job.plan.name,
        teacher=delivery.teacher(),
        student=plan.model.shown,
        training=plan.step.written(),
        images=len(delivery.teachers.top1),
        hardware={name: str(value) for name, value in prepared.job.target.describe().items()},
        seeds=seeds,
        best=min(seeds, key=lambda one: one.files[0].metrics[TOP1_ERROR]).seed,
    )
    write_json(out / FILE, record.to_json())
    for path in out.glob("seed*/training*.safetensors"):
        path.unlink()
    return record


def read_record(out: Path) -> StudentRecord:
    """What student.json of a run folder tells; a RunFolderError where there is none, or it is not readable."""
    try:
        return StudentRecord.from_json(json.loads((out / FILE).read_text(encoding="utf-8")))
    except (OSError, *MALFORMED) as error:
        raise RunFolderError(f"{out / FILE}: expected what moco distill writes, got {type(error).__name__}") from None


def _record(name: str, metrics: Mapping[str, MetricValue], right: Correct, **more: Any) -> FileRecord:
    found = with_products(metrics, METRICS)
    values = {metric: value.value for metric, value in found.items()}
    hits, n = int(right.top1.sum()), len(right.top1)
    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
    return FileRecord(name=name, accuracy=hits / n, accuracy_interval=(low, high), metrics=values, **more)
