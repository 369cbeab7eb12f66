"""A smaller network that was trained apart, as it is and in int8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from moco.baselines.baseline import Baseline, Ground, Made, costs_of
from moco.compression.compressor import Compressor
from moco.compression.methods.quantization import setting_of
from moco.compression.policy_settings import NEUTRAL
from moco.compression.precision import INT8, INT8_BITS
from moco.compression.space.codec import cost_of
from moco.errors import ConfigError, MocoError
from moco.evaluation.builder import Builder
from moco.export.template import build_template
from moco.interfaces import Capabilities
from moco.models.finite import check_finite
from moco.models.plain import plain
from moco.models.trained import ModelSpec, Task, network_hash, trained_network
from moco.policy import Policy
from moco.recovery.recovery import RecoveryPlan

TRAINED_APART = "its weights were trained elsewhere, which its processor time does not count"


@dataclass(frozen=True)
class Sibling(Baseline):
    """A network of the user's choice, for the same images and classes."""

    model: ModelSpec
    candidate: bool = False  # whether it may be delivered

    @property
    def may_be_delivered(self) -> bool:
        """As its user says."""
        return self.candidate

    @property
    def warnings(self) -> tuple[str, ...]:
        """That it was not trained."""
        return tuple(f"{self.where}: {text.removeprefix('model: ')}" for text in self.model.warnings)

    def check(self, ground: Ground) -> None:
        """Pass a network that can be built, takes the images and has an output for each class; nothing is trained."""
        fitting_network(replace(self.model, train=None), ground, self.where, self.name)

    def make(self, ground: Ground) -> Iterator[Made]:
        """In float, then in int8 where the target runs it."""
        network = fitting_network(self.model, ground, self.where, self.name)
        builder = builder_of(network, ground)
        note, tensors = None if self.model.train is not None else TRAINED_APART, network_hash(network)
        for suffix, policy in policies_of(builder, ground.capabilities).items():
            file, built = builder.build(policy)
            costs = costs_of(cost_of(builder.compressor.costs, policy))
            own = Policy(policy.text, tensors)
            yield Made(f"{self.name}{suffix}", file, costs, note, of=self.name, policy=own, network=built)


def fitting_network(
    model: ModelSpec,
    ground: Ground,
    where: str,
    name: str,
    advice: str = "give another one, or take it out of baselines",
) -> nn.Module:
    """The network in evaluation mode; a ConfigError where it is not one for the search's images and classes.

    `where` is its section and `advice` what to do then, for the message.
    """
    task = ground.task
    try:
        network = plain(trained_network(model, task, lambda _outputs: ground.training()), task.shape)
        check_finite(network, ground.builder.images[:1])
        with torch.no_grad():
            outputs = int(network(ground.builder.images[:1]).shape[1])
    except MocoError as error:
        raise ConfigError(f"{where}: {str(error).removeprefix('model.')}; {_expected(task, advice)}") from error
    if outputs != task.classes:
        raise ConfigError(f"{where}: '{name}' gives {outputs} logits an image; {_expected(task, advice)}")
    return network


def builder_of(network: nn.Module, ground: Ground) -> Builder:
    """Builds files of a sibling as those of candidates are built, with no recovery."""
    of = ground.builder
    example, compressor = of.images[:2], Compressor.of(network, of.images[:2])
    return Builder(
        compressor,
        of.calibration,
        RecoveryPlan(),
        of.folder,
        of.ranges,
        of.placement,
        template=build_template(network, example, pooled_strides=of.template.pooled_strides),
        metadata=of.metadata,
        prepare=of.prepare,
    )


def policies_of(builder: Builder, capabilities: Capabilities) -> dict[str, Policy]:
    """By what is added to the sibling's name: nothing done, and every layer in int8 that the target runs so."""
    found = {"": NEUTRAL}
    if INT8 in capabilities.precisions:
        kinds = capabilities.layer_kinds[INT8]
        layers = [layer.name for layer in builder.compressor.counts.layers if layer.kind in kinds]
        found[f" {INT8}"] = Policy.of({name: setting_of(INT8_BITS) for name in layers})
    return found


def _expected(task: Task, advice: str) -> str:
    of = f"images of shape {task.shape} and {task.classes} classes, as the one that is searched"
    return f"expected a network for {of}; {advice}"
