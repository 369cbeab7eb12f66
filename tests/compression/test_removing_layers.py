"""A method that removes whole blocks fits: what it removes costs nothing, and no other method acts there."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from moco import registry
from moco.compression.channels.groups import ChannelGraph
from moco.compression.counting import Counts, count
from moco.compression.methods.method import Method, Setting
from moco.compression.policy_settings import bits_of, pruned
from moco.compression.space.codec import NetworkCodec
from moco.compression.space.context import Draft, SpaceContext
from moco.compression.space.layer_groups import Grouped, grouped
from moco.compression.space.network_space import network_space
from moco.compression.space.parameters import Options, Part
from moco.encoding import decode
from moco.errors import SpaceError
from moco.policy import Policy
from moco.recovery.recovery import RecoveryPlan
from moco.registry import NoOptions
from moco.space import SearchSpace
from tests.compression.space.test_codec import TARGET, TINY
from tests.compression.spaces import options_of
from tests.compression.toys import bops_of, images
from tests.evaluation.builders import builder_of


class DropBlocks(Method):
    """Removes residual blocks whose shortcut is the identity: what goes into one comes out of it."""

    name = "drop_blocks"
    settings = ("dropped",)
    order = 5
    Options = NoOptions
    is_chosen = False
    changes_structure = True

    def parameters_for(self, group: Grouped, context: SpaceContext) -> Part | None:
        layers = [context.layers[name] for name in group.layers]
        same = len(layers) == 2 and layers[0].in_channels == layers[1].out_channels
        return Part(group.name, (group.name,), {"block": Options(("keep", "drop"))}) if same else None

    def write_settings(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> None:
        if values["block"] == "drop":
            draft.gone.add(part.group)
            draft.set(part.group, {"dropped": True})

    def values_of(self, part: Part, draft: Draft, context: SpaceContext) -> dict[str, Any]:
        return {"block": "drop" if draft.has(part.group, self.settings) else "keep"}

    def expected_instead(self, key: str, value: object) -> str | None:
        return None if value is True else "true"

    def removed_modules(self, name: str, setting: Setting) -> tuple[str, ...]:
        return (name,)

    def check(self, name: str, setting: Setting, graph: ChannelGraph, counts: Counts) -> None:
        if not any(layer.name.startswith(f"{name}.") for layer in counts.layers):
            raise SpaceError(f"policy: the network has no block '{name}'")

    def apply_(self, network: nn.Module, settings: Mapping[str, Setting], prepared: Any) -> None:
        for name in settings:
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, nn.Identity())


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> SearchSpace:
    point = metadata.EntryPoint("drop_blocks", f"{__name__}:DropBlocks", "moco.method")
    monkeypatch.setattr(registry, "entry_points", lambda group, name=None: [point] if group == point.group else [])
    monkeypatch.setattr(metadata.EntryPoint, "load", lambda _: DropBlocks)  # pytest imports this file under no name
    monkeypatch.setattr("moco.setting_owners._of_plugins", {})
    found = grouped(TINY.network, TINY.counts, TINY.graph, "per-block")
    options = options_of(density=(0.5, 1.0), precisions=("float32", "int8"), further=[DropBlocks()])
    return network_space(found, TINY.counts, TINY.costs, options, TARGET)


def drawn(space: SearchSpace) -> list[Policy]:
    rng = np.random.default_rng(2)
    return [space.canonical(decode(space, rng.random(len(space.distributions)))) for _ in range(12)]


def dropped(policy: Policy) -> set[str]:
    return {name for name, setting in policy.settings.items() if "dropped" in setting}


def test_settings_of_what_is_removed_are_void(space: SearchSpace) -> None:
    assert [name for name in space.distributions if name.endswith("block")] == [
        "layer1.0.block",
        "layer1.1.block",
        "layer2.1.block",
    ]
    assert isinstance(space.codec, NetworkCodec)
    assert sum(len(dropped(policy)) for policy in drawn(space)) > 9
    for policy in drawn(space):
        inside = [name for name in policy.settings if any(name.startswith(f"{block}.") for block in dropped(policy))]
        assert inside == []
        point = space.codec.point(policy)
        assert space.canonical(point) == policy
        for block in dropped(policy):
            mine = {name: value for name, value in point.items() if name.startswith(f"{block}.")}
            assert mine == {**{name: space.neutral[name] for name in mine}, f"{block}.block": "drop"}


@torch.no_grad()
@pytest.mark.slow
def test_costs_and_parameters_are_those_of_the_built_network(space: SearchSpace, tmp_path: Path) -> None:
    builder = builder_of(TINY, images(16, 1, 8).numpy(), RecoveryPlan(), tmp_path)
    policies = [policy for policy in drawn(space) if dropped(policy) and pruned(policy) and bits_of(policy)]
    for policy in policies[:3]:
        cost = space.cost(policy)
        _, built = builder.build(policy)
        counted = count(built, (1, 8, 8))
        bops = bops_of(counted, dict.fromkeys(bits_of(policy), (8, 8)))
        assert (cost["macs"], cost["bops"], cost["parameters"]) == (counted.macs, bops, counted.parameters)
    with pytest.raises(SpaceError, match="the network has no block 'layer9'"):
        TINY.check(Policy.of({"layer9": {"dropped": True}}))
