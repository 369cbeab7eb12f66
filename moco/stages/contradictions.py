"""Stages that contradict each other, refused before the first of them is searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moco.compression.methods.method import Method
from moco.errors import ConfigError
from moco.experiment.loading import STAGES
from moco.experiment.schema import Experiment
from moco.experiment.schema_baselines import SiblingConfig

CERTIFICATE, ATTEMPTS = "certificate", "attempts"
BASES = ("base", "base_weights")
Titled = Sequence[tuple[str, Experiment]]
"""Stages by their titles, each as an experiment of its own methods alone."""


def check_together(stages: Titled) -> None:
    """Pass stages of which none changes what an earlier one has fixed; a ConfigError says which does: what to do."""
    earlier: list[tuple[str, Method]] = []
    for place, (title, experiment) in enumerate(stages):
        where = f"{STAGES}[{place}] ('{title}')"
        if experiment.space.choose:
            raise ConfigError("space.choose: a network in stages takes the methods of all; leave it out")
        for method in experiment.plugins.methods:
            for of, fixed in earlier:
                _check_pair(where, method, of, fixed)
        earlier += [(title, method) for method in experiment.plugins.methods]
        if place < len(stages) - 1:
            _check_goes_on(where, experiment)


def _check_pair(where: str, method: Method, of: str, fixed: Method) -> None:
    if method.name == fixed.name:
        raise ConfigError(
            f"{where}: space.{method.name}: stage '{of}' has fixed what '{method.name}' does; search it in one stage"
        )
    if method.removes_channels and fixed.removes_channels:
        raise ConfigError(
            f"{where}: space.{method.name}: would remove channels again, whose number '{fixed.name}' has fixed in "
            f"stage '{of}'; search one of them"
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
                f"{where}: baselines[{place}].candidate: a sibling may be delivered by the last stage alone, as no "
                "stage can go on from another network"
            )


def check_attempts(where: str, given: Mapping[str, Any]) -> None:
    """Pass what a stage that others follow says of its certificate: it may test one network, the one it hands on.

    One that chose among several on the certification images would hand on what those images liked, and the last
    stage's certificate would be about images that the network was chosen on.
    """
    certificate = given.get(CERTIFICATE)
    attempts = certificate.get(ATTEMPTS, 1) if isinstance(certificate, Mapping) else 1
    if attempts != 1:
        raise ConfigError(
            f"{where}: {CERTIFICATE}.{ATTEMPTS}: expected 1 in a stage that others follow, got {attempts!r}: the last "
            "certificate is about images that no stage has chosen its network on; try several in the last stage"
        )


def refuse_base(space: object) -> None:
    """Pass an experiment that leaves it to its stages what they begin with."""
    given = space if isinstance(space, Mapping) else {}
    for key in BASES:
        if given.get(key) is not None:
            raise ConfigError(
                f"space.{key}: with `{STAGES}`, each stage begins with what the one before it delivered; leave it out"
            )
