"""From the steps named in `recovery` to the plan by which candidates are recovered."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco.errors import ConfigError
from moco.experiment.loading import options_of
from moco.experiment.schema_space import RecoverySection
from moco.models import import_object
from moco.recovery.distillation import Distillation
from moco.recovery.fine_tuning_plan import FineTuning
from moco.recovery.recovery import RecoveryPlan, Training
from moco.recovery.refit import RefitOptions

TRAININGS = ("fine_tuning", "distillation", "quantization_aware", "custom")


@dataclass(frozen=True)
class QuantizationAwareOptions:
    """Whether the original network's answers are learned from too."""

    distil: bool = False


def recovery_plan(steps: Sequence[RecoverySection], folder: Path | None = None) -> RecoveryPlan:
    """The plan of the steps; a step that is only named takes its defaults.

    Args:
        folder: searched for modules of the user's own.

    Raises:
        ConfigError: a step stands twice, two ways of training are asked for, or an option does not fit; its key path
            is named.
    """
    sections = {step.name: dict(step.options) for step in steps}
    if len(sections) < len(steps):
        raise ConfigError(f"recovery: expected each step once, got {', '.join(step.name for step in steps)}")
    trainings = [name for name in sections if name in TRAININGS]
    if len(trainings) > 1:
        raise ConfigError(f"recovery: expected one way of training, got {' and '.join(trainings)}")
    if sections.get("batch_norm"):
        raise ConfigError(f"recovery.batch_norm.{next(iter(sections['batch_norm']))}: unknown key; it takes no options")
    function, training = None, None
    if trainings == ["custom"]:
        function = _function(sections["custom"], folder)
    elif trainings:
        training = _training(trainings[0], sections[trainings[0]])
    return RecoveryPlan(
        refit=options_of(RefitOptions, sections.get("refit", {}), "recovery.refit"),
        refit_all="refit" in sections,
        batch_norm="batch_norm" in sections,
        training=training,
        function=function,
    )


def _training(name: str, options: Mapping[str, Any]) -> Training:
    """Options of the plan and of the kind of training stand in one mapping."""
    where = f"recovery.{name}"
    kind = {"distillation": Distillation, "quantization_aware": QuantizationAwareOptions}.get(name)
    own = {field.name for field in dataclasses.fields(kind)} if kind is not None else set()
    plan = options_of(FineTuning, {key: value for key, value in options.items() if key not in own}, where)
    answers = Distillation()
    if name == "distillation":
        answers = options_of(Distillation, {key: options[key] for key in options if key in own}, where)
    aware = name == "quantization_aware"
    distil = name == "distillation" or (
        aware
        and options_of(QuantizationAwareOptions, {key: options[key] for key in options if key in own}, where).distil
    )
    return Training(plan, answers if distil else None, aware)


def _function(options: Mapping[str, Any], folder: Path | None) -> Any:
    """The user's own training function, called with (network, images, labels)."""
    if set(options) != {"import"} or not isinstance(options["import"], str):
        raise ConfigError(f"recovery.custom: expected {{import: 'package.module:function'}}, got {dict(options)}")
    function = import_object(options["import"], folder)
    if not callable(function):
        raise ConfigError(f"recovery.custom.import: '{options['import']}' is no function")
    return function
