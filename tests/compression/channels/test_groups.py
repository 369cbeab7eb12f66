"""Coupled channels: a thin network is the masked one (W26), its counts are those that the space states."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pytest
import torch
import torch_pruning
from torch import nn

from moco.compression.channels.groups import ChannelGraph, channel_graph
from moco.compression.channels.surgery import module_or_tensor
from moco.compression.compressor import Compressor
from moco.compression.costs import analytic_cost
from moco.compression.counting import count
from moco.compression.precision import INT8
from moco.compression.space.codec import cost_of
from moco.compression.verify import verify_network
from moco.errors import CompressionError
from moco.models import build_model
from moco.models.cifar_resnet import PadShortcut
from tests.compression.toys import (
    Chain,
    Concat,
    Halves,
    Scaled,
    Shared,
    Shuffled,
    Stacked,
    bops_of,
    images,
    made,
    randomized,
    seeded,
    tiny,
    vgg,
)
from tests.policies import policy_of

MIDDLES = {
    "slopes": nn.PReLU(8),
    "one slope": nn.PReLU(),
    "scales": Scaled(8),
    "group norm": nn.GroupNorm(4, 8),
    "group norm without weights": nn.GroupNorm(4, 8, affine=False),
    "instance norm": nn.InstanceNorm2d(8, affine=True),
    "instance norm with statistics": nn.InstanceNorm2d(8, affine=True, track_running_stats=True),
    "instance norm without weights": nn.InstanceNorm2d(8),
    "shuffle": nn.ChannelShuffle(2),
}

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "resnet20 A": (partial(seeded, "cifar_resnet20"), (3, 32, 32)),
    "resnet20 B": (partial(seeded, "cifar_resnet20", shortcut="B"), (3, 32, 32)),
    "mobilenet_v2": (partial(seeded, "mobilenet_v2", num_classes=10), (3, 64, 64)),
    "resnet18": (partial(seeded, "resnet18", num_classes=10), (3, 64, 64)),
    "vgg11_bn": (vgg, (3, 64, 64)),
    "concat": (partial(made, Concat), (3, 16, 16)),
    "split": (partial(made, Halves), (3, 16, 16)),
    "shuffled": (partial(made, Shuffled), (3, 16, 16)),
    "shared": (partial(made, Shared), (3, 16, 16)),
    "transposed": (partial(made, Chain, nn.ConvTranspose2d(8, 8, 4, 2, 1)), (3, 16, 16)),
    "grouped": (partial(made, Chain, nn.Conv2d(8, 12, 3, padding=1, groups=4), 8, 12), (3, 16, 16)),
    "multiplied": (partial(made, Chain, nn.Conv2d(8, 16, 3, padding=1, groups=8), 8, 16), (3, 16, 16)),
    "gray": (tiny, (1, 8, 8)),
    "stacked": (partial(made, Stacked), (3, 16, 16)),
    **{name: (partial(made, Chain, middle), (3, 16, 16)) for name, middle in MIDDLES.items()},
}
HEADS = {
    "mobilenet_v2": "classifier.1",
    "resnet18": "fc",
    "vgg11_bn": "classifier.3",
    **dict.fromkeys(("concat", "split", "shuffled", "shared", "transposed", "grouped", "multiplied"), "head"),
    **dict.fromkeys(("stacked", *MIDDLES), "head"),
}


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[str, Compressor, torch.Tensor]:
    build, shape = NETWORKS[request.param]
    example = images(2, shape[0], shape[1])
    return request.param, Compressor.of(build(), example), example


def random_widths(graph: ChannelGraph, seed: int) -> dict[str, tuple[int, int]]:
    rng = np.random.default_rng(seed)
    return {name: (int(rng.integers(1, g.channels + 1)), g.channels) for name, g in graph.groups.items()}


def masked(network: nn.Module, graph: ChannelGraph, kept: Mapping[str, np.ndarray]) -> nn.Module:
    """A copy of the network, of full width, whose removed channels are zero."""
    network = copy.deepcopy(network)
    for (name, side), axis in graph.axes.items():
        places = axis.kept(kept)
        if places is None or side == "in":
            continue
        gone = np.setdiff1d(np.arange(len(axis.owner)), places)
        module = module_or_tensor(network, name)
        if isinstance(module, torch.Tensor):
            module.data.movedim(int(np.argmax(module.shape)), 0)[gone] = 0
            continue
        if isinstance(module, PadShortcut):
            module.source[gone] = module.in_channels
            continue
        for parameter in module.parameters(recurse=False):
            if isinstance(module, nn.ConvTranspose2d) and parameter.ndim == 4:
                parameter.data[:, gone] = 0
            else:
                parameter.data[gone] = 0
    return network


def fingerprint(network: nn.Module) -> dict[str, tuple[tuple[int, ...], float]]:
    return {name: (tuple(t.shape), float(t.double().abs().sum())) for name, t in network.state_dict().items()}


@torch.no_grad()
def test_removing_channels_equals_zeroing_them(case: tuple[str, Compressor, torch.Tensor]) -> None:
    _, compressor, example = case
    network, before = compressor.network, fingerprint(compressor.network)
    for seed in range(2):
        kept = compressor.kept(policy_of(random_widths(compressor.graph, seed), {}))
        thin = compressor.graph.thin(network, kept)
        expected = masked(network, compressor.graph, kept)(example)

        assert float((thin(example) - expected).abs().max()) <= 1e-5 * float(expected.abs().max())
        verify_network(thin, compressor.graph, kept)
    assert fingerprint(network) == before


def test_counts_of_the_thin_network_are_those_that_the_space_states(case: tuple[str, Compressor, torch.Tensor]) -> None:
    _, compressor, example = case
    costs = analytic_cost(compressor.network, compressor.graph, compressor.counts)
    layers = sorted({layer.name for layer in compressor.counts.layers})
    for seed in range(2):
        chosen = np.random.default_rng(seed).random(len(layers)) < 0.5
        precisions = {layer: INT8 for layer, int8 in zip(layers, chosen, strict=True) if int8}
        widths = random_widths(compressor.graph, seed)
        thin = compressor.compress(policy_of(widths, precisions))
        counted = count(thin, tuple(example.shape[1:]))
        stated = cost_of(costs, policy_of(widths, precisions))

        assert stated["macs"] == counted.macs
        assert stated["flops"] == 2 * counted.macs
        assert stated["bops"] == bops_of(counted, dict.fromkeys(precisions, (8, 8)))
        assert stated["parameters"] == counted.parameters == sum(p.numel() for p in thin.parameters())


def test_the_whole_network_costs_what_it_counts(case: tuple[str, Compressor, torch.Tensor]) -> None:
    _, compressor, _ = case
    stated = analytic_cost(compressor.network, compressor.graph, compressor.counts).of({}, {})

    assert stated["macs"] == compressor.counts.macs
    assert stated["parameters"] == compressor.counts.parameters
    assert stated["packed_size_mb"] == pytest.approx(compressor.counts.parameters * 4 / 1e6)


def test_every_layer_but_the_head_gives_one_groups_channels(case: tuple[str, Compressor, torch.Tensor]) -> None:
    name, compressor, _ = case
    producers = [layer for group in compressor.graph.groups.values() for layer in group.producers]
    layers = {layer.name for layer in compressor.counts.layers}

    assert len(producers) == len(set(producers))
    assert layers - set(producers) == {HEADS.get(name, "linear")}
    assert compressor.graph.left_out == {}
    for group in compressor.graph.groups.values():
        for layer in group.producers:
            axis = compressor.graph.axes[layer, "out"]
            assert axis.groups == [group.name]
            assert set(axis.channel[axis.owner == 0]) == set(range(group.channels))


def test_groups_come_in_the_order_of_the_forward_pass(case: tuple[str, Compressor, torch.Tensor]) -> None:
    _, compressor, _ = case
    order = list(dict.fromkeys(layer.name for layer in compressor.counts.layers))

    places = [order.index(name) for name in compressor.graph.groups]
    assert places == sorted(places)


def test_the_whole_kept_gives_an_equal_network(case: tuple[str, Compressor, torch.Tensor]) -> None:
    _, compressor, example = case
    with torch.no_grad():
        assert torch.equal(compressor.graph.thin(compressor.network, {})(example), compressor.network(example))


def test_residual_streams_are_one_group_and_inner_channels_their_own() -> None:
    compressor = Compressor.of(seeded("cifar_resnet20"), images(2))

    assert compressor.graph.groups["conv1"].producers == ("conv1", *(f"layer1.{i}.conv2" for i in range(3)))
    assert compressor.graph.groups["layer1.1.conv1"].consumers == ("layer1.1.conv2",)


def test_a_depthwise_convolution_follows_the_one_before_it() -> None:
    compressor = Compressor.of(made(Chain, nn.Conv2d(8, 8, 3, padding=1, groups=8)), images(2, side=8))
    thin = compressor.compress(policy_of({"stem": (3, 8)}, {}))

    assert compressor.graph.groups["stem"].producers == ("stem", "middle")
    assert (thin.middle.groups, thin.middle.in_channels, thin.middle.weight.shape[0]) == (3, 3, 3)
    assert thin.last.in_channels == 3


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (nn.ConvTranspose2d(8, 8, 3, padding=1, groups=2), "is a grouped convolution (2 groups)"),
        (nn.GroupNorm(1, 8), "'middle' normalises over these channels (a group norm of one group)"),
        (nn.LayerNorm([8, 8, 8]), "LayerNorm"),
        (nn.Linear(8, 8), "'middle' mixes the positions of each of these channels"),  # its work depends on their number
        (nn.Sequential(nn.PixelShuffle(2), nn.PixelUnshuffle(2)), "that is not known (pixel_shuffle)"),
    ],
)
def test_what_cannot_be_thinned_exactly_is_left_out_with_the_reason(middle: nn.Module, reason: str) -> None:
    compressor = Compressor.of(made(Chain, middle), images(2, side=8))

    assert "stem" not in compressor.graph.groups
    assert reason in compressor.graph.left_out["stem"]
    with pytest.raises(CompressionError, match="'stem' is no prunable group: "):
        compressor.graph.thin(compressor.network, {"stem": np.arange(4)})
    thin = compressor.compress(policy_of({"last": (2, 6)}, {}))
    with torch.no_grad():
        assert thin(images(2, side=8)).shape == (2, 5)


def test_a_grouped_convolution_loses_whole_groups() -> None:
    compressor = Compressor.of(made(Chain, nn.Conv2d(8, 12, 3, padding=1, groups=4), 8, 12), images(2, side=8))
    thin = compressor.compress(policy_of({"stem": (3, 4)}, {}))

    assert compressor.graph.groups["stem"].producers == ("stem", "middle")
    assert compressor.graph.filters() == {"stem": ("stem", 2), "last": ("last", 1)}
    assert (thin.stem.out_channels, thin.middle.groups, tuple(thin.middle.weight.shape)) == (6, 3, (9, 2, 3, 3))
    assert (thin.middle.in_channels, thin.middle.out_channels, thin.last.in_channels) == (6, 9, 9)


def test_a_group_norm_loses_whole_groups() -> None:
    compressor = Compressor.of(made(Chain, nn.GroupNorm(4, 8)), images(2, side=8))
    thin = compressor.graph.thin(compressor.network, {"stem": np.array([0, 3])})

    assert compressor.graph.filters() == {"stem": ("stem", 2), "last": ("last", 1)}
    assert (thin.middle.num_groups, thin.middle.num_channels, thin.last.in_channels) == (2, 4, 4)
    assert torch.equal(thin.middle.weight, compressor.network.middle.weight[[0, 1, 6, 7]])


def test_slopes_and_scales_go_with_their_channels() -> None:
    compressor = Compressor.of(made(Chain, nn.Sequential(nn.PReLU(8), Scaled(8))), images(2, side=8))
    thin = compressor.graph.thin(compressor.network, {"stem": np.array([1, 6])})
    slopes, scales = compressor.network.middle

    assert torch.equal(thin.middle[0].weight, slopes.weight[[1, 6]])
    assert thin.middle[0].num_parameters == 2
    assert torch.equal(thin.middle[1].gamma, scales.gamma[[1, 6]])
    assert torch.equal(thin.middle[1].beta, scales.beta[:, [1, 6]])
    assert torch.equal(thin.middle[1].limit, scales.limit[[1, 6]])


def test_a_parameter_that_two_modules_share_counts_once() -> None:
    network = made(Chain, nn.Sequential(Scaled(8), nn.ReLU(), Scaled(8)))
    network.middle[2].gamma = network.middle[0].gamma
    compressor = Compressor.of(network, images(2, side=8))
    policy = policy_of({"stem": (3, 8)}, {})

    stated = cost_of(compressor.costs, policy)["parameters"]
    assert stated == sum(parameter.numel() for parameter in compressor.compress(policy).parameters())


def test_halves_of_a_split_lose_the_same_channels() -> None:
    compressor = Compressor.of(made(Halves), images(2, side=8))
    thin = compressor.compress(policy_of({"stem": (2, 6)}, {}))
    axis = compressor.graph.axes["stem", "out"]

    assert axis.channel.tolist() == [0, 1, 2, 3, 4, 5] * 2
    assert (thin.stem.out_channels, thin.part.in_channels, thin.both.in_channels) == (4, 2, 12)


def test_a_transposed_convolution_has_its_inputs_first() -> None:
    network = made(Chain, nn.ConvTranspose2d(8, 12, 4, 2, 1), 8, 12)
    graph = channel_graph(network, images(2, side=8), count(network, (3, 8, 8)))
    thin = graph.thin(network, {"stem": np.array([1, 4, 6]), "middle": np.array([0, 2, 3, 11])})

    assert torch.equal(thin.middle.weight, network.middle.weight[[1, 4, 6]][:, [0, 2, 3, 11]])
    assert torch.equal(thin.middle.bias, network.middle.bias[[0, 2, 3, 11]])
    assert (thin.middle.in_channels, thin.middle.out_channels) == (3, 4)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121"])
def test_the_groups_are_those_of_torch_prunings_dependency_graph(name: str) -> None:
    network, example = seeded(name, num_classes=10), images(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch_pruning.DependencyGraph().build_dependency(network, example[:1], verbose=False)
    layers = {module: key for key, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    head = [module for module in layers if isinstance(module, nn.Linear)]
    theirs = {
        frozenset(layers[item.dep.target.module] for item in group if _gives(item.dep, layers))
        for group in traced.get_all_groups(ignored_layers=head, root_module_types=[nn.Conv2d])
    }
    ours = channel_graph(network, example, count(network, (3, 32, 32))).groups.values()

    assert {frozenset(group.producers) for group in ours} == theirs


def _gives(dep: torch_pruning.Dependency, layers: Mapping[nn.Module, str]) -> bool:
    return dep.target.module in layers and "prune_out" in dep.handler.__name__


def test_a_single_channel_is_nothing_to_prune() -> None:
    network = made(Chain, nn.Sequential(nn.Conv2d(8, 1, 1), nn.Sigmoid(), nn.Conv2d(1, 8, 1)))
    graph = Compressor.of(network, images(2, side=8)).graph

    assert list(graph.groups) == ["stem", "middle.2", "last"]
    assert graph.left_out == {"middle.0": "it has one channel"}


def test_a_layer_used_twice_gives_and_reads_one_group() -> None:
    graph = Compressor.of(made(Shared), images(2, side=8)).graph

    assert graph.groups["stem"].producers == ("stem", "twice")
    assert graph.groups["stem"].consumers == ("twice", "head")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit_b_32", "swin_t", "convnext_tiny"])
def test_of_a_transformer_the_inner_channels_of_its_perceptrons_are_found(name: str) -> None:
    options = {"image_size": 32} if name == "vit_b_32" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model(name, num_classes=10, **options).eval()
    graph = channel_graph(network, images(2), count(network, (3, 32, 32)))
    width = {"vit_b_32": 4 * 768, "swin_t": 4 * 96, "convnext_tiny": 4 * 96}[name]

    assert len(graph.groups) == {"vit_b_32": 12, "swin_t": 12, "convnext_tiny": 18}[name]
    assert next(iter(graph.groups.values())).channels == width
    assert all(len(group.producers) == len(group.consumers) == 1 for group in graph.groups.values())


def test_a_group_that_is_not_there_is_refused() -> None:
    compressor = Compressor.of(made(Concat), images(2, side=8))
    with pytest.raises(CompressionError, match="'lefft' is no prunable group; there are left, right, both"):
        compressor.graph.thin(compressor.network, {"lefft": np.arange(4)})


@pytest.mark.parametrize("places", [[], [0, 8], [-1, 2]])
def test_no_channel_left_or_one_out_of_range_is_refused(places: list[int]) -> None:
    compressor = Compressor.of(made(Concat), images(2, side=8))
    with pytest.raises(CompressionError, match="'left' has 8 channels, of which at least one must stay"):
        compressor.graph.thin(compressor.network, {"left": np.asarray(places, dtype=np.int64)})


def test_tracing_leaves_no_gradient_and_no_flag_behind() -> None:
    network = made(Concat)
    network.left.weight.requires_grad_(False)
    Compressor.of(network, images(2, side=8))

    assert not network.left.weight.requires_grad
    assert network.both.weight.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


def test_frozen_parameters_stay_frozen_in_the_thin_network() -> None:
    network = made(Concat)
    network.left.weight.requires_grad_(False)
    thin = Compressor.of(network, images(2, side=8)).compress(policy_of({"left": (2, 8)}, {}))

    assert not thin.left.weight.requires_grad
    assert thin.both.weight.requires_grad


class Stuck(nn.Module):
    """Its forward pass holds the width of its second layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3)
        self.second = nn.Conv2d(6, 8, 3)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(x.mean((2, 3)).view(len(x), 8))


