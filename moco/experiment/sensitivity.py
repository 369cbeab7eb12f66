"""How much each layer of an experiment's network bears before a search, and the layer groups that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from moco.analysis.sensitivity.curve_decisions import clusters
from moco.analysis.sensitivity.layer_sensitivity import (
    KEEP,
    WEIGHT_BITS,
    Levels,
    Seen,
    Sensitivity,
    analyse,
    to_json,
)
from moco.compression.compressor import Compressor
from moco.compression.space.layer_groups import PER_LAYER, grouped
from moco.errors import ConfigError
from moco.experiment.build import Overrides, build_job, untracked
from moco.experiment.schema import Experiment
from moco.run.job import Job

IMAGES = 256
OTHERS = "others"  # the group of layers whose channels cannot be pruned, where they may still choose a precision


@dataclass(frozen=True)
class LayerStudy:
    """A single-layer study and the groups that follow from it."""

    name: str
    sensitivity: Sensitivity
    layers: Mapping[str, tuple[str, ...]]  # by group, all its layers: coupled ones are named together
    ignored: tuple[str, ...]  # layers to leave alone
    yaml: str  # both as lines of an experiment

    def to_json(self) -> dict[str, Any]:
        """The content of sensitivity.json, with the groups."""
        groups = {name: list(layers) for name, layers in self.layers.items()}
        return {**to_json(self.sensitivity), "name": self.name, "groups": groups, "ignored": list(self.ignored)}


def studied(
    experiment: Experiment,
    images: int | None = None,
    *,
    count: int | None = None,
    modules: Path | None = None,
    levels: Levels | None = None,
    seen: Seen | None = None,
) -> LayerStudy:
    """The study of an experiment's network on `images` of its calibration split; None takes 256, or all of fewer.

    It finds `count` groups, or as many as the layers are unlike; `modules` is searched for the user's own modules. A
    MocoError where the network cannot be built or traced, there are fewer images, or `levels` lacks the parameter that
    layers are grouped by.
    """
    methods = experiment.plugins.methods
    prunes = any(method.removes_channels for method in methods)
    grouping = KEEP if prunes else WEIGHT_BITS
    if levels is not None and not (levels.keep if prunes else levels.weight_bits):
        raise ConfigError(f"--parameters: layer groups are found by '{grouping}' for this experiment; name it too")
    job = build_job(untracked(experiment), Path("run"), Overrides(folder=modules))
    rows = _rows(job, images)
    compressor = Compressor.of(job.network.eval(), torch.zeros(2, *job.data.train.shape))
    found = grouped(job.network, compressor.counts, compressor.graph, PER_LAYER, job.plan.space.ignore)
    layers = [layer for group in found for layer in group.layers]
    batch = job.data.train.images(job.data.splits.calibration[:rows])
    sensitivity = analyse(compressor, batch, layers, levels, seen=seen)
    suggested = clusters(_curves(sensitivity, grouping), count)
    members, ignored = dict(suggested.groups), suggested.ignored
    if prunes:
        members = {name: _expanded(compressor, leaders) for name, leaders in members.items()}
        ignored = _expanded(compressor, ignored)
    named = {*ignored, *(layer for group in members.values() for layer in group)}
    others = tuple(layer for layer in layers if layer not in named)
    if others and any(method.precisions for method in methods):
        members[OTHERS] = others
    text = _yaml(members, [*job.plan.space.ignore, *ignored], suggested.rule)
    return LayerStudy(job.plan.name, sensitivity, members, ignored, text)


def _rows(job: Job, asked: int | None) -> int:
    available = len(job.data.splits.calibration)
    if asked is None:
        return min(IMAGES, available)
    if not 1 <= asked <= available:
        raise ConfigError(
            f"--images: expected 1 to {available}, the size of data.splits.calibration, got {asked}; "
            "raise it with --set data.splits.calibration=N"
        )
    return asked


def _curves(sensitivity: Sensitivity, parameter: str) -> dict[str, tuple[float, ...]]:
    """By layer, divergences at the levels that change something."""
    found = [curve for curve in sensitivity.curves if curve.parameter == parameter]
    whole = 1.0 if parameter == KEEP else None
    pairs = {curve.layer: zip(curve.levels, curve.divergences, strict=True) for curve in found}
    return {layer: tuple(d for level, d in levels if level != whole) for layer, levels in pairs.items()}


def _expanded(compressor: Compressor, leaders: Sequence[str]) -> tuple[str, ...]:
    """All layers that give the channels of these groups, in forward order: they are pruned where all are named."""
    givers = {layer for leader in leaders for layer in compressor.graph.groups[leader].producers}
    return tuple(dict.fromkeys(layer.name for layer in compressor.counts.layers if layer.name in givers))


def _yaml(groups: Mapping[str, Sequence[str]], ignore: Sequence[str], rule: str) -> str:
    space: dict[str, object] = {"groups": {name: list(layers) for name, layers in groups.items()}}
    if ignore:
        space["ignore"] = list(dict.fromkeys(ignore))
    lines = yaml.safe_dump({"space": space}, sort_keys=False, default_flow_style=None, width=110)
    comment = "".join(f"# {part}\n" for part in f"g1 bears most; {rule}".split("; "))
    return comment + lines
