"""Depth: residual branches are left out, as the blocks of an ordinary ResNet are by hand; the shapes stay.

How many stay is one number for the whole network, because it is what decides: which branches go follows from the
divergence of the answers, re-measured as they go (moco.compression.channels.branch_order). A number a layer group lets
a search choose where they go, at the price of as many parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import nn

from moco.compression.channels.branch_order import removal_order
from moco.compression.channels.branch_removal import difference, leave_out_, with_zeros
from moco.compression.channels.branches import Branch, Branches
from moco.compression.channels.groups import ChannelGraph
from moco.compression.channels.surgery import within
from moco.compression.counting import Counts, LayerCount
from moco.compression.file_weights import FileWeights
from moco.compression.methods.method import Allowed, Images, KeepOptions, Method, Setting
from moco.compression.rankings.ranking import Data, Rng
from moco.compression.space.context import Draft, SpaceContext
from moco.compression.space.layer_groups import Grouped
from moco.compression.space.parameters import Part, WholeNumbers
from moco.errors import CompressionError, SpaceError, nearest

BRANCHES = "branches"
"""The kind of its parameter: how many stay."""


@dataclass(frozen=True)
class DepthOptions(KeepOptions):
    """Options of depth; `keep` is of the branches, their numbers rounded down."""

    method = "depth"
    per: Literal["network", "group"] = "network"  # what has a number of branches of its own
    images: int = 128  # calibration images that the order of the branches is found with, at most
    order_for: Literal["untrained", "trained"] = "untrained"  # which network the first to go harm least

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per not in {"network", "group"}:
            raise SpaceError(f"space.depth.per: expected 'network' or 'group', got {self.per!r}")
        if self.images < 1:
            raise SpaceError(f"space.depth.images: expected at least 1, got {self.images}")
        if self.order_for not in {"untrained", "trained"}:
            raise SpaceError(f"space.depth.order_for: expected 'untrained' or 'trained', got {self.order_for!r}")


@dataclass(eq=False)
class Known:
    """A network whose branches are asked for when a space is made, and put into order when a policy is."""

    network: nn.Module
    graph: ChannelGraph
    images: Images
    _orders: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    @property
    def branches(self) -> Branches:
        """The network's."""
        return self.graph.branches

    def order(self, part: Part, options: DepthOptions) -> tuple[str, ...]:
        """The part's branches from the first to the last to go; of a single one there is nothing to measure."""
        if part.names not in self._orders:
            branches, least = [self.branches.by_name[name] for name in part.names], _number(part).low
            images = self.images(options.images) if len(branches) > 1 else torch.empty(0)
            most, trained = len(branches) - least, options.order_for == "trained"
            if len(images):
                branches = list(removal_order(self.network, branches, images, most, trained=trained))
            self._orders[part.names] = tuple(branch.name for branch in branches)
        return self._orders[part.names]


