"""Sweep files as the dissertation prints them (S2.09, its figure 17): a method, a metric, and ranges of parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from moco.experiment.schema_base import Count, Section
from moco.sweep.reading import read

Value = str | float | int


class Metric(Section):
    """What is searched for."""

    name: str
    goal: Literal["minimize", "maximize"]


class Range(Section):
    """What a parameter may be: a range of numbers, some values, or one value."""

    min: float | None = None
    max: float | None = None
    values: Annotated[tuple[Value, ...], Field(min_length=1)] | None = None
    value: Value | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Range:
        forms = [self.min is not None or self.max is not None, self.values is not None, self.value is not None]
        if sum(forms) != 1:
            raise ValueError("expected either min and max, or values, or value")
        if forms[0] and (self.min is None or self.max is None or self.min >= self.max):
            raise ValueError(f"expected a min below a max, got {self.min} and {self.max}")
        return self

    @property
    def choices(self) -> tuple[Value, ...] | None:
        """The single values; None where it is a range."""
        return (self.value,) if self.value is not None else self.values


class Sweep(Section):
    """A whole sweep. Nothing is run of the `program`: moco is the pipeline."""

    program: str | None = None
    name: str | None = None
    description: str | None = None
    method: Literal["grid", "random", "bayes"]
    metric: Metric
    parameters: Annotated[dict[str, Range], Field(min_length=1)]
    run_cap: Count | None = None  # the most trials


def read_sweep(path: Path) -> tuple[Sweep, tuple[str, ...]]:
    """The sweep of a file, and notes of slips put right; a ConfigError says in one line what is wrong and where."""
    return read(path, Sweep, "'method', 'metric' and 'parameters'")
