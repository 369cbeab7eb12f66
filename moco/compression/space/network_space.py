"""The search space of a network: from layer groups and what may be done to them to Optuna's distributions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from optuna.distributions import BaseDistribution

from moco.compression.channels.groups import ChannelGroup
from moco.compression.costs import AnalyticCost
from moco.compression.counting import Counts, LayerCount
from moco.compression.methods.factorisation import STEM_CHANNELS, factorised_parameters, svd_rank, tucker_ranks
from moco.compression.methods.filter_pruning import rounded_width
from moco.compression.policy_settings import FLOAT32, INT8, MIXED
from moco.compression.space.codec import NetworkCodec
from moco.compression.space.group_parameters import (
    CHANNEL_PRUNING,
    FACTORISATION,
    FILTER_PRUNING,
    NONE,
    SPARSITY,
    BitRange,
    Choice,
    Options,
    Ratio,
)
from moco.compression.space.layer_groups import Grouped
from moco.errors import SpaceError
from moco.interfaces import Capabilities
from moco.space import LayerGroup, SearchSpace

Bounds = tuple[float, float]


def timed_as(precision: str) -> str:
    """The precision that a target is timed in for this one: codes of fewer bits run on the kernels of int8."""
    return INT8 if precision == MIXED else precision


@dataclass(frozen=True)
class SpaceOptions:
    """What may be done to a layer group; ratios are ratios to keep, [lowest, highest] in (0, 1], None without it.

    Attributes:
        keep: of the channels of a group.
        pruning: the kinds of channel pruning that are declared; both only where the method is chosen.
        coupled: whether channels that several layers give together (residual streams) may be pruned too.
        rank: of the ranks of Tucker-2 and SVD.
        density: of single weights.
        choose: whether each group takes one of the declared methods (or none) instead of all.
        precisions: precisions to choose from, the first legal one is the neutral one.
        weight_bits, activation_bits: [fewest, most] of the precision `mixed`.
        channel_multiples: by precision, in place of the target's.
        offered: by precision and channel group, the only widths that are offered; see moco.compression.space.codec.
        layer_features: by layer, further numbers for sequential searchers, such as its sensitivity; a group has their
            means over its layers.
        losing: (channel group, precision, `precision` or `factorisation`) of what is not offered, as it gains no time.
    """

    keep: Bounds | None = (0.3, 1.0)
    pruning: tuple[str, ...] = (FILTER_PRUNING,)
    coupled: bool = True
    rank: Bounds | None = None
    density: Bounds | None = None
    choose: bool = False
    precisions: tuple[str, ...] = (FLOAT32,)
    weight_bits: tuple[int, int] = (2, 8)
    activation_bits: tuple[int, int] = (4, 8)
    channel_multiples: Mapping[str, int] | None = None
    offered: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    losing: frozenset[tuple[str, str, str]] = frozenset()
    layer_features: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def loses(self, group: str, precision: str, move: str) -> bool:
        """Whether a move is not offered for a channel group in a precision; fewer bits take the time of int8."""
        return (group, timed_as(precision), move) in self.losing

    def __post_init__(self) -> None:
        """Check the bounds."""
        for key, bounds in (
            (f"{self.pruning[0]}.keep", self.keep),
            ("factorisation.keep", self.rank),
            ("sparsity.keep", self.density),
        ):
            if bounds is not None and not 0 < bounds[0] <= bounds[1] <= 1:
                raise SpaceError(f"space.{key}: expected 0 < low <= high <= 1, got {list(bounds)}")
        for key, bits in (("weight_bits", self.weight_bits), ("activation_bits", self.activation_bits)):
            if not 1 <= bits[0] <= bits[1] <= 8:
                raise SpaceError(f"space.quantization.{key}: expected 1 <= fewest <= most <= 8, got {list(bits)}")
        if len(self.pruning) > 1 and not self.choose:
            raise SpaceError(
                f"space: {FILTER_PRUNING} and {CHANNEL_PRUNING} remove the same channels: "
                "declare one, or set space.choose: true, and each group takes one of them"
            )


def network_space(
    groups: Sequence[Grouped],
    counts: Counts,
    costs: AnalyticCost,
    options: SpaceOptions,
    capabilities: Capabilities,
) -> SearchSpace:
    """The space that the options and the target's capabilities allow.

    Raises:
        SpaceError: nothing is left to choose, or a precision is not one of the target's.
    """
    for precision in options.precisions:
        if precision not in capabilities.precisions:
            raise SpaceError(
                f"space.quantization.precision: the target has no '{precision}'; "
                f"it has {', '.join(capabilities.precisions)}"
            )
    multiples = options.channel_multiples or capabilities.channel_multiples
    multiples = {precision: multiples.get(precision, 1) for precision in options.precisions}
    slow = _slow_factors(groups, options)
    choices = tuple(_choice(group, counts, options, capabilities, multiples, slow) for group in groups)
    choices = tuple(choice for choice in choices if not choice.is_empty)
    distributions: dict[str, BaseDistribution] = {}
    neutral: dict[str, Any] = {}
    for choice in choices:
        distributions |= choice.distributions()
        neutral |= choice.neutral()
    if not distributions:
        raise SpaceError(
            "search space: nothing is left to choose; no layer group has a legal width below its own, a rank that pays "
            "or a second precision (see space.filter_pruning.keep, space.channel_multiple, space.quantization)"
        )
    layer_groups = tuple(_layer_group(choice, counts, options.layer_features) for choice in choices)
    kernels = {layer.name: math.prod(layer.kernel) for layer in counts.layers}
    codec = NetworkCodec(choices, multiples, costs, kernels, options.offered)
    return SearchSpace(distributions, layer_groups, neutral, codec)


def space_summary(space: SearchSpace) -> dict[str, Any]:
    """What is shown before a search: groups with legal widths and precisions, how many policies (or at most)."""
    codec = space.codec
    assert isinstance(codec, NetworkCodec)
    return {
        "groups": [
            {
                "name": choice.group.name,
                "layers": list(choice.group.layers),
                "widths": codec.legal_widths(choice) if choice.keep is not None else {},
                "precisions": list(choice.precision.choices) if choice.precision is not None else [FLOAT32],
                "methods": _methods(choice),
            }
            for choice in codec.choices
        ],
        "policies": codec.most_policies(),
        "policies_exact": codec.n_policies() is not None,
    }


def _methods(choice: Choice) -> list[str]:
    """What may be done to the group besides precisions, in words for people."""
    pruning = [choice.pruning] if choice.method is None and choice.keep is not None else []
    if choice.method is not None and choice.keep is not None:
        pruning = [name for name in choice.method.choices if name in {FILTER_PRUNING, CHANNEL_PRUNING}]
    found = [name.replace("_", " ") for name in pruning]
    for words, ratio, layers in (
        ("ranks", choice.rank, choice.factorisable),
        ("weights", choice.density, choice.sparse),
    ):
        if ratio is not None:
            found.append(f"{words} {ratio.low:g}-{ratio.high:g} of {len(layers)} layers")
    if choice.weight_bits is not None and choice.activation_bits is not None:
        w, a = choice.weight_bits, choice.activation_bits
        found.append(f"bits w{w.low}-{w.high} a{a.low}-{a.high}")
    return found


def _choice(
    group: Grouped,
    counts: Counts,
    options: SpaceOptions,
    capabilities: Capabilities,
    multiples: Mapping[str, int],
    slow: Collection[str],
) -> Choice:
    """The parameters of a group; `slow` are layers whose factors gain no time."""
    layers = {layer.name: layer for layer in counts.layers}
    prunable = _prunable(group, counts, options, multiples)
    factorisable = tuple(
        name
        for name in group.layers
        if options.rank is not None and name not in slow and _why_whole(layers[name], options.rank) is None
    )
    sparse = tuple(name for name in group.layers if options.density is not None)
    precision, quantizable = _precision(group, layers, options, capabilities)
    mixed = precision is not None and MIXED in precision.choices
    declared = [
        *(options.pruning if prunable else ()),
        *([FACTORISATION] if factorisable else []),
        *([SPARSITY] if sparse else []),
    ]
    return Choice(
        group=group,
        prunable=prunable,
        quantizable=quantizable,
        factorisable=factorisable,
        sparse=sparse,
        method=Options(f"{group.name}.method", (NONE, *declared)) if options.choose and declared else None,
        pruning=options.pruning[0],
        keep=Ratio(f"{group.name}.keep", *options.keep) if prunable and options.keep is not None else None,
        rank=Ratio(f"{group.name}.rank", *options.rank) if factorisable and options.rank is not None else None,
        density=Ratio(f"{group.name}.density", *options.density) if sparse and options.density is not None else None,
        precision=precision,
        weight_bits=BitRange(f"{group.name}.weight_bits", *options.weight_bits) if mixed else None,
        activation_bits=BitRange(f"{group.name}.activation_bits", *options.activation_bits) if mixed else None,
    )


def _slow_factors(groups: Sequence[Grouped], options: SpaceOptions) -> set[str]:
    """Layers that factorisation makes no faster in any precision; the channels they give may be another group's."""
    return {
        layer
        for group in groups
        for channels in group.channel_groups
        if all(options.loses(channels.name, precision, FACTORISATION) for precision in options.precisions)
        for layer in channels.producers
    }


