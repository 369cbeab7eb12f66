"""The contract of a compression method: all that moco knows of one stands in its one class.

What the space, the codec, the costs, the surgery and the proof do is loop over the methods. Registered by an entry
point of the group `moco.method`, a method of another package takes part in everything (docs/adding_a_method.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Gt, Le
from torch import Tensor, nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.costs import LayerCost
from moco.compression.counting import Counts, LayerCount
from moco.compression.file_weights import FileWeights
from moco.compression.precision import Bits
from moco.compression.rankings.ranking import Data, Rng
from moco.compression.space.context import Draft, SpaceContext
from moco.compression.space.layer_groups import Grouped
from moco.compression.space.parameters import Part, n_values
from moco.errors import SpaceError, nearest
from moco.policy import in_words
from moco.registry import NamedPlugin

Images = Callable[[int], Tensor]
"""Gives at most so many calibration images, normalised, (n, channels, height, width)."""
Setting = Mapping[str, Any]
"""What a policy says of one layer or channel group with this method: one of its `settings` with its value."""
Allowed = Callable[[Iterable[str], str], float | None]
"""Of layers or channel groups and a parameter of a sensitivity analysis, the heaviest level that all of them allow."""
SHARE = "{keep: k, of: n} with 1 <= k <= n"


@dataclass(frozen=True)
class Method(NamedPlugin):
    """A compression method; `options` are those of `space.<name>`.

    Values of parameters go by kind (`keep`); the space calls them `<layer group>.keep`.

    Attributes:
        settings: keys of its settings in a policy; a layer has one of them at most. They are no other method's.
        order: place among the methods, both in writing a policy and in changing a network: precisions 10, channels
            20, factors 30, single weights 40. What removes whole layers stands before all of them.
        excludes: keys of other methods' settings that cannot stand beside its own; one that comes earlier wins.
        is_chosen: whether `space.choose` lets a layer group take this method or another one.
        removes_channels: whether its settings are of channel groups and remove channels.
        removes_branches: whether its settings are of residual branches, which go before anything is recovered.
        refits_readers: whether the layers that read what it removes are refitted.
        changes_weights: whether it changes the network, and not only its file.
        changes_structure: whether the network's tensors have other shapes, or other names, afterwards.
    """

    settings: ClassVar[tuple[str, ...]]
    order: ClassVar[int] = 50
    excludes: ClassVar[frozenset[str]] = frozenset()
    is_chosen: ClassVar[bool] = True
    removes_channels: ClassVar[bool] = False
    removes_branches: ClassVar[bool] = False
    refits_readers: ClassVar[bool] = False
    changes_weights: ClassVar[bool] = True
    changes_structure: ClassVar[bool] = False

    # ---- the space

    @property
    def needs_images(self) -> bool:
        """Whether it looks at calibration images."""
        return False

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that it lets layers run in, the neutral one first; empty where it sets none."""
        return ()

    @property
    def ranges(self) -> str | None:
        """How the ranges of integers are estimated; None where it makes none."""
        return None

    @property
    def ranking(self) -> str | dict[str, Any] | None:
        """The ranking that a policy's reader must know, as it is written; None where it needs none."""
        return None

    def combined_with(self, methods: Sequence[Method], choose: bool) -> Method:
        """The method as it stands beside all that are declared with it.

        Raises:
            SpaceError: one of them excludes it, or does unless each group chooses.
        """
        return self

    def acquainted(self, network: nn.Module, graph: ChannelGraph, images: Images) -> Method:
        """The method as it knows the network whose space is made; it may look at calibration images.

        Raises:
            CompressionError: it cannot look at the network.
        """
        return self

    def group_of_its_own(self, context: SpaceContext) -> Grouped | None:
        """A layer group over the whole network that holds parameters of this method alone; None where it has none."""
        return None

    def parameters_for(self, group: Grouped, context: SpaceContext) -> Part | None:
        """What it may do to a layer group, as parameters with their ranges; None where that is nothing."""
        raise NotImplementedError

    def left_alone(self, groups: Sequence[Grouped], layers: Mapping[str, LayerCount]) -> Iterable[str]:
        """A warning for each layer that it is declared for and cannot take, with the reason."""
        return ()

    def summary(self, part: Part, context: SpaceContext) -> dict[str, Any]:
        """What is shown of a group before a search: `methods`, words for people; also `widths` and `precisions`."""
        return {"methods": [f"{self.name.replace('_', ' ')} of {len(part.names)} layers"]}

    def runs_in(self, part: Part) -> tuple[str, ...]:
        """The precisions that the part's layers may run in; empty where it sets none."""
        return ()

    def n_settings(self, part: Part, precisions: Mapping[str, str], context: SpaceContext) -> int | None:
        """Number of distinct settings of a part, its layers' precisions being given; None where it is not counted."""
        return None

    def depends_on_precisions(self, part: Part, context: SpaceContext) -> bool:
        """Whether `n_settings` depends on the precisions."""
        return False

    def most_settings(self, part: Part, context: SpaceContext) -> int:
        """An upper bound of the number of settings of a part, whatever other methods do."""
        return prod(n_values(parameter) for parameter in part.parameters.values())

    def heaviest_allowed(self, part: Part, allowed: Allowed) -> dict[str, Any]:
        """The heaviest values that a sensitivity analysis allows, by kind; what it does not know stays neutral."""
        return {}

    # ---- points and policies

    def write_settings(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> None:
        """Write into the draft what these values mean for the part's names.

        Args:
            part: its names are those that earlier methods have left to this one.
        """
        raise NotImplementedError

    def values_of(self, part: Part, draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """By kind, the values that a policy stands for, or near to it; what is left out is neutral."""
        raise NotImplementedError

    def refine(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """By kind, values that give just what the policy has, where `values_of`, here as `values`, are only near."""
        return {}

    # ---- a setting in a policy

    def expected_instead(self, key: str, value: object) -> str | None:
        """What would have been right, in words, where a value of one of its settings is malformed; else None."""
        raise NotImplementedError

    def canonical(self, setting: Setting) -> Setting:
        """The setting in its one form; empty where it changes nothing."""
        return setting

    def describe(self, key: str, value: Any) -> str:
        """The setting for reports and the card."""
        return in_words(key, value)

    def width(self, setting: Setting) -> tuple[int, int] | None:
        """(kept, of) channels of the channel group; None where it removes no channels."""
        return None

    def bits(self, setting: Setting) -> Bits | None:
        """The bits that the layer runs in; None where it sets none."""
        return None

    def replacement_layers(self, layer: str, setting: Setting) -> tuple[str, ...]:
        """Names of the layers that stand for the layer afterwards, in their order."""
        return (layer,)

    def removed_modules(self, name: str, setting: Setting) -> tuple[str, ...]:
        """Modules that are not there any more, with all that is in them."""
        return ()

    def cost(self, layer: LayerCost, setting: Setting) -> LayerCost:
        """What the layer costs under the setting, given what it costs under those of earlier methods."""
        return layer

    # ---- the network and its file

    def prepare(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Any:
        """What it finds out about the original network once, such as a ranking; the network is left as it was.

        Raises:
            CompressionError: what it needs is missing.
        """
        return None

    def check(self, name: str, setting: Setting, graph: ChannelGraph, counts: Counts) -> None:
        """Pass a setting of this network.

        Raises:
            SpaceError: the network has no such layer, or not such a one; it is named.
        """
        layers = {layer.name for layer in counts.layers}
        if name not in layers:
            raise SpaceError(f"policy: the network has no layer '{name}'{nearest(name, layers)}")

    def kept(self, settings: Mapping[str, Setting], prepared: Any) -> dict[str, np.ndarray]:
        """By channel group, the ascending indices of the channels that stay; whole groups are left out.

        Raises:
            SpaceError: what it needed to prepare itself was not given.
        """
        return {}

    def apply_(self, network: nn.Module, settings: Mapping[str, Setting], prepared: Any) -> None:
        """Do it to a copy of the network whose channels are pruned and refitted already, in place.

        Raises:
            CompressionError: a layer cannot take its setting; it is named.
        """

    def verify_network(self, network: nn.Module, settings: Mapping[str, Setting]) -> None:
        """Check that the network is what the settings ask for; its number of parameters is checked for all methods.

        Raises:
            CompressionError: it is not; the layer is named.
        """

    def verify_file(self, weights: FileWeights, settings: Mapping[str, Setting]) -> None:
        """Check that the file's weights are what the settings, of which there may be none, ask for.

        Training lies between `apply_` and the file, and so does the folding of batch-norms, which scales each output
        channel.

        Raises:
            CompressionError: they are not; the layer is named.
        """


def from_one(*numbers: object) -> bool:
    """Whether all of them are whole numbers from 1 on: most settings of a policy are."""
    return all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in numbers)


class KeepingMethod(Method):
    """A method whose one setting says {keep: k, of: n} with 1 <= k <= n."""

    def expected_instead(self, key: str, value: object) -> str | None:
        """{keep, of}."""
        if isinstance(value, Mapping) and value.keys() == {"keep", "of"} and from_one(*value.values()):
            return None if value["keep"] <= value["of"] else SHARE
        return SHARE

    def canonical(self, setting: Setting) -> Setting:
        """Nothing where all stay."""
        share = setting[self.name]
        return setting if share["keep"] < share["of"] else {}


KeepRatio = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class KeepOptions:
    """Options of a method with a ratio to keep; a SpaceError where the ratios are none."""

    method: ClassVar[str]
    keep: tuple[KeepRatio, KeepRatio] = (0.3, 1.0)  # [lowest, highest]

    def __post_init__(self) -> None:
        where, (low, high) = f"space.{self.method}.keep", self.keep
        if low > high:
            raise SpaceError(f"{where}: expected [lowest, highest] ratio to keep, got {list(self.keep)}")
        if not 0 < low <= high <= 1:
            raise SpaceError(f"{where}: expected 0 < low <= high <= 1, got {list(self.keep)}")
