"""Low-rank factorisation: a layer becomes two (SVD, S4.05) or three (Tucker-2, S1.43) of fewer weights in all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.costs import LayerCost
from moco.compression.counting import LayerCount
from moco.compression.file_weights import FileWeights
from moco.compression.methods.low_rank import (
    STEM_CHANNELS,
    FactorCache,
    Ranks,
    SvdRank,
    TuckerRanks,
    factorise_,
    pays,
    svd_rank,
    tucker_ranks,
)
from moco.compression.methods.method import KeepOptions, Method, Setting, from_one
from moco.compression.rankings.ranking import Data, Rng
from moco.compression.space.context import Draft, SpaceContext
from moco.compression.space.layer_groups import Grouped
from moco.compression.space.parameters import Part, Ratio
from moco.errors import CompressionError


@dataclass(frozen=True)
class FactorisationOptions(KeepOptions):
    """Options of factorisation."""

    method = "factorisation"


class Factorisation(Method):
    """Tucker-2 for convolutions with a kernel, SVD for linear layers and 1x1 convolutions."""

    name = "factorisation"
    settings = ("tucker", "svd")
    order = 30
    Options = FactorisationOptions
    changes_structure = True

    def parameters_for(self, group: Grouped, context: SpaceContext) -> Part | None:
        """The layers that the lowest ratio makes smaller, and not slower in every precision."""
        slow = self._slow(context) if context.losing else set()
        names = tuple(n for n in group.layers if n not in slow and self._why_whole(context.layers[n]) is None)
        return Part(group.name, names, {"rank": Ratio(*self.options.keep)}) if names else None

    def _slow(self, context: SpaceContext) -> set[str]:
        """Layers that it makes no faster in any precision; the channels they give may be another group's."""
        return {
            layer
            for channels in context.channels.values()
            if all(context.loses(channels.name, precision, self.name) for precision in context.multiples)
            for layer in channels.producers
        }

    def _why_whole(self, layer: LayerCount) -> str | None:
        """Why a layer is not factorised (S1.44, W30); None where its lowest ratio makes it smaller."""
        if layer.kind not in {"conv", "linear"}:
            return f"it is a {layer.kind} convolution"
        if layer.in_channels <= STEM_CHANNELS:
            return f"it reads {layer.in_channels} channels, too few to be cut"
        shape, ranks = _ranks(layer.out_channels, layer.in_channels, math.prod(layer.kernel), self.options.keep[0])
        return None if pays(shape, ranks) else f"a ratio of {self.options.keep[0]:g} does not make it smaller"

    def left_alone(self, groups: Sequence[Grouped], layers: Mapping[str, LayerCount]) -> Iterator[str]:
        """The layers that cannot or need not be factorised."""
        for name in (name for group in groups for name in group.layers):
            if (reason := self._why_whole(layers[name])) is not None:
                yield f"'{name}' is not factorised: {reason}"

    def summary(self, part: Part, context: SpaceContext) -> dict[str, Any]:
        """The ratios."""
        low, high = self.options.keep
        return {"methods": [f"ranks {low:g}-{high:g} of {len(part.names)} layers"]}

    def most_settings(self, part: Part, context: SpaceContext) -> int:
        """A setting for each rank of each layer."""
        return sum(max(_at(name, 1.0, {}, context)[0][:2]) for name in part.names)

    def write_settings(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> None:
        """The ranks of each layer, as shares of what pruning left, where they make it smaller (W30)."""
        for layer in part.names:
            ranks = _paying(layer, values["rank"], draft.widths, context)
            if ranks is not None:
                draft.set(layer, setting_of(ranks))

    def values_of(self, part: Part, draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """The largest share of the ranks that a layer keeps; all where one is left whole."""
        shares = []
        for layer in part.names:
            ranks, shape = read_ranks(draft.settings.get(layer, {})), _at(layer, 1.0, draft.widths, context)[0]
            if ranks is None:
                return {"rank": 1.0}
            shares.append(ranks.rank / min(shape[:2]) if isinstance(ranks, SvdRank) else ranks.rank_out / shape[0])
        return {"rank": max(shares, default=1.0)}

    def refine(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """A ratio that leaves just these ranks, where there is one."""
        ratio = part.parameters["rank"]
        found = [read_ranks(draft.settings.get(name, {})) for name in part.names]

        def left(keep: float) -> list[float]:
            return [n for layer in part.names for n in _counts(_paying(layer, keep, draft.widths, context))]

        assert isinstance(ratio, Ratio)
        wanted = [count for ranks in found for count in _counts(ranks)]
        return {"rank": ratio.leaving(wanted, left, values["rank"])}

    def expected_instead(self, key: str, value: object) -> str | None:
        """{ranks} of Tucker-2, {rank} of SVD."""
        if key == "tucker":
            ranks = value.get("ranks") if isinstance(value, Mapping) and value.keys() == {"ranks"} else None
            fits = isinstance(ranks, list) and len(ranks) == 2 and from_one(*ranks)
            return None if fits else "{ranks: [in, out]}, whole numbers from 1"
        fits = isinstance(value, Mapping) and value.keys() == {"rank"} and from_one(value["rank"])
        return None if fits else "{rank: r}, a whole number from 1"

    def replacement_layers(self, layer: str, setting: Setting) -> tuple[str, ...]:
        """Three layers of Tucker-2, two of SVD."""
        return tuple(f"{layer}.{part}" for part in range(3 if "tucker" in setting else 2))

    def cost(self, layer: LayerCost, setting: Setting) -> LayerCost:
        """The sum of the layers that take its place."""
        ranks = _read(setting)
        if isinstance(ranks, TuckerRanks):
            first = layer.input_positions, ranks.rank_in, layer.inputs
            core = layer.positions, ranks.rank_out, layer.kernel * ranks.rank_in
            return layer._replace(products=(first, core, (layer.positions, layer.outputs, ranks.rank_out)))
        first = layer.positions, ranks.rank, layer.inputs
        return layer._replace(products=(first, (layer.positions, layer.outputs, ranks.rank)))

    def prepare(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Any:
        """The factors of unpruned layers, each made when it is first asked for."""
        return FactorCache(network)

    def apply_(self, network: nn.Module, settings: Mapping[str, Setting], prepared: Any) -> None:
        """Replace layers by their factors."""
        factorise_(network, {name: _read(setting) for name, setting in settings.items()}, prepared)

    def verify_file(self, weights: FileWeights, settings: Mapping[str, Setting]) -> None:
        """The outputs of the first factor."""
        for name, setting in settings.items():
            ranks = _read(setting)
            rank = ranks.rank_in if isinstance(ranks, TuckerRanks) else ranks.rank
            got = weights.shape(weights.parts(name)[0])[0]
            if got != rank:
                raise CompressionError(f"verification: '{name}' was to have rank {rank}, the file holds {got}")


def setting_of(ranks: Ranks) -> dict[str, Any]:
    """The setting of a layer with these ranks."""
    if isinstance(ranks, TuckerRanks):
        return {"tucker": {"ranks": [ranks.rank_in, ranks.rank_out]}}
    return {"svd": {"rank": ranks.rank}}


def read_ranks(settings: Setting) -> Ranks | None:
    """The ranks among a layer's settings; None where it is left whole."""
    if "tucker" in settings:
        return TuckerRanks(*settings["tucker"]["ranks"])
    return SvdRank(settings["svd"]["rank"]) if "svd" in settings else None


def _read(setting: Setting) -> Ranks:
    ranks = read_ranks(setting)
    assert ranks is not None
    return ranks


def _at(layer: str, keep: float, widths: Mapping[str, int], context: SpaceContext) -> tuple[tuple[int, ...], Ranks]:
    """Shape of the layer's weight under these widths, its kernel as one side, and the ranks of a ratio."""
    out, inner = context.costs.width(layer, "out", widths), context.costs.width(layer, "in", widths)
    return _ranks(out, inner, math.prod(context.layers[layer].kernel), keep)


def _ranks(out: int, inner: int, kernel: int, keep: float) -> tuple[tuple[int, ...], Ranks]:
    if kernel == 1:
        return (out, inner), svd_rank(keep, inner, out)
    return (out, inner, kernel), tucker_ranks(keep, inner, out)


def _paying(layer: str, keep: float, widths: Mapping[str, int], context: SpaceContext) -> Ranks | None:
    """Ranks of a ratio; None where they do not make the layer smaller (W30)."""
    shape, ranks = _at(layer, keep, widths, context)
    return ranks if pays(shape, ranks) else None


def _counts(ranks: Ranks | None) -> tuple[float, float]:
    """The ranks as counts that grow with their ratio, up to where the layer is left whole."""
    if ranks is None:
        return math.inf, math.inf
    return (ranks.rank, ranks.rank) if isinstance(ranks, SvdRank) else (ranks.rank_in, ranks.rank_out)
