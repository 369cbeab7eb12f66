"""Factorised layers in the template's graph give what torch gives, in float and in int8."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from moco.compression.methods.low_rank import FactorCache, SvdRank, TuckerRanks, factorise_, svd_rank, tucker_ranks
from moco.export.batch_norms import last_factor
from moco.export.factorised import split_nodes
from moco.export.quantize import quantizable_layers
from moco.export.rewrites import compact
from moco.export.template import Template, build_template
from tests.compression.toys import Shared, images, made
from tests.export.graphs import LARGE, compressor_of, expected, images_of, pruned, quantized, run, template_of
from tests.policies import why_not

Settings = Mapping[str, TuckerRanks | SvdRank]


class Residual(nn.Module):
    """A block that halves the map: 3x3 with stride 2 beside a 1x1 shortcut with stride 2, then two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.short = nn.Conv2d(8, 16, 1, stride=2, bias=False)
        self.short_norm = nn.BatchNorm2d(16)
        self.plain = nn.Conv2d(16, 12, 3, padding=1)
        self.head = nn.Sequential(nn.Linear(12, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.norm(self.conv(x)) + self.short_norm(self.short(x)))
        return self.head(torch.relu(self.plain(x)).mean((2, 3)))


SETTINGS: dict[str, TuckerRanks | SvdRank] = {
    "conv": TuckerRanks(5, 7),
    "short": SvdRank(4),
    "plain": TuckerRanks(9, 6),
    "head.0": SvdRank(5),
    "head.3": SvdRank(2),
}


@pytest.fixture(scope="module")
def residual() -> tuple[nn.Module, Template]:
    network = made(Residual)
    return network, build_template(network, images(2, side=8))


def factorised(network: nn.Module, settings: Settings) -> nn.Module:
    copied = copy.deepcopy(network)
    factorise_(copied, settings, FactorCache(network))
    return copied


def initializers(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}


def close(got: np.ndarray, wanted: np.ndarray) -> bool:
    return float(np.abs(got - wanted).max()) <= 1e-4 * max(1.0, float(np.abs(wanted).max()))


@pytest.mark.parametrize("layers", [*([name] for name in SETTINGS), list(SETTINGS)])
def test_the_graph_gives_what_the_factorised_network_gives(
    residual: tuple[nn.Module, Template], layers: list[str]
) -> None:
    network, template = residual
    candidate = factorised(network, {name: SETTINGS[name] for name in layers})
    proto, batch = template.render(candidate), images(5, side=8).numpy()

    onnx.checker.check_model(proto, full_check=True)
    assert close(run(proto, batch), expected(candidate, batch))
    assert not close(expected(candidate, batch), expected(network, batch))


def test_batch_norms_are_folded_into_the_last_factors_and_the_dense_weights_are_gone(
    residual: tuple[nn.Module, Template],
) -> None:
    network, template = residual
    candidate = factorised(network, SETTINGS)
    stored = initializers(template.render(candidate))
    folded = {f.statistics[0]: last_factor(candidate, f.layer) for f in template.foldings}

    assert folded == {
        "norm.running_mean": "conv.2", "short_norm.running_mean": "short.1", "head.1.running_mean": "head.0.1",
    }  # fmt: skip
    assert {name for name in stored if name.endswith((".weight", ".bias"))} == {
        "stem.weight", "stem.bias", "conv.0.weight", "conv.1.weight", "conv.2.weight", "conv.2.bias",
        "short.0.weight", "short.1.weight", "short.1.bias", "plain.0.weight", "plain.1.weight", "plain.2.weight",
        "plain.2.bias", "head.0.0.weight", "head.0.1.weight", "head.0.1.bias", "head.3.0.weight", "head.3.1.weight",
        "head.3.1.bias",
    }  # fmt: skip
    scale = (network.norm.weight / torch.sqrt(network.norm.running_var + network.norm.eps)).detach().numpy()  # type: ignore[union-attr, operator, arg-type]
    unfolded = candidate.get_submodule("conv.2").weight.detach().numpy()  # type: ignore[union-attr, operator]
    np.testing.assert_allclose(stored["conv.2.weight"], unfolded * scale[:, None, None, None], rtol=1e-5)


def test_stride_and_padding_are_at_the_kernel_of_tucker_and_at_the_first_of_svd(
    residual: tuple[nn.Module, Template],
) -> None:
    network, template = residual
    nodes = {n.input[1]: n for n in template.render(factorised(network, SETTINGS)).graph.node if n.op_type == "Conv"}
    strides = {
        name: list(attribute.ints)
        for name, node in nodes.items()
        for attribute in node.attribute
        if attribute.name == "strides" and list(attribute.ints) != [1, 1]
    }
    pads = {
        name
        for name, node in nodes.items()
        for attribute in node.attribute
        if attribute.name == "pads" and any(attribute.ints)
    }

    assert strides == {"conv.1.weight": [2, 2], "short.0.weight": [2, 2]}
    assert pads == {"stem.weight", "conv.1.weight", "plain.1.weight"}


def test_a_network_without_factorised_layers_is_left_as_it_is(residual: tuple[nn.Module, Template]) -> None:
    network, template = residual
    graph = onnx.GraphProto()
    graph.CopyFrom(template.proto.graph)
    before = graph.SerializeToString(deterministic=True)

    assert split_nodes(graph, network, network.state_dict()) == frozenset()
    assert graph.SerializeToString(deterministic=True) == before
    assert [last_factor(network, f.layer) for f in template.foldings] == [f.layer for f in template.foldings]


@pytest.mark.parametrize("name", ["tiny B", LARGE])
@pytest.mark.slow
def test_a_pruned_and_factorised_network_gives_what_torch_gives(name: str) -> None:
    thin = pruned(name, 0)
    settings: dict[str, TuckerRanks | SvdRank] = {}
    for layer, module in thin.named_modules():
        if why_not(module, "svd") is None:
            settings[layer] = svd_rank(0.5, *reversed(module.weight.shape[:2]))
        elif why_not(module, "tucker") is None:
            settings[layer] = tucker_ranks(0.5, *reversed(module.weight.shape[:2]))
    candidate = factorised(thin, settings)
    proto, batch = template_of(name).render(candidate), images_of(name, 3)

    assert len(settings) > 5
    onnx.checker.check_model(proto, full_check=True)
    assert close(run(proto, batch), expected(candidate, batch))


def test_a_layer_that_is_used_twice_is_split_twice_and_stored_once() -> None:
    network = compressor_of("shared").network
    candidate = factorised(network, {"twice": TuckerRanks(3, 5)})
    proto, batch = template_of("shared").render(candidate), images_of("shared", 3)
    names = [i.name for i in proto.graph.initializer]

    assert isinstance(network, Shared)
    assert [list(node.input).count("twice.1.weight") for node in proto.graph.node].count(1) == 2
    assert len(names) == len(set(names))
    assert close(run(proto, batch), expected(candidate, batch))


def test_the_file_is_the_same_after_compacting(residual: tuple[nn.Module, Template]) -> None:
    network, template = residual
    candidate = factorised(network, SETTINGS)
    proto, batch = template.render(candidate), images(5, side=8).numpy()
    before, size = run(proto, batch), proto.ByteSize()
    compact(proto)

    assert np.array_equal(run(proto, batch), before)
    assert proto.ByteSize() < size
    assert {"conv.0.weight", "conv.1.weight", "conv.2.weight"} <= set(initializers(proto))


def test_factors_can_be_quantized_by_their_names(residual: tuple[nn.Module, Template]) -> None:
    network, template = residual
    candidate = factorised(network, SETTINGS)
    proto, batch = template.render(candidate), images(32, side=8).numpy()
    layers = quantizable_layers(proto)
    int8 = quantized(proto, layers, batch)
    wanted = expected(candidate, batch)

    assert set(layers) == {
        "stem", "conv.0", "conv.1", "conv.2", "short.0", "short.1", "plain.0", "plain.1", "plain.2",
        "head.0.0", "head.0.1", "head.3.0", "head.3.1",
    }  # fmt: skip
    onnx.checker.check_model(int8, full_check=True)
    assert {n for n in initializers(int8) if n.endswith(".weight_q")} == {f"{name}.weight_q" for name in layers}
    assert float(np.abs(run(int8, batch) - wanted).max()) < 0.1 * float(np.ptp(wanted))


def test_a_single_factor_can_be_quantized_alone(residual: tuple[nn.Module, Template]) -> None:
    network, template = residual
    candidate = factorised(network, SETTINGS)
    proto, batch = template.render(candidate), images(32, side=8).numpy()
    for layer in ("conv.1", "short.0", "head.0.1"):
        int8 = quantized(proto, [layer], batch)
        wanted = expected(candidate, batch)

        assert f"{layer}.weight_q" in initializers(int8)
        assert 0 < float(np.abs(run(int8, batch) - wanted).max()) < 0.04 * float(np.ptp(wanted))


def test_the_templates_graph_is_left_as_it_was(residual: tuple[nn.Module, Template]) -> None:
    network, template = residual
    before = template.proto.SerializeToString(deterministic=True), template.skeleton.SerializeToString()
    template.render(factorised(network, SETTINGS))

    assert (template.proto.SerializeToString(deterministic=True), template.skeleton.SerializeToString()) == before


class Baseless(nn.Module):
    """A head whose zero bias the exporter leaves out, though a candidate's may be another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 5)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


def test_a_bias_that_the_exporter_left_out_is_written_with_the_factors() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Baseless().eval()
    template = build_template(network, images(2, side=8))
    candidate = factorised(network, {"head": SvdRank(3)})
    candidate.get_submodule("head.1").bias.data += torch.arange(5.0)  # type: ignore[union-attr, operator]
    batch = images(3, side=8).numpy()

    assert close(run(template.render(candidate), batch), expected(candidate, batch))


class Tokens(nn.Module):
    """A linear layer over positions, which the exporter writes as MatMul of a constant without a name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.mix = nn.Linear(8, 6)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.mix(torch.relu(self.conv(x)).flatten(2).transpose(1, 2))).mean(1))


@pytest.mark.slow
def test_a_linear_layer_on_tokens_is_factorised_in_the_template_too() -> None:
    network, batch = made(Tokens), images(3, side=8).numpy()
    candidate = factorised(network, {"mix": SvdRank(2), "conv": TuckerRanks(2, 3)})
    by_template = build_template(network, images(2, side=8)).render(candidate)
    own = build_template(candidate, images(2, side=8)).render(candidate)

    assert "conv.1.weight" in initializers(by_template)
    assert close(run(by_template, batch), expected(candidate, batch))
    assert close(run(own, batch), expected(candidate, batch))
