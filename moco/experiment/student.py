"""The section `student` of an experiment as a plan, and the training and measuring of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from moco.errors import ConfigError, nearest
from moco.experiment.build import Overrides, build_job, model_spec, untracked
from moco.experiment.identity import resolved
from moco.experiment.options import options_of
from moco.experiment.schema import Experiment
from moco.experiment.schema_space import RecoverySection
from moco.models.trained import ModelSpec
from moco.recovery.fine_tuning import FineTuningStep
from moco.registry import names, plugin
from moco.run.job import prepare
from moco.secret import without_secrets
from moco.students.delivery import delivered
from moco.students.plan import FROM_SCRATCH, USUAL, StudentPlan
from moco.students.record import StudentRecord

WHERE = "student.training"


def student_plan(experiment: Experiment, folder: Path | None = None) -> StudentPlan | None:
    """The plan; None where the experiment has no student. A ConfigError names what does not fit.

    `folder` is searched for modules of the user's own where the experiment names none.
    """
    asked = experiment.student
    if asked is None:
        return None
    folder = folder if experiment.folder is None else Path(experiment.folder)
    step = _step(asked.training or RecoverySection(name=USUAL), asked.processor_seconds)
    return StudentPlan(model_spec(experiment, folder, asked), step, asked.seeds or 1)


def distilled(
    experiment: Experiment,
    out: Path,
    *,
    resume: bool = False,
    modules: Path | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> StudentRecord:
    """Train the experiment's student from its network, and measure it beside that; all of it goes to the folder `out`.

    A MocoError where the student or its training does not fit, the network that is to teach it is not trained, or the
    folder holds something else. `modules` is searched for modules of the user's own.
    """
    plan = student_plan(experiment, modules)
    if plan is None:
        raise ConfigError("student: is missing; name a network to train, such as student: {model: cifar_resnet8}")
    _check_teacher(model_spec(experiment, None))
    written = without_secrets(resolved(experiment))
    with tempfile.TemporaryDirectory() as folder:
        job = build_job(untracked(experiment), Path(folder) / "run", Overrides(folder=modules))
        with closing(prepare(replace(job, profile_only=True), Path(folder))) as prepared:
            return delivered(prepared, plan, written, out, resume=resume, tell=tell)


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
