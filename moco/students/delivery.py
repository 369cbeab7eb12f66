"""All seeds of a student trained, measured beside the teacher, and the best file certified and written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from scipy.stats import beta
from torch import nn

from moco.baselines.baseline import Ground
from moco.certification.confidence_bounds import paired_sem
from moco.evaluation.accuracy import Correct, correct, logits_of
from moco.evaluation.evaluator import Evaluator
from moco.metrics import METRICS, TWO_SIDED_95
from moco.processor_clock import ProcessorClock
from moco.products import with_products
from moco.randomness import derived_seed
from moco.recovery.descent import Tuned
from moco.run.fresh_evidence import Ends, Evidence, evidence_of, timed_ends
from moco.run.job import Prepared, versions
from moco.run.rivals import ground_of
from moco.run_folder.writing import write_weights
from moco.students.choice import certified, in_order
from moco.students.measuring import MeasuredFile, measured_files
from moco.students.plan import StudentPlan, of_a_student
from moco.students.record import FileRecord, SeedRecord, StudentRecord
from moco.students.training import Teaching, checked_student
from moco.trial import MetricValue
from moco.whole_file import write_bytes

WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class Shown:
    """A file of a student, measured, with the evidence that is judged by."""

    record: FileRecord
    measured: MeasuredFile
    evidence: Evidence


@dataclass(frozen=True)
class Delivered:
    """What a run has made: its record, and the best student's network and file."""

    record: StudentRecord
    network: nn.Module
    file: MeasuredFile


