"""Graphs for the pay-off probe: the pair as it appears in the network, computed as torch computes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from moco.compression.channels.groups import ChannelGroup, channel_graph
from moco.compression.counting import count
from moco.export.probe_geometry import Geometries, LayerShape, PairGeometry, geometries
from moco.export.probe_graphs import MOST_REPEATS, Variant, factorised, pair_graph, repeats
from moco.export.rewrites import written
from moco.models import build_model
from tests.export.graphs import optimized, run
from tests.processors import exact_integers


def conv(in_channels: int, out_channels: int, size: int, kernel: int = 3, stride: int = 1) -> LayerShape:
    out = -(-size // stride)
    return LayerShape("conv", in_channels, out_channels, (kernel, kernel), (stride, stride), (size, size), (out, out))


def linear(in_channels: int, out_channels: int) -> LayerShape:
    return LayerShape("linear", in_channels, out_channels, (1, 1), (1, 1), (1, 1), (1, 1))


def depthwise(channels: int, size: int) -> LayerShape:
    return LayerShape("depthwise", channels, channels, (3, 3), (1, 1), (size, size), (size, size))


PAIRS = {
    "residual": PairGeometry(conv(8, 16, 8), None, conv(16, 8, 8)),
    "strided": PairGeometry(conv(8, 16, 8, stride=2), None, conv(16, 12, 4)),
    "image": PairGeometry(conv(3, 16, 8), None, conv(16, 8, 8)),
    "pooled": PairGeometry(conv(8, 16, 8), None, conv(16, 8, 4)),
    "inverted": PairGeometry(conv(8, 48, 8, 1), depthwise(48, 8), conv(48, 8, 8, 1)),
    "head": PairGeometry(conv(8, 16, 8), None, linear(16, 10)),
    "flattened": PairGeometry(conv(8, 16, 4), None, linear(16 * 16, 10)),
    "linear": PairGeometry(linear(20, 16), None, linear(16, 10)),
}


def geometries_of(network: nn.Module, image: tuple[int, int, int]) -> Geometries:
    counts = count(network.eval(), image)
    return geometries(counts, channel_graph(network, torch.zeros(2, *image), counts).groups.values())


def batch_of(proto: onnx.ModelProto, n: int = 2) -> np.ndarray:
    shape = [size.dim_value for size in proto.graph.input[0].type.tensor_type.shape.dim][1:]
    return np.random.default_rng(0).standard_normal((n, *shape)).astype(np.float32)


def test_resnet56_has_five_geometries() -> None:
    found = geometries_of(build_model("cifar_resnet56", 10), (3, 32, 32))
    assert len(found.of_group) == 30
    assert found.left_out == {}
    assert [geometry.key for geometry in found.distinct()] == [
        "16→K→16, K=16, 3x3 3x3, 32x32",
        "16→K→32, K=32, 3x3/2 3x3, 32x32→16x16→16x16",
        "32→K→32, K=32, 3x3 3x3, 16x16",
        "32→K→64, K=64, 3x3/2 3x3, 16x16→8x8→8x8",
        "64→K→64, K=64, 3x3 3x3, 8x8",
    ]
    assert found.of_group["conv1"] == found.of_group["layer1.3.conv1"]  # the stream costs what the inner channels do


def test_mobilenet_pairs_have_the_depthwise_layer_between_them() -> None:
    found = geometries_of(build_model("mobilenet_v2", 10), (3, 64, 64))
    assert found.left_out == {}
    pair = found.of_group["features.2.conv.0.0"]
    assert pair.key == "16→K→24, K=96, 1x1 3x3dw/2 1x1, 32x32→32x32→16x16→16x16"
    assert pair.macs == 16 * 96 * 32**2 + 9 * 96 * 16**2 + 96 * 24 * 16**2


def test_of_several_shapes_the_one_that_does_most_work_is_taken() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1))
    counts = count(network, (3, 8, 8))
    found = geometries(counts, [ChannelGroup("0", 8, ("0", "2"), ("3", "2"))])
    assert found.of_group["0"].key == "8→K→8, K=8, 3x3 3x3, 8x8"


def test_groups_whose_pair_cannot_be_built_alone_are_named_with_the_reason() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.Flatten(2), nn.Linear(16, 4))
    counts = count(network, (3, 8, 8))
    found = geometries(counts, [ChannelGroup("0", 8, ("0",), ("1",)), ChannelGroup("1", 8, ("0",), ("3",))])
    assert "'1' is a grouped convolution" in found.left_out["0"]
    assert "'3' is linear over several positions" in found.left_out["1"]
    other = geometries(counts, [ChannelGroup("x", 4, ("0",), ("0",)), ChannelGroup("y", 8, ("0",), ())])
    assert "no layer gives" in other.left_out["x"]
    assert "no layer reads" in other.left_out["y"]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("variant", [Variant(16), Variant(5), Variant(16, "int8"), Variant(5, "int8")])
def test_every_pair_runs_at_every_width_and_precision(name: str, variant: Variant) -> None:
    geometry = PAIRS[name]
    proto = pair_graph(geometry, variant)
    onnx.checker.check_model(proto, full_check=True)
    logits = run(proto, batch_of(proto))
    assert logits.shape == (2, geometry.consumer.out_channels)
    assert np.isfinite(logits).all()
    assert logits.std() > 1e-3
    weight = next(i for i in proto.graph.initializer if i.name.startswith("pair0.producer.0.weight"))
    assert weight.dims[0] == variant.width


@pytest.mark.parametrize("name", PAIRS)
def test_factorised_pairs_run_in_both_precisions(name: str) -> None:
    width = PAIRS[name].width
    for precision in ("float32", "int8"):
        proto = pair_graph(PAIRS[name], Variant(width, precision, 0.5))
        assert np.isfinite(run(proto, batch_of(proto))).all()


def test_the_graph_computes_what_torch_computes() -> None:
    geometry = PAIRS["strided"]
    proto = pair_graph(geometry, Variant(7))
    weights = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in proto.graph.initializer}
    images = batch_of(proto)

    def layer(name: str, data: torch.Tensor, stride: int = 1, padding: int = 1) -> torch.Tensor:
        found = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return torch.relu(nn.functional.conv2d(data, *found, stride=stride, padding=padding))

    stem = layer("stem", torch.from_numpy(images), padding=0)
    expected = sum(
        layer(f"pair{n}.consumer.0", layer(f"pair{n}.producer.0", stem, stride=2)).mean((2, 3))
        for n in range(repeats(geometry))
    )
    np.testing.assert_allclose(run(proto, images), expected, rtol=1e-4, atol=1e-5)


@exact_integers
def test_int8_runs_as_integer_kernels_and_close_to_float(tmp_path: Path) -> None:
    geometry = PAIRS["residual"]
    proto = pair_graph(geometry, Variant(16, "int8"))
    kinds = [node.op_type for node in optimized(proto, str(tmp_path / "o.onnx")).graph.node]
    assert kinds.count("QLinearConv") == 1 + 2 * repeats(geometry)
    assert not {"Conv", "FusedConv"} & set(kinds)
    images = batch_of(proto)
    exact = run(pair_graph(geometry, Variant(16)), images)
    assert np.abs(run(proto, images) - exact).max() < 0.1 * np.abs(exact).max()


def test_equal_layers_are_not_merged_by_the_runtime(tmp_path: Path) -> None:
    geometry = PAIRS["residual"]
    assert repeats(geometry) == MOST_REPEATS
    kinds = [node.op_type for node in optimized(pair_graph(geometry, Variant(16)), str(tmp_path / "o.onnx")).graph.node]
    assert sum("Conv" in kind for kind in kinds) == 1 + 2 * MOST_REPEATS


def test_kinds_that_the_target_has_no_int8_for_stay_float() -> None:
    proto = pair_graph(PAIRS["inverted"], Variant(48, "int8"), {"conv"})
    names = {i.name for i in proto.graph.initializer}
    assert "pair0.producer.0.weight_q" in names
    assert "pair0.depthwise.weight" in names


def test_large_pairs_stand_alone() -> None:
    assert repeats(PairGeometry(conv(64, 64, 56), None, conv(64, 64, 56))) == 1


def test_ranks_of_factorised_layers() -> None:
    tucker = factorised(conv(16, 64, 8, stride=2), 0.25)
    assert [(part.in_channels, part.out_channels, part.kernel) for part in tucker] == [
        (16, 4, (1, 1)),
        (4, 16, (3, 3)),
        (16, 64, (1, 1)),
    ]
    assert [part.macs for part in tucker] == [16 * 4 * 64, 9 * 4 * 16 * 16, 16 * 64 * 16]  # the core has the stride
    assert [(part.in_channels, part.out_channels) for part in factorised(linear(100, 30), 0.5)] == [(100, 15), (15, 30)]
    strided = factorised(conv(16, 32, 8, 1, stride=2), 0.5)
    assert [(part.output_hw, part.out_channels) for part in strided] == [((8, 8), 8), ((4, 4), 32)]
    assert factorised(depthwise(8, 8), 0.5) == (depthwise(8, 8),)


def test_a_written_graph_is_the_same_each_time(tmp_path: Path) -> None:
    one, other = (written(pair_graph(PAIRS["residual"], Variant(8, "int8")), tmp_path) for _ in range(2))
    assert one == other
    assert one.path.stat().st_size == one.size_bytes
