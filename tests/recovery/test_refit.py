"""Pruned networks are refitted layer by layer, to what the original gives, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph, channel_graph
from moco.compression.counting import count
from moco.compression.windows import sampled_rows
from moco.data import Normalization, parquet
from moco.errors import CompressionError, ConfigError
from moco.models import build_model, load_weights
from moco.recovery.batch_norm import batch_statistics, re_estimate
from moco.recovery.least_squares import columns_of
from moco.recovery.refit import OriginalGrams, OriginalOutputs, RefitOptions, observe, refit_
from tests.compression.toys import Chain, Shared, images, made, tiny

IMAGES = images(80, 1, 8)
KEPT = {"layer1.0.conv1": np.array([0, 2, 5]), "layer2.1.conv1": np.array([1, 4, 5, 8, 9, 12])}
CONSUMERS = {"layer1.0.conv2": "layer1.0.bn2", "layer2.1.conv2": "layer2.1.bn2"}
"""The layers that read pruned channels, and the batch-norms that take their intercepts."""
FIRST = np.arange(500)
ALL = 10**6
"""As many positions as there are."""
ONES = torch.tensor([-1])
"""The column of ones, which is the last."""


def graph_of(network: nn.Module, example: torch.Tensor) -> ChannelGraph:
    return channel_graph(network, example, count(network, tuple(example.shape[1:])))


def refitted(
    network: nn.Module,
    kept: Mapping[str, np.ndarray],
    read: torch.Tensor = IMAGES,
    **options: Any,
) -> tuple[nn.Module, nn.Module, Mapping[str, str]]:
    """The pruned network, the same one refitted, and the layers that could not be with the reason."""
    graph, chosen = graph_of(network, read[:2]), RefitOptions(**options)
    original = observe(network, graph, read, chosen, np.random.default_rng(0))
    thin = graph.thin(network, kept)
    refit_(thin, graph, kept, original, chosen)
    return graph.thin(network, kept), thin, original.refused


def states(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def seen(
    network: nn.Module, name: str, read: torch.Tensor, intercept: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the layer reads and gives, as rows over all positions, by a forward pass of its own."""
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    layer = network.get_submodule(name)
    hook = layer.register_forward_hook(lambda _, inputs, output: found.append((inputs[0], output)))
    with torch.no_grad():
        network(read)
    hook.remove()
    inputs, outputs = found[0]
    if isinstance(layer, nn.Linear):
        return sampled_rows(layer, inputs, torch.zeros(len(read), 1, dtype=torch.int64)), outputs
    places = torch.arange(outputs[0, 0].numel()).expand(len(read), -1)
    return sampled_rows(layer, inputs, places, intercept), outputs.flatten(2).transpose(1, 2).flatten(0, 1)


def weights_of(thin: nn.Module, name: str, network: nn.Module) -> torch.Tensor:
    """Weights of a refitted layer (outputs, columns), the intercept that its batch-norm has taken last."""
    batch_norm = CONSUMERS[name]
    intercept = network.get_submodule(batch_norm).running_mean - thin.get_submodule(batch_norm).running_mean
    return torch.cat([thin.get_submodule(name).weight.detach().flatten(1), intercept[:, None]], dim=1)


