"""Sensitivity of single layers: the divergence, what is compressed, and that reuse changes nothing."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from moco.analysis.sensitivity.layer_sensitivity import (
    ACTIVATION_BITS,
    BRANCHES,
    DIRECTION,
    INT8,
    KEEP,
    KEEP_RATIOS,
    WEIGHT_BITS,
    Curve,
    Levels,
    Sensitivity,
    analyse,
    features,
    read_sensitivity,
    to_json,
)
from moco.analysis.sensitivity.variations import Range, Ranges
from moco.compression.collecting import kl_divergence
from moco.compression.compressor import Compressor
from moco.compression.methods.depth import Depth
from moco.compression.methods.filter_pruning import kept_channels, rounded_width
from moco.errors import CompressionError, DataError, MeasurementError
from moco.export.bits import Scale
from moco.export.calibration import calibrate, open_session, outputs
from moco.export.quantize import observed_tensors, quantize
from moco.export.template import build_template
from moco.policy import Policy
from moco.recovery.quantization_aware import fake_quantized_activation, fake_quantized_weight
from tests.analysis.sensitivity.test_prefix_reuse import Branching
from tests.compression.toys import Concat, images, made, tiny
from tests.processors import exact_integers

FEW = Levels(keep=(1.0, 0.5, 0.1), weight_bits=(8, 2, 1), activation_bits=(4, 1))


def gray(n: int = 12) -> np.ndarray:
    return images(n, channels=1, side=8).numpy()


def compressor_of(network: nn.Module, batch: np.ndarray) -> Compressor:
    return Compressor.of(network, torch.from_numpy(batch[:2]))


def layers_of(compressor: Compressor) -> list[str]:
    return list(dict.fromkeys(layer.name for layer in compressor.counts.layers))


@pytest.fixture(scope="module")
def tiny_compressor() -> Compressor:
    return compressor_of(tiny(), gray())


@pytest.fixture(scope="module")
def study(tiny_compressor: Compressor) -> Sensitivity:
    return analyse(tiny_compressor, gray(), layers_of(tiny_compressor), FEW)


def curve(study: Sensitivity, layer: str, parameter: str) -> Curve:
    found = study.curve(layer, parameter)
    assert found is not None
    return found


def test_the_divergence_is_that_of_the_original_to_the_compressed_and_not_the_other_way() -> None:
    # p = (1/2, 1/2), q = (1/4, 3/4): KL(p || q) = 1/2 ln 2 + 1/2 ln 2/3 = 0.1438; KL(q || p) = 0.1308 (by hand)
    p, q = torch.zeros(1, 2), torch.tensor([[0.25, 0.75]]).log()

    assert kl_divergence(p, q) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3), rel=1e-6)
    assert kl_divergence(q, p) == pytest.approx(0.25 * np.log(0.5) + 0.75 * np.log(1.5), rel=1e-6)
    assert DIRECTION == "KL(original || compressed)"


def test_the_divergence_is_a_mean_over_images() -> None:
    p, q = torch.zeros(1, 2), torch.tensor([[0.25, 0.75]]).log()

    assert kl_divergence(torch.cat([p, p]), torch.cat([p, q])) == pytest.approx(kl_divergence(p, q) / 2)
    assert kl_divergence(1e3 * q, 1e3 * q) == 0.0


def test_pruning_is_that_of_real_surgery_by_the_ranking(tiny_compressor: Compressor, study: Sensitivity) -> None:
    batch = torch.from_numpy(gray())
    with torch.no_grad():
        original = tiny_compressor.network(batch)
        for name, group in tiny_compressor.graph.groups.items():
            found = curve(study, name, KEEP)
            assert found.levels == (1.0, 0.5, 0.1)
            for keep, divergence in zip(found.levels, found.divergences, strict=True):
                width = rounded_width(group.channels, keep)
                thin = tiny_compressor.graph.thin(
                    tiny_compressor.network, kept_channels(tiny_compressor.ranking, {name: width})
                )
                assert divergence == pytest.approx(kl_divergence(original, thin(batch)), rel=1e-3, abs=1e-6)
            assert found.divergences[0] == 0.0
            assert found.divergences[2] > 0.0


def test_a_layer_that_gives_the_channels_of_another_group_shares_its_curve(study: Sensitivity) -> None:
    assert study.owners["layer1.0.conv2"] == "conv1"
    assert study.curve("layer1.0.conv2", KEEP) == study.curve("conv1", KEEP)
    assert study.curve("linear", KEEP) is None
    assert [c.layer for c in study.curves if c.parameter == KEEP].count("conv1") == 1


def test_a_layer_in_a_residual_branch_has_the_divergence_without_it(
    tiny_compressor: Compressor, study: Sensitivity
) -> None:
    assert study.inside == {
        f"{block}.{conv}": block for block in ("layer1.0", "layer1.1", "layer2.1") for conv in ("conv1", "conv2")
    }
    branch = tiny_compressor.graph.branches.by_name["layer2.1"]
    thin = tiny_compressor.compress(Policy.of({"layer2.1": Depth().setting_of(branch)}))
    batch = torch.from_numpy(gray())
    with torch.no_grad():
        expected = kl_divergence(tiny_compressor.network(batch), thin(batch))
    for conv in ("conv1", "conv2"):
        assert curve(study, f"layer2.1.{conv}", BRANCHES).divergences == pytest.approx((expected,), rel=1e-3)
    assert study.curve("conv1", BRANCHES) is None
    assert analyse(tiny_compressor, gray(4), ["conv1"], Levels.of(["branches"])).curves == ()


def test_reuse_of_prefixes_changes_nothing(tiny_compressor: Compressor, study: Sensitivity) -> None:
    whole = analyse(tiny_compressor, gray(), layers_of(tiny_compressor), FEW, reuse=False)
    assert [(c.layer, c.parameter, c.levels) for c in whole.curves] == [
        (c.layer, c.parameter, c.levels) for c in study.curves
    ]
    for ours, theirs in zip(study.curves, whole.curves, strict=True):
        assert ours.divergences == pytest.approx(theirs.divergences, rel=1e-4, abs=1e-9)


def test_the_network_stays_as_it_is() -> None:
    network = tiny()
    before = copy.deepcopy(network.state_dict())
    compressor = compressor_of(network, gray())
    analyse(compressor, gray(4), layers_of(compressor), FEW)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.fixture(scope="module")
def float_file(tiny_compressor: Compressor) -> onnx.ModelProto:
    network = tiny_compressor.network
    return build_template(network, torch.from_numpy(gray(2))).render(network)


@exact_integers
@pytest.mark.parametrize("layer", ["conv1", "layer1.0.conv1", "layer2.0.conv2", "linear"])
def test_int8_diverges_as_the_exported_file_of_that_layer_does(
    float_file: onnx.ModelProto, study: Sensitivity, layer: str
) -> None:
    ranges = calibrate(float_file, observed_tensors(float_file, [layer]), gray()).ranges

    def logits(graph: onnx.ModelProto) -> Tensor:
        return torch.from_numpy(outputs(open_session(graph), gray())[0])

    expected = kl_divergence(logits(float_file), logits(quantize(float_file, [layer], ranges)))
    # a code on the border of two may fall to either side, which at 8 bits is all that is measured
    assert curve(study, layer, INT8).divergences[0] == pytest.approx(expected, rel=0.3, abs=1e-7)


def test_fewer_bits_diverge_more_and_one_bit_most(study: Sensitivity) -> None:
    for layer in study.layers:
        eight, two, one = curve(study, layer, WEIGHT_BITS).divergences
        assert 0 <= eight < two
        assert one > 10 * eight
        four, one = curve(study, layer, ACTIVATION_BITS).divergences
        assert 0 < four < one


def test_ratios_that_leave_the_same_width_diverge_alike(tiny_compressor: Compressor) -> None:
    seen: list[tuple[int, int]] = []
    levels = Levels(keep=(1.0, 0.99, 0.5, 0.45, 0.3, 0.01), weight_bits=(), activation_bits=(), int8=False)
    found = analyse(
        tiny_compressor, gray(4), ["layer1.0.conv1"], levels, seen=lambda done, total: seen.append((done, total))
    )
    (only,) = found.curves
    assert only.divergences[:2] == (0.0, 0.0)  # 8 of 8 channels
    assert only.divergences[2] == only.divergences[3]  # 4 of 8 channels
    assert len(set(only.divergences)) == 4
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_weights_lie_on_symmetric_codes_of_their_channel(bits: int) -> None:
    weight = images(6, channels=4, side=3)
    weight[3] = 0.0
    rounded = fake_quantized_weight(weight, bits)
    codes = 2 ** (bits - 1) - 1
    for channel, original in zip(rounded, weight, strict=True):
        largest = float(original.abs().max())
        if largest == 0.0:
            assert not channel.any()
            continue
        scale = largest / codes
        assert torch.allclose(channel / scale, (channel / scale).round(), atol=1e-4)
        assert float((channel - original).abs().max()) <= scale / 2 + 1e-6
        assert float(channel.abs().max()) == pytest.approx(largest, rel=1e-6)


def test_one_bit_leaves_the_sign_and_the_mean_size() -> None:
    weight = torch.tensor([[1.0, -3.0, 0.0], [-2.0, -2.0, -2.0]])
    expected = torch.tensor([[4 / 3, -4 / 3, 4 / 3], [-2.0, -2.0, -2.0]])
    torch.testing.assert_close(fake_quantized_weight(weight, 1), expected)


def in_codes(x: Tensor, seen: Range, bits: int) -> Tensor:
    return fake_quantized_activation(x, Scale.of(seen.low, seen.high, bits))


def test_activations_lie_on_the_codes_of_the_exporter() -> None:
    x = images(3)
    seen = Range()
    assert seen.see(x) is x
    assert (seen.low, seen.high) == (float(x.min()), float(x.max()))
    scale = Scale.of(seen.low, seen.high)
    codes = np.clip(np.rint(x.numpy() / np.float32(scale.scale)) + scale.zero_point, 0, 255)
    expected = (codes - scale.zero_point) * np.float32(scale.scale)
    difference = np.abs(in_codes(x, seen, 8).numpy() - expected)
    assert np.mean(difference > 1e-6) < 1e-3  # ties of the rounding
    assert difference.max() <= scale.scale * 1.001
    assert len(in_codes(x, seen, 3).unique()) == 8
    one_bit = in_codes(torch.tensor([0.0, 0.4, 0.5, 0.9]), Range(0.0, 0.9), 1)
    assert one_bit.tolist() == pytest.approx([0.0, 0.0, 0.9, 0.9])
    assert torch.equal(in_codes(torch.zeros(3), Range(), 8), torch.zeros(3))


def test_a_range_holds_zero() -> None:
    seen = Range()
    seen.see(torch.tensor([1.0, 2.0]))
    assert (seen.low, seen.high) == (0.0, 2.0)
    assert Ranges(seen, Range()).read is seen


def test_features_hold_every_level_by_name(study: Sensitivity) -> None:
    found = features(study)
    assert list(found) == list(study.layers)
    assert found["conv1"]["kl_keep_0.5"] == curve(study, "conv1", KEEP).at(0.5)
    assert found["layer1.0.conv2"]["kl_keep_0.1"] == found["conv1"]["kl_keep_0.1"]
    assert found["linear"]["kl_weight_bits_2"] == curve(study, "linear", WEIGHT_BITS).at(2)
    assert set(found["linear"]) == {
        *(f"kl_weight_bits_{bits}" for bits in (8, 2, 1)),
        *(f"kl_activation_bits_{bits}" for bits in (4, 1)),
        "kl_int8",
    }


def test_all_levels_are_those_of_the_paper() -> None:
    levels = Levels()
    assert levels.keep == KEEP_RATIOS == tuple(round(1 - sparsity / 10, 1) for sparsity in range(10))
    assert levels.weight_bits == levels.activation_bits == tuple(range(8, 0, -1))


def test_a_layer_that_cannot_be_pruned_has_its_other_curves() -> None:
    batch = images(4).numpy()
    compressor = compressor_of(made(Concat), batch)
    found = analyse(compressor, batch, ["head", "left"], FEW)
    assert [(c.layer, c.parameter) for c in found.curves] == [
        ("head", WEIGHT_BITS),
        ("head", ACTIVATION_BITS),
        ("head", INT8),
        ("left", KEEP),
        ("left", WEIGHT_BITS),
        ("left", ACTIVATION_BITS),
        ("left", INT8),
    ]


def test_a_network_that_cannot_be_cut_is_studied_whole_and_says_why() -> None:
    batch = images(4).numpy() - 1.0
    compressor = compressor_of(made(Branching), batch)
    found = analyse(compressor, batch, ["conv2", "head"], FEW)
    assert "torch.fx cannot trace it" in str(found.whole_runs)
    assert curve(found, "conv2", KEEP).divergences[2] > 0
    assert curve(found, "head", INT8).divergences[0] > 0


def test_it_is_the_same_after_json(study: Sensitivity, tmp_path: Path) -> None:
    path = tmp_path / "sensitivity.json"
    path.write_text(json.dumps(to_json(study)), encoding="utf-8")
    assert read_sensitivity(path) == study
    assert json.loads(path.read_text())["direction"] == DIRECTION


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "curves": [{"layer": 1}]}']
)
def test_a_file_of_another_form_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "sensitivity.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"sensitivity\.json: expected"):
        read_sensitivity(path)
    with pytest.raises(DataError, match="absent"):
        read_sensitivity(tmp_path / "absent.json")


def test_bad_input_is_named(tiny_compressor: Compressor) -> None:
    with pytest.raises(CompressionError, match="'layer9' is no convolution"):
        analyse(tiny_compressor, gray(), ["layer9"], FEW)
    with pytest.raises(CompressionError, match="at least one image"):
        analyse(tiny_compressor, gray()[:0], ["conv1"], FEW)


def test_logits_that_are_not_finite_name_the_layer(
    tiny_compressor: Compressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(weight: Tensor, bits: int) -> Tensor:
        return weight * float("nan")

    monkeypatch.setattr("moco.analysis.sensitivity.variations.fake_quantized_weight", broken)
    with pytest.raises(MeasurementError, match=r"weight_bits 8 in 'linear'.*not finite"):
        analyse(tiny_compressor, gray(), ["linear"], FEW)
