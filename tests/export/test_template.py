"""One exported graph for all candidates gives what torch gives, and holds what it should."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from moco.errors import CompressionError
from moco.export.folding import fold, foldable_pairs
from moco.export.rewrites import compact, pad_instead_of_gather
from moco.export.template import build_template, export_graph
from tests.compression.toys import Concat, images, made, tiny
from tests.export.graphs import LARGE, NAMES, compressor_of, expected, images_of, pruned, run, template_of
from tests.policies import policy_of


def close(got: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-4) -> bool:
    return float(np.abs(got - wanted).max()) <= tolerance * max(1.0, float(np.abs(wanted).max()))


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_gives_what_torch_gives_for_any_batch(name: str) -> None:
    network = compressor_of(name).network
    proto = template_of(name).render(network)
    for n in (1, 3, 7):
        batch = images_of(name, n)
        logits = run(proto, batch)

        assert logits.shape[0] == n
        assert close(logits, expected(network, batch))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_graph_with_pruned_weights_gives_what_torch_gives(name: str, seed: int) -> None:
    thin, batch = pruned(name, seed), images_of(name, 3)
    proto = template_of(name).render(thin)

    onnx.checker.check_model(proto, full_check=True)
    assert close(run(proto, batch), expected(thin, batch))


@pytest.mark.parametrize("name", NAMES)
def test_a_compacted_graph_is_valid_smaller_and_gives_the_very_same(name: str) -> None:
    proto, batch = template_of(name).render(pruned(name, 0)), images_of(name, 3)
    before, size = run(proto, batch), proto.ByteSize()
    weights = {i.name for i in proto.graph.initializer if i.name.endswith(".weight")}
    compact(proto)

    onnx.checker.check_model(proto, full_check=True)
    assert np.array_equal(run(proto, batch), before)
    assert proto.ByteSize() < size
    assert weights <= {i.name for i in proto.graph.initializer}
    assert (proto.graph.input[0].name, proto.graph.output[0].name) == ("input", "logits")
    names = [i.name for i in proto.graph.initializer] + [o for node in proto.graph.node for o in node.output]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", NAMES)
def test_the_file_holds_the_parameters_after_folding_and_no_others(name: str) -> None:
    template, thin = template_of(name), pruned(name, 1)
    folded = fold(thin, foldable_pairs(thin, torch.from_numpy(images_of(name, 2))))
    floats = [i for i in template.render(thin).graph.initializer if i.data_type == onnx.TensorProto.FLOAT]
    stored = sum(numpy_helper.to_array(i).size for i in floats if i.dims)
    # A batch-norm that cannot be folded (of a concatenation) also holds its statistics.
    left = sum(2 * m.num_features for m in folded.modules() if isinstance(m, nn.BatchNorm2d))

    assert stored == sum(p.numel() for p in folded.parameters()) + left
    assert (left > 0) == (name == "concat")


def test_the_input_is_float_with_a_dynamic_batch_and_the_opset_is_onnxs_own() -> None:
    proto = template_of("tiny A").proto
    shape = proto.graph.input[0].type.tensor_type.shape.dim

    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert shape[0].dim_param
    assert [d.dim_value for d in shape[1:]] == [1, 8, 8]
    assert {opset.domain for opset in proto.opset_import} == {""}
    assert proto.opset_import[0].version >= 13  # per-channel quantization


def test_the_template_is_left_as_it_was() -> None:
    template = template_of("tiny A")
    before = template.proto.SerializeToString(deterministic=True)
    template.render(pruned("tiny A", 0))

    assert template.proto.SerializeToString(deterministic=True) == before


def test_the_same_network_gives_the_same_bytes() -> None:
    template = template_of("tiny A")
    one, other = (template.render(pruned("tiny A", 0)).SerializeToString(deterministic=True) for _ in range(2))

    assert one == other


@pytest.mark.slow
def test_depthwise_convolutions_get_their_new_number_of_groups() -> None:
    thin = pruned("mobilenet_v2", 0)
    groups = {
        node.input[1]: a.i
        for node in template_of("mobilenet_v2").render(thin).graph.node
        for a in node.attribute
        if a.name == "group"
    }
    depthwise = [
        (f"{n}.weight", m.groups) for n, m in thin.named_modules() if isinstance(m, nn.Conv2d) and m.groups > 1
    ]

    assert len(depthwise) > 10
    assert all(groups[name] == wanted for name, wanted in depthwise)


def ops(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def test_a_shortcut_whose_channels_are_a_run_is_one_pad() -> None:
    network = compressor_of("tiny A").network
    unpruned = template_of("tiny A").render(network)
    inner = template_of("tiny A").render(compressor_of("tiny A").compress(policy_of({"layer2.1.conv1": (3, 16)}, {})))

    assert (ops(unpruned).count("Pad"), ops(unpruned).count("Gather")) == (1, 0)
    assert (ops(inner).count("Pad"), ops(inner).count("Gather")) == (1, 0)


def test_a_shortcut_whose_channels_are_scattered_stays_a_gather_and_is_right() -> None:
    compressor = compressor_of("tiny A")
    kept = {"layer2.0.conv2": np.array([0, 1, 4, 6, 7, 9, 15]), "conv1": np.array([1, 3, 4])}
    thin = compressor.graph.thin(compressor.network, kept)
    proto, batch = template_of("tiny A").render(thin), images_of("tiny A", 3)

    assert (ops(proto).count("Pad"), ops(proto).count("Gather")) == (1, 1)
    assert close(run(proto, batch), expected(thin, batch))


@pytest.mark.parametrize(
    ("stream", "whole"),
    [
        (range(4, 12), True),  # just the real channels
        (range(2, 16), True),  # zeros on both sides, unequally many
        ([0, *range(4, 12)], True),
        (range(5, 12), False),  # a real channel is gone from the output only
        ([0, 1], False),  # no real channel is left in the output
    ],
)
def test_both_forms_of_a_shortcut_equal_torch(stream: list[int], whole: bool) -> None:
    compressor = compressor_of("tiny A")
    thin = compressor.graph.thin(compressor.network, {"layer2.0.conv2": np.array(list(stream))})
    proto, batch = template_of("tiny A").render(thin), images_of("tiny A", 3)

    assert ("Gather" not in ops(proto)) == whole
    assert close(run(proto, batch), expected(thin, batch))


def test_a_gather_of_another_tensor_is_left_alone() -> None:
    proto = template_of("tiny A").proto
    copied = onnx.ModelProto()
    copied.CopyFrom(proto)
    pad_instead_of_gather(copied.graph, {})

    assert "Gather" in ops(proto)
    assert ops(copied) == ops(proto)


@pytest.mark.parametrize("name", ["tiny A", "tiny B", LARGE])
def test_folding_is_exact(name: str) -> None:
    network = compressor_of(name).network
    batch = images_of(name, 4)
    folded = fold(network, foldable_pairs(network, torch.from_numpy(batch)))

    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert close(expected(folded, batch), expected(network, batch), 1e-5)
    stored = {i.name: numpy_helper.to_array(i) for i in template_of(name).render(network).graph.initializer}
    for key, parameter in folded.named_parameters():
        assert np.array_equal(stored[key], parameter.detach()), key


def test_a_linear_layer_is_folded_into_a_batch_norm_without_a_scale() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False))
    network(torch.randn(32, 1, 2, 2))  # statistics
    batch = torch.randn(5, 1, 2, 2)
    folded = fold(network.eval(), foldable_pairs(network, batch))
    assert not any(isinstance(module, nn.BatchNorm1d) for module in folded.modules())
    torch.testing.assert_close(folded(batch), network(batch))


def test_the_network_that_is_folded_is_left_as_it_was() -> None:
    network = tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fold(network, foldable_pairs(network, images(2, 1, 8)))

    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


class Twice(nn.Module):
    """The convolution's output is read beside the batch-norm too, so folding would change it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.head((x + torch.relu(self.norm(x))).mean((2, 3)))


