"""Stages that contradict each other, refused before the first of them is searched."""

from __future__ import annotations

from collections.abc import Sequence

from moco.certification.certificate import Floor
from moco.compression.methods.method import Method
from moco.errors import ConfigError
from moco.experiment.loading import STAGES
from moco.experiment.schema import Experiment
from moco.experiment.schema_baselines import SiblingConfig
from moco.guarded_objective import terms_of

Titled = Sequence[tuple[str, Experiment]]
"""Stages by their titles, each as an experiment of its own methods alone."""


def check_together(stages: Titled) -> None:
    """Pass stages of which none changes what an earlier one has fixed; a ConfigError says which does, and what to do."""
    earlier: list[tuple[str, Method]] = []
    for place, (title, experiment) in enumerate(stages):
        where = f"{STAGES}[{place}] ('{title}')"
        if experiment.space.choose:
            raise ConfigError("space.choose: a network in stages takes the methods of all of them; leave it out")
        for method in experiment.plugins.methods:
            for of, fixed in earlier:
                _check_pair(where, method, of, fixed)
        earlier += [(title, method) for method in experiment.plugins.methods]
        if place < len(stages) - 1:
            _check_goes_on(where, experiment)
    _check_floors(stages)


def _check_pair(where: str, method: Method, of: str, fixed: Method) -> None:
    if method.name == fixed.name:
        raise ConfigError(
            f"{where}: space.{method.name}: stage '{of}' has fixed what '{method.name}' does; search it in one stage"
        )
    if method.removes_channels and fixed.removes_channels:
        raise ConfigError(
            f"{where}: space.{method.name}: would remove channels again, whose number '{fixed.name}' has fixed in stage "
            f"'{of}'; search one of them"
        )
    if _turn(method) < _turn(fixed):
        raise ConfigError(
            f"{where}: space.{method.name}: would change layers that '{fixed.name}' has fixed in stage '{of}'; put the "
            f"stage of '{method.name}' before it"
        )


def _turn(method: Method) -> int:
    """When a method acts on a network: what comes later counts on what came before."""
    if method.removes_branches:
        return 0
    if method.removes_channels:
        return 1
    if method.changes_structure:
        return 2
    return 3 if method.changes_weights else 4


def _check_goes_on(where: str, experiment: Experiment) -> None:
    """Pass a stage whose delivery is certainly of the network that the next one begins with."""
    for place, baseline in enumerate(experiment.baselines):
        if isinstance(baseline, SiblingConfig) and baseline.candidate:
            raise ConfigError(
                f"{where}: baselines[{place}].candidate: a sibling may be delivered by the last stage alone, as no stage "
                "can go on from another network"
            )


def _check_floors(stages: Titled) -> None:
    """Pass floors of which none asks for more than the last one: that one is what is promised in the end."""
    floors = [_floor(experiment) for _, experiment in stages]
    last = floors[-1]
    for (title, _), floor in zip(stages[:-1], floors[:-1], strict=True):
        if floor is not None and last is not None and floor.relative == last.relative and floor.value > last.value:
            raise ConfigError(
                f"{STAGES}: the floor of stage '{title}', {floor}, is higher than that of the last one, {last}, which "
                "alone is promised; lower the one or raise the other"
            )


def _floor(experiment: Experiment) -> Floor | None:
    constraint = terms_of(experiment.plugins.objective.made()).floor
    return None if constraint is None else Floor.of(constraint)
