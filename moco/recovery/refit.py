"""Least-squares refit of the layers of a pruned network that lost input channels (S1.42, W28).

On the original's inputs, each layer's Gram is summed once over the original network, and a candidate solves a part of
it. On the compressed network's own inputs (asymmetric, as He et al. 2017), a candidate takes one forward pass: each
layer is solved for what the layers before it, pruned and refitted already, give, so it also makes good what they lost.

A layer without a bias that a batch-norm follows is fitted with an intercept all the same: channels behind a rectifier
have a mean, which goes with them. The batch-norm's running mean takes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.collecting import evaluating
from moco.compression.policy_settings import pruned, refitted_of
from moco.compression.windows import draw_positions, sampled_outputs, sampled_rows
from moco.errors import ConfigError
from moco.export.folding import foldable_pairs
from moco.policy import Policy
from moco.randomness import generator
from moco.recovery.least_squares import (
    Gram,
    Weights,
    columns_of,
    refit_weights,
    refusal,
    weighted_layers,
)
from moco.recovery.step import Candidate, Moment, PrunedGroups, RecoveryContext, RecoveryStep, written

Inputs = Literal["original", "compressed"]
BATCH = 64
MOST_POSITIONS = 1_000_000


@dataclass(frozen=True)
class RefitOptions:
    """How layers are refitted."""

    # whose inputs a layer is fitted on: the original network's, or the compressed one's in sequence
    inputs: Inputs = "compressed"
    # output positions an image that a layer is fitted on, at most. AMC takes 10; with 256 images, 20 bring ResNet-56 a
    # little nearer to the original for a tenth of a second.
    positions: int = 20
    # pull towards the kept weights, as a share of the mean square of the inputs. Between 0 and 0.1 it matters little.
    ridge: float = 1e-2
    # in sequence, whether also layers that lost no channel are refitted once a layer before them has
    downstream: bool = False
    intercept: bool = True  # whether layers without a bias have an intercept where a batch-norm follows, which takes it

    def __post_init__(self) -> None:
        if self.inputs not in {"original", "compressed"}:
            raise ConfigError(f"recovery.refit.inputs: expected 'original' or 'compressed', got {self.inputs!r}")
        if not 1 <= self.positions <= MOST_POSITIONS:
            least = "at least 1" if self.positions < 1 else f"at most {MOST_POSITIONS}"
            raise ConfigError(f"recovery.refit.positions: expected {least}, got {self.positions}")
        if not 0 <= self.ridge < float("inf"):
            raise ConfigError(f"recovery.refit.ridge: expected a finite number of at least 0, got {self.ridge}")
        if self.downstream and self.inputs == "original":
            raise ConfigError(
                "recovery.refit.downstream: on the original's inputs only layers that lost channels change; "
                "set recovery.refit.inputs to 'compressed' or leave it out"
            )


class RefitStep(RecoveryStep):
    """Refits the readers of pruned channels: of all of them, or only of those of channel pruning, which includes it."""

    name, Options, moment = "refit", RefitOptions, Moment.AFTER_PRUNING
    key_place = 0

    def __init__(self, options: RefitOptions | None = None, *, everywhere: bool = True) -> None:
        """Take the options, and whether the readers of all pruned channels are refitted."""
        super().__init__(options)
        self.everywhere = everywhere

    def changes(self, policy: Policy) -> bool:
        """Whether the policy's network has layers to refit."""
        return bool(pruned(policy) if self.everywhere else refitted_of(policy))

    def prepare(self, context: RecoveryContext) -> Callable[[], Original]:
        """The original as `observe` finds it, not before it is asked for."""

        def found() -> Original:
            rng = generator(context.seed, "refit")
            return observe(context.network, context.graph, context.images, self.options, rng)

        return cache(found)

    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: Callable[[], Original]) -> nn.Module:
        """Refit the layers that the plan or the policy asks to be."""
        layers = None if self.everywhere else _readers(context.graph, refitted_of(candidate.policy))
        refit_(candidate.network, context.graph, candidate.kept, prepared(), self.options, layers)
        return candidate.network

    def warnings(
        self, pruned: PrunedGroups, context: RecoveryContext, prepared: Callable[[], Original]
    ) -> Iterator[str]:
        """The readers that no refit can take."""
        meant = _readers(context.graph, pruned.groups if self.everywhere else pruned.refitted)
        for name, reason in prepared().refused.items() if meant else ():
            if name in meant:
                yield f"'{name}' is not refitted when channels before it are pruned: it {reason}"

    def written(self) -> str:
        """The options, and whether all pruned channels' readers are refitted."""
        options = {field.name: getattr(self.options, field.name) for field in fields(self.options)}
        return f"{written('RefitOptions', options)} {self.everywhere}"


