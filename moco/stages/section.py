"""What a stage may say: the sections that it has in place of the experiment's, with one line for what does not fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from moco.errors import ConfigError, nearest
from moco.experiment.explain import explain, refuse_unknown_keys, refuse_what_is_not_plain
from moco.experiment.loading import STAGES
from moco.experiment.schema import (
    NAME,
    BudgetConfig,
    CertificateConfig,
    FinalistsConfig,
    ObjectiveConfig,
    SearcherConfig,
)
from moco.experiment.schema_base import Count, PluginSection, Section
from moco.experiment.schema_baselines import BaselineConfig
from moco.experiment.schema_space import LimitConfig, RecoverySection, SpaceConfig
from moco.setting_owners import method_names

OF_ALL = ("model", "data", "target", "seed", "store", "tracking", "folder", "compare", "before_recovery", "student")
"""Sections of an experiment that are the same in all of its stages."""


class StageSpace(PluginSection):
    """The methods that a stage searches, each with its options; those of the stages before it stay as found."""

    limits: dict[str, LimitConfig] | None = None

    @staticmethod
    def further_keys() -> list[str]:
        """The names that it takes besides its own: those of the registered methods."""
        return method_names()

    @model_validator(mode="after")
    def _some_method(self) -> StageSpace:
        if not any(options is not None for options in self.further.values()):
            raise ValueError(f"expected a method for the stage to search ({', '.join(method_names())}), got none")
        return self


class StageSection(Section):
    """A stage. What it leaves out it has from the experiment."""

    name: str | None = None  # of its run folder; by default its methods
    space: StageSpace
    recovery: tuple[RecoverySection, ...] | None = None
    objective: ObjectiveConfig | None = None
    searcher: SearcherConfig | None = None
    budget: BudgetConfig | None = None
    finalists: bool | FinalistsConfig | None = None
    certificate: CertificateConfig | None = None
    baselines: tuple[BaselineConfig, ...] | None = None
    workers: Count | None = None

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str | None) -> str | None:
        if name is not None and (not NAME.match(name) or "." in name):
            raise ValueError(f"expected letters, digits and _ + - (it names the stage's folder), got {name!r}")
        return name

    @property
    def title(self) -> str:
        """Its name."""
        return self.name or "+".join(name for name, options in self.space.further.items() if options is not None)


class StagesSection(Section):
    """All stages, in their order."""

    stages: Annotated[tuple[StageSection, ...], Field(min_length=1)]


def stages_in(given: object) -> tuple[StageSection, ...]:
    """The stages of a file's section, keys and types checked; a ConfigError says in one line what is wrong where."""
    if not isinstance(given, list) or not given:
        came = "an empty list" if given == [] else repr(given)
        raise ConfigError(f"{STAGES}: expected a list of stages, each with `space` and a method, got {came}")
    refuse_what_is_not_plain(given, STAGES)
    for place, stage in enumerate(given):
        _check_keys(stage, f"{STAGES}[{place}]")
    data = {STAGES: given}
    try:
        found = StagesSection.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise explain(error, data) from None
    _check_names([stage.title for stage in found.stages])
    return found.stages


def _check_keys(stage: object, where: str) -> None:
    if not isinstance(stage, dict):
        raise ConfigError(f"{where}: expected a mapping with `space` and a method, got {stage!r}")
    for key in stage:
        if key in OF_ALL:
            raise ConfigError(
                f"{where}.{key}: is the same in all stages; write it in the experiment, beside `{STAGES}`"
            )
    space, known = stage.get("space"), [*StageSpace.model_fields, *method_names()]
    for key in space if isinstance(space, dict) else ():
        if key not in known:
            shared = key in SpaceConfig.model_fields
            more = "; what is the same in all stages stands in the experiment" if shared else nearest(str(key), known)
            raise ConfigError(f"{where}.space.{key}: expected a method, or `limits`{more}")
    refuse_unknown_keys(StageSection, stage, where)


def _check_names(titles: Sequence[str]) -> None:
    for place, title in enumerate(titles):
        if title in titles[:place]:
            raise ConfigError(
                f"{STAGES}[{place}].name: '{title}' is the name of another stage already; give it its own"
            )


def methods_among(space: Any) -> list[str]:
    """The methods that the experiment's own space declares, where it should leave them to its stages."""
    return [name for name in method_names() if isinstance(space, dict) and space.get(name) is not None]
