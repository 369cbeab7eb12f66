"""Every network of the zoo that the published systems need: pruned, written in integers, and run as it was computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from moco.compression.channels.branches import residual_branches
from moco.compression.compressor import Compressor
from moco.compression.counting import count
from moco.compression.precision import Bits
from moco.compression.space.codec import cost_of
from moco.evaluation.builder import Builder
from moco.export.calibration import open_session
from moco.models import build_model
from moco.models.cifar_preresnet import cifar_preresnet
from moco.models.cifar_vgg import VGG
from moco.policy import Policy
from tests.compression.toys import images, randomized
from tests.evaluation.builders import builder_of
from tests.policies import policy_of

SEVEN_BITS = Bits(7, 8)
"""Sums of these products never overflow, on any processor."""
COLOUR, GRAY = (3, 32), (1, 28)
SMALL = {"lenet5": GRAY, "lenet5_caffe": GRAY, "conv2_fc2": COLOUR}
LARGE = dict.fromkeys(
    ("cifar_resnet8", "cifar_resnet14", "cifar_resnet18", "cifar_vgg16", "cifar_vgg19", "cifar_mobilenetv2"), COLOUR
)


class Case:
    """A network of random weights and statistics, with what compresses it and writes its files."""

    def __init__(self, network: nn.Module, shape: tuple[int, int], files: Path) -> None:
        self.network, self.batch = randomized(network), images(4, *shape)
        self.compressor = Compressor.of(self.network, self.batch[:2])
        self.builder: Builder = builder_of(self.compressor, self.batch.numpy(), True, files)
        halved = {name: (max(g.channels // 2, 1), g.channels) for name, g in self.compressor.graph.groups.items()}
        self.pruned = policy_of(halved, {})
        layers = [layer.name for layer in self.compressor.counts.layers]
        self.integers = policy_of(halved, dict.fromkeys(layers, SEVEN_BITS))

    def logits(self, policy: Policy) -> tuple[np.ndarray, onnx.ModelProto]:
        """What the policy's file gives for the batch on ONNX Runtime, and the file."""
        artifact, _ = self.builder.build(policy)
        model = onnx.load(artifact.path)
        return open_session(model).run(None, {"input": self.batch.numpy()})[0], model


def check(network: nn.Module, shape: tuple[int, int], files: Path) -> None:
    case = Case(network, shape, files)
    small = case.builder.compressed(case.pruned)
    with torch.no_grad():
        expected = small(case.batch).numpy()
    found, _ = case.logits(case.pruned)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-4 * scale)
    counts = count(small, case.batch.shape[1:])
    cost = cost_of(case.compressor.costs, case.pruned)
    assert (cost["parameters"], cost["macs"]) == (counts.parameters, counts.macs)
    assert counts.macs < 0.6 * case.compressor.counts.macs
    assert counts.parameters < 0.6 * case.compressor.counts.parameters
    in_integers, model = case.logits(case.integers)
    codes = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1]
    assert len(codes) == len(case.compressor.counts.layers)
    assert np.corrcoef(in_integers.ravel(), expected.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("name", SMALL)
def test_it_is_pruned_and_written_in_integers(name: str, tmp_path: Path) -> None:
    check(build_model(name), SMALL[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_large_one_is_pruned_and_written_in_integers(name: str, tmp_path: Path) -> None:
    options = {"shortcut": "B"} if name in {"cifar_resnet8", "cifar_resnet14"} else {}
    check(build_model(name, **options), LARGE[name], tmp_path)


@pytest.mark.slow
def test_a_preactivated_network_is_pruned_and_written_in_integers(tmp_path: Path) -> None:
    check(cifar_preresnet(20).eval(), COLOUR, tmp_path)


def test_the_branches_of_preresnet110_are_its_blocks_that_project_nothing() -> None:
    network = build_model("cifar_preresnet110")
    found = residual_branches(network, images(2, 3, 8), count(network, (3, 8, 8)))
    assert [branch.name for branch in found.all] == [f"layer{s}.{b}" for s in (1, 2, 3) for b in range(1, 12)]
    assert found.all[0].layers == tuple(f"layer1.1.conv{n}" for n in (1, 2, 3))
    assert found.left_out == {}


@pytest.mark.parametrize("name", ["cifar_vgg16", "lenet5", "conv2_fc2"])
def test_a_plain_chain_has_no_branches(name: str) -> None:
    network = build_model(name)
    image = images(2, *{**SMALL, **LARGE}[name])
    assert residual_branches(network, image, count(network, tuple(image.shape[1:]))).all == ()


def test_a_vgg_halves_the_image_five_times() -> None:
    network = build_model("cifar_vgg19", num_classes=7)
    assert isinstance(network, VGG)
    assert network.features(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 1, 1)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