def solved(rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Weights (outputs, columns) by a full least-squares solve."""
    return torch.linalg.lstsq(rows.double(), targets.double(), driver="gelsd").solution.T.float()


def logit_error(original: nn.Module, network: nn.Module, read: torch.Tensor = IMAGES) -> float:
    with torch.no_grad():
        return float(((network(read) - original(read)) ** 2).mean())


def test_on_the_originals_inputs_each_layer_is_the_full_solution() -> None:
    network = tiny()
    _, thin, _ = refitted(network, KEPT, inputs="original", positions=ALL, ridge=0.0)
    for name, group in (("layer1.0.conv2", "layer1.0.conv1"), ("layer2.1.conv2", "layer2.1.conv1")):
        rows, targets = seen(network, name, IMAGES, intercept=True)
        columns = torch.cat([columns_of(torch.from_numpy(KEPT[group]), network.get_submodule(name).weight), ONES])
        best = solved(rows[:, columns], targets)

        # what the weights give: where a channel is zero on all images, its weights are open
        given = rows[:, columns] @ weights_of(thin, name, network).T
        torch.testing.assert_close(given, rows[:, columns] @ best.T, rtol=1e-3, atol=1e-3)


def test_in_sequence_a_layer_is_solved_for_what_the_refitted_ones_before_it_give() -> None:
    network = tiny()
    slow, thin, _ = refitted(network, KEPT, inputs="compressed", positions=ALL, ridge=0.0)
    for name, batch_norm in CONSUMERS.items():  # the slow way: one forward pass a layer
        weight = slow.get_submodule(name).weight
        best = solved(seen(slow, name, IMAGES, intercept=True)[0], seen(network, name, IMAGES)[1])
        weight.data = best[:, :-1].reshape(weight.shape)
        slow.get_submodule(batch_norm).running_mean -= best[:, -1]

        torch.testing.assert_close(seen(thin, name, IMAGES)[1], seen(slow, name, IMAGES)[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_only_layers_that_lost_inputs_change_and_the_means_after_them(inputs: str, intercept: bool) -> None:
    network = tiny()
    before = states(network)
    pruned, thin, skipped = refitted(network, KEPT, inputs=inputs, intercept=intercept)
    old = states(pruned)
    moved = {name for name, tensor in thin.state_dict().items() if not torch.equal(tensor, old[name])}

    means = {f"{name}.running_mean" for name in CONSUMERS.values()} if intercept else set()
    assert moved == {f"{name}.weight" for name in CONSUMERS} | means
    assert not skipped
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_layers_that_are_not_named_are_left_as_they_are(inputs: str) -> None:
    network, options = tiny(), RefitOptions(inputs=inputs)
    graph = graph_of(network, IMAGES[:2])
    original = observe(network, graph, IMAGES, options, np.random.default_rng(0))
    pruned, thin = graph.thin(network, KEPT), graph.thin(network, KEPT)
    refit_(thin, graph, KEPT, original, options, layers={"layer2.1.conv2"})
    old = states(pruned)

    assert [name for name, tensor in thin.state_dict().items() if not torch.equal(tensor, old[name])] == [
        "layer2.1.conv2.weight",
        "layer2.1.bn2.running_mean",
    ]


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_a_constant_channel_that_goes_is_made_good_by_the_intercept_and_by_nothing_else(inputs: str) -> None:
    """A channel of the value 1 everywhere is a mean and no more; re-estimated batch-norms must not count it twice."""
    network, kept = made(Normalised), {"first": np.arange(3)}
    pruned, thin, _ = refitted(network, kept, inputs=inputs, positions=ALL, ridge=0.0)
    without = refitted(network, kept, inputs=inputs, positions=ALL, ridge=0.0, intercept=False)[1]

    assert logit_error(network, thin) < 1e-9
    assert logit_error(network, without) > 1e-4
    torch.testing.assert_close(thin.second.weight, pruned.second.weight, rtol=1e-3, atol=1e-4)
    re_estimate(thin, IMAGES, batch_statistics(network, IMAGES), {})
    assert logit_error(network, thin) < 1e-9


class Normalised(nn.Module):
    """Two convolutions without padding, the second with a batch-norm; the last channel between them is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 5, 3, bias=False)
        self.norm, self.head = nn.BatchNorm2d(5), nn.Linear(5, 4)
        nn.init.zeros_(self.first.weight[3:])
        nn.init.ones_(self.first.bias[3:])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.second(torch.relu(self.first(x))))).mean((2, 3)))


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_the_logits_come_back_towards_the_originals(inputs: str) -> None:
    network = tiny()
    pruned, thin, _ = refitted(network, KEPT, inputs=inputs)

    assert logit_error(network, thin) < 0.5 * logit_error(network, pruned)


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_where_nothing_was_pruned_nothing_changes(inputs: str) -> None:
    network = tiny()
    whole = {"layer1.0.conv1": np.arange(8)}
    _, thin, skipped = refitted(network, whole, inputs=inputs)

    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in thin.state_dict().items())
    assert not skipped


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_channels_that_are_copies_of_kept_ones_cost_nothing(inputs: str) -> None:
    network = tiny()
    block = network.layer1[0]
    for module in (block.conv1, block.bn1):
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.ndim:
                tensor.data[4:] = tensor.data[:4]
    kept = {"layer1.0.conv1": np.arange(4)}
    pruned, thin, _ = refitted(network, kept, inputs=inputs, ridge=0.0)

    assert logit_error(network, thin) < 1e-8
    assert logit_error(network, pruned) > 1e-4


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_targets_are_those_of_the_outputs_that_stay(inputs: str) -> None:
    """The coupled group loses channels, so layers lose inputs and outputs at once, the head's inputs among them."""
    network = tiny()
    kept = {"layer2.0.conv2": np.array([0, 1, 3, 4, 6, 7, 9, 12, 15]), "layer2.0.conv1": np.arange(0, 16, 2)}
    pruned, thin, _ = refitted(network, kept, inputs=inputs, positions=ALL, ridge=0.0)
    targets = seen(network, "layer2.0.conv2", IMAGES)[1][:, kept["layer2.0.conv2"]]
    errors = [float(((seen(net, "layer2.0.conv2", IMAGES)[1] - targets) ** 2).mean()) for net in (pruned, thin)]

    assert thin.layer2[0].conv2.weight.shape == (9, 8, 3, 3)
    assert errors[1] < 0.7 * errors[0]
    assert not torch.equal(thin.linear.weight, pruned.linear.weight)
    assert not torch.equal(thin.linear.bias, pruned.linear.bias)


