"""What all sections of an experiment have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=1_000_000)]
"""Of trials, images, classes, epochs and attempts: beyond a million it is a slip of the pen."""
Positive = Annotated[float, Field(gt=0, le=1e9)]
Seconds = Annotated[float, Field(gt=0, le=1e8)]
"""At most three years."""
Pixels = Annotated[int, Field(ge=1, le=16_384)]
Rate = Annotated[float, Field(gt=0, le=100)]
"""A learning rate."""
Seed = Annotated[int, Field(ge=0, le=2**53)]
"""JSON and databases keep such a number exactly."""


class Section(BaseModel):
    """A mapping of the YAML: unknown keys and values of another type are refused, nothing is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PluginSection(Section):
    """A section whose further keys are the options of the plug-in that it names."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    @property
    def further(self) -> dict[str, Any]:
        """The keys that are not moco's own, as written."""
        return dict(self.model_extra or {})