@dataclass(frozen=True)
class Original:
    """What the original network says of its layers."""

    batch_norms: Mapping[str, str]  # by layer that is fitted with an intercept, the batch-norm that takes it
    refused: Mapping[str, str]


@dataclass(frozen=True)
class OriginalGrams(Original):
    """What a refit on the original's inputs needs: the network, and by layer its Gram over the calibration images."""

    network: nn.Module
    grams: Mapping[str, Gram]


@dataclass(frozen=True)
class OriginalOutputs(Original):
    """What a refit in sequence needs."""

    images: Tensor  # the calibration images (n, channels, height, width), which go through a candidate as one batch
    positions: Mapping[str, Tensor]  # by layer, the sampled output positions (n, positions)
    outputs: Mapping[str, Tensor]  # by layer, the original network's outputs there, (n * positions, outputs)


def observe(
    network: nn.Module, graph: ChannelGraph, images: Tensor, options: RefitOptions, generator: np.random.Generator
) -> Original:
    """What candidates are refitted to, by one pass of images (n, channels, height, width) through the original."""
    layers = weighted_layers(network) if options.downstream else consumers(network, graph)
    refused = {name: reason for name, layer in layers.items() if (reason := refusal(layer)) is not None}
    batch_norms = _batch_norms_after(network, images[:2]) if options.intercept else {}
    sums: dict[str, Gram] = {}
    positions: dict[str, list[Tensor]] = {name: [] for name in layers if name not in refused}
    outputs: dict[str, list[Tensor]] = {name: [] for name in positions}

    def record(layer: nn.Module, inputs: tuple[Tensor, ...], given: Tensor) -> None:
        name, read = names[layer], inputs[0]
        drawn = draw_positions(layer, read, options.positions, generator)
        positions[name].append(drawn)
        if options.inputs == "compressed":
            outputs[name].append(sampled_outputs(layer, given, drawn))
        else:
            gram = Gram.of(sampled_rows(layer, read, drawn, name in batch_norms))
            sums[name] = sums[name] + gram if name in sums else gram

    names = {layers[name]: name for name in positions}
    batches = torch.tensor_split(images, math.ceil(len(images) / BATCH))
    with evaluating(network), torch.no_grad(), ExitStack() as hooks:
        for layer in names:
            hooks.enter_context(layer.register_forward_hook(record))
        for batch in batches:
            network(batch)
    for name, drawn in positions.items():
        if len(drawn) != len(batches):
            refused[name] = f"is used {len(drawn) / len(batches):g} times in a forward pass"
    once = [name for name in positions if name not in refused]
    if options.inputs == "original":
        return OriginalGrams(batch_norms, refused, network, {name: sums[name] for name in once})
    return OriginalOutputs(
        batch_norms,
        refused,
        images.contiguous(memory_format=torch.channels_last),  # a forward pass takes a sixth less time than otherwise
        {name: torch.cat(positions[name]) for name in once},
        {name: torch.cat(outputs[name]) for name in once},
    )


def refit_(
    thin: nn.Module,
    graph: ChannelGraph,
    kept: Mapping[str, np.ndarray],
    original: Original,
    options: RefitOptions,
    layers: Container[str] | None = None,
) -> None:
    """Refit the layers of `thin` that lost input channels, in place, but for those that `original` refused.

    `thin` is what `graph.thin` made of the original network under `kept`, `original` what `observe` found with these
    options. Only `layers` may be refitted; None is all. A CompressionError names a layer that has no finite solution.
    """
    lost = {
        name: left
        for name, layer in consumers(thin, graph).items()
        if (layers is None or name in layers)
        and (left := channels_left(graph, (name, reading_side(layer)), kept)) is not None
    }
    if isinstance(original, OriginalGrams):
        for name in (name for name in lost if name in original.grams):
            outputs, batch_norm = channels_left(graph, (name, "out"), kept), original.batch_norms.get(name)
            before = _restricted(original.network.get_submodule(name), outputs, batch_norm is not None)
            columns = columns_of(lost[name], before[0])
            _set(thin, name, refit_weights(original.grams[name], columns, before, options.ridge, name), batch_norm)
    elif isinstance(original, OriginalOutputs) and lost:
        _in_sequence(thin, original, lost, lambda name: channels_left(graph, (name, "out"), kept), options)