def _prunable(
    group: Grouped, counts: Counts, options: SpaceOptions, multiples: Mapping[str, int]
) -> tuple[ChannelGroup, ...]:
    """The channel groups that can lose a channel under the options."""
    if options.keep is None:
        return ()
    dense = {layer.name for layer in counts.layers if layer.kind != "depthwise"}
    return tuple(
        channels
        for channels in group.channel_groups
        if (options.coupled or len(dense.intersection(channels.producers)) <= 1)
        and rounded_width(channels.channels, options.keep[0], min(multiples.values())) < channels.channels
        and _offers_less(channels, options)
    )


def _offers_less(group: ChannelGroup, options: SpaceOptions) -> bool:
    """Whether a width below the whole one is offered in some precision."""
    offered = [options.offered.get(precision, {}).get(group.name) for precision in options.precisions]
    return any(widths is None or min(widths) < group.channels for widths in offered)


def left_whole(groups: Sequence[Grouped], counts: Counts, options: SpaceOptions) -> dict[str, str]:
    """By layer that factorisation is asked for and cannot or need not take: why (S1.44, W30)."""
    if options.rank is None:
        return {}
    layers = {layer.name: layer for layer in counts.layers}
    reasons = {name: _why_whole(layers[name], options.rank) for group in groups for name in group.layers}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _why_whole(layer: LayerCount, rank: Bounds) -> str | None:
    """Why a layer is not factorised; None where its lowest ratio makes it smaller."""
    if layer.kind not in {"conv", "linear"}:
        return f"it is a {layer.kind} convolution"
    if layer.in_channels <= STEM_CHANNELS:
        return f"it reads {layer.in_channels} channels, too few to be cut"
    out, inner, kernel = layer.out_channels, layer.in_channels, math.prod(layer.kernel)
    shape = (out, inner) if kernel == 1 else (out, inner, kernel)
    ranks = svd_rank(rank[0], inner, out) if kernel == 1 else tucker_ranks(rank[0], inner, out)
    if factorised_parameters(shape, ranks) < math.prod(shape):
        return None
    return f"a ratio of {rank[0]:g} does not make it smaller"


