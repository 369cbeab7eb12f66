"""The search space of a network: from layer groups and what may be done to them to Optuna's distributions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from moco.compression.costs import AnalyticCost
from moco.compression.counting import Counts
from moco.compression.methods.method import Method
from moco.compression.precision import FLOAT32
from moco.compression.space.codec import NetworkCodec
from moco.compression.space.context import SpaceContext
from moco.compression.space.group_parameters import NONE, Choice
from moco.compression.space.layer_groups import Grouped
from moco.compression.space.limits import Limit, check_limits, limited
from moco.compression.space.parameters import Options
from moco.errors import SpaceError
from moco.interfaces import Capabilities
from moco.setting_owners import method_of
from moco.space import LayerGroup, SearchSpace

MOST_NAMES = 8
"""Layer groups that an error names for one cause."""


@dataclass(frozen=True)
class SpaceOptions:
    """What may be done to a layer group."""

    # that are declared, with their options, in the order in which a space has their parameters; each then as it stands
    # beside the others
    methods: tuple[Method, ...]
    choose: bool = False  # whether each group takes one of them (or none) instead of all
    channel_multiples: Mapping[str, int] | None = None  # by precision, in place of the target's
    # by precision and channel group, the only widths that are offered; see moco.compression.space.context
    offered: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    # (channel group, precision, move) of what is not offered, as it gains no time
    losing: frozenset[tuple[str, str, str]] = frozenset()
    # by layer, further numbers for sequential searchers, such as its sensitivity; a group has their means over its
    # layers
    layer_features: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    limits: Mapping[str, Limit] = field(default_factory=dict)  # by parameter, what it may be besides, see `limits`
    kept: tuple[str, ...] = ()  # what a base policy sets, in words, a method a text; see `base_policy`

    def __post_init__(self) -> None:
        """Let each method see the others; a SpaceError where a setting of one is another method's too."""
        for method in self.methods:
            for key in method.settings:
                if (owner := method_of(key).name) != method.name:
                    raise SpaceError(f"space.{method.name}: its setting '{key}' is one of '{owner}'; rename it")
        object.__setattr__(self, "methods", tuple(m.combined_with(self.methods, self.choose) for m in self.methods))

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions that layers may run in, the first legal one is the neutral one."""
        return next((method.precisions for method in self.methods if method.precisions), (FLOAT32,))


def network_space(
    groups: Sequence[Grouped], counts: Counts, costs: AnalyticCost, options: SpaceOptions, capabilities: Capabilities
) -> SearchSpace:
    """The space that the options and the target's capabilities allow.

    It is a SpaceError that nothing is left to choose, or that a precision is not one of the target's.
    """
    for precision in options.precisions:
        if precision not in capabilities.precisions:
            raise SpaceError(
                f"space.quantization.precision: the target has no '{precision}'; "
                f"it has {', '.join(capabilities.precisions)}"
            )
    multiples = options.channel_multiples or capabilities.channel_multiples
    multiples = {precision: multiples.get(precision, 1) for precision in options.precisions}
    layers = {layer.name: layer for layer in counts.layers}
    context = SpaceContext(layers, groups, costs, capabilities, multiples, options.offered, options.losing)
    context = replace(context, kept=options.kept)
    choices = (*_own_groups(context, options), *(_choice(group, context, options) for group in groups))
    choices = tuple(choice for choice in choices if choice.parts)
    check_limits(options.limits, choices)
    parts = [entry for choice in choices for entry in choice.parts]
    runs_in = {layer: found for method, part in parts if (found := method.runs_in(part)) for layer in part.names}
    distributions = {name: found for choice in choices for name, found in choice.distributions().items()}
    neutral = {name: value for choice in choices for name, value in choice.neutral.items()}
    if not distributions:
        prunes = any(method.removes_channels for method in options.methods)
        causes = "; ".join(_by_cause(groups, min(multiples.values()) if prunes else None))
        raise SpaceError(f"search space: nothing is left to choose in any layer group: {causes or 'there is none'}")
    layer_groups = tuple(_layer_group(choice, counts, context, options.layer_features) for choice in choices)
    return SearchSpace(distributions, layer_groups, neutral, NetworkCodec(choices, replace(context, runs_in=runs_in)))


def _choice(group: Grouped, context: SpaceContext, options: SpaceOptions) -> Choice:
    parts = tuple((m, part) for m in options.methods if (part := m.parameters_for(group, context)) is not None)
    names = tuple(method.name for method, _ in parts if method.is_chosen)
    return limited(Choice(group, parts, Options((NONE, *names)) if options.choose and names else None), options.limits)


def _own_groups(context: SpaceContext, options: SpaceOptions) -> Iterator[Choice]:
    """Groups over the whole network, each of one method alone."""
    for method in options.methods:
        group = method.group_of_its_own(context)
        part = None if group is None else method.parameters_for(group, context)
        if group is not None and part is not None:
            yield limited(Choice(group, ((method, part),)), options.limits)


def idle_groups(groups: Sequence[Grouped], declared: Collection[str], space: SearchSpace) -> Iterator[str]:
    """A warning for each layer group that was declared by its name, but of which the space has nothing to choose."""
    codec = space.codec
    assert isinstance(codec, NetworkCodec)
    chosen, multiple = {choice.group.name for choice in codec.choices}, min(codec.context.multiples.values())
    for group in groups:
        if group.name in declared and group.name not in chosen:
            yield f"space.groups.{group.name} is left as it is: {_idle_cause(group, multiple)}"


def _by_cause(groups: Sequence[Grouped], multiple: int | None) -> Iterator[str]:
    """Why there is nothing to choose, a cause after the other, each with its layer groups, of many the first."""
    by_cause: dict[str, list[str]] = {}
    for group in groups:
        by_cause.setdefault(_idle_cause(group, multiple), []).append(group.name)
    for cause, names in by_cause.items():
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        yield f"in {', '.join(names[:MOST_NAMES])}{more}: {cause}"


def _idle_cause(group: Grouped, multiple: int | None) -> str:
    """Why a layer group has nothing to choose where widths are multiples of that, None without pruning; what to do."""
    widths = sorted({channels.channels for channels in group.channel_groups})
    if multiple is not None and not widths:
        return "the channels of its layers are coupled with those of other groups, or kept by the network"
    if multiple is not None and 1 < multiple >= widths[-1]:
        return (
            f"widths are multiples of {multiple} and it has {' or '.join(map(str, widths))} channels; "
            "set space.channel_multiple to a smaller number, such as 1"
        )
    return (
        "no legal width below its own, no rank that pays, no second precision, no residual branch that can go "
        "(see space.filter_pruning.keep, space.channel_multiple, space.quantization)"
    )


def space_summary(space: SearchSpace) -> dict[str, Any]:
    """What is shown before a search: groups with legal widths and precisions, how many policies (or at most)."""
    codec = space.codec
    assert isinstance(codec, NetworkCodec)
    return {
        "groups": [_summary(choice, codec.context) for choice in codec.choices],
        "policies": codec.most_policies(),
        "policies_exact": codec.n_policies() is not None,
        **({"kept": list(codec.context.kept)} if codec.context.kept else {}),
    }


def _summary(choice: Choice, context: SpaceContext) -> dict[str, Any]:
    found: dict[str, Any] = {"widths": {}, "precisions": [FLOAT32], "methods": []}
    for method, part in choice.parts:
        told = method.summary(part, context)
        found |= {**told, "methods": [*found["methods"], *told.get("methods", [])]}
    return {"name": choice.group.name, "layers": list(choice.group.layers), **found}


def _layer_group(
    choice: Choice, counts: Counts, context: SpaceContext, further: Mapping[str, Mapping[str, float]]
) -> LayerGroup:
    """The group as sequential searchers see it; the features are those of S1.31, of its first layer, and sums."""
    names = list(dict.fromkeys(layer.name for layer in counts.layers))
    layers = choice.group.layers or context.channels[choice.parts[0][1].names[0]].producers
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
        "kernel_width": float(first.kernel[1]),
        "weights": float(sum(layer.parameters for layer in members)),
        "macs": float(sum(layer.macs for layer in members)),
        "macs_after": float(sum(layer.macs for layer in counts.layers if names.index(layer.name) > place)),
    }
    known = [further[layer] for layer in layers if layer in further]
    for feature in dict.fromkeys(name for numbers in known for name in numbers):
        features[feature] = fmean(numbers[feature] for numbers in known if feature in numbers)
    return LayerGroup(choice.group.name, tuple(choice.distributions()), tuple(layers), features)