@dataclass(frozen=True)
class Depth(Method):
    """Leaves out the residual branches that change the answers least."""

    known: Known | None = None

    name = "depth"
    settings = ("depth",)
    order = 5
    Options = DepthOptions
    is_chosen = False
    removes_branches = True
    changes_structure = True

    def acquainted(self, network: nn.Module, graph: ChannelGraph, images: Images) -> Method:
        """The method that knows the network's branches."""
        return replace(self, known=Known(network, graph, images))

    def group_of_its_own(self, context: SpaceContext) -> Grouped | None:
        """All branches, where the network has one number of them."""
        layers = tuple(layer for branch in self._free(context.groups) for layer in branch.layers)
        return Grouped(self.name, layers, ()) if layers and self.options.per == "network" else None

    def parameters_for(self, group: Grouped, context: SpaceContext) -> Part | None:
        """How many of the branches stay whose layers all lie in the group."""
        own = self.group_of_its_own(context)
        if own is not None and own != group:
            return None
        branches = self._free([group]) if own is None else self._free(context.groups)
        number = WholeNumbers(*(math.floor(share * len(branches) + 1e-9) for share in self.options.keep))
        if number.low == len(branches):
            return None
        return Part(group.name, tuple(branch.name for branch in branches), {BRANCHES: number})

    def _free(self, groups: Sequence[Grouped]) -> tuple[Branch, ...]:
        """The branches of which no layer lies elsewhere; in a single group none without layers."""
        branches = () if self.known is None else self.known.branches.all
        layers = {layer for group in groups for layer in group.layers}
        return tuple(b for b in branches if layers.issuperset(b.layers) and (b.layers or len(groups) > 1))

    def left_alone(self, groups: Sequence[Grouped], layers: Mapping[str, LayerCount]) -> Iterator[str]:
        """The branches that cannot go; or that there is none, so that depth is left out."""
        found = Branches() if self.known is None else self.known.branches
        yield from (f"'{name}' is not left out: {reason}" for name, reason in found.left_out.items())
        if not self._free(groups):
            yield (
                f"space.{self.name} is left out: the network has no residual branch, in the layers that may change, "
                "whose removal leaves all shapes as they are"
            )

    def summary(self, part: Part, context: SpaceContext) -> dict[str, Any]:
        """How many branches."""
        number = _number(part)
        found: dict[str, Any] = {"methods": [f"{number.low}-{number.high} of {len(part.names)} residual branches"]}
        if self.group_of_its_own(context) is None:
            return found
        numbers = list(range(number.low, number.high + 1))
        return {**found, "layers": list(part.names), "widths": {BRANCHES: numbers}, "precisions": []}

    def n_settings(self, part: Part, precisions: Mapping[str, str], context: SpaceContext) -> int | None:
        """Not counted: what goes takes the settings of other methods with it."""
        return None

    def heaviest_allowed(self, part: Part, allowed: Allowed) -> dict[str, Any]:
        """As many as may go one after the other, each alone changing no more than is allowed."""
        gone = 0
        for name in self._order(part):
            if allowed((name,), BRANCHES) is None:
                break
            gone += 1
        return {BRANCHES: max(_number(part).low, len(part.names) - gone)} if gone else {}

    def write_settings(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> None:
        """The first in the order of the branches go."""
        gone = len(part.names) - values[BRANCHES]
        for name in self._order(part)[:gone] if gone else ():
            branch = self._known.branches.by_name[name]
            draft.gone.update(branch.removed)
            draft.set(name, self.setting_of(branch))

    def setting_of(self, branch: Branch) -> Setting:
        """The setting of a branch that is left out."""
        return {self.name: {"removed": list(branch.removed)}}

    def _order(self, part: Part) -> tuple[str, ...]:
        return self._known.order(part, self.options)

    @property
    def _known(self) -> Known:
        assert self.known is not None, "its parameters are made of a network's branches"
        return self.known

    def values_of(self, part: Part, draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """How many stay, whichever they are."""
        return {BRANCHES: sum(not draft.has(name, self.settings) for name in part.names)}

    def expected_instead(self, key: str, value: object) -> str | None:
        """{removed: [names]}."""
        names = value.get("removed") if isinstance(value, Mapping) and value.keys() == {"removed"} else None
        fits = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
        return None if fits else "{removed: [module, …]}, the modules of the branch that hold parameters"

    def describe(self, key: str, value: Any) -> str:
        """That it is left out."""
        return "left out"

    def removed_modules(self, name: str, setting: Setting) -> tuple[str, ...]:
        """The branch's, as the setting says."""
        return tuple(setting[self.name]["removed"])

    def prepare(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Any:
        """The branches, found when they are first asked for."""
        return lambda: graph.branches

    def check(self, name: str, setting: Setting, graph: ChannelGraph, counts: Counts) -> None:
        """Pass a branch of the network that is made of these modules."""
        branch = graph.branches.by_name.get(name)
        if branch is None:
            why, known = graph.branches.left_out.get(name), graph.branches.by_name
            raise SpaceError(
                f"policy: '{name}' cannot be left out: {why}"
                if why
                else f"policy: the network has no residual branch '{name}' that can be left out{nearest(name, known)}"
            )
        if branch.removed != self.removed_modules(name, setting):
            raise SpaceError(
                f"policy: the branch '{name}' is made of {', '.join(branch.removed)}, the policy removes "
                f"{', '.join(self.removed_modules(name, setting))}; was it made for another network?"
            )

    def apply_(self, network: nn.Module, settings: Mapping[str, Setting], prepared: Callable[[], Branches]) -> None:
        """Leave the branches out; the network then gives what it gave with zeros for them."""
        branches = prepared()
        removals = [branches.by_name[name].removal for name in settings]
        expected = with_zeros(network, branches.images, removals)
        leave_out_(network, removals)
        with torch.no_grad():
            wrong = difference(network(branches.images), expected)
        if wrong is not None:
            raise CompressionError(f"depth: {', '.join(map(repr, settings))} cannot be left out: {wrong}")

    def verify_network(self, network: nn.Module, settings: Mapping[str, Setting]) -> None:
        """No parameter of the branches is left."""
        for name, setting in settings.items():
            self._check_absent(name, setting, "network", [left for left, _ in network.named_parameters()])

    def verify_file(self, weights: FileWeights, settings: Mapping[str, Setting]) -> None:
        """No weight of the branches is left."""
        for name, setting in settings.items():
            self._check_absent(name, setting, "file", weights.names)

    def _check_absent(self, name: str, setting: Setting, where: str, names: Sequence[str]) -> None:
        left = next((each for each in names if within(each, self.removed_modules(name, setting))), None)
        if left is not None:
            raise CompressionError(f"verification: '{name}' was to be left out, the {where} holds '{left}'")


def _number(part: Part) -> WholeNumbers:
    """The parameter of how many branches stay."""
    number = part.parameters[BRANCHES]
    assert isinstance(number, WholeNumbers)
    return number