def test_a_group_whose_width_the_forward_pass_holds_is_left_out() -> None:
    compressor = Compressor.of(made(Stuck), images(2, side=8))

    assert list(compressor.graph.groups) == ["first"]
    assert "does not run with fewer of these channels" in compressor.graph.left_out["second"]
    with torch.no_grad():
        assert compressor.compress(policy_of({"first": (2, 6)}, {}))(images(2, side=8)).shape == (2, 5)
    assert analytic_cost(compressor.network, compressor.graph, compressor.counts).of({"first": 2}, {})["macs"] > 0


class Between(nn.Module):
    """Two convolutions with a function of the features between them."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 5)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(self.between(self.first(x)))).mean((2, 3)))


def halved(x: torch.Tensor) -> torch.Tensor:
    n, _, h, w = x.shape
    return x.view(n, 4, 2, h, w).transpose(1, 2).reshape(n, 8, h, w)


def asserted(x: torch.Tensor) -> torch.Tensor:
    assert x.shape[1] == 8
    return x


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (halved, "does not run with fewer of these channels"),
        (partial(torch.softmax, dim=1), "takes a softmax over these channels"),
        (partial(torch.cumsum, dim=1), "does something to these channels that is not known"),
        (lambda x: x[:, [1, 0, 2, 3, 4, 5, 6, 7]], "does something to these channels that is not known"),
        (lambda x: x.flip(1), "does something to these channels that is not known"),
        (lambda x: torch.cat(x.split([3, 5], dim=1), dim=1), "splits these channels into parts of given sizes"),
        (lambda x: torch.cat(x.split([4, 4], dim=1), dim=1), "does not run with fewer of these channels"),
        (lambda x: torch.cat([x[:, 4:], x[:, :4]], dim=1), "gives other logits than with zeros in their place"),
        (lambda x: torch.stack(x.unbind(1), dim=1), "takes these channels one by one"),
        (lambda x: nn.functional.group_norm(x, 4), "gives other logits than with zeros in their place"),
        (lambda x: torch.nn.functional.normalize(x, dim=1), "that is not known (linalg_vector_norm)"),
        (lambda x: torch.cat(x.split(3, dim=1), dim=1), "splits these channels into unequal parts"),
        (lambda x: x + x[:, :1], "takes a part of these channels"),
        (lambda x: x - x.mean(1, keepdim=True), "gives other logits than with zeros in their place"),
        (lambda x: nn.functional.pad(x, (0, 0, 0, 0, 1, 0))[:, :8], "pads these channels"),
        (lambda x: x / x.shape[1], "gives other logits than with zeros in their place"),
        (asserted, "does not run with fewer of these channels"),
    ],
)
def test_a_group_whose_removal_is_not_the_same_as_zeros_is_left_out(
    between: Callable[[torch.Tensor], torch.Tensor], reason: str
) -> None:
    compressor = Compressor.of(made(Between, between), images(2, side=8))

    assert list(compressor.graph.groups) == ["second"]
    assert reason in compressor.graph.left_out["first"]


def test_an_activation_that_is_not_zero_at_zero_leaves_its_group_in() -> None:
    assert list(Compressor.of(made(Between, torch.sigmoid), images(2, side=8)).graph.groups) == ["first", "second"]


@pytest.mark.parametrize(
    "between",
    [
        lambda x: torch.cat([x[:, x.shape[1] // 2 :], x[:, : x.shape[1] // 2]], dim=1),
        lambda x: torch.cat(x.tensor_split(2, dim=1)[::-1], dim=1),
        lambda x: torch.cat(x.split([x.shape[1] // 2] * 2, dim=1)[::-1], dim=1),
        lambda x: torch.cat([nn.functional.glu(x, dim=1)] * 2, dim=1),
        lambda x: x.reshape(x.shape[0], 2, x.shape[1] // 2, *x.shape[2:]).transpose(1, 2).flatten(1, 2),
    ],
    ids=["slices", "tensor_split", "split", "glu", "shuffle"],
)
def test_halves_however_they_are_written_lose_the_same_channels(
    between: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    compressor = Compressor.of(made(Between, between), images(2, side=8))

    assert {name: group.channels for name, group in compressor.graph.groups.items()} == {"first": 4, "second": 6}


def test_a_layout_of_memory_is_no_other_network() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 6, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )
    contiguous = Compressor.of(randomized(network), images(2, side=8)).graph
    graph = Compressor.of(network.to(memory_format=torch.channels_last), images(2, side=8)).graph

    assert list(graph.groups) == list(contiguous.groups) == ["0", "2"]