def _precision(
    group: Grouped, layers: Mapping[str, LayerCount], options: SpaceOptions, capabilities: Capabilities
) -> tuple[Options | None, tuple[str, ...]]:
    """The precisions that are legal for some layer of the group, and the layers for which all of those are."""
    kinds = {name: layers[name].kind for name in group.layers}
    legal = [
        precision
        for precision in options.precisions
        if any(kind in capabilities.layer_kinds[precision] for kind in kinds.values())
        and not (
            group.channel_groups and all(options.loses(g.name, precision, "precision") for g in group.channel_groups)
        )
    ]
    quantizable = tuple(
        layer for layer in group.layers if all(kinds[layer] in capabilities.layer_kinds[p] for p in legal)
    )
    if not quantizable or not legal or legal == [FLOAT32]:
        return None, quantizable
    return Options(f"{group.name}.precision", tuple(legal)), quantizable


def _layer_group(choice: Choice, counts: Counts, further: Mapping[str, Mapping[str, float]]) -> LayerGroup:
    """The group as sequential searchers see it; the features are those of S1.31, of its first layer, and sums."""
    names = list(dict.fromkeys(layer.name for layer in counts.layers))
    layers = choice.group.layers or choice.prunable[0].producers
    members = [layer for layer in counts.layers if layer.name in layers]
    first, place = members[0], names.index(members[0].name)
    features = {
        "index": float(place),
        "is_linear": float(first.kind == "linear"),
        "out_channels": float(first.out_channels),
        "in_channels": float(first.in_channels),
        "input_height": float(first.input_hw[0]),
        "input_width": float(first.input_hw[1]),
        "stride": float(first.stride[0]) if first.kind != "linear" else 0.0,
        "kernel": float(first.kernel[0]),
        "weights": float(sum(layer.parameters for layer in members)),
        "macs": float(sum(layer.macs for layer in members)),
        "macs_after": float(sum(layer.macs for layer in counts.layers if names.index(layer.name) > place)),
    }
    known = [further[layer] for layer in layers if layer in further]
    for feature in dict.fromkeys(name for numbers in known for name in numbers):
        features[feature] = fmean(numbers[feature] for numbers in known if feature in numbers)
    return LayerGroup(choice.group.name, tuple(choice.distributions()), tuple(layers), features)
