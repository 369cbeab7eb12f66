"""Schedule files as the dissertation prints them (S2.07, figure 15): pruners, a decay of the learning rate, policies.

A schedule implies that filters are removed for good (S2.08): moco has no masks for them, so an `extensions` section,
where Distiller has its thinning, is read and adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from moco.errors import ConfigError, nearest
from moco.experiment.schema_base import Count, Section
from moco.sweep.reading import read

Epoch = Annotated[int, Field(ge=0, le=1_000_000)]
SPARSITY = Annotated[float, Field(ge=0, lt=1)]
PREFIX, SUFFIX = "module.", ".weight"
"""What Distiller's names have around those of layers: the first is that of a network on several GPUs."""


class Pruner(Section):
    """A pruner: one sparsity for all its layers, each of which ranks its own channels."""

    kind: Literal["L1RankedStructureParameterPruner", "L2RankedStructureParameterPruner"] = Field(alias="class")
    group_type: Literal["Filters", "Channels"]
    desired_sparsity: SPARSITY
    weights: Annotated[tuple[str, ...], Field(min_length=1)]


class LRScheduler(Section):
    """A decay of the learning rate by a factor."""

    kind: Literal["ExponentialLR"] = Field(alias="class")
    gamma: Annotated[float, Field(gt=0, le=1)]


class Extension(Section):
    """Distiller's thinning, which is what moco does anyway."""

    kind: Literal["FilterRemover", "ChannelRemover"] = Field(alias="class")
    thinning_func_str: str | None = None
    arch: str | None = None
    dataset: str | None = None


class When(Section):
    """Which instance acts, and when: at some epochs, or every so many from one to another."""

    instance_name: str
    epochs: tuple[Epoch, ...] | None = None
    starting_epoch: Epoch | None = None
    ending_epoch: Epoch | None = None
    frequency: Count | None = None


class Entry(Section):
    """A policy; Distiller has the epochs beside the instance, the dissertation within."""

    pruner: When | None = None
    lr_scheduler: When | None = None
    extension: When | None = None
    epochs: tuple[Epoch, ...] | None = None
    starting_epoch: Epoch | None = None
    ending_epoch: Epoch | None = None
    frequency: Count | None = None

    @model_validator(mode="after")
    def _one_instance(self) -> Entry:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join(KINDS)}, got {' and '.join(given) or 'none'}")
        return self

    @property
    def acts(self) -> tuple[str, When]:
        """The kind of its instance, and when that acts."""
        kind = next(kind for kind in KINDS if getattr(self, kind) is not None)
        when: When = getattr(self, kind)
        beside = {name: value for name in TIMES if (value := getattr(self, name)) is not None}
        return kind, when.model_copy(update=beside)


TIMES = ("epochs", "starting_epoch", "ending_epoch", "frequency")
KINDS = ("pruner", "lr_scheduler", "extension")


class Schedule(Section):
    """A whole schedule."""

    pruners: Annotated[dict[str, Pruner], Field(min_length=1)]
    lr_schedulers: dict[str, LRScheduler] = Field(default_factory=dict)
    extensions: dict[str, Extension] = Field(default_factory=dict)
    policies: Annotated[tuple[Entry, ...], Field(min_length=1)]

    @property
    def decay(self) -> tuple[LRScheduler, When] | None:
        """The decay of the learning rate and when it acts; None without one."""
        found = [when for kind, when in self.acting if kind == "lr_scheduler"]
        return (self.lr_schedulers[found[0].instance_name], found[0]) if found else None

    @property
    def acting(self) -> Iterator[tuple[str, When]]:
        """Kind and times of each policy."""
        return (entry.acts for entry in self.policies)

    @property
    def written(self) -> dict[str, Any]:
        """The content of a file that says the same."""
        written: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {key: value for key, value in written.items() if value}

    def layers(self) -> dict[str, tuple[str, ...]]:
        """By pruner, the names of its layers."""
        return {name: tuple(map(layer_of, pruner.weights)) for name, pruner in self.pruners.items()}


def read_schedule(path: Path) -> tuple[Schedule, tuple[str, ...]]:
    """The schedule of a file, and notes of slips put right; a ConfigError says in one line what is wrong and where."""
    found, notes = read(path, Schedule, "'pruners' and 'policies'")
    try:
        _check_policies(found)
        _check_weights(found)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return found, notes


def layer_of(weight: str) -> str:
    """The name of the layer whose weight that is."""
    return weight.removeprefix(PREFIX).removesuffix(SUFFIX)


def _check_policies(schedule: Schedule) -> None:
    defined: dict[str, Mapping[str, Section]] = {
        "pruner": schedule.pruners,
        "lr_scheduler": schedule.lr_schedulers,
        "extension": schedule.extensions,
    }
    used: list[tuple[str, str]] = []
    for place, (kind, when) in enumerate(schedule.acting):
        where, name = f"policies[{place}].{kind}", when.instance_name
        if name not in defined[kind]:
            raise ConfigError(f"{where}: no {kind} '{name}' is defined{nearest(name, defined[kind])}")
        if kind == "pruner" and when.epochs != (0,):
            raise ConfigError(
                f"{where}: expected epochs: [0], since moco prunes once, before it trains; got {_told(when)}"
            )
        used.append((kind, name))
    for name in schedule.pruners:
        if used.count(("pruner", name)) != 1:
            raise ConfigError(f"policies: expected one for the pruner '{name}', got {used.count(('pruner', name))}")
    decays = [(n, when) for n, (kind, when) in enumerate(schedule.acting) if kind == "lr_scheduler"]
    if len(decays) > 1:
        raise ConfigError(f"policies[{decays[1][0]}]: expected one lr_scheduler at most, got {len(decays)}")
    for place, when in decays:
        if when.starting_epoch is None or when.ending_epoch is None or when.starting_epoch >= when.ending_epoch:
            expected = "expected a starting_epoch below an ending_epoch"
            raise ConfigError(f"policies[{place}].lr_scheduler: {expected}, got {_told(when)}")


def _told(when: When) -> str:
    given = when.model_dump(exclude_none=True, exclude={"instance_name"})
    return ", ".join(f"{name}: {value}" for name, value in given.items()) or "none"


def _check_weights(schedule: Schedule) -> None:
    owners: dict[str, str] = {}
    for name, pruner in schedule.pruners.items():
        for place, weight in enumerate(pruner.weights):
            where = f"pruners.{name}.weights[{place}]"
            if not weight.endswith(SUFFIX) or any(one in weight for one in "*?["):
                raise ConfigError(
                    f"{where}: expected the name of a layer's weight, such as module.conv1.weight, got {weight!r}"
                )
            layer = layer_of(weight)
            if layer in owners:
                raise ConfigError(f"{where}: '{layer}' is one of the pruner '{owners[layer]}' already")
            owners[layer] = name
