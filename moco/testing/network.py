"""A small network that methods, rankings and recovery steps are tested on; it is exported once in a process."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from torch import nn

from moco.compression.collecting import CalibrationData
from moco.compression.compressor import Compressor
from moco.compression.methods.method import Method
from moco.compression.space.layer_groups import grouped
from moco.compression.space.network_space import SpaceOptions, network_space
from moco.encoding import decode
from moco.evaluation.builder import Builder
from moco.interfaces import Capabilities
from moco.models.cifar_resnet import BasicBlock
from moco.models.training import seeded_torch
from moco.policy import Policy
from moco.randomness import generator
from moco.recovery.recovery import RecoveryPlan
from moco.space import SearchSpace

CLASSES, PRECISIONS = 5, ("float32", "int8", "mixed")
KINDS = dict.fromkeys(PRECISIONS, frozenset({"conv", "depthwise", "linear"}))
CAPABILITIES = Capabilities(PRECISIONS, dict.fromkeys(PRECISIONS, 1), KINDS, frozenset())
IMAGES = torch.from_numpy(generator(0, "images").standard_normal((70, 3, 4, 4), dtype=np.float32))
"""Calibration images: one batch of rankings, and a smaller one."""
DATA = CalibrationData(IMAGES, torch.arange(len(IMAGES)) % CLASSES)


def toy() -> nn.Module:
    """A convolution, residual blocks and linear layers that read flattened maps of 4x4; always the same weights."""
    with seeded_torch(0), torch.no_grad():
        stem = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        blocks = nn.Sequential(BasicBlock(8, 8, 1, "A"), BasicBlock(8, 8, 1, "A"))
        head = (nn.Flatten(), nn.Linear(8 * 16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, CLASSES))
        network = nn.Sequential(*stem, blocks, *head)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):  # as training leaves them
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.7)
        network.train()(IMAGES)
    return network.eval()


@cache
def compressor() -> Compressor:
    """Its compressor, with calibration images and labels for what looks at them."""
    found = Compressor.of(toy(), IMAGES[:2])
    return found.prepared_for((), DATA, generator(0, "ranking"))


@cache
def builder() -> Builder:
    """What writes the files of its policies."""
    folder = mkdtemp(prefix="moco-testing-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Builder(compressor(), IMAGES.numpy(), RecoveryPlan(), Path(folder))


def space_of(methods: Sequence[Method]) -> SearchSpace:
    """The space of these methods over its layers."""
    made = compressor()
    layers = grouped(made.network, made.counts, made.graph, "per-layer")
    known = tuple(method.acquainted(made.network, made.graph, lambda most: IMAGES[:most]) for method in methods)
    return network_space(layers, made.counts, made.costs, SpaceOptions(known), CAPABILITIES)


def drawn(space: SearchSpace, n: int = 20) -> list[Policy]:
    """Policies of points drawn at random."""
    rng = generator(0, "policies")
    return [space.canonical(decode(space, rng.random(len(space.distributions)))) for _ in range(n)]


def state_of(network: nn.Module) -> tuple[object, ...]:
    """All that may not change of a network that is only looked at."""
    return (
        {name: value.numpy().tobytes() for name, value in network.state_dict().items()},
        {name: (p.requires_grad, p.grad is None or p.grad.tolist()) for name, p in network.named_parameters()},
        [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in network.modules()],
    )
