"""Points of a network's search space to policies and back, and what policies cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import product
from typing import Any

from moco.compression.channels.groups import ChannelGroup
from moco.compression.costs import AnalyticCost
from moco.compression.methods.factorisation import SvdRank, pays, svd_rank, tucker_ranks
from moco.compression.methods.filter_pruning import rounded_width
from moco.compression.methods.sparsity import kept_weights
from moco.compression.policy_settings import (
    BITS,
    FLOAT32,
    MIXED,
    Bits,
    Factors,
    bits_of,
    factors_of,
    policy_of,
    precisions_of,
    refitted_of,
    weights_kept_of,
    widths_of,
)
from moco.compression.space.group_parameters import (
    CHANNEL_PRUNING,
    FACTORISATION,
    FILTER_PRUNING,
    NONE,
    SPARSITY,
    Choice,
    Ratio,
)
from moco.compression.space.inverse import ratio_for
from moco.policy import Policy
from moco.trial import Point

MOST_COMBINATIONS = 4096
"""Policies are counted for each combination of precisions, where there are no more than that."""


@dataclass(frozen=True)
class NetworkCodec:
    """Implements moco.space.Codec.

    Attributes:
        multiples: by precision, what widths are rounded to.
        offered: by precision and channel group, the only widths that are offered, ascending and with the whole one;
            groups that are not named are offered all multiples.
        kernels: by layer, the number of places of its kernel.
    """

    choices: tuple[Choice, ...]
    multiples: Mapping[str, int]
    costs: AnalyticCost
    kernels: Mapping[str, int] = field(default_factory=dict)
    offered: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)

    def policy(self, point: Point) -> Policy:
        """The canonical policy.

        Precisions come first, because a width is rounded for the precision that it will run in, then widths, because
        ranks and numbers of weights are shares of what is left. The single weights of a factorised layer all stay.
        """
        names = dict(self._chosen_precisions(point))
        widths, refitted = {}, []
        for choice in self.choices:
            pruning = choice.pruning_of(point)
            if choice.keep is None or pruning is None:
                continue
            for group in choice.prunable:
                width = self._width(group, point[choice.keep.name], names)
                widths[group.name] = width, group.channels
                refitted += [group.name] if pruning == CHANNEL_PRUNING else []
        left = {name: width for name, (width, _) in widths.items()}
        factors = dict(self._chosen_factors(point, left))
        weights = {n: kept for n, kept in self._chosen_weights(point, left) if n not in factors}
        return policy_of(widths, dict(self._chosen_bits(point, names)), refitted, factors, weights)

    def point(self, policy: Policy) -> Point:
        """What was executed: ratios kept, methods, precisions and bits; what a policy does not use is neutral.

        Of a policy of this space it is a point that gives this policy again, of another one a point near to it.
        """
        point = self._near(policy)
        return point if self.policy(point) == policy else self._exact_ratios(point, policy)

    def _near(self, policy: Policy) -> dict[str, Any]:
        """The point with the mean ratios that the policy has kept."""
        widths, bits, names = widths_of(policy), bits_of(policy), precisions_of(policy)
        point: dict[str, Any] = {}
        for choice in self.choices:
            point |= choice.neutral()
            if choice.keep is not None and choice.prunable:
                left = sum(widths.get(group.name, group.channels) for group in choice.prunable)
                _set(point, choice.keep, left / sum(group.channels for group in choice.prunable))
            if choice.rank is not None:
                _set(point, choice.rank, self._executed_rank(choice, policy, widths))
            if choice.density is not None:
                _set(point, choice.density, self._executed_density(choice, policy, widths))
            if choice.method is not None and choice.method.is_open:
                method = _executed_method(choice, policy)
                point[choice.method.name] = method if method in choice.method.choices else choice.method.choices[0]
            if choice.precision is not None and choice.precision.is_open:
                name = names.get(choice.quantizable[0], FLOAT32)
                point[choice.precision.name] = name if name in choice.precision.choices else choice.precision.choices[0]
            if choice.quantizable and names.get(choice.quantizable[0]) == MIXED:
                point |= choice.point_of(bits[choice.quantizable[0]])
        return point

    def cost(self, policy: Policy) -> Mapping[str, float]:
        """Exact macs, flops, parameters, bops and packed_size_mb of the network under the policy."""
        return cost_of(self.costs, policy)

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
            found: set[int] = set()
            for precision, multiple in self._possible_multiples(group):
                offered = self._offered(group, precision)
                found |= {width for (width,) in _reachable(choice, [group], [multiple], [offered])}
            reachable[group.name] = sorted(found)
        return reachable

    # ---- what a point chooses

    def _chosen_precisions(self, point: Point) -> Iterator[tuple[str, str]]:
        """Layer and the name of its precision."""
        for choice in self.choices:
            if choice.precision is not None:
                yield from ((layer, choice.precision.of(point)) for layer in choice.quantizable)

    def _chosen_bits(self, point: Point, names: Mapping[str, str]) -> Iterator[tuple[str, Bits]]:
        for choice in self.choices:
            for layer in choice.quantizable if choice.precision is not None else ():
                if names[layer] != MIXED:
                    yield layer, BITS[names[layer]]
                else:
                    assert choice.weight_bits is not None
                    assert choice.activation_bits is not None
                    yield layer, Bits(int(point[choice.weight_bits.name]), int(point[choice.activation_bits.name]))

    def _chosen_factors(self, point: Point, widths: Mapping[str, int]) -> Iterator[tuple[str, Factors]]:
        """Layer and ranks, where they make it smaller (W30)."""
        for choice in self.choices:
            if choice.rank is None or not choice.applies(FACTORISATION, point):
                continue
            for layer in choice.factorisable:
                ranks = self._factors(layer, point[choice.rank.name], widths)
                if ranks is not None:
                    yield layer, ranks

    def _chosen_weights(self, point: Point, widths: Mapping[str, int]) -> Iterator[tuple[str, tuple[int, int]]]:
        """Layer and (kept, of) weights."""
        for choice in self.choices:
            if choice.density is not None and choice.applies(SPARSITY, point):
                for layer in choice.sparse:
                    weights = self.costs.weights(layer, widths)
                    yield layer, (kept_weights(weights, point[choice.density.name]), weights)

    def _factors(self, layer: str, keep: float, widths: Mapping[str, int]) -> Factors | None:
        """Ranks of a keep ratio; None where they do not make the layer smaller (W30)."""
        shape, ranks = self._ranks(layer, keep, widths)
        smaller = math.prod(shape) > 0 and pays(shape, ranks) and ranks != self._ranks(layer, 1.0, widths)[1]
        return ranks if smaller else None

    def _ranks(self, layer: str, keep: float, widths: Mapping[str, int]) -> tuple[tuple[int, ...], Factors]:
        """Shape of the layer's weight, its kernel as one side, and the ranks of a keep ratio."""
        out, inner = self.costs.width(layer, "out", widths), self.costs.width(layer, "in", widths)
        kernel = self.kernels[layer]
        if kernel == 1:
            return (out, inner), svd_rank(keep, inner, out)
        return (out, inner, kernel), tucker_ranks(keep, inner, out)

    def _width(self, group: ChannelGroup, keep: float, precisions: Mapping[str, str]) -> int:
        precision, multiple = self._governing(group, precisions)
        return _nearest(rounded_width(group.channels, keep, multiple), self._offered(group, precision))

    def _governing(self, group: ChannelGroup, precisions: Mapping[str, str]) -> tuple[str, int]:
        """The precision around the group that asks for the largest multiple, and that multiple."""
        layers = (*group.producers, *group.consumers)
        names = [precisions.get(layer, FLOAT32) for layer in layers]
        return max(((name, self.multiples.get(name, 1)) for name in names), key=lambda pair: (pair[1], pair[0]))

    def _offered(self, group: ChannelGroup, precision: str) -> Sequence[int]:
        return self.offered.get(precision, {}).get(group.name, ())

    # ---- what a policy has executed

    def _exact_ratios(self, point: Mapping[str, Any], policy: Policy) -> Point:
        """The point with ratios, where there are such, that leave just what the policy leaves of each layer."""
        names, widths, factors = dict(self._chosen_precisions(point)), widths_of(policy), factors_of(policy)
        kept, exact = weights_kept_of(policy), dict(point)
        wanted: list[float]
        for choice in self.choices:
            if choice.keep is not None and choice.pruning_of(point) is not None:
                wanted = [widths.get(group.name, group.channels) for group in choice.prunable]
                exact |= _ratio(choice.keep, point, wanted, partial(self._widths_left, choice, names))
            if choice.rank is not None and choice.applies(FACTORISATION, point):
                wanted = [count for layer in choice.factorisable for count in _counts(factors.get(layer))]
                exact |= _ratio(choice.rank, point, wanted, partial(self._ranks_left, choice, widths))
            if choice.density is not None and choice.applies(SPARSITY, point):
                whole = {layer: self.costs.weights(layer, widths) for layer in choice.sparse if layer not in factors}
                wanted = [kept.get(layer, weights) for layer, weights in whole.items()]
                exact |= _ratio(choice.density, point, wanted, partial(_weights_left, list(whole.values())))
        return exact

    def _widths_left(self, choice: Choice, precisions: Mapping[str, str], keep: float) -> list[int]:
        return [self._width(group, keep, precisions) for group in choice.prunable]

    def _ranks_left(self, choice: Choice, widths: Mapping[str, int], keep: float) -> list[float]:
        return [count for layer in choice.factorisable for count in _counts(self._factors(layer, keep, widths))]

    def _executed_rank(self, choice: Choice, policy: Policy, widths: Mapping[str, int]) -> float:
        factors, shares = factors_of(policy), []
        for layer in choice.factorisable:
            ranks, (out, inner) = factors.get(layer), self._ranks(layer, 1.0, widths)[0][:2]
            if ranks is None:
                return 1.0
            rank, of = (ranks.rank, min(out, inner)) if isinstance(ranks, SvdRank) else (ranks.rank_out, out)
            shares.append(rank / of)
        return max(shares, default=1.0)

    def _executed_density(self, choice: Choice, policy: Policy, widths: Mapping[str, int]) -> float:
        kept, factors = weights_kept_of(policy), factors_of(policy)
        of = {layer: self.costs.weights(layer, widths) for layer in choice.sparse if layer not in factors}
        if not of:
            return 1.0
        return sum(kept.get(layer, weights) for layer, weights in of.items()) / max(sum(of.values()), 1)

    # ---- how many policies there are

    @cached_property
    def _exact(self) -> int | None:
        """The sum over all combinations of precisions: widths are rounded for the precisions on both sides."""
        if not all(choice.is_plain for choice in self.choices):
            return None
        chosen = [choice for choice in self.choices if choice.precision is not None and choice.precision.is_open]
        options = [choice.precision.choices for choice in chosen if choice.precision is not None]
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
            self._n_reachable(index, tuple(self._governing(group, precisions) for group in choice.prunable))
            for index, choice in enumerate(self.choices)
        )

    def _n_reachable(self, index: int, governing: tuple[tuple[str, int], ...]) -> int:
        if (index, governing) not in self._counted:
            choice = self.choices[index]
            multiples = [multiple for _, multiple in governing]
            offered = [self._offered(g, name) for g, (name, _) in zip(choice.prunable, governing, strict=True)]
            found = len(_reachable(choice, choice.prunable, multiples, offered)) if governing else 1
            self._counted[index, governing] = found
        return self._counted[index, governing]

    def _most_of(self, choice: Choice) -> int:
        """An upper bound of the settings of one choice, whatever the other choices are."""
        sizes = [len(widths) for widths in self.legal_widths(choice).values()]
        if choice.rank is not None:
            sizes.append(sum(max(self._ranks(layer, 1.0, {})[0][:2]) for layer in choice.factorisable))
        if choice.density is not None:
            sizes.append(sum(self.costs.weights(layer, {}) for layer in choice.sparse))
        sizes += [len(options.choices) for options in (choice.method, choice.precision) if options is not None]
        sizes += [bits.high - bits.low + 1 for bits in (choice.weight_bits, choice.activation_bits) if bits is not None]
        return math.prod(sizes)

    @cached_property
    def _counted(self) -> dict[tuple[int, tuple[tuple[str, int], ...]], int]:
        return {}

    @cached_property
    def _precisions(self) -> dict[str, tuple[str, ...]]:
        """The precisions that each layer may run in; layers that are not named run in float32."""
        return {layer: c.precision.choices for c in self.choices if c.precision is not None for layer in c.quantizable}

    def _possible_multiples(self, group: ChannelGroup) -> list[tuple[str, int]]:
        """The precisions that may govern the widths of the group, with their multiples, by multiple."""
        around = [
            [(self.multiples.get(name, 1), name) for name in self._precisions.get(layer, (FLOAT32,))]
            for layer in (*group.producers, *group.consumers)
        ]
        least = max(min(multiples) for multiples in around)
        found = sorted({pair for pairs in around for pair in pairs if pair >= least})
        if not self.offered:  # only the multiple counts
            found = [(multiple, name) for multiple, name in dict(found).items()]
        return [(name, multiple) for multiple, name in found]


