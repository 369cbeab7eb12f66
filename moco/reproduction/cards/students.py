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
from moco.reproduction.subjects import RESNET20, RESNET56, Subject
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
STATE = "training"  # how the names of files of trainings end
ALONE, DISTILLED, HINTED = "alone", "KD", "FitNets"


@dataclass(frozen=True)
class Class:
    """A teacher with its students, and the ways in which they learn from it."""

    teacher: Subject
    students: tuple[Student, ...]
    plan: FitNetsOptions
    ways: tuple[str, ...] = (ALONE, DISTILLED, HINTED)
    told: str = ""  # behind the names of its students


def classes(setting: Setting) -> tuple[Class, ...]:
    """Those of a scale; at the full one also a ResNet-14 of ResNet-20, as experiments/ has it."""
    if not setting.full:
        return (Class(RESNET20, SMALL, plan_of(setting)),)
    well = replace(plan_of(setting), epochs=24, views=8)
    return (
        Class(RESNET20, (_resnet(14),), well, (DISTILLED,), " from ResNet-20"),
        Class(RESNET56, FULL, plan_of(setting)),
    )


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
    """A seed of T4.2. Each training keeps a file of where it stands, and an interrupted seed goes on from there."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    for found in classes(setting):
        teacher = replace(found.teacher, splits=SPLITS)
        with opened(teacher, setting, {"filter_pruning": {}}) as lab:
            facts[teacher.name], hardware = lab.facts, lab.hardware
            rows.append(described(lab, "teacher", None, COLUMNS))
            more, compared = _taught(lab, found)
            rows += more
            evidence += compared
    for end in ("", "-hint"):  # the seed is measured: what is left of its trainings would spare the next call's
        for state in setting.folder.glob(f"*-seed{setting.seed}{end}.{STATE}"):
            state.unlink()
    return Drawn(tuple(rows), {"Q09": evidence}, facts, hardware, _notes(setting))


def _taught(lab: Lab, found: Class) -> tuple[list[RawRow], list[dict[str, Any]]]:
    """Rows of a teacher's students and, where they learn in all ways, what Q09 compares."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    teaching = Teaching(ground_of(lab.prepared), lab.setting.seed)
    for student in found.students:
        trained = {name: _trained(lab, teaching, student, name, found) for name in found.ways}
        rows += [row for row, _ in trained.values()]
        right = {name: 100 * accuracy for name, (_, accuracy) in trained.items()}
        if right.keys() == {ALONE, DISTILLED, HINTED}:
            entry = {"alone": right[ALONE], "kd": right[DISTILLED], "fitnets": right[HINTED]}
            evidence.append({"network": lab.subject.name, "student": student.name, **entry})
    return rows, evidence


def _trained(lab: Lab, teaching: Teaching, student: Student, way: str, found: Class) -> tuple[RawRow, float]:
    """The row of a student that was trained in one way, and its accuracy on unseen images, a fraction."""
    plan, seed = found.plan, lab.setting.seed
    steps = ways(plan)
    lab.setting.tell(f"{student.name}{found.told}, {way}: {plan.epochs:g} epochs")
    network = teaching.new(ModelSpec(student.model, options=student.options))
    # distillation's lessons are the second part of FitNets': the teacher answers once for both
    both = way == DISTILLED and HINTED in found.ways
    lessons = teaching.lessons(steps[HINTED]).answers if both else None
    state = lab.setting.folder / f"{lab.subject.name}-{student.model}-{way}-{plan.epochs:g}-seed{seed}.{STATE}"
    state.parent.mkdir(parents=True, exist_ok=True)
    tuned = teaching.train(network, steps[way], lessons=lessons, checkpoint=state)
    (file,) = measured_files(lab.prepared, teaching.ground, network, lab.prepared.evaluator, integers=False)
    metrics = with_products(file.evaluation.metrics, METRICS)
    values = {name: Reading.of(name, metric) for name, metric in metrics.items()}
    values = {**values, **ratios(lab, values), **accuracies_of(lab, file.right), "training_s": _spent(tuned)}
    named = f"{student.name}{found.told}, {way}"
    return row_of(lab, named, values, COLUMNS, action=way, fine_tuned=f"{tuned.epochs:g} epochs"), file.right.accuracy


def _spent(tuned: Tuned) -> Reading:
    return Reading(value=tuned.processor_s)


def _notes(setting: Setting) -> tuple[str, ...]:
    few = "one student and few epochs: undertrained, as the published ones are; --scale full trains them well"
    trained = [
        f"students of {found.teacher.told} are trained for {found.plan.epochs:g} epochs of the training images, "
        f"{found.plan.views} views of each image, learning rate 0.1 in one cycle"
        for found in classes(setting)
    ]
    return (
        *trained,
        "hints are a fifth of a training; temperature 4, lambda 1",
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
