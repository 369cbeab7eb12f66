"""The section `student` of an experiment as a plan, and the training and measuring of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from moco.errors import ConfigError, nearest
from moco.experiment.build import Overrides, build_job, model_spec, untracked
from moco.experiment.identity import resolved
from moco.experiment.loading import Experiment, loaded, sections_of
from moco.experiment.options import options_of
from moco.experiment.schema_space import RecoverySection
from moco.models.trained import ModelSpec
from moco.processor_clock import ProcessorClock
from moco.recovery.fine_tuning import FineTuningStep
from moco.registry import ANY_METHOD, NO_PROTOCOL, names, plugin
from moco.run.job import certificate_forecast, prepare
from moco.secret import without_secrets
from moco.students.delivery import Delivery
from moco.students.folder import claimed
from moco.students.plan import FROM_SCRATCH, USUAL, WHERE, StudentPlan, of_a_student
from moco.students.record import StudentRecord
from moco.students.shipping import ship

UNASKED: Mapping[str, Any] = {"space": {ANY_METHOD: {}}, "objective": {"protocol": NO_PROTOCOL}}
"""Sections that a search needs and a student does not, where they are not given."""


def load_student(path: Path, overrides: Sequence[str] = (), allow_import: bool = False) -> Experiment:
    """The experiment of a YAML file that names a student; `space` and `objective` may be left out.

    A ConfigError says in one line what is wrong and where; what is wrong with the student's training too.
    """
    experiment = loaded(path, {**UNASKED, **sections_of(path, overrides)}, allow_import)
    student_plan(experiment)
    return experiment


def student_plan(experiment: Experiment, folder: Path | None = None) -> StudentPlan:
    """The plan of the experiment's student; a ConfigError names what does not fit, or that there is none.

    `folder` is searched for modules of the user's own where the experiment names none.
    """
    asked = experiment.student
    if asked is None:
        raise ConfigError("student: is missing; name a network to train, such as student: {model: cifar_resnet8}")
    folder = folder if experiment.folder is None else Path(experiment.folder)
    _check_teacher(model_spec(experiment, None))
    step = _step(asked.training or RecoverySection(name=USUAL), asked.processor_seconds)
    seeds = tuple(range(experiment.seed, experiment.seed + (asked.seeds or 1)))
    return StudentPlan(model_spec(experiment, folder, asked), step, seeds)


def distilled(
    experiment: Experiment,
    out: Path,
    *,
    resume: bool = False,
    modules: Path | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> StudentRecord:
    """Train the experiment's student from its network, and measure it beside that; all of it goes to the folder `out`.

    With `resume` it goes on where it was interrupted; a run that was finished is read. A MocoError where the student or
    its training does not fit, the network that is to teach it is not trained, or the folder holds something else.
    `modules` is searched for modules of the user's own.
    """
    plan, clock = student_plan(experiment, modules), ProcessorClock()
    with (
        claimed(out, without_secrets(resolved(experiment)), resume=resume) as found,
        tempfile.TemporaryDirectory() as folder,
    ):
        if found is not None:
            return found
        tell(f"preparing the teacher {experiment.model.name or experiment.model.import_path}")
        job = build_job(untracked(experiment), Path(folder) / "run", Overrides(folder=modules))
        certificate_forecast(job.floor, job.plan.delivery, job.data)
        with closing(prepare(replace(job, profile_only=True), Path(folder))) as prepared:
            delivery = Delivery(prepared, plan, out, tell, clock)
            delivery.check()
            return ship(prepared, delivery.deliver(), out)


def _step(section: RecoverySection, seconds: float | None) -> FineTuningStep:
    """The way of training with its options; those that nobody gives are for a network that was not trained before."""
    cls = plugin("recovery_step", section.name, WHERE)
    ways = [name for name in names("recovery_step") if _trains(plugin("recovery_step", name, WHERE))]
    if not _trains(cls):
        raise ConfigError(f"{WHERE}: '{section.name}' trains no student{nearest(section.name, ways)}")
    if "seconds" in section.options:
        raise ConfigError(f"{WHERE}.{section.name}.seconds: write it as student.processor_seconds")
    usual: Mapping[str, Any] = FROM_SCRATCH
    if seconds is not None:
        usual = {**FROM_SCRATCH, "epochs": None, "seconds": seconds}
    with of_a_student():
        options = options_of(cls.Options, {**usual, **section.options}, f"{WHERE}.{section.name}")
    return cls(options, once=True)  # type: ignore[no-any-return]


def _trains(cls: Any) -> bool:
    """Whether it is a training of floats: there is no policy that says which layers of a student are in codes."""
    return isinstance(cls, type) and issubclass(cls, FineTuningStep) and not cls.keeps_whole_ranges


def _check_teacher(teacher: ModelSpec) -> None:
    if teacher.warnings:
        raise ConfigError(
            f"model: expected 'weights' or 'train', as '{teacher.shown}' is to teach a student; its weights are random"
        )
