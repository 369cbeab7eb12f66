"""How much the outputs change when one layer is compressed by one parameter and all else stays (S3.20-S3.22).

Omega = the mean over images of KL(original || compressed) between class distributions, in nats. (Galen's paper writes
the other direction; its code computes this one.) Batch-norms are folded first, as in the exported file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from moco.analysis.sensitivity.prefix_reuse import BATCH, Engine, Journey, Variation, engine_of
from moco.analysis.sensitivity.variations import (
    Ranges,
    in_int8,
    pruned,
    touched,
    watching,
    with_activation_bits,
    with_weight_bits,
)
from moco.compression.channels.branch_removal import leaving_out
from moco.compression.channels.branches import Branch
from moco.compression.channels.groups import ChannelGroup
from moco.compression.collecting import kl_divergence
from moco.compression.compressor import Compressor
from moco.compression.methods.filter_pruning import kept_channels, rounded_width
from moco.errors import CompressionError, ConfigError, DataError, MeasurementError, in_one_line, nearest
from moco.export.folding import fold, foldable_pairs
from moco.text_file import read_text

FORMAT = 1
MOST_BYTES = 64 * 1024 * 1024  # of a file
DIRECTION = "KL(original || compressed)"
KEEP, WEIGHT_BITS, ACTIVATION_BITS, INT8 = "keep", "weight_bits", "activation_bits", "int8"
BRANCHES = "branches"
PARAMETERS = (KEEP, WEIGHT_BITS, ACTIVATION_BITS, INT8, BRANCHES)
KEEP_RATIOS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
ALL_BITS = (8, 7, 6, 5, 4, 3, 2, 1)

Seen = Callable[[int, int], None]
"""Told after every forward pass how many are done, of how many."""


@dataclass(frozen=True)
class Curve:
    """Divergence of one layer under one parameter."""

    layer: str  # for `keep` the first layer of the coupled channels that are pruned, for `branches` a residual branch
    parameter: str  # `keep`, `weight_bits`, `activation_bits`, `int8` or `branches`
    levels: tuple[float, ...]  # keep ratios or bits, from light to heavy; 0 of a branch that is left out
    divergences: tuple[float, ...]  # KL in nats at each level

    def at(self, level: float) -> float | None:
        """The divergence at that level; None where it was not measured."""
        return next((d for found, d in zip(self.levels, self.divergences, strict=True) if found == level), None)


@dataclass(frozen=True)
class Sensitivity:
    """What a single-layer study found."""

    curves: tuple[Curve, ...]  # in the order of the forward pass
    layers: tuple[str, ...]
    owners: Mapping[str, str]  # by layer, the channel group of its outputs; layers that cannot be pruned lack
    images: int  # how many the divergences are a mean of
    inside: Mapping[str, str] = field(default_factory=dict)  # by layer, the residual branch that it lies in
    direction: str = DIRECTION
    seconds: float = 0.0
    whole_runs: str | None = None  # why the network was run whole each time; None where from each layer on

    def curve(self, layer: str, parameter: str) -> Curve | None:
        """The layer's curve, for `keep` that of the channels it gives, for `branches` that of its branch, or None."""
        owner = self.owners.get(layer) if parameter == KEEP else layer
        owner = self.inside.get(layer, layer) if parameter == BRANCHES else owner
        return next((c for c in self.curves if c.layer == owner and c.parameter == parameter), None)

    def keep_curves(self) -> dict[str, Curve]:
        """By channel group, its curve over the keep ratio."""
        return {curve.layer: curve for curve in self.curves if curve.parameter == KEEP}


@dataclass(frozen=True)
class Levels:
    """What is tried on each layer; empty leaves a parameter out."""

    keep: tuple[float, ...] = KEEP_RATIOS
    weight_bits: tuple[int, ...] = ALL_BITS
    activation_bits: tuple[int, ...] = ALL_BITS
    int8: bool = True
    branches: bool = True

    @staticmethod
    def of(parameters: Sequence[str]) -> Levels:
        """All levels of these parameters, none of the others; a ConfigError where a name is not one of `PARAMETERS`."""
        for name in parameters:
            if name not in PARAMETERS:
                raise ConfigError(
                    f"parameters: expected some of {', '.join(PARAMETERS)}, got '{name}'{nearest(name, PARAMETERS)}"
                )
        return Levels(
            keep=KEEP_RATIOS if KEEP in parameters else (),
            weight_bits=ALL_BITS if WEIGHT_BITS in parameters else (),
            activation_bits=ALL_BITS if ACTIVATION_BITS in parameters else (),
            int8=INT8 in parameters,
            branches=BRANCHES in parameters,
        )


