"""Reshapes and linear layers on tokens take other widths than those that they were exported with."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from moco.compression.compressor import Compressor
from moco.export.quantize import quantizable_layers
from moco.export.rewrites import reshape_by_axes
from moco.export.template import build_template
from tests.compression.toys import Chain, Concat, Halves, Shared, Shuffled, images, made
from tests.export.graphs import expected, quantized, run
from tests.policies import policy_of
from tests.processors import exact_integers


def reshape(source: list[int | str], target: list[int], result: list[int | str]) -> onnx.GraphProto:
    """A graph of one reshape, rewritten."""
    info = helper.make_tensor_value_info("y", TensorProto.FLOAT, result)
    node = helper.make_node("Reshape", ["x", "shape"], ["y"], allowzero=1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, source)
    graph = helper.make_graph([node], "g", [x], [info], [numpy_helper.from_array(np.array(target), "shape")])
    graph.value_info.append(info)
    reshape_by_axes(graph)
    return graph


@pytest.mark.parametrize(
    ("source", "target", "result", "written"),
    [
        (["n", 8, 6, 6], [-1, 2, 4, 6, 6], ["n", 2, 4, 6, 6], [0, 2, -1, 6, 6]),
        (["n", 4, 2, 6, 6], [-1, 8, 6, 6], ["n", 8, 6, 6], [0, -1, 6, 6]),
        (["n", 8, 6, 6], [-1, 8, 36], ["n", 8, 36], [0, 0, -1]),
        (["n", 36, 8], [-1, 6, 6, 8], ["n", 6, 6, 8], [0, 6, -1, 8]),
        (["n", 36, 8], [-1, 9, 8], ["4*n", 9, 8], [-1, 9, 8]),
        (["n", 8, 6, 6], [-1, 96, 3], ["n", 96, 3], [-1, 96, 3]),
    ],
)
def test_the_batch_is_copied_and_one_axis_found(
    source: list[int | str], target: list[int], result: list[int | str], written: list[int]
) -> None:
    graph = reshape(source, target, result)
    constants = {i.name: numpy_helper.to_array(i).tolist() for i in graph.initializer}

    assert constants[graph.node[0].input[1]] == written
    assert bool(graph.node[0].attribute) == (written == target)


def test_all_but_the_batch_as_one_axis_is_a_flatten() -> None:
    graph = reshape(["n", 8, 6, 6], [-1, 288], ["n", 288])

    assert (graph.node[0].op_type, list(graph.node[0].input)) == ("Flatten", ["x"])


class Tokens(nn.Module):
    """A perceptron on tokens, used twice, beside a residual stream that is normalised by layers."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.wide = nn.Linear(8, 12)
        self.narrow = nn.Linear(12, 8, bias=False)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for _ in range(2):
            x = x + self.narrow(nn.functional.gelu(self.wide(self.norm(x))))
        return self.head(x.mean(1))


def tokens() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Tokens().eval()


def transposed() -> nn.Module:
    return made(Chain, nn.ConvTranspose2d(8, 8, 4, 2, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "group"),
    [
        (made(Shuffled), "first"),
        (made(Halves), "stem"),
        (tokens(), "wide"),
        (transposed(), "stem"),
        (transposed(), "middle"),
    ],
)
def test_one_template_serves_other_widths(network: nn.Module, group: str) -> None:
    example = images(2, side=8)
    compressor, template = Compressor.of(network, example), build_template(network, example)
    batch = images(3, side=8, seed=1).numpy()
    for width in (1, 3, compressor.graph.groups[group].channels):
        thin = compressor.compress(policy_of({group: (width, compressor.graph.groups[group].channels)}, {}))
        proto = template.render(thin)

        onnx.checker.check_model(proto, full_check=True)
        wanted = expected(thin, batch)
        assert np.abs(run(proto, batch) - wanted).max() <= 1e-5 * np.abs(wanted).max()


@exact_integers
def test_linear_layers_on_tokens_are_named_and_run_in_int8() -> None:
    network, batch = tokens(), images(8, side=8).numpy()
    proto = build_template(network, images(2, side=8)).render(network)
    layers = ("patches", "wide", "narrow", "head")
    wanted = expected(network, batch)

    assert set(quantizable_layers(proto)) == set(layers)
    assert not [node for node in proto.graph.node if node.op_type == "MatMul"]
    logits = run(quantized(proto, layers, batch), batch)
    assert 0 < np.abs(logits - wanted).max() <= 0.05 * np.abs(wanted).max()


@exact_integers
@pytest.mark.parametrize("network", [made(Concat), made(Halves), made(Shared), transposed(), made(Shuffled)])
@pytest.mark.slow
def test_a_thin_toy_runs_in_int8(network: nn.Module) -> None:
    example, batch = images(2, side=8), images(8, side=8, seed=1).numpy()
    compressor = Compressor.of(network, example)
    widths = {name: (group.channels // 2, group.channels) for name, group in compressor.graph.groups.items()}
    thin = compressor.compress(policy_of(widths, {}))
    proto = build_template(network, example).render(thin)
    layers = quantizable_layers(proto)
    logits, wanted = run(quantized(proto, layers, batch), batch), expected(thin, batch)

    assert len(layers) >= 3
    assert 0 < np.abs(logits - wanted).max() <= 0.05 * np.abs(wanted).max()