def cost_of(costs: AnalyticCost, policy: Policy) -> dict[str, float]:
    """Exact macs, flops, parameters, bops and packed_size_mb of the network under the policy."""
    return costs.of(widths_of(policy), bits_of(policy), factors_of(policy), weights_kept_of(policy))


def _ratio(
    ratio: Ratio, point: Mapping[str, Any], wanted: Sequence[float], left: Callable[[float], Sequence[float]]
) -> dict[str, float]:
    """The ratio by its name, such that it leaves what is wanted."""
    return {ratio.name: ratio_for(wanted, left, ratio.low, ratio.high, point[ratio.name])}


def _weights_left(weights: Sequence[int], density: float) -> list[int]:
    return [kept_weights(of, density) for of in weights]


def _counts(ranks: Factors | None) -> tuple[float, float]:
    """The ranks as counts that grow with their ratio, up to where the layer is left whole."""
    if ranks is None:
        return math.inf, math.inf
    return (ranks.rank, ranks.rank) if isinstance(ranks, SvdRank) else (ranks.rank_in, ranks.rank_out)


def _set(point: dict[str, Any], ratio: Ratio, value: float) -> None:
    point[ratio.name] = min(max(value, ratio.low), ratio.high)


def _executed_method(choice: Choice, policy: Policy) -> str:
    assert choice.method is not None
    groups = {group.name for group in choice.prunable}
    if groups & refitted_of(policy):
        return CHANNEL_PRUNING
    if groups & widths_of(policy).keys():
        return FILTER_PRUNING
    if factors_of(policy).keys() & set(choice.factorisable):
        return FACTORISATION
    if weights_kept_of(policy).keys() & set(choice.sparse):
        return SPARSITY
    return NONE if NONE in choice.method.choices else choice.method.choices[0]


def _nearest(width: int, offered: Sequence[int]) -> int:
    """The offered width nearest to `width`, of two the wider; `width` itself where all are offered."""
    return min(offered, key=lambda other: (abs(other - width), -other)) if offered else width


def _reachable(
    choice: Choice, groups: Sequence[ChannelGroup], multiples: Sequence[int], offered: Sequence[Sequence[int]]
) -> set[tuple[int, ...]]:
    """Every combination of widths of the groups that one keep ratio gives; they change only at ratios k / channels."""
    assert choice.keep is not None
    low, high = choice.keep.low, choice.keep.high
    ratios = {low, high}
    for channels in {group.channels for group in groups}:
        ratios.update(k / channels for k in range(1, channels + 1) if low <= k / channels <= high)
    triples = [(g.channels, multiple, widths) for g, multiple, widths in zip(groups, multiples, offered, strict=True)]
    return {
        tuple(_nearest(rounded_width(channels, ratio, multiple), widths) for channels, multiple, widths in triples)
        for ratio in ratios
    }
