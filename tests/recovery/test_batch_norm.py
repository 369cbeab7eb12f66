"""Batch-norm statistics move by what the compression changed, and by nothing else (W29)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from moco.compression.compressor import Compressor
from moco.recovery.batch_norm import batch_statistics, re_estimate
from tests.compression.toys import images, made, tiny
from tests.policies import policy_of

IMAGES = images(130, 1, 8)


def states(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def norms(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}


def test_where_nothing_was_changed_nothing_changes_bitwise() -> None:
    network = tiny()
    before = states(network)
    re_estimate(network, IMAGES, batch_statistics(network, IMAGES), {})

    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_observing_leaves_the_network_as_it_was() -> None:
    network = tiny()
    network.layer1[0].bn1.momentum = 0.3
    network.layer1[1].bn1.train()
    before, modules = states(network), dict(network.named_modules())
    flags = {name: module.training for name, module in modules.items()}
    batch_statistics(network, IMAGES)

    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert {name: module.training for name, module in modules.items()} == flags
    assert network.layer1[0].bn1.momentum == 0.3
    assert network.layer1[0].bn2.momentum == 0.1
    assert all(module.track_running_stats for module in norms(network).values())


def test_the_network_is_put_back_when_a_forward_pass_fails() -> None:
    network = tiny()
    before = states(network)
    with pytest.raises(RuntimeError):
        batch_statistics(network, images(8, 3, 8))

    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module.training for module in network.modules())


def test_statistics_are_the_mean_and_variance_of_what_the_norm_sees() -> None:
    network = made(lambda: nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.Flatten()))  # type: ignore[arg-type]
    one_batch = IMAGES[:64]
    mean, variance, *_ = batch_statistics(network, one_batch)["1"]
    with torch.no_grad():
        seen = network[0](one_batch).transpose(0, 1).flatten(1)

    torch.testing.assert_close(mean, seen.mean(1))
    torch.testing.assert_close(variance, seen.var(1))


def test_a_single_image_left_over_is_no_batch_of_its_own() -> None:
    network = made(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4)))  # type: ignore[arg-type]
    mean, *_ = batch_statistics(network, IMAGES[:65])["2"]

    assert torch.isfinite(mean).all()


def test_a_shift_of_all_weights_is_followed_exactly() -> None:
    network = tiny()
    original, before = batch_statistics(network, IMAGES), states(network)
    network.layer2[1].conv1.weight.data *= 2
    re_estimate(network, IMAGES, original, {})
    mean, variance, *_ = original["layer2.1.bn1"]
    norm = network.layer2[1].bn1

    torch.testing.assert_close(norm.running_mean, before["layer2.1.bn1.running_mean"] + mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.running_var, before["layer2.1.bn1.running_var"] * 4, rtol=1e-4, atol=1e-4)
    assert variance.min() > 0
    assert torch.equal(network.bn1.running_mean, before["bn1.running_mean"])  # before the changed layer


def pruned() -> tuple[Compressor, nn.Module, dict[str, np.ndarray]]:
    compressor = Compressor.of(tiny(), IMAGES[:2])
    kept = compressor.kept(policy_of({"layer1.0.conv1": (3, 8), "layer2.0.conv2": (9, 16)}, {}))
    return compressor, compressor.graph.thin(compressor.network, kept), kept


def test_after_pruning_the_norms_behind_it_move_and_those_before_do_not() -> None:
    compressor, thin, kept = pruned()
    original, before = batch_statistics(compressor.network, IMAGES), states(thin)
    re_estimate(thin, IMAGES, original, compressor.kept_of_batch_norms(kept))
    moved = {
        n for n in norms(thin) if not torch.equal(before[f"{n}.running_mean"], thin.state_dict()[f"{n}.running_mean"])
    }

    assert {"layer1.0.bn2", "layer2.1.bn1"} <= moved
    assert not {"bn1", "layer1.0.bn1"} & moved  # the kept filters still see what they saw
    assert torch.equal(before["layer1.0.bn1.running_var"], thin.layer1[0].bn1.running_var)
    assert all(module.running_var.min() > 0 for module in norms(thin).values())
    assert not any(module.training for module in thin.modules())


def test_the_original_and_its_statistics_are_untouched_by_a_candidate() -> None:
    compressor, thin, kept = pruned()
    original = batch_statistics(compressor.network, IMAGES)
    copied = {name: [tensor.clone() for tensor in found] for name, found in original.items()}
    before = states(compressor.network)
    re_estimate(thin, IMAGES, original, compressor.kept_of_batch_norms(kept))

    assert all(torch.equal(before[name], tensor) for name, tensor in compressor.network.state_dict().items())
    assert all(
        torch.equal(tensor, copy)
        for name, found in original.items()
        for tensor, copy in zip(found, copied[name], strict=True)
    )


def test_the_kept_channels_of_norms_are_those_of_their_group() -> None:
    compressor, _, kept = pruned()
    found = compressor.kept_of_batch_norms(kept)

    assert set(found) == {"layer1.0.bn1", "layer2.0.bn2", "layer2.1.bn2"}
    assert found["layer1.0.bn1"].tolist() == kept["layer1.0.conv1"].tolist()
    assert found["layer2.1.bn2"].tolist() == kept["layer2.0.conv2"].tolist()


@pytest.mark.parametrize("dead", ["original", "thin"])
def test_a_channel_without_variance_keeps_its_own(dead: str) -> None:
    original_network, network = tiny(), tiny()
    (original_network if dead == "original" else network).layer1[0].conv1.weight.data[2] = 0
    original, before = batch_statistics(original_network, IMAGES), states(network)
    re_estimate(network, IMAGES, original, {})
    norm = network.layer1[0].bn1

    assert norm.running_var[2] == before["layer1.0.bn1.running_var"][2]
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_a_norm_without_running_statistics_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    found = batch_statistics(network, IMAGES)

    assert found == {}
    re_estimate(network, IMAGES, found, {})


def test_re_estimation_brings_outputs_back_towards_the_original() -> None:
    compressor, thin, kept = pruned()
    with torch.no_grad():
        wanted = compressor.network(IMAGES)
        lost = float(((thin(IMAGES) - wanted) ** 2).mean())
        re_estimate(thin, IMAGES, batch_statistics(compressor.network, IMAGES), compressor.kept_of_batch_norms(kept))
        left = float(((thin(IMAGES) - wanted) ** 2).mean())

    assert left < lost


def test_estimating_twice_is_estimating_once() -> None:
    compressor, thin, kept = pruned()
    original, places = batch_statistics(compressor.network, IMAGES), compressor.kept_of_batch_norms(kept)
    re_estimate(thin, IMAGES, original, places)
    once = states(thin)
    re_estimate(thin, IMAGES, original, places)

    assert all(torch.equal(once[name], tensor) for name, tensor in thin.state_dict().items())