def _in_sequence(
    thin: nn.Module,
    original: OriginalOutputs,
    lost: Container[str],
    outputs_left: Callable[[str], Tensor | None],
    options: RefitOptions,
) -> None:
    """One forward pass in which each layer is refitted when its input has come, before it gives its output."""
    names = {layer: name for name, layer in weighted_layers(thin).items() if name in original.outputs}
    begun = False

    def refit(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal begun
        name = names[layer]
        if name not in lost and not (options.downstream and begun):
            return
        begun = True
        left = outputs_left(name)
        targets = original.outputs[name] if left is None else original.outputs[name][:, left]
        batch_norm = original.batch_norms.get(name)
        before = _restricted(layer, None, batch_norm is not None)
        rows = sampled_rows(layer, inputs[0], original.positions[name], batch_norm is not None)
        columns = torch.arange(before[0][0].numel())
        _set(thin, name, refit_weights(Gram.of(rows, targets), columns, before, options.ridge, name), batch_norm)

    with evaluating(thin), torch.no_grad(), ExitStack() as hooks:
        for layer in names:
            hooks.enter_context(layer.register_forward_pre_hook(refit))
        thin(original.images)


def _readers(graph: ChannelGraph, groups: Iterable[str]) -> set[str]:
    return {name for group in groups for name in graph.groups[group].consumers}


def _batch_norms_after(network: nn.Module, example: Tensor) -> dict[str, str]:
    """By layer without a bias whose outputs a batch-norm alone reads: that batch-norm."""
    with evaluating(network), torch.no_grad():
        pairs = foldable_pairs(network, torch.nan_to_num(example))  # what is not finite is told where a layer reads it
    return {pair.layer: pair.batch_norm for pair in pairs if network.get_submodule(pair.layer).bias is None}


def _restricted(layer: nn.Module, outputs: Tensor | None, intercept: bool) -> Weights:
    """Weight and bias (or an intercept of zero) of a layer, of these outputs only; None takes all."""
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    if intercept:
        bias = weight.new_zeros(len(weight))
    return (weight, bias) if outputs is None else (weight[outputs], None if bias is None else bias[outputs])


def _set(network: nn.Module, name: str, weights: Weights, batch_norm: str | None) -> None:
    """Give a layer these weights; its batch-norm, where it is named, takes the intercept."""
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    weight, bias = weights
    layer.weight.data.copy_(weight)
    if batch_norm is not None:
        mean = network.get_submodule(batch_norm).running_mean
        assert isinstance(mean, Tensor)
        assert bias is not None
        mean.sub_(bias)
    elif layer.bias is not None and bias is not None:
        layer.bias.data.copy_(bias)


def consumers(network: nn.Module, graph: ChannelGraph) -> dict[str, nn.Module]:
    """The layers that may lose input channels, by name."""
    return {
        name: layer for name, layer in weighted_layers(network).items() if (name, reading_side(layer)) in graph.axes
    }


def reading_side(layer: nn.Module) -> str:
    """The side that says which inputs a layer has: where each output reads its own input, both sides are one."""
    return "out" if isinstance(layer, nn.Conv2d) and layer.groups > 1 else "in"


def channels_left(graph: ChannelGraph, side: tuple[str, str], kept: Mapping[str, np.ndarray]) -> Tensor | None:
    """Ascending channels that stay on that side, (layer, "in" or "out"); None where all do."""
    axis = graph.axes.get(side)
    places = None if axis is None else axis.kept(kept)
    return None if axis is None or places is None or len(places) == len(axis.owner) else torch.from_numpy(places)
