"""The search space of a network: from layer groups to Optuna's distributions, and from points back to policies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
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

MOST_COMBINATIONS = 4096
"""Policies are counted for each combination of precisions, where there are no more than that."""


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

    def n_policies(self) -> int | None:
        """Number of distinct policies; None where there are too many combinations of precisions to count them."""
        return self._exact

    def most_policies(self) -> int:
        """The number of policies, or an upper bound of it where it is not counted."""
        return self._exact if self._exact is not None else math.prod(self._most_of(choice) for choice in self.choices)

    def legal_widths(self, choice: Choice) -> dict[str, list[int]]:
        """By channel group, the widths that its keep ratio can reach in any precision."""
        reachable: dict[str, list[int]] = {}
        for group in choice.prunable:
            found = (_reachable(choice, [group], [multiple]) for multiple in self._possible_multiples(group))
            reachable[group.name] = sorted(width for (width,) in set().union(*found))
        return reachable

    @cached_property
    def _exact(self) -> int | None:
        """The sum over all combinations of precisions: widths are rounded for the precisions on both sides."""
        chosen = [choice for choice in self.choices if choice.chooses_precision]
        options = [choice.precision[1] for choice in chosen if choice.precision is not None]
        combinations = math.prod(len(names) for names in options)
        if all(len(self._possible_multiples(group)) == 1 for choice in self.choices for group in choice.prunable):
            return combinations * self._n_widths({})
        if combinations > MOST_COMBINATIONS:
            return None
        return sum(
            self._n_widths({layer: name for c, name in zip(chosen, names, strict=True) for layer in c.quantizable})
            for names in product(*options)
        )

    def _n_widths(self, precisions: Mapping[str, str]) -> int:
        """Number of combinations of widths under these precisions by layer; the rest is in its only one."""
        fixed = {layer: names[0] for layer, names in self._precisions.items() if len(names) == 1}
        precisions = {**fixed, **precisions}
        return math.prod(
            self._n_reachable(index, tuple(self._multiple(group, precisions) for group in choice.prunable))
            for index, choice in enumerate(self.choices)
        )

    def _n_reachable(self, index: int, multiples: tuple[int, ...]) -> int:
        if (index, multiples) not in self._counted:
            choice = self.choices[index]
            self._counted[index, multiples] = len(_reachable(choice, choice.prunable, multiples)) if multiples else 1
        return self._counted[index, multiples]

    def _most_of(self, choice: Choice) -> int:
        """An upper bound of the settings of one choice, whatever the other choices are."""
        each = math.prod(len(widths) for widths in self.legal_widths(choice).values())
        return each * (len(choice.precision[1]) if choice.precision is not None else 1)

    @cached_property
    def _counted(self) -> dict[tuple[int, tuple[int, ...]], int]:
        return {}

    @cached_property
    def _precisions(self) -> dict[str, tuple[str, ...]]:
        """The precisions that each layer may run in; layers that are not named run in float32."""
        return {layer: c.precision[1] for c in self.choices if c.precision is not None for layer in c.quantizable}

    def _possible_multiples(self, group: ChannelGroup) -> list[int]:
        """The multiples that the widths of the group are rounded to, over all precisions of the layers around it."""
        around = [
            [self.multiples.get(name, 1) for name in self._precisions.get(layer, (FLOAT32,))]
            for layer in (*group.producers, *group.consumers)
        ]
        least = max(min(multiples) for multiples in around)
        return sorted({multiple for multiples in around for multiple in multiples if multiple >= least})

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
    """What is shown before a search: groups with legal widths and precisions, how many policies (or at most)."""
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
        "policies": codec.most_policies(),
        "policies_exact": codec.n_policies() is not None,
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


def _reachable(choice: Choice, groups: Sequence[ChannelGroup], multiples: Sequence[int]) -> set[tuple[int, ...]]:
    """Every combination of widths of the groups that one keep ratio gives; they change only at ratios k / channels."""
    assert choice.keep is not None
    _, low, high = choice.keep
    ratios = {low, high}
    for channels in {group.channels for group in groups}:
        ratios.update(k / channels for k in range(1, channels + 1) if low <= k / channels <= high)
    pairs = [(group.channels, multiple) for group, multiple in zip(groups, multiples, strict=True)]
    return {tuple(rounded_width(channels, ratio, multiple) for channels, multiple in pairs) for ratio in ratios}


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