@dataclass(frozen=True)
class Delivery:
    """The students of one run on their way into its folder; `tell` hears what is being done."""

    prepared: Prepared
    plan: StudentPlan
    out: Path
    tell: Callable[[str], None] = lambda _text: None
    clock: ProcessorClock = field(default_factory=ProcessorClock)

    @cached_property
    def ground(self) -> Ground:
        """What students are made from."""
        return ground_of(self.prepared)

    @cached_property
    def teachers(self) -> Correct:
        """Which of the certification images the teacher has right."""
        images, labels = self.prepared.job.data.images("certification")
        return correct(logits_of(self.prepared.evaluator.reference.session, images), labels)

    @cached_property
    def evaluator(self) -> Evaluator:
        """Times a file as long as a search's delivered network is timed again."""
        whole, plan = self.prepared.evaluator, self.prepared.job.plan
        return whole.timing_by(
            {
                name: replace(timing, seconds=plan.delivery.seconds, seed=derived_seed(plan.seed, "retiming", name))
                for name, timing in whole.plan.timing.items()
            }
        )

    def check(self) -> None:
        """Pass a student that can be trained so; a ConfigError names what does not fit, before anything is trained."""
        teaching, step = Teaching(self.ground, self.plan.seeds[0]), self.plan.step
        with of_a_student():
            step.check_student(checked_student(self.plan.model, self.ground), teaching.context, teaching.lessons(step))

    def deliver(self) -> Delivered:
        """Every seed's student, then the choice among all their files."""
        trained = [self._student(seed) for seed in self.plan.seeds]
        shown = [pair for _, _, files in trained for pair in files]
        order = [shown[place] for place in in_order(self.prepared, [one.measured for one in shown])]
        place, certificate = certified(
            self.prepared,
            [one.record.name for one in order],
            [one.measured.right for one in order],
            [one.evidence for one in order],
            self.teachers,
        )
        best = order[place]
        network = next(network for _, network, files in trained if best in files)
        seeds = tuple(seed for seed, _, _ in trained)
        record = StudentRecord(
            experiment=self.prepared.job.plan.name,
            teacher_network=self.prepared.job.network_name,
            teacher=self._teacher(),
            student=self.plan.model.shown,
            training=self.plan.step.written(),
            images=len(self.teachers.top1),
            hardware={name: str(value) for name, value in self.prepared.job.target.describe().items()},
            versions=versions(self.prepared.job.distributions),
            data={"train": self.prepared.job.data.train.content_hash, "test": self.prepared.job.data.test.content_hash},
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            processor_s=self.clock(),
            seeds=seeds,
            best=best.record.name,
            certificate=replace(certificate, sha256=best.measured.artifact.sha256),
            warnings=self._warnings(shown),
        )
        return Delivered(record, network, best.measured)

    def _student(self, seed: int) -> tuple[SeedRecord, nn.Module, list[Shown]]:
        """The student of a seed, trained, or trained on from where it was interrupted, and its files."""
        folder, teaching = self.out / f"seed{seed}", Teaching(self.ground, seed)
        student = teaching.new(self.plan.model)
        self.tell(f"training {self.plan.model.shown}, seed {seed}")
        tuned = self._trained(teaching, student, folder)
        said = dict(self.prepared.job.description.metadata)
        write_weights(folder / WEIGHTS, student, {"network": self.plan.model.shown, **said})
        self.tell(f"measuring {self.plan.model.shown}, seed {seed}")
        files = [self._shown(file, folder, seed) for file in self._files(student)]
        record = SeedRecord(
            seed=seed,
            epochs=tuned.epochs,
            steps=tuned.steps,
            processor_s=tuned.processor_s,
            losses=tuned.losses,
            weights=str((folder / WEIGHTS).relative_to(self.out)),
            files=tuple(shown.record for shown in files),
        )
        return record, student, files

    def _trained(self, teaching: Teaching, student: nn.Module, folder: Path) -> Tuned:
        """What the training of the student took; its state lies under a name that tells what it learns, and of whom."""
        known, step = self.prepared.job.fingerprint, self.plan.step
        what = f"{known['network']} {known['data']} {self.plan.model.shown} {step.written()}"
        name = f"training-{hashlib.sha256(what.encode()).hexdigest()[:16]}.safetensors"
        return teaching.train(student, step, checkpoint=folder / name)

    def _files(self, student: nn.Module) -> list[MeasuredFile]:
        return list(measured_files(self.prepared, self.ground, student, self.evaluator))

    def _shown(self, file: MeasuredFile, folder: Path, seed: int) -> Shown:
        """The file, copied to the seed's folder."""
        path = folder / f"model{file.suffix.replace(' ', '_')}{file.artifact.path.suffix}"
        write_bytes(path, file.artifact.path.read_bytes())
        ends = timed_ends(self.prepared, file.evaluation)
        evidence = evidence_of(self.prepared, file.evaluation, ends, file.right, self.teachers)
        change, margin = self._change(file.right)
        record = replace(
            _record(f"{self.plan.model.shown}{file.suffix}, seed {seed}", file.evaluation.metrics, file.right, ends),
            file=str(path.relative_to(self.out)),
            sha256=file.artifact.sha256,
            change_pp=change,
            change_interval=(change - margin, change + margin),
            feasible=evidence.feasible,
            bounds=evidence.bounds,
        )
        return Shown(record, file, evidence)

    def _change(self, right: Correct) -> tuple[float, float]:
        """The accuracy against the teacher's on the same images, in points, and half its 95 % interval."""
        lost, gained = int((self.teachers.top1 & ~right.top1).sum()), int((right.top1 & ~self.teachers.top1).sum())
        images = len(right.top1)
        return 100 * (gained - lost) / images, 100 * TWO_SIDED_95 * paired_sem(lost, gained, images)

    def _teacher(self) -> FileRecord:
        """The teacher as the students are told."""
        return _record("teacher", self.prepared.evaluator.reference.evaluation.metrics, self.teachers, {})

    def _warnings(self, shown: list[Shown]) -> tuple[str, ...]:
        """What is to be doubted: of the preparation, then of each file's timing the first."""
        of_files = [
            f"'{one.record.name}' was timed with a warning: {text}"
            for one in shown
            for text in one.measured.evaluation.details.get("warnings", ())[:1]
        ]
        return (*self.prepared.warnings, *of_files)


def _record(name: str, metrics: Mapping[str, MetricValue], right: Correct, ends: Ends) -> FileRecord:
    values = {metric: value.value for metric, value in with_products(metrics, METRICS).items()}
    hits, n = int(right.top1.sum()), len(right.top1)
    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
    found: dict[str, Any] = {"accuracy": hits / n, "accuracy_interval": (low, high)}
    return FileRecord(name=name, metrics=values, intervals=dict(ends), **found)
