"""Filter pruning (S1.40, S2.03; Li et al. 2017): the least important filters go, with all that they feed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from torch import nn

from moco.compression.channels.groups import ChannelGraph, ChannelGroup
from moco.compression.counting import Counts
from moco.compression.file_weights import FileWeights
from moco.compression.methods.method import Allowed, KeepingMethod, KeepOptions, Method, Setting
from moco.compression.precision import FLOAT32
from moco.compression.rankings.ranking import USUAL_RANKING, Data, Ranking, Rng, importances
from moco.compression.rankings.weights import L1
from moco.compression.space.context import Draft, SpaceContext
from moco.compression.space.layer_groups import Grouped
from moco.compression.space.parameters import ListedRatio, Part, Ratio
from moco.errors import CompressionError, SpaceError, nearest
from moco.registry import OptionOfKind


@dataclass(frozen=True)
class PruningOptions(KeepOptions):
    """Options that filter and channel pruning share."""

    coupled: bool = True  # whether channels that several layers give together (residual streams) may be pruned too


@dataclass(frozen=True)
class FilterPruningOptions(PruningOptions):
    """Options of filter pruning."""

    method = "filter_pruning"
    rank: Annotated[Ranking, OptionOfKind("ranking")] = field(default_factory=L1)


class FilterPruning(KeepingMethod):
    """Removes the least important channels of each channel group."""

    name = "filter_pruning"
    settings = ("filter_pruning",)
    order = 20
    Options: ClassVar[type[Any]] = FilterPruningOptions
    removes_channels = True
    changes_structure = True

    @property
    def needs_images(self) -> bool:
        """Whether its ranking does."""
        return bool(self.options.rank.needs)

    @property
    def ranking(self) -> str | dict[str, Any] | None:
        """The ranking of filters."""
        written: str | dict[str, Any] = self.options.rank.written
        return written

    def combined_with(self, methods: Sequence[Method], choose: bool) -> Method:
        """With the bounds of all kinds of pruning that are declared: a group has one ratio, whichever it takes."""
        rivals = [method for method in methods if method.removes_channels]
        if len(rivals) > 1 and not choose:
            raise SpaceError(
                f"space: {' and '.join(method.name for method in rivals)} remove the same channels: "
                "declare one, or set space.choose: true, and each group takes one of them"
            )
        options = [method.options for method in rivals if isinstance(method.options, PruningOptions)]
        keep = min(o.keep[0] for o in options), max(o.keep[1] for o in options)
        return replace(self, options=replace(self.options, keep=keep, coupled=all(o.coupled for o in options)))

    def parameters_for(self, group: Grouped, context: SpaceContext) -> Part | None:
        """The channel groups that can lose a channel."""
        found = tuple(channels.name for channels in group.channel_groups if self._is_prunable(channels, context))
        return Part(group.name, found, {"keep": Ratio(*self.options.keep)}) if found else None

    def _is_prunable(self, group: ChannelGroup, context: SpaceContext) -> bool:
        dense = {name for name, layer in context.layers.items() if layer.kind != "depthwise"}
        if not self.options.coupled and len(dense.intersection(group.producers)) > 1:
            return False
        least = rounded_width(group.channels, self.options.keep[0], min(context.multiples.values()))
        offered = [context.offered.get(precision, {}).get(group.name) for precision in context.multiples]
        return least < group.channels and any(widths is None or min(widths) < group.channels for widths in offered)

    def summary(self, part: Part, context: SpaceContext) -> dict[str, Any]:
        """The widths that its ratio can reach in any precision."""
        ratio = part.parameters["keep"]
        widths: dict[str, list[int]] = {}
        for group in (context.channels[name] for name in part.names):
            rules = [WidthRule.of(group, *strictest, context) for strictest in _possible_multiples(group, context)]
            widths[group.name] = sorted({width for rule in rules for (width,) in _reachable(ratio, (rule,))})
        return {"widths": widths, "methods": [self.name.replace("_", " ")]}

    def depends_on_precisions(self, part: Part, context: SpaceContext) -> bool:
        """Widths are rounded for the precisions on both sides."""
        return any(len(_possible_multiples(context.channels[name], context)) > 1 for name in part.names)

    def n_settings(self, part: Part, precisions: Mapping[str, str], context: SpaceContext) -> int | None:
        """Number of combinations of widths that one ratio gives."""
        groups = [context.channels[name] for name in part.names]
        rules = tuple(_strictest_rule(group, precisions, context) for group in groups)
        return len(_reachable(part.parameters["keep"], rules))

    def most_settings(self, part: Part, context: SpaceContext) -> int:
        """As if each channel group had a ratio of its own."""
        return math.prod(len(widths) for widths in self.summary(part, context)["widths"].values())

    def heaviest_allowed(self, part: Part, allowed: Allowed) -> dict[str, Any]:
        """The lowest ratio, where it is below the highest of the space."""
        keep = allowed(part.names, "keep")
        return {} if keep is None or keep >= self.options.keep[1] else {"keep": keep}

    def write_settings(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> None:
        """The width of each channel group."""
        for name in part.names:
            group = context.channels[name]
            width = _strictest_rule(group, draft.precisions, context).width_for(values["keep"])
            if width < group.channels:
                draft.widths[name] = width
                draft.set(name, {self.name: {"keep": width, "of": group.channels}})

    def values_of(self, part: Part, draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """The mean ratio."""
        channels = {name: context.channels[name].channels for name in part.names}
        left = sum(draft.widths.get(name, whole) for name, whole in channels.items())
        return {"keep": left / sum(channels.values())}

    def refine(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """A ratio that leaves just these widths, where there is one."""
        groups, ratio = [context.channels[name] for name in part.names], part.parameters["keep"]
        wanted = [draft.widths.get(group.name, group.channels) for group in groups]
        rules = [_strictest_rule(group, draft.precisions, context) for group in groups]

        def left(keep: float) -> list[int]:
            return [rule.width_for(keep) for rule in rules]

        assert isinstance(ratio, Ratio)
        return {"keep": ratio.leaving(wanted, left, values["keep"])}

    def describe(self, key: str, value: Any) -> str:
        """`12/16`."""
        return f"{value['keep']}/{value['of']}"

    def width(self, setting: Setting) -> tuple[int, int] | None:
        """(kept, of) channels."""
        return setting[self.name]["keep"], setting[self.name]["of"]

    def prepare(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Any:
        """By channel group, its channels from the most to the least important."""
        return rankings(network, graph, self.options.rank, data, rng)

    def check(self, name: str, setting: Setting, graph: ChannelGraph, counts: Counts) -> None:
        """Pass a channel group of the network with as many channels."""
        group, (width, of) = graph.groups.get(name), (setting[self.name]["keep"], setting[self.name]["of"])
        if group is None:
            why = graph.left_out.get(name)
            raise SpaceError(
                f"policy: '{name}' has no filters that can be pruned: {why}"
                if why
                else f"policy: the network has no channel group '{name}'{nearest(name, graph.groups)}"
            )
        if of != group.channels or not 1 <= width <= group.channels:
            raise SpaceError(
                f"policy: '{name}' has {group.channels} filters, the policy keeps {width} of {of}; "
                "was it made for another network?"
            )

    def kept(self, settings: Mapping[str, Setting], prepared: Any) -> dict[str, np.ndarray]:
        """The most important channels."""
        return kept_channels(prepared, {name: setting[self.name]["keep"] for name, setting in settings.items()})

    def verify_file(self, weights: FileWeights, settings: Mapping[str, Setting]) -> None:
        """The filters of the first layer that gives all of the channels; where none does, the modules were checked."""
        for name, setting in settings.items():
            if (known := weights.filters.get(name, (name, 1))) is None:
                continue
            layer, each = known
            width, got = setting[self.name]["keep"] * each, weights.shape(weights.parts(layer)[-1])[0]
            if got != width:
                raise CompressionError(f"verification: '{layer}' was to keep {width} filters, the file holds {got}")


def rankings(
    network: nn.Module, graph: ChannelGraph, ranking: Ranking | str = USUAL_RANKING, data: Data = None, rng: Rng = None
) -> dict[str, np.ndarray]:
    """By group, its channels from the most to the least important; of equals the lower index comes first."""
    found = importances(network, graph, ranking, data, rng)
    return {group: np.argsort(-importance, kind="stable") for group, importance in found.items()}


def kept_channels(ranking: Mapping[str, np.ndarray], widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    """By group, the ascending indices of the `widths[group]` most important channels; whole groups are left out."""
    return {name: np.sort(ranking[name][:width]) for name, width in widths.items() if width < len(ranking[name])}


def rounded_width(channels: int, keep: float, multiple: int = 1) -> int:
    """Channels that a keep ratio leaves: `n - floor(n (1 - keep))`, then the nearest multiple, at least one, at most n.

    A tie between two multiples goes to the wider one.
    """
    # 1e-9 undoes the representation error of products like 10 * (1 - 0.9).
    width = channels - math.floor(channels * (1 - keep) + 1e-9)
    if width >= channels:  # nothing is asked, so nothing is rounded: 18 channels stay 18 where the multiple is 16
        return channels
    if multiple > 1:
        width = max(math.floor(width / multiple + 0.5), 1) * multiple
    return max(1, min(width, channels))


class WidthRule(NamedTuple):
    """Which widths a channel group can have."""

    channels: int
    multiple: int  # what widths are rounded to
    offered: tuple[int, ...]  # the only widths that there are; all multiples where it is empty

    @staticmethod
    def of(group: ChannelGroup, precision: str, multiple: int, context: SpaceContext) -> WidthRule:
        """That of a group whose widths are rounded for this precision."""
        return WidthRule(group.channels, multiple, tuple(context.offered.get(precision, {}).get(group.name, ())))

    def width_for(self, keep: float) -> int:
        """The width of a ratio: of the offered ones the nearest, of two the wider."""
        width = rounded_width(self.channels, keep, self.multiple)
        return min(self.offered, key=lambda other: (abs(other - width), -other)) if self.offered else width


def _strictest_rule(group: ChannelGroup, precisions: Mapping[str, str], context: SpaceContext) -> WidthRule:
    """That of the precision around the group that asks for the largest multiple."""
    around = {precisions.get(layer, FLOAT32) for layer in (*group.producers, *group.consumers)}
    multiple, precision = max((context.multiples.get(name, 1), name) for name in around)
    return WidthRule.of(group, precision, multiple, context)


def _possible_multiples(group: ChannelGroup, context: SpaceContext) -> list[tuple[str, int]]:
    """The precisions that may govern the widths of the group, with their multiples, by multiple."""
    around = [
        [(context.multiples.get(name, 1), name) for name in context.runs_in.get(layer, (FLOAT32,))]
        for layer in (*group.producers, *group.consumers)
    ]
    least = max(min(multiples) for multiples in around)
    found = sorted({pair for pairs in around for pair in pairs if pair >= least})
    if not context.offered:  # only the multiple counts
        found = [(multiple, name) for multiple, name in dict(found).items()]
    return [(name, multiple) for multiple, name in found]


@lru_cache(maxsize=65536)
def _reachable(ratio: Ratio, rules: tuple[WidthRule, ...]) -> frozenset[tuple[int, ...]]:
    """Every combination of widths that one ratio gives; they change only at ratios k / channels."""
    return frozenset(tuple(rule.width_for(keep) for rule in rules) for keep in _edges(ratio, rules))


def _edges(ratio: Ratio, rules: tuple[WidthRule, ...]) -> Iterator[float]:
    """The ends of the ratio, and all between them at which a width may change; of a list its values."""
    if isinstance(ratio, ListedRatio):
        yield from ratio.values
        return
    yield from (ratio.low, ratio.high)
    for channels in {rule.channels for rule in rules}:
        yield from (k / channels for k in range(1, channels + 1) if ratio.low <= k / channels <= ratio.high)
