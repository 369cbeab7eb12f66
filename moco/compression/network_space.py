"""The search space of a network: from layer groups to Optuna's distributions, and from points back to policies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from moco.compression.analytic import AnalyticCost
from moco.compression.filter_pruning import rounded_width
from moco.compression.groups import ChannelGroup
from moco.compression.layer_groups import Grouped
from moco.compression.settings import FLOAT32, policy_of, precisions_of, widths_of
from moco.counting import Counts
from moco.errors import SpaceError
from moco.interfaces import Capabilities
from moco.policy import Policy
from moco.space import LayerGroup, SearchSpace
from moco.trial import Point


@dataclass(frozen=True)
class SpaceOptions:
    """What may be done to a layer group.

    Attributes:
        keep: lowest and highest keep ratio of filter pruning, in (0, 1]; None without pruning.
        coupled: whether channels that several layers give together (residual streams) may be pruned too.
        precisions: precisions to choose from, the first legal one is the neutral one.
        channel_multiples: by precision, in place of the target's.
    """

    keep: tuple[float, float] | None = (0.3, 1.0)
    coupled: bool = True
    precisions: tuple[str, ...] = (FLOAT32,)
    channel_multiples: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.keep is not None and not 0 < self.keep[0] <= self.keep[1] <= 1:
            raise SpaceError(f"space.filter_pruning.keep: expected 0 < low <= high <= 1, got {list(self.keep)}")


@dataclass(frozen=True)
class Choice:
    """A layer group with what can be chosen for it.

    Attributes:
        keep: name and bounds of its keep ratio; None where nothing can be pruned.
        precision: name and choices of its precision; a single one is set without being a parameter; None changes none.
    """

    group: Grouped
    prunable: tuple[ChannelGroup, ...]
    quantizable: tuple[str, ...]
    keep: tuple[str, float, float] | None
    precision: tuple[str, tuple[str, ...]] | None

    @property
    def chooses_precision(self) -> bool:
        """Whether there is more than one precision, and so a parameter."""
        return self.precision is not None and len(self.precision[1]) > 1


@dataclass(frozen=True)
class NetworkCodec:
    """Points to policies and back, and what policies cost. Implements moco.space.Codec."""

    choices: tuple[Choice, ...]
    multiples: Mapping[str, int]
    costs: AnalyticCost

    def policy(self, point: Point) -> Policy:
        """The canonical policy: precisions first, because a width is rounded for the precision it will run in."""
        precisions = {
            layer: point[choice.precision[0]] if choice.chooses_precision else choice.precision[1][0]
            for choice in self.choices
            if choice.precision is not None
            for layer in choice.quantizable
        }
        widths = {
            group: rounded_width(group.channels, point[choice.keep[0]], self._multiple(group, precisions))
            for choice in self.choices
            if choice.keep is not None
            for group in choice.prunable
        }
        return policy_of({group.name: (width, group.channels) for group, width in widths.items()}, precisions)

    def point(self, policy: Policy) -> Point:
        """The executed keep ratios and precisions."""
        widths, precisions = widths_of(policy), precisions_of(policy)
        point: dict[str, Any] = {}
        for choice in self.choices:
            if choice.keep is not None:
                name, low, high = choice.keep
                left = sum(widths.get(group.name, group.channels) for group in choice.prunable)
                point[name] = min(max(left / sum(group.channels for group in choice.prunable), low), high)
            if choice.precision is not None and choice.chooses_precision:
                point[choice.precision[0]] = precisions.get(choice.quantizable[0], FLOAT32)
        return point

    def cost(self, policy: Policy) -> Mapping[str, float]:
        """Exact macs, flops, parameters, bops and packed_size_mb of the network under the policy."""
        return self.costs.of(widths_of(policy), precisions_of(policy))

    def n_policies(self) -> int:
        """Number of distinct policies; an upper bound where widths depend on another group's precision."""
        return math.prod(self._n_choices(choice) for choice in self.choices)

    def legal_widths(self, choice: Choice) -> dict[str, list[int]]:
        """By channel group, the widths that its keep ratio can reach in any precision."""
        reachable: dict[str, set[int]] = {group.name: set() for group in choice.prunable}
        for multiple in self._multiples_of(choice):
            for widths in _reachable(choice, multiple):
                for group, width in zip(choice.prunable, widths, strict=True):
                    reachable[group.name].add(width)
        return {name: sorted(widths) for name, widths in reachable.items()}

    def _n_choices(self, choice: Choice) -> int:
        widths = set().union(*(_reachable(choice, multiple) for multiple in self._multiples_of(choice)))
        return max(len(widths), 1) * (len(choice.precision[1]) if choice.precision is not None else 1)

    def _multiples_of(self, choice: Choice) -> Sequence[int]:
        return sorted(set(self.multiples.values())) if choice.keep is not None else ()

    def _multiple(self, group: ChannelGroup, precisions: Mapping[str, str]) -> int:
        layers = (*group.producers, *group.consumers)
        return max(self.multiples.get(precisions.get(layer, FLOAT32), 1) for layer in layers)


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
    choices = tuple(_choice(group, counts, options, capabilities, multiples) for group in groups)
    choices = tuple(choice for choice in choices if choice.keep is not None or choice.precision is not None)
    if not any(choice.keep is not None or choice.chooses_precision for choice in choices):
        raise SpaceError(
            "search space: nothing is left to choose; no layer group has a legal width below its own or a second "
            "precision (see space.filter_pruning.keep, space.channel_multiple, space.quantization)"
        )
    distributions: dict[str, BaseDistribution] = {}
    neutral: dict[str, Any] = {}
    for choice in choices:
        if choice.keep is not None:
            name, low, high = choice.keep
            distributions[name], neutral[name] = FloatDistribution(low, high), high
        if choice.precision is not None and choice.chooses_precision:
            name, precisions = choice.precision
            distributions[name], neutral[name] = CategoricalDistribution(precisions), precisions[0]
    layer_groups = tuple(_layer_group(choice, counts) for choice in choices)
    return SearchSpace(distributions, layer_groups, neutral, NetworkCodec(choices, multiples, costs))


