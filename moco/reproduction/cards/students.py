"""T4.2: students of other architectures, trained alone, by distillation and by FitNets (Q09)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from moco.metrics import METRICS
from moco.models.trained import ModelSpec
from moco.products import with_products
from moco.recovery.descent import Tuned
from moco.recovery.distillation import DistillationStep
from moco.recovery.fine_tuning import FineTuningStep
from moco.recovery.fitnets import FitNetsOptions, FitNetsStep
from moco.reproduction.card import Absence, Card, Scale
from moco.reproduction.cards.rows import accuracies_of, described, ratios, row_of
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import RESNET20, RESNET56
from moco.run.rivals import ground_of
from moco.students.measuring import measured_files
from moco.students.training import Teaching

COLUMNS = (
    *("parameters", "parameters_ratio", "top1_error", "top1_change_pp", "latency_ms", "latency_ratio"),
    *("throughput_ratio", "training_s"),
)
SPLITS = {"calibration": 256, "search": 250, "certification": 4750}


@dataclass(frozen=True)
class Student:
    """A student by its name in the published table."""

    name: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)


def _resnet(depth: int) -> Student:
    return Student(f"ResNet-{depth}", f"cifar_resnet{depth}", {"shortcut": "B"})


FEW = Student("two convolutions", "conv2_fc2")
SMALL, FULL = (_resnet(8),), (_resnet(8), _resnet(14), _resnet(20), FEW)
ALONE, DISTILLED, HINTED = "alone", "KD", "FitNets"


def plan_of(setting: Setting) -> FitNetsOptions:
    """How all students of a scale are trained; each way takes what it has options for."""
    return FitNetsOptions(
        epochs=setting.of(8, 100),
        learning_rate=0.1,
        schedule="one_cycle",
        shift=4,
        flip=True,
        views=setting.of(3, 16),
        hint_share=0.2,
    )


def ways(plan: FitNetsOptions) -> dict[str, FineTuningStep]:
    """The ways of training by their names, for the same epochs."""
    kinds = {ALONE: FineTuningStep, DISTILLED: DistillationStep, HINTED: FitNetsStep}
    return {
        name: step(step.Options(**{one.name: getattr(plan, one.name) for one in fields(step.Options)}))
        for name, step in kinds.items()
    }


def students(setting: Setting) -> Drawn:
    """A seed of T4.2."""
    teacher, plan = replace(RESNET56 if setting.full else RESNET20, splits=SPLITS), plan_of(setting)
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    with opened(teacher, setting, {"filter_pruning": {}}) as lab:
        rows.append(described(lab, "teacher", None, COLUMNS))
        teaching = Teaching(ground_of(lab.prepared), setting.seed)
        for student in FULL if setting.full else SMALL:
            found = {name: _trained(lab, teaching, student, name, plan) for name in ways(plan)}
            rows += [row for row, _ in found.values()]
            right = {name: 100 * accuracy for name, (_, accuracy) in found.items()}
            entry = {"alone": right[ALONE], "kd": right[DISTILLED], "fitnets": right[HINTED]}
            evidence.append({"network": teacher.name, "student": student.name, **entry})
    return Drawn(tuple(rows), {"Q09": evidence}, {teacher.name: lab.facts}, lab.hardware, _notes(plan, setting))


def _trained(lab: Lab, teaching: Teaching, student: Student, way: str, plan: FitNetsOptions) -> tuple[RawRow, float]:
    """The row of a student that was trained in one way, and its accuracy on unseen images, a fraction."""
    steps = ways(plan)
    lab.setting.tell(f"{student.name}, {way}: {plan.epochs:g} epochs")
    network = teaching.new(ModelSpec(student.model, options=student.options))
    # distillation's lessons are the second part of FitNets': the teacher answers once for both
    lessons = teaching.lessons(steps[HINTED]).answers if way == DISTILLED else None
    tuned = teaching.train(network, steps[way], lessons=lessons)
    (file,) = measured_files(lab.prepared, teaching.ground, network, lab.prepared.evaluator, integers=False)
    metrics = with_products(file.evaluation.metrics, METRICS)
    found = {name: Reading.of(name, metric) for name, metric in metrics.items()}
    values = {**found, **ratios(lab, found), **accuracies_of(lab, file.right), "training_s": _spent(tuned)}
    row = row_of(lab, f"{student.name}, {way}", values, COLUMNS, action=way, fine_tuned=f"{tuned.epochs:g} epochs")
    return row, file.right.accuracy


def _spent(tuned: Tuned) -> Reading:
    return Reading(value=tuned.processor_s)


def _notes(plan: FitNetsOptions, setting: Setting) -> tuple[str, ...]:
    few = "one student and few epochs: undertrained, as the published ones are; --scale full trains them well"
    return (
        f"every student is trained for {plan.epochs:g} epochs of the training images, with hints a fifth of them",
        f"{plan.views} views of each image, learning rate 0.1 in one cycle, temperature 4, lambda 1",
        "training_s is processor seconds; the teacher's answers count for the way that asks first",
        *(() if setting.full else (few,)),
    )


CARD = Card(
    id="T4.2",
    title="Students alone, by distillation and by FitNets",
    system="S4",
    columns=COLUMNS,
    runner=students,
    published={
        "ResNet-8, KD": {"parameters": "78,042", "parameters_ratio": ".089", "top1_error": "39.39 %"},
        "ResNet-8, FitNets": {"parameters": "78,042", "parameters_ratio": ".089", "top1_error": "36.37 %"},
        "ResNet-14, KD": {"parameters": "175,258", "parameters_ratio": ".201", "top1_error": "27.58 %"},
        "ResNet-14, FitNets": {"parameters": "175,258", "parameters_ratio": ".201", "top1_error": "22.11 %"},
        "ResNet-20, KD": {"parameters": "272,474", "parameters_ratio": ".313", "top1_error": "25.26 %"},
        "ResNet-20, FitNets": {"parameters": "272,474", "parameters_ratio": ".313", "top1_error": "22.0 %"},
    },
    findings=("Q09",),
    absences=(
        Absence(
            "ResNet-20, FitNets", "preresnet110", "needs PreResNet-110 with trained weights, which moco does not have"
        ),
    ),
    seeds={Scale.SMALL: 3, Scale.FULL: 3},
    minutes={Scale.SMALL: 10, Scale.FULL: 720},
    files=frozenset({Scale.SMALL, Scale.FULL}),
)
