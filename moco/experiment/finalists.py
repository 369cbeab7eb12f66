"""The section `finalists` of an experiment as the plan of their training."""

from __future__ import annotations

from moco.errors import ConfigError
from moco.experiment.options import options_of
from moco.experiment.schema import Experiment, FinalistsConfig
from moco.finalists.plan import FinalistsPlan, FinalistTraining

OF_THE_BUDGET = ("epochs", "seconds")
"""Options of a training that the budget decides for a finalist."""


def finalists_plan(experiment: Experiment) -> FinalistsPlan | None:
    """The plan; None where none are asked for. A ConfigError names what does not fit."""
    asked = experiment.finalists
    if asked is None or asked is False:
        return None
    section = asked if isinstance(asked, FinalistsConfig) else FinalistsConfig()
    for name in OF_THE_BUDGET:
        if name in section.training:
            raise ConfigError(f"finalists.training.{name}: leave it out, the budget says how long")
    if experiment.budget.processor_seconds is None and experiment.budget.seconds is None:
        raise ConfigError(
            "finalists: expected budget.processor_seconds or budget.seconds, got neither: how long finalists are "
            "trained is a share of it"
        )
    training = options_of(FinalistTraining, section.training, "finalists.training")
    given = section.model_dump(exclude_none=True, exclude={"training"})
    return FinalistsPlan(**given, training=training)