@dataclass(frozen=True)
class _Probe:
    """One forward pass: the modules that it touches, and how their variation is made when it is its turn."""

    key: tuple[str, str, float]
    names: tuple[str, ...]
    variation: Callable[[], Variation]


@dataclass(frozen=True)
class _Study:
    compressor: Compressor
    network: nn.Module
    layers: tuple[str, ...]
    groups: tuple[ChannelGroup, ...]
    levels: Levels
    ranges: Mapping[str, Ranges] = field(default_factory=dict)

    def probes(self) -> Iterator[_Probe]:
        """All that is to be run, the reference left out; ratios that leave the same width are one probe."""
        for group in self.groups:
            names = touched(self.compressor.graph, group.name)
            widths = {rounded_width(group.channels, keep) for keep in self.levels.keep}
            for width in sorted(widths - {group.channels}, reverse=True):
                kept = kept_channels(self.compressor.ranking, {group.name: width})[group.name]
                made = partial(pruned, self.network, self.compressor.graph, group.name, kept)
                yield _Probe((group.name, KEEP, width), names, made)
        for layer in self.layers:
            for bits in self.levels.weight_bits:
                made = partial(with_weight_bits, self.network, layer, bits)
                yield _Probe((layer, WEIGHT_BITS, bits), (layer,), made)
            for bits in self.levels.activation_bits:
                made = partial(with_activation_bits, self.network, layer, bits, self.ranges[layer])
                yield _Probe((layer, ACTIVATION_BITS, bits), (layer,), made)
            if self.levels.int8:
                yield _Probe((layer, INT8, 8), (layer,), partial(in_int8, self.network, layer, self.ranges[layer]))

    def curves(self, found: Mapping[tuple[str, str, float], float]) -> Iterator[Curve]:
        """What was found, put together by layer and parameter in the order of the forward pass."""
        groups = {group.name: group for group in self.groups}
        for layer in dict.fromkeys((*self.layers, *groups)):
            if layer in groups:
                channels = groups[layer].channels
                widths = [rounded_width(channels, keep) for keep in self.levels.keep]
                values = [0.0 if width == channels else found[layer, KEEP, width] for width in widths]
                yield from _curve(layer, KEEP, self.levels.keep, values)
            for parameter, levels in (
                (WEIGHT_BITS, self.levels.weight_bits),
                (ACTIVATION_BITS, self.levels.activation_bits),
                (INT8, (8,) if self.levels.int8 else ()),
            ):
                yield from _curve(layer, parameter, levels, [found[layer, parameter, level] for level in levels])


def analyse(
    compressor: Compressor,
    images: np.ndarray,
    layers: Sequence[str],
    levels: Levels | None = None,
    *,
    seen: Seen | None = None,
    reuse: bool = True,
) -> Sensitivity:
    """The sensitivity of each layer to each parameter, all else as in the reference.

    The images (n, channels, height, width) are from the training set, not augmented; no label is used. The layers are
    convolutions and linear ones; channels are pruned where all of their producers are among them. Without `reuse` the
    whole network is run every time, to compare the time. A CompressionError where there is no image, or a name is no
    layer; a MeasurementError where a compressed network gives logits that are not finite.
    """
    began = time.perf_counter()
    _check(compressor, images, layers)
    batch = torch.from_numpy(np.ascontiguousarray(images))
    network = fold(compressor.network, foldable_pairs(compressor.network, batch[:2]))
    engine = engine_of(network, batch[:2], layers)
    watch, ranges = watching(network, layers)
    original = Journey(engine, batch, reuse=False).logits(watch)
    if not original.isfinite().all():
        raise MeasurementError("sensitivity: the network's own logits on these images are not finite; are the images?")
    groups = tuple(g for g in compressor.graph.groups.values() if set(layers).issuperset(g.producers))
    study = _Study(compressor, network, tuple(layers), groups, levels or Levels(), ranges)
    branches = (
        [b for b in compressor.graph.branches.all if set(layers).issuperset(b.layers)] if study.levels.branches else []
    )
    probes = list(study.probes())
    more = (lambda done, total: seen(done, total + len(branches))) if seen is not None else None
    found = _measured(engine, Journey(engine, batch, reuse=reuse), original, probes, more)
    without = _without_each(compressor.network, branches, batch, original, partial(_counted, seen, len(probes)))
    return Sensitivity(
        curves=(*study.curves(found), *without),
        layers=tuple(layers),
        owners={name: group.name for group in groups for name in group.producers},
        images=len(batch),
        inside={layer: branch.name for branch in branches for layer in branch.layers},
        seconds=time.perf_counter() - began,
        whole_runs=engine.why_whole,
    )