class OwnStatistics(Twice):
    """A batch-norm that always normalises by the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


def test_a_batch_norm_whose_layer_has_other_readers_is_not_folded() -> None:
    network = made(Twice)
    template = build_template(network, images(2, side=8))
    batch = images(3, side=8).numpy()

    assert template.foldings == ()
    assert close(run(template.render(network), batch), expected(network, batch))


class Mixed(Twice):
    """As above behind a convolution whose batch-norm can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.first_norm = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.relu(self.first_norm(self.first(x))))


def test_only_the_batch_norm_that_cannot_be_folded_stays() -> None:
    network = made(Mixed)
    template = build_template(network, images(2, side=8))
    batch = images(3, side=8).numpy()

    assert [folding.layer for folding in template.foldings] == ["first"]
    assert close(run(template.render(network), batch), expected(network, batch))


class Again(nn.Module):
    """A convolution with its batch-norm, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU())
        self.head = nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.twice(self.twice(x)).mean((2, 3)))


@pytest.mark.slow
def test_a_batch_norm_that_is_used_twice_with_its_layer_is_folded_once() -> None:
    network, batch = made(Again), images(3, side=8).numpy()
    template = build_template(network, images(2, side=8))

    assert [folding.layer for folding in template.foldings] == ["twice.0"]
    assert foldable_pairs(network, images(2, side=8)) == ()
    assert close(run(template.render(network), batch), expected(network, batch))


def test_a_batch_norm_without_running_statistics_is_not_folded() -> None:
    torch.manual_seed(0)
    assert foldable_pairs(OwnStatistics().eval(), images(2, side=8)) == ()


def test_a_batch_norm_of_a_concatenation_is_not_folded() -> None:
    assert foldable_pairs(made(Concat), images(2, side=8)) == ()


def test_a_linear_layers_batch_norm_is_folded() -> None:
    network = made(lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)))  # type: ignore[arg-type]
    example = images(2, side=2)
    template = build_template(network, example)

    assert [(f.layer, f.statistics[0]) for f in template.foldings] == [("1", "2.running_mean")]
    batch = images(5, side=2).numpy()
    assert close(run(template.render(network), batch), expected(network, batch))


def test_a_network_that_cannot_be_exported_is_refused_in_one_line() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.mean((2, 3))
            return self.head(x if float(x.sum()) > 0 else -x)

    with pytest.raises(CompressionError, match="the network cannot be traced for ONNX") as caught:
        export_graph(Branch().eval(), images(2, side=8))
    assert "\n" not in str(caught.value)


class Counting(nn.Module):
    """Reshapes by the number of images as Python counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).view(len(x), 4, 36).mean(2))


@pytest.mark.slow  # the exporter tries several ways
def test_a_graph_for_one_number_of_images_is_refused_with_the_remedy() -> None:
    with pytest.raises(CompressionError, match=r"takes batches of 2 images only: .*; write x\.shape"):
        export_graph(made(Counting), images(2, side=8))