class Flattened(nn.Module):
    """A convolution whose 2x2 pixels are flattened into a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear(4 * width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.flatten(self.pool(torch.relu(self.conv(x))), 1))


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_flattened_channels_keep_all_of_their_pixels(inputs: str) -> None:
    network, kept = made(Flattened, 6), {"conv": np.array([0, 1, 4])}
    _, thin, _ = refitted(network, kept, inputs=inputs, ridge=0.0)
    rows, targets = seen(network, "head", IMAGES)
    columns = [*range(8), *range(16, 20), 24]  # three channels of four pixels, and the ones
    expected = solved(rows[:, columns], targets)

    torch.testing.assert_close(thin.head.weight, expected[:, :-1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(thin.head.bias, expected[:, -1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_a_layer_too_wide_for_a_gram_matrix_is_skipped_with_the_reason(inputs: str) -> None:
    _, _, skipped = refitted(made(Flattened, 2050), {"conv": np.arange(2000)}, images(3, 1, 8), inputs=inputs)

    assert skipped == {"head": "has 8,200 weights an output; a refit takes at most 8,192"}


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_a_depthwise_layer_is_skipped_and_the_one_behind_it_refitted(inputs: str) -> None:
    network = made(Chain, nn.Conv2d(8, 8, 3, padding=1, groups=8))
    pruned, thin, skipped = refitted(network, {"stem": np.arange(5)}, images(20, 3, 8), inputs=inputs)

    assert list(skipped) == ["middle"]
    assert "depthwise" in skipped["middle"]
    assert torch.equal(thin.middle.weight, pruned.middle.weight)
    assert not torch.equal(thin.last.weight, pruned.last.weight)


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_a_layer_that_is_used_twice_is_skipped_with_the_reason(inputs: str) -> None:
    network = made(Shared)
    group = next(name for name, g in graph_of(network, images(2, 3, 8)).groups.items() if "twice" in g.consumers)
    pruned, thin, skipped = refitted(network, {group: np.arange(5)}, images(70, 3, 8), inputs=inputs)

    assert skipped["twice"] == "is used 2 times in a forward pass"
    assert torch.equal(thin.twice.weight, pruned.twice.weight)


def test_downstream_layers_are_refitted_from_the_first_pruned_one_on() -> None:
    network, kept = tiny(), {"layer2.0.conv1": np.arange(5)}
    pruned, thin, _ = refitted(network, kept, inputs="compressed", downstream=True)
    old = states(pruned)
    moved = {name for name, tensor in thin.state_dict().items() if not torch.equal(tensor, old[name])}
    layers = {"layer2.0.conv2", "layer2.1.conv1", "layer2.1.conv2", "linear"}
    means = {f"{name.replace('conv', 'bn')}.running_mean" for name in layers - {"linear"}}

    assert moved == {f"{name}.weight" for name in layers} | means | {"linear.bias"}


def test_both_networks_keep_their_modes_and_have_no_hooks_left() -> None:
    network, options = tiny(), RefitOptions()
    graph = graph_of(network, IMAGES[:2])
    network.layer1[1].bn1.train()
    thin, before = graph.thin(network, KEPT), states(network)
    refit_(thin, graph, KEPT, observe(network, graph, IMAGES, options, np.random.default_rng(0)), options)

    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    for net in (network, thin):
        assert [name for name, module in net.named_modules() if module.training] == ["layer1.1.bn1"]
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_the_same_generator_gives_the_same_network() -> None:
    _, first, _ = refitted(tiny(), KEPT, inputs="compressed", positions=3)
    _, second, _ = refitted(tiny(), KEPT, inputs="compressed", positions=3)

    assert all(torch.equal(second.state_dict()[name], tensor) for name, tensor in first.state_dict().items())


def test_what_is_observed_is_sampled_and_small() -> None:
    network = tiny()
    graph = graph_of(network, IMAGES[:2])
    outputs = observe(network, graph, IMAGES, RefitOptions(inputs="compressed", positions=3), np.random.default_rng(0))
    grams = observe(network, graph, IMAGES, RefitOptions(inputs="original", positions=3), np.random.default_rng(0))

    assert isinstance(outputs, OriginalOutputs)
    assert isinstance(grams, OriginalGrams)
    assert outputs.outputs["layer1.0.conv2"].shape == (240, 8)
    assert outputs.positions["layer1.0.conv2"].shape == (80, 3)
    assert grams.grams["layer1.0.conv2"].rows == 240
    assert grams.grams["linear"].products.shape == (17, 17)


def test_images_that_are_not_finite_are_an_error_that_names_the_layer() -> None:
    broken = IMAGES.clone()
    broken[0] = float("nan")

    with pytest.raises(CompressionError, match=r"'layer1\.0\.conv2'"):
        refitted(tiny(), KEPT, broken, inputs="compressed")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": "thin"}, r"refit\.inputs: expected 'original' or 'compressed', got 'thin'"),
        ({"positions": 0}, r"refit\.positions: expected at least 1, got 0"),
        ({"ridge": -0.1}, r"refit\.ridge: expected a finite number"),
        ({"ridge": float("nan")}, r"refit\.ridge: expected a finite number"),
        ({"inputs": "original", "downstream": True}, r"refit\.downstream"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RefitOptions(**options)


@pytest.mark.slow
def test_a_trained_resnet_56_of_half_the_inner_width_keeps_most_of_its_accuracy(cifar10: Path) -> None:
    """Measured on these 500 images: 91.8 % whole, 36.4 % pruned by the filters' norms, 84.2 % with batch-norm
    re-estimated, 86.8 % refitted on the original's inputs, 88.0 % in sequence, all without intercepts."""
    imagenet = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    network = build_model("cifar_resnet56")
    load_weights(network, cifar10 / "resnet56_cifar10.safetensors")
    network.eval()
    test = parquet.load(cifar10 / "test.parquet", normalize=imagenet)
    train = parquet.load(cifar10 / "train.parquet", normalize=imagenet)
    calibration = torch.from_numpy(train.images(np.arange(256)))
    widths = {f"layer{stage}.{block}.conv1": 8 * 2 ** (stage - 1) for stage in (1, 2, 3) for block in range(9)}
    kept = {
        name: np.sort(np.argsort(-network.get_submodule(name).weight.detach().abs().sum((1, 2, 3)).numpy())[:width])
        for name, width in widths.items()
    }
    pruned, thin, skipped = refitted(network, kept, calibration)

    def accuracy(net: nn.Module) -> float:
        with torch.no_grad():
            found = np.concatenate([net(torch.from_numpy(part)).argmax(1) for part in np.split(test.images(FIRST), 5)])
        return float(np.mean(found == test.labels[FIRST]))

    assert not skipped
    assert accuracy(pruned) < 0.5
    assert accuracy(thin) > 0.86


@pytest.mark.parametrize("inputs", ["original", "compressed"])
def test_a_transposed_convolution_is_skipped_with_the_reason(inputs: str) -> None:
    network = made(Chain, nn.ConvTranspose2d(8, 8, 4, 2, 1))
    graph = graph_of(network, images(2))
    (first,) = [name for name, group in graph.groups.items() if any("middle" in reader for reader in group.consumers)]
    _, _, skipped = refitted(network, {first: np.arange(5)}, images(4), inputs=inputs)

    assert list(skipped) == ["middle"]
    assert skipped["middle"].startswith("is a transposed convolution")
