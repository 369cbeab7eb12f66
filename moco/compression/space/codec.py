"""Points of a network's search space to policies and back: the order of the methods, and which gives way to which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from moco.compression.channels.surgery import within
from moco.compression.costs import AnalyticCost, Change
from moco.compression.methods.method import Method
from moco.compression.policy_settings import each_setting
from moco.compression.precision import precision_of
from moco.compression.space.context import Draft, SpaceContext
from moco.compression.space.group_parameters import Choice, exact_count, most_policies
from moco.compression.space.parameters import Part
from moco.policy import Policy
from moco.setting_owners import method_of
from moco.trial import Point


@dataclass(frozen=True)
class NetworkCodec:
    """Implements moco.space.Codec."""

    choices: tuple[Choice, ...]
    context: SpaceContext

    def policy(self, point: Point) -> Policy:
        """The canonical policy.

        Methods write it in their order: precisions come first, because a width is rounded for the precision that it
        will run in, then widths, because ranks and numbers of weights are shares of what is left.
        """
        return Policy.of(self._drafted(point).settings)

    def point(self, policy: Policy) -> Point:
        """What was executed: ratios kept, methods, precisions and bits; what a policy does not use is neutral.

        Of a policy of this space it is a point that gives this policy again, of another one a point near to it.
        """
        draft = executed_draft(policy)
        point: dict[str, Any] = {}
        for choice in self.choices:
            point |= choice.neutral
            for method, part in choice.parts:
                if (left := self._left(method, part, draft)).names:
                    point |= part.point(method.values_of(left, draft, self.context))
            point |= choice.executed_method(draft.settings)
        return point if self.policy(point) == policy else self._exact(point, draft)

    def cost(self, policy: Policy) -> Mapping[str, float]:
        """Exact macs, flops, parameters, bops and packed_size_mb of the network under the policy."""
        return cost_of(self.context.costs, policy)

    def n_policies(self) -> int | None:
        """Number of distinct policies; None where there are too many combinations of precisions to count them."""
        return self._count

    def most_policies(self) -> int:
        """The number of policies, or an upper bound of it where it is not counted."""
        return self._count if self._count is not None else most_policies(self.choices, self.context)

    @cached_property
    def _count(self) -> int | None:
        return exact_count(self.choices, self.context)

    @cached_property
    def _in_order(self) -> list[tuple[Choice, Method, Part]]:
        found = [(choice, method, part) for choice in self.choices for method, part in choice.parts]
        return sorted(found, key=lambda entry: entry[1].order)

    def _drafted(self, point: Point) -> Draft:
        draft = Draft()
        for method, part, values in self._applied(point, draft):
            method.write_settings(part, values, draft, self.context)
        return draft

    def _exact(self, near: Mapping[str, Any], draft: Draft) -> Point:
        """The point with values, where there are such, that give just what the policy has."""
        exact = dict(near)
        draft = replace(draft, precisions=self._drafted(near).precisions)
        for method, part, values in self._applied(near, draft):
            exact |= part.point(method.refine(part, values, draft, self.context))
        return exact

    def _applied(self, point: Point, draft: Draft) -> Iterator[tuple[Method, Part, dict[str, Any]]]:
        """What the point applies, in order, with the names that are left to it in the draft of that moment."""
        for choice, method, part in self._in_order:
            if choice.applies(method, point) and (left := self._left(method, part, draft)).names:
                yield method, left, part.values(point)

    def _left(self, method: Method, part: Part, draft: Draft) -> Part:
        """The part without what is gone, or has a setting of an earlier method that excludes this one."""
        first = self._first[method.name]
        if not draft.gone and not first:
            return part
        gone = {name for name in part.names if draft.gone and self._is_gone(method, name, draft)}
        left = tuple(name for name in part.names if name not in gone and not draft.has(name, first))
        return part if left == part.names else replace(part, names=left)

    def _is_gone(self, method: Method, name: str, draft: Draft) -> bool:
        if draft.has(name, method.settings):  # the method has removed it itself
            return False
        layers = self.context.channels[name].producers if method.removes_channels else (name,)
        return all(within(layer, draft.gone) for layer in layers)

    @cached_property
    def _first(self) -> dict[str, frozenset[str]]:
        """By method, the settings of earlier methods that exclude it."""
        methods = {method.name: method for _, method, _ in self._in_order}
        return {
            name: frozenset(key for key in method.excludes if method_of(key).order < method.order)
            for name, method in methods.items()
        }


def executed_draft(policy: Policy) -> Draft:
    """What the policy says, as the methods read it."""
    draft = Draft(policy.settings)
    for method, name, setting in each_setting(policy):
        if (width := method.width(setting)) is not None:
            draft.widths[name] = width[0]
        if (bits := method.bits(setting)) is not None:
            draft.precisions[name] = precision_of(bits)
        draft.gone.update(method.removed_modules(name, setting))
    return draft


def cost_of(costs: AnalyticCost, policy: Policy) -> dict[str, float]:
    """Exact macs, flops, parameters, bops and packed_size_mb of the network under the policy."""
    changes: dict[str, list[Change]] = {}
    widths: dict[str, int] = {}
    gone: list[str] = []
    for method, name, setting in each_setting(policy):
        if (width := method.width(setting)) is not None:
            widths[name] = width[0]
        else:
            changes.setdefault(name, []).append(partial(method.cost, setting=setting))
            gone += method.removed_modules(name, setting)
    return costs.of(widths, changes, gone)