def space_summary(space: SearchSpace) -> dict[str, Any]:
    """What is shown before a search: groups with their legal widths and precisions, and the number of policies."""
    codec = space.codec
    assert isinstance(codec, NetworkCodec)
    return {
        "groups": [
            {
                "name": choice.group.name,
                "layers": list(choice.group.layers),
                "widths": codec.legal_widths(choice) if choice.keep is not None else {},
                "precisions": list(choice.precision[1]) if choice.precision is not None else [FLOAT32],
            }
            for choice in codec.choices
        ],
        "policies": codec.n_policies(),
    }


def _choice(
    group: Grouped, counts: Counts, options: SpaceOptions, capabilities: Capabilities, multiples: Mapping[str, int]
) -> Choice:
    kinds = {layer.name: layer.kind for layer in counts.layers}
    legal = [
        precision
        for precision in options.precisions
        if any(kinds[layer] in capabilities.layer_kinds[precision] for layer in group.layers)
    ]
    quantizable = tuple(
        layer for layer in group.layers if all(kinds[layer] in capabilities.layer_kinds[p] for p in legal)
    )
    precision = (f"{group.name}.precision", tuple(legal)) if quantizable and legal and legal != [FLOAT32] else None
    if options.keep is None:
        return Choice(group, (), quantizable, None, precision)
    dense = {layer.name for layer in counts.layers if layer.kind != "depthwise"}
    prunable = tuple(
        channels
        for channels in group.channel_groups
        if (options.coupled or len(dense.intersection(channels.producers)) <= 1)
        and rounded_width(channels.channels, options.keep[0], min(multiples.values())) < channels.channels
    )
    keep = (f"{group.name}.keep", *options.keep) if prunable else None
    return Choice(group, prunable, quantizable, keep, precision)


def _reachable(choice: Choice, multiple: int) -> set[tuple[int, ...]]:
    """Every combination of widths that one keep ratio gives; widths change only at ratios k / channels."""
    assert choice.keep is not None
    _, low, high = choice.keep
    ratios = {low, high}
    for group in choice.prunable:
        ratios.update(k / group.channels for k in range(1, group.channels + 1) if low <= k / group.channels <= high)
    return {tuple(rounded_width(group.channels, ratio, multiple) for group in choice.prunable) for ratio in ratios}


def _layer_group(choice: Choice, counts: Counts) -> LayerGroup:
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
    parameters = [] if choice.keep is None else [choice.keep[0]]
    if choice.precision is not None and choice.chooses_precision:
        parameters.append(choice.precision[0])
    return LayerGroup(choice.group.name, tuple(parameters), tuple(layers), features)
