"""Options of spaces in few words, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moco.compression.collecting import CalibrationData
from moco.compression.compressor import Compressor
from moco.compression.counting import Counts
from moco.compression.methods.channel_pruning import ChannelPruning, ChannelPruningOptions
from moco.compression.methods.factorisation import Factorisation, FactorisationOptions
from moco.compression.methods.filter_pruning import FilterPruning, FilterPruningOptions
from moco.compression.methods.method import Method
from moco.compression.methods.quantization import Quantization, QuantizationOptions
from moco.compression.methods.sparsity import Sparsity, SparsityOptions
from moco.compression.space.layer_groups import Grouped
from moco.compression.space.network_space import SpaceOptions
from moco.registry import plugin

Bounds = tuple[float, float]
PRUNING = {"filter_pruning": (FilterPruning, FilterPruningOptions),
           "channel_pruning": (ChannelPruning, ChannelPruningOptions)}  # fmt: skip


def options_of(
    keep: Bounds | None = (0.3, 1.0),
    pruning: Sequence[str] = ("filter_pruning",),
    coupled: bool = True,
    rank: Bounds | None = None,
    density: Bounds | None = None,
    precisions: tuple[str, ...] = (),
    bits: Mapping[str, tuple[int, int]] | None = None,
    further: Sequence[Method] = (),
    **others: Any,
) -> SpaceOptions:
    """Filter pruning, or what else is asked for; `bits` are options of quantization, `further` more methods."""
    methods: list[Method] = []
    if keep is not None:
        methods += [method(options(keep=keep, coupled=coupled)) for method, options in map(PRUNING.get, pruning)]
    if rank is not None:
        methods.append(Factorisation(FactorisationOptions(rank)))
    if density is not None:
        methods.append(Sparsity(SparsityOptions(density)))
    if precisions:
        given = {name: others.pop(name) for name in ("weight_bits", "activation_bits") if name in others}
        methods.append(Quantization(QuantizationOptions(precisions, **given, **(bits or {}))))
    return SpaceOptions((*methods, *further), **others)


def ranked(compressor: Compressor, ranking: str, data: CalibrationData | None) -> Compressor:
    """The compressor with filters ranked so."""
    method = FilterPruning(FilterPruningOptions(rank=plugin("ranking", ranking)()))
    return compressor.prepared_for((method,), data, np.random.default_rng(0))


def left_alone(groups: Sequence[Grouped], counts: Counts, options: SpaceOptions) -> list[str]:
    """What the methods of a space leave alone, with their reasons."""
    layers = {layer.name: layer for layer in counts.layers}
    return [warning for method in options.methods for warning in method.left_alone(groups, layers)]
