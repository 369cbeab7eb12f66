"""The sections `space` and `recovery` of an experiment: what may be done to which layers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_serializer, model_validator

from moco.errors import nearest
from moco.experiment.schema_base import Count, PluginSection, Seconds, Section
from moco.registry import BUILT_IN, names
from moco.setting_owners import method_names

Precision = Literal["float32", "int8", "mixed"]


Value = str | bool | int | float


class LimitConfig(Section):
    """What one parameter may be: `min`, `max` or both, or its `values`."""

    min: float | None = None
    max: float | None = None
    values: Annotated[tuple[Value, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> LimitConfig:
        ends = self.min is not None or self.max is not None
        if ends == (self.values is not None):
            raise ValueError(f"expected 'values', or 'min' and 'max', got {'both' if ends else 'neither'}")
        return self


class SpaceConfig(PluginSection):
    """What may be done to which layers; further keys are names of methods, each with its options."""

    groups: Literal["per-layer", "per-block", "per-stage"] | dict[str, tuple[str, ...]] = "per-block"
    ignore: tuple[str, ...] = ()
    channel_multiple: Count | dict[Precision, Count] | None = None
    choose: bool = False
    widths: Literal["all", "paying"] = "all"
    drop_losing: bool = False
    probe_seconds: Seconds = 60.0
    sensitivity: str | None = None
    base: str | None = None  # a policy.json, whose settings the search keeps
    base_weights: str | None = None  # a safetensors file of the base's network, from which candidates begin
    limits: dict[str, LimitConfig] | None = None  # by parameter, such as `g1.keep`

    @staticmethod
    def further_keys() -> list[str]:
        """The names that it takes besides its own: those of the registered methods."""
        return method_names()

    @property
    def declared(self) -> dict[str, Any]:
        """The options of the methods that are declared, as written, by name in the order of the registry."""
        given = {name: options for name, options in self.further.items() if options is not None}
        return {name: given[name] for name in method_names() if name in given}

    @model_validator(mode="after")
    def _some_method(self) -> SpaceConfig:
        if not self.declared:
            raise ValueError(f"expected at least one of {', '.join(map(repr, method_names()))}, got none")
        return self

    @model_validator(mode="after")
    def _base_of_weights(self) -> SpaceConfig:
        if self.base_weights is not None and self.base is None:
            raise ValueError("'base_weights' are of a 'base', and there is none; name the policy.json beside them")
        return self

    @field_validator("groups")
    @classmethod
    def _patterns(cls, groups: str | dict[str, tuple[str, ...]]) -> str | dict[str, tuple[str, ...]]:
        if not isinstance(groups, str) and not all(groups.values()):
            raise ValueError("expected at least one pattern in each group")
        if not groups:
            raise ValueError("expected at least one group")
        return groups


class RecoverySection(Section):
    """One step of recovery; in YAML its name alone, or {name: {option: value}}."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def further_keys(cls) -> list[str]:
        """Steps' names, which stand as keys where options are given."""
        return names("recovery_step")

    @field_validator("name")
    @classmethod
    def _registered(cls, name: str) -> str:
        steps = BUILT_IN["recovery_step"]
        if name not in steps and name not in (found := names("recovery_step")):
            *others, last = map(repr, dict.fromkeys((*steps, *found)))
            near = nearest(name, found)
            near = near if "did you mean" in near else ""
            raise ValueError(f"expected {', '.join(others)} or {last}, got {name!r}{near}")
        return name

    @model_validator(mode="before")
    @classmethod
    def _name_or_mapping(cls, given: object) -> object:
        if isinstance(given, str):
            return {"name": given}
        if isinstance(given, dict) and "name" not in given:
            if len(given) != 1 or not isinstance(next(iter(given.values())), dict):
                raise ValueError(f"expected a step's name, or {{name: {{option: value}}}}, got {given!r}")
            ((name, options),) = given.items()
            return {"name": name, "options": options}
        return given

    @model_serializer
    def _as_written(self) -> str | dict[str, Any]:
        return {self.name: self.options} if self.options else self.name
