"""The section `baselines` of an experiment: networks made without a search, that its report shows beside the result."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from moco.errors import nearest
from moco.experiment.schema_base import Count, Rate, Seconds, Section
from moco.experiment.schema_network import ModelConfig

STATIC = "quantize_static"


class SiblingConfig(ModelConfig):
    """A smaller network that was trained apart: what the section `model` takes, its name under the key `model`."""

    name: str | None = Field(default=None, alias="model")
    candidate: bool = False  # whether it may be delivered


class RecipeConfig(Section):
    """What an engineer does by hand; either `epochs` or `processor_seconds` ends the training."""

    drop: Count
    epochs: Annotated[float, Field(gt=0, le=100_000)] | None = None
    processor_seconds: Seconds | None = None
    learning_rate: Rate = 0.01
    flip: bool = False
    shift: Annotated[int, Field(ge=0, le=1000)] = 0

    @model_validator(mode="after")
    def _one_end(self) -> RecipeConfig:
        if (self.epochs is None) == (self.processor_seconds is None):
            came = "neither" if self.epochs is None else "both"
            raise ValueError(f"expected either 'epochs' or 'processor_seconds', got {came}")
        return self


class ByHandConfig(Section):
    """The recipe."""

    by_hand: RecipeConfig


_KINDS: dict[str, type[Section]] = {"by_hand": ByHandConfig, "model": SiblingConfig, "import": SiblingConfig}


def _kind(given: object) -> str:
    """The kind that a value is of, so that no other one complains of it."""
    named = next((kind for key, kind in _KINDS.items() if isinstance(given, dict) and key in given), type(given))
    return named.__name__ if issubclass(named, Section) else STATIC


BaselineConfig = Annotated[
    Annotated[Literal["quantize_static"], Tag(STATIC)]
    | Annotated[SiblingConfig, Tag(SiblingConfig.__name__)]
    | Annotated[ByHandConfig, Tag(ByHandConfig.__name__)],
    Discriminator(_kind),
]


def check_baseline(given: object) -> None:
    """Pass what is of one of the kinds and has its keys; a ValueError says what came instead."""
    expected = f"expected '{STATIC}', {{model: …}}, {{import: …}} or {{by_hand: {{…}}}}, got {given!r}"
    if isinstance(given, str):
        if given != STATIC:
            raise ValueError(f"{expected}{nearest(given, (STATIC, *_KINDS))}")
    elif isinstance(given, dict):
        kind = next((kind for key, kind in _KINDS.items() if key in given), None)
        if kind is None:
            raise ValueError(expected)
        _check_keys(given, kind)
        if kind is ByHandConfig and isinstance(given["by_hand"], dict):
            _check_keys(given["by_hand"], RecipeConfig)
    elif not isinstance(given, (SiblingConfig, ByHandConfig)):
        raise ValueError(expected)  # noqa: TRY004, pydantic takes a ValueError


def _check_keys(given: dict[str, Any], kind: type[Section]) -> None:
    known = [field.alias or name for name, field in kind.model_fields.items()]
    for key in given:
        if key not in known:
            raise ValueError(f"unknown key '{key}'{nearest(str(key), known)}")