def _without_each(
    network: nn.Module, branches: Sequence[Branch], images: Tensor, original: Tensor, told: Seen
) -> list[Curve]:
    """The divergence without each of the branches, the network being run whole: they are few."""
    found = []
    for done, branch in enumerate(branches, start=1):
        with torch.no_grad(), leaving_out(network, [branch.removal]):
            logits = torch.cat([network(part) for part in torch.split(images, BATCH)])
        if not torch.isfinite(logits).all():
            raise MeasurementError(f"sensitivity: without the branch '{branch.name}' logits are not finite numbers")
        found.append(Curve(branch.name, BRANCHES, (0.0,), (kl_divergence(original, logits),)))
        told(done, len(branches))
    return found


def _counted(seen: Seen | None, before: int, done: int, total: int) -> None:
    if seen is not None:
        seen(before + done, before + total)


def features(sensitivity: Sensitivity) -> dict[str, dict[str, float]]:
    """By layer, its divergences by name, such as `kl_keep_0.5` and `kl_weight_bits_4`: what a searcher may look at.

    A layer that cannot be pruned has none for `keep`; coupled layers share those of their channels.
    """
    found: dict[str, dict[str, float]] = {}
    for layer in sensitivity.layers:
        found[layer] = {}
        for parameter in (KEEP, WEIGHT_BITS, ACTIVATION_BITS, INT8):
            curve = sensitivity.curve(layer, parameter)
            if curve is not None:
                for level, divergence in zip(curve.levels, curve.divergences, strict=True):
                    suffix = "" if parameter == INT8 else f"_{level:g}"
                    found[layer][f"kl_{parameter}{suffix}"] = divergence
    return found


def to_json(sensitivity: Sensitivity) -> dict[str, Any]:
    """The study as it is written to sensitivity.json."""
    return {"format": FORMAT, **asdict(sensitivity)}


def read_sensitivity(path: Path) -> Sensitivity:
    """The study in a sensitivity.json; a DataError where that is missing, malformed, or of another format."""
    try:
        data = json.loads(read_text(path, MOST_BYTES))
        if data.pop("format") != FORMAT:
            raise DataError(f"{path}: expected a sensitivity.json of format {FORMAT}")
        curves = [
            Curve(str(c["layer"]), str(c["parameter"]), _numbers(c["levels"]), _numbers(c["divergences"]))
            for c in data.pop("curves")
        ]
        return Sensitivity(curves=tuple(curves), layers=tuple(data.pop("layers")), **data)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; `moco sensitivity` writes such a file") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: expected what `moco sensitivity` writes: {in_one_line(error)}") from None


def _measured(
    engine: Engine, journey: Journey, original: Tensor, probes: list[_Probe], seen: Seen | None
) -> dict[tuple[str, str, float], float]:
    """The divergence of each probe, in the order in which the network meets what they touch."""
    found = {}
    for done, probe in enumerate(sorted(probes, key=lambda probe: engine.place(probe.names)), start=1):
        journey.to(probe.names)
        logits = journey.logits(probe.variation())
        if not torch.isfinite(logits).all():
            layer, parameter, level = probe.key
            raise MeasurementError(
                f"sensitivity: with {parameter} {level:g} in '{layer}' logits are not finite numbers"
            )
        found[probe.key] = kl_divergence(original, logits)
        if seen is not None:
            seen(done, len(probes))
    return found


def _curve(layer: str, parameter: str, levels: Sequence[float], values: Sequence[float]) -> Iterator[Curve]:
    if levels:
        yield Curve(layer, parameter, tuple(float(level) for level in levels), tuple(values))


def _numbers(given: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(number) for number in given)


def _check(compressor: Compressor, images: np.ndarray, layers: Sequence[str]) -> None:
    known = {layer.name for layer in compressor.counts.layers}
    unknown = [name for name in layers if name not in known]
    if unknown:
        raise CompressionError(f"sensitivity: '{unknown[0]}' is no convolution or linear layer of the network")
    if not len(images):
        raise CompressionError("sensitivity: expected at least one image, got none")
