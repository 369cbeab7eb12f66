"""The sections `space` and `recovery` of an experiment: what may be done to which layers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_serializer, model_validator

from moco.experiment.schema_base import Count, Seconds, Section
from moco.registry import BUILT_IN, names
from moco.suggest import nearest

KeepRatio = Annotated[float, Field(gt=0, le=1)]
KeepRatios = tuple[KeepRatio, KeepRatio]
Precision = Literal["float32", "int8", "mixed"]
Bits = Annotated[int, Field(ge=1, le=8)]
Ranking = Literal[
    "l1", "l2", "geometric_median", "batch_norm_scale", "taylor", "fisher", "fisher_greedy", "activation", "random"
]


class KeepConfig(Section):
    """A method with a ratio to keep."""

    keep: KeepRatios = (0.3, 1.0)

    @field_validator("keep")
    @classmethod
    def _in_order(cls, keep: tuple[float, float]) -> tuple[float, float]:
        if keep[0] > keep[1]:
            raise ValueError(f"expected [lowest, highest] ratio to keep, got {list(keep)}")
        return keep


class ChannelPruningConfig(KeepConfig):
    """Channel pruning: ranked by activation, readers refitted; `coupled` also prunes what several layers give."""

    coupled: bool = True


class FilterPruningConfig(ChannelPruningConfig):
    """Filter pruning by a ranking; `coupled` also prunes the channels that several layers give together."""

    rank: Ranking = "l1"


class QuantizationConfig(Section):
    """Precisions that a layer group may have, and the [fewest, most] bits of `mixed`."""

    precision: Annotated[tuple[Precision, ...], Field(min_length=1)] = ("float32", "int8")
    weight_bits: tuple[Bits, Bits] = (2, 8)
    activation_bits: tuple[Bits, Bits] = (4, 8)
    range: Literal["auto", "minmax", "percentile", "output_error"] = "auto"

    @field_validator("precision")
    @classmethod
    def _each_once(cls, precision: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(precision)) < len(precision):
            raise ValueError(f"expected each precision once, got {list(precision)}")
        return precision


class SpaceConfig(Section):
    """What may be done to which layers."""

    groups: Literal["per-layer", "per-block", "per-stage"] | dict[str, tuple[str, ...]] = "per-block"
    ignore: tuple[str, ...] = ()
    channel_multiple: Count | dict[Precision, Count] | None = None
    filter_pruning: FilterPruningConfig | None = None
    channel_pruning: ChannelPruningConfig | None = None
    factorisation: KeepConfig | None = None
    sparsity: KeepConfig | None = None
    quantization: QuantizationConfig | None = None
    choose: bool = False
    widths: Literal["all", "paying"] = "all"
    drop_losing: bool = False
    probe_seconds: Seconds = 60.0
    sensitivity: str | None = None

    @model_validator(mode="after")
    def _some_method(self) -> SpaceConfig:
        methods = ("filter_pruning", "channel_pruning", "factorisation", "sparsity", "quantization")
        if all(getattr(self, name) is None for name in methods):
            raise ValueError(f"expected at least one of {', '.join(map(repr, methods))}, got none")
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
