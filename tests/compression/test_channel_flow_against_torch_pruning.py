"""Coupled channels found by following them through a forward pass, against Torch-Pruning's dependency graph."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch_pruning
from torch import nn

from moco.compression.groups import channel_graph
from moco.counting import count
from moco.models import build_model
from tests.compression.toys import images, randomized


def coupled_by_torch_pruning(network: nn.Module, example: torch.Tensor, head: nn.Module) -> set[frozenset[str]]:
    """The layers that give the same channels, as Torch-Pruning finds them."""
    names = {module: name for name, module in network.named_modules()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = torch_pruning.DependencyGraph().build_dependency(network, example, verbose=False)
        groups = graph.get_all_groups(ignored_layers=[head], root_module_types=[nn.Conv2d, nn.Linear])
        return {
            frozenset(
                names[item.dep.target.module]
                for item in group
                if isinstance(item.dep.target.module, nn.Conv2d | nn.Linear)
                and "prune_out" in item.dep.handler.__name__
            )
            for group in groups
        }


@pytest.mark.parametrize(
    ("name", "options", "head"),
    [
        ("cifar_resnet20", {"shortcut": "B"}, "linear"),
        ("resnet18", {}, "fc"),
        ("vgg11_bn", {}, "classifier.6"),
        ("mobilenet_v2", {}, "classifier.1"),
    ],
)
def test_both_find_the_same_coupled_layers(name: str, options: dict[str, Any], head: str) -> None:
    network = randomized(build_model(name, 10, **options))
    example = images(2, 3, 32)
    found = channel_graph(network, example, count(network, (3, 32, 32)))
    assert not found.left_out
    theirs = coupled_by_torch_pruning(network, example[:1], network.get_submodule(head))
    assert {frozenset(group.producers) for group in found.groups.values()} == theirs
