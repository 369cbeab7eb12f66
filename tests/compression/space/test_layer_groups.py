"""Layer groups by layer, block, stage and pattern, on ResNet-56 and on networks of other shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from moco.compression.compressor import Compressor
from moco.compression.space.layer_groups import Grouped, block_of, grouped, stage_of
from moco.errors import ConfigError
from tests.compression.toys import Concat, images, made, seeded

S204 = {
    "g1": [f"layer1.{i}.conv1" for i in range(9)],
    "g2": [f"layer2.{i}.conv1" for i in (1, 2, 3, 4, 6, 7)],
    "g3.1": ["layer3.1.conv1"],
    "g3.2": [f"layer3.{i}.conv1" for i in (2, 3, 5, 6, 7, 8)],
}


@pytest.fixture(scope="module")
def resnet56() -> Compressor:
    return Compressor.of(seeded("cifar_resnet56"), images(2))


def groups_of(
    compressor: Compressor, groups: str | Mapping[str, Sequence[str]], ignore: Sequence[str] = ()
) -> dict[str, Grouped]:
    found = grouped(compressor.network, compressor.counts, compressor.graph, groups, ignore)
    return {group.name: group for group in found}


def channel_groups(group: Grouped) -> list[str]:
    return [channels.name for channels in group.channel_groups]


def test_per_layer_every_layer_is_its_own(resnet56: Compressor) -> None:
    found = groups_of(resnet56, "per-layer")

    assert len(found) == 56
    assert all(group.layers == (name,) for name, group in found.items())
    assert channel_groups(found["layer2.3.conv1"]) == ["layer2.3.conv1"]
    assert channel_groups(found["layer2.3.conv2"]) == []  # its channels are the stage's stream
    assert channel_groups(found["layer2.0.conv2"]) == ["layer2.0.conv2"]  # the first layer of the stream stands for it
    assert channel_groups(found["linear"]) == []


def test_per_block_inner_channels_are_the_blocks_and_streams_are_their_own(resnet56: Compressor) -> None:
    found = groups_of(resnet56, "per-block")

    assert len(found) == 27 + 2 + 2  # blocks, stem with its stream and head, streams of the later stages
    assert found["layer1.4"].layers == ("layer1.4.conv1", "layer1.4.conv2")
    assert channel_groups(found["layer1.4"]) == ["layer1.4.conv1"]
    assert (found["conv1"].layers, channel_groups(found["conv1"])) == (("conv1",), ["conv1"])
    assert (found["layer2.0.conv2"].layers, channel_groups(found["layer2.0.conv2"])) == ((), ["layer2.0.conv2"])


def test_per_stage_a_stage_holds_its_inner_channels_and_its_stream(resnet56: Compressor) -> None:
    found = groups_of(resnet56, "per-stage")

    assert list(found) == ["conv1", "layer1", "layer2", "layer3", "linear"]
    assert len(found["layer2"].layers) == 18
    assert len(found["layer2"].channel_groups) == 10
    assert len(found["layer1"].channel_groups) == 9  # its stream begins with the stem


def test_the_four_groups_of_s204_are_taken_by_patterns(resnet56: Compressor) -> None:
    patterns = {
        "g1": ["layer1.*.conv1"],
        "g2": ["layer2.[1-4].conv1", "layer2.[67].conv1"],
        "g3.1": ["layer3.1.conv1"],
        "g3.2": ["layer3.[23].conv1", "layer3.[5-8].conv1"],
    }
    found = groups_of(resnet56, patterns)

    assert {name: list(group.layers) for name, group in found.items()} == S204
    assert {name: channel_groups(group) for name, group in found.items()} == S204


def test_a_layer_that_two_patterns_name_belongs_to_the_first(resnet56: Compressor) -> None:
    found = groups_of(resnet56, {"one": ["layer1.0.*"], "rest": ["layer1.*"]})

    assert found["one"].layers == ("layer1.0.conv1", "layer1.0.conv2")
    assert len(found["rest"].layers) == 16


def test_ignored_layers_and_the_channels_they_give_are_left_alone(resnet56: Compressor) -> None:
    found = groups_of(resnet56, "per-block", ["conv1", "layer3.*", "linear"])

    assert "conv1" not in found  # and with the stem goes the stream that it begins
    assert not any(name.startswith("layer3") for name in found)
    assert [c for g in found.values() for c in channel_groups(g) if "conv2" in c] == ["layer2.0.conv2"]


def test_a_stream_is_only_pruned_where_all_its_layers_are_named(resnet56: Compressor) -> None:
    assert groups_of(resnet56, {"g": ["layer2.*.conv2"]})["g"].channel_groups[0].name == "layer2.0.conv2"
    assert groups_of(resnet56, {"g": ["layer2.[1-8].conv2"]})["g"].channel_groups == ()


def test_groups_come_in_the_order_of_the_forward_pass(resnet56: Compressor) -> None:
    found = groups_of(resnet56, {"late": ["layer3.*"], "early": ["layer1.*"]})

    assert list(found) == ["early", "late"]


def test_a_pattern_that_matches_nothing_names_the_nearest(resnet56: Compressor) -> None:
    with pytest.raises(
        ConfigError, match=r"space\.groups\.g: 'layer1\.0\.conv3' matches no layer; did you mean 'layer1"
    ):
        groups_of(resnet56, {"g": ["layer1.0.conv3"]})
    with pytest.raises(ConfigError, match=r"space\.ignore: 'liner' matches no layer; did you mean 'linear'"):
        groups_of(resnet56, "per-block", ["liner"])


def test_an_unknown_way_names_the_nearest(resnet56: Compressor) -> None:
    with pytest.raises(
        ConfigError, match=r"space\.groups: unknown way of grouping 'per_block'; did you mean 'per-block'"
    ):
        groups_of(resnet56, "per_block")


@pytest.mark.parametrize(
    ("layer", "block", "stage"),
    [("conv1", "conv1", "conv1"), ("layer2.3.conv1", "layer2.3", "layer2"), ("linear", "linear", "linear")],
)
def test_blocks_and_stages_of_a_residual_network(resnet56: Compressor, layer: str, block: str, stage: str) -> None:
    assert (block_of(resnet56.network, layer), stage_of(resnet56.network, layer)) == (block, stage)


def test_a_shortcut_lies_in_its_block_and_a_layer_of_a_sequence_in_none() -> None:
    network = seeded("cifar_resnet20", shortcut="B")
    mobile = seeded("mobilenet_v2", num_classes=2)

    assert block_of(network, "layer2.0.shortcut.0") == "layer2.0"
    assert block_of(mobile, "features.2.conv.2") == "features.2"
    assert stage_of(mobile, "features.2.conv.2") == "features"


def test_a_network_without_blocks_has_its_layers_for_groups() -> None:
    compressor = Compressor.of(made(Concat), images(2, side=8))

    assert list(groups_of(compressor, "per-block")) == list(groups_of(compressor, "per-layer"))
