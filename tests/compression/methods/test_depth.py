"""Depth: what it removes is what an engineer removes by hand; it is exact, in the file too, and beside all methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from moco.compression.channels.branch_order import TEMPERATURE, CapacityLost, removal_order
from moco.compression.channels.surgery import within
from moco.compression.collecting import kl_divergence
from moco.compression.compressor import Compressor, compress, rebuilt
from moco.compression.counting import count
from moco.compression.methods.depth import Depth, DepthOptions
from moco.compression.policy_settings import bits_of, branches_gone_of, gone_of
from moco.compression.space.codec import NetworkCodec, cost_of
from moco.compression.space.layer_groups import grouped
from moco.compression.space.network_space import network_space
from moco.encoding import decode
from moco.errors import CompressionError, SpaceError
from moco.export.calibration import open_session, outputs
from moco.models.arithmetic import arithmetic_of, computing_in
from moco.policy import Policy
from moco.recovery.batch_norm import BatchNormStep
from moco.recovery.recovery import RecoveryPlan
from moco.recovery.refit import RefitStep
from moco.run.uniform_starts import uniform_starts
from moco.space import SearchSpace
from moco.testing.network import CAPABILITIES
from tests.compression.spaces import options_of
from tests.compression.toys import Transformer, bops_of, images, made, seeded, vgg
from tests.evaluation.builders import builder_of

RESNET = Compressor.of(seeded("cifar_resnet20"), images(2))
ViT = Compressor.of(made(Transformer), images(2, side=16))


def space_of(
    compressor: Compressor, groups: str = "per-block", ignore: Sequence[str] = (), **depth: object
) -> SearchSpace:
    found = grouped(compressor.network, compressor.counts, compressor.graph, groups, ignore)
    side = 16 if compressor is ViT else 32
    method = Depth(
        DepthOptions(**depth)
    ).acquainted(  # type: ignore[arg-type]
        compressor.network, compressor.graph, lambda most: images(16, side=side)[:most]
    )
    options = options_of(density=(0.5, 1.0), precisions=("float32", "int8"), rank=(0.2, 1.0), further=[method])
    return network_space(found, compressor.counts, compressor.costs, options, CAPABILITIES)


def removing(compressor: Compressor, *names: str) -> Policy:
    known = compressor.graph.branches.by_name
    return Policy.of({name: Depth().setting_of(known[name]) for name in names})


class Standardised(nn.Conv2d):
    """A convolution with a gain of its own, as timm's normaliser-free networks have."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(channels, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(x, self.weight * self.gain, self.bias)


def test_parameters_that_a_layer_has_beside_its_weight_and_bias_go_with_it() -> None:
    network = seeded("cifar_resnet20")
    network.layer1[1].conv1 = Standardised(16)
    compressor = Compressor.of(network.eval(), images(2))
    policy = removing(compressor, "layer1.1")

    left = sum(parameter.numel() for parameter in compressor.compress(policy).parameters())

    assert cost_of(compressor.costs, policy)["parameters"] == left


@torch.no_grad()
def test_nine_blocks_of_a_resnet56_go_as_by_hand() -> None:
    network = seeded("cifar_resnet56")
    gone = [(1, 0), (1, 3), (1, 8), (2, 1), (2, 2), (2, 3), (3, 1), (3, 4), (3, 8)]
    compressor = Compressor.of(network, images(2))
    thin = compressor.compress(removing(compressor, *(f"layer{stage}.{block}" for stage, block in gone)))
    hand = deepcopy(network)
    for stage in (1, 2, 3):
        blocks = enumerate(hand.get_submodule(f"layer{stage}").children())
        hand.set_submodule(f"layer{stage}", nn.Sequential(*[b for n, b in blocks if (stage, n) not in gone]))
    x = images(4)
    assert float((thin(x) - hand(x)).abs().max()) <= 1e-5 * float(hand(x).abs().max())
    counted = count(thin, (3, 32, 32))
    assert counted == count(hand, (3, 32, 32)) or counted.macs == count(hand, (3, 32, 32)).macs
    assert counted.parameters == sum(parameter.numel() for parameter in hand.parameters())


@pytest.mark.parametrize("compressor", [RESNET, ViT], ids=["resnet", "vit"])
def test_points_and_policies_mean_the_same_beside_all_methods(compressor: Compressor) -> None:
    space, rng = space_of(compressor, keep=(0.01, 1.0)), np.random.default_rng(0)
    codec = space.codec
    assert isinstance(codec, NetworkCodec)
    assert next(iter(space.distributions)) == "depth.branches"
    assert space.canonical(space.neutral) == Policy.of({})
    policies = [space.canonical(decode(space, rng.random(len(space.distributions)))) for _ in range(12)]
    assert sum(len(branches_gone_of(policy)) for policy in policies) > 12
    for policy in policies:
        assert space.canonical(codec.point(policy)) == policy
        compressor.check(policy)
        gone = gone_of(policy)
        others = [name for name, settings in policy.settings.items() if settings.keys() & {"precision", "sparsity"}]
        assert not [name for name in others if within(name, gone)]


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("compressor", [RESNET, ViT], ids=["resnet", "vit"])
def test_costs_file_and_module_agree(compressor: Compressor, tmp_path: Path) -> None:
    side = 16 if compressor is ViT else 32
    space, rng = space_of(compressor, keep=(0.01, 1.0)), np.random.default_rng(1)
    plan = RecoveryPlan((RefitStep(), BatchNormStep())) if compressor is RESNET else RecoveryPlan()
    builder = builder_of(compressor, images(16, side=side).numpy(), plan, tmp_path)
    for _ in range(4):
        point = decode(space, rng.random(len(space.distributions)))
        policy = space.canonical({**point, "depth.branches": max(point["depth.branches"] - 2, 0)})
        artifact, network = builder.build(policy)
        cost, counted = space.cost(policy), count(network, (3, side, side))
        bits = dict.fromkeys(bits_of(policy), (8, 8))
        assert (cost["macs"], cost["parameters"]) == (counted.macs, counted.parameters)
        if not any("tucker" in s or "svd" in s for s in policy.settings.values()):
            assert cost["bops"] == bops_of(counted, bits)
        x = images(8, side=side, seed=4)
        logits, expected = outputs(open_session(onnx.load(artifact.path)), x.numpy())[0], network(x).numpy()
        assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > (0.9 if bits else 0.9999)
        again = rebuilt(compressor.network, policy, images(2, side=side))
        again.load_state_dict(network.state_dict())
        assert torch.equal(again(x), network(x))


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_nothing_of_a_branch_stays_in_the_file(precision: str, tmp_path: Path) -> None:
    names = ["layer1.0", "layer1.1", "layer1.2", "layer3.2"]
    layers = [layer.name for layer in RESNET.counts.layers]
    policy = removing(RESNET, *names)
    in_int8 = [name for name in layers if precision == "int8" and not name.startswith(tuple(names))]
    policy = Policy.of({**policy.settings, **{name: {"precision": "int8"} for name in in_int8}})
    artifact, network = builder_of(RESNET, images(16).numpy(), False, tmp_path).build(policy)
    graph = onnx.load(artifact.path).graph
    kinds = [node.op_type for node in graph.node]
    assert (kinds.count("Conv"), kinds.count("Add"), kinds.count("Relu")) == (19 - 8, 9 - 4, 19 - 8)
    assert kinds.count("Gemm") == 1
    x = images(8, seed=3)
    logits, expected = outputs(open_session(onnx.load(artifact.path)), x.numpy())[0], network(x).numpy()
    if precision == "float32":
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    else:
        assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True])
def test_the_order_is_that_of_the_least_harm_as_branches_go(trained: bool) -> None:
    network, x = RESNET.network, images(32, seed=5)
    branches = RESNET.graph.branches.all
    order = removal_order(network, branches, x, 3, trained=trained)
    left, gone, before = list(branches), [], 0.0

    def answers(of: nn.Module) -> torch.Tensor:
        """Softened, of a network whose batch-norms normalise by these images."""
        of = deepcopy(of)
        for module in of.modules():
            module.training = isinstance(module, nn.BatchNorm2d)
        with torch.no_grad(), computing_in(arithmetic_of("auto") if trained else "float32"):
            return of(x).float() / TEMPERATURE

    def harm(without: nn.Module) -> tuple[float, float]:
        """Of a network, and its multiply-accumulates; where it is trained on by the law of docs/finalists.md."""
        divergence = kl_divergence(whole, answers(without))
        counts = [count(each, x.shape[1:]) for each in (network, without)]
        (macs, parameters), others = ((each.macs, each.parameters) for each in counts)
        lost = 0.17 * math.log(macs / others[0]) + 0.28 * math.log(parameters / others[1]) + 0.3 * divergence
        return (lost if trained else divergence), others[0]

    whole, macs = answers(network), count(network, x.shape[1:]).macs
    for _ in range(3):
        harms = {b.name: harm(compress(network, removing(RESNET, *gone, b.name), x[:2])) for b in left}
        saved = {name: macs - then if trained else 1 for name, (_, then) in harms.items()}
        gone.append(min(harms, key=lambda name: (harms[name][0] - before) / saved[name]))
        before, macs = harms[gone[-1]]
        left = [branch for branch in left if branch.name != gone[-1]]
    assert [branch.name for branch in order[:3]] == gone
    assert sorted(branch.name for branch in order) == sorted(branch.name for branch in branches)
    assert removal_order(network, branches, x, 3, trained=trained) == order


def test_a_network_that_is_trained_on_loses_small_branches_before_large_ones() -> None:
    """Eight branches of one divergence: of the same multiply-accumulates the ones with fewest parameters go first."""
    branches = RESNET.graph.branches.all
    lost = CapacityLost.of(RESNET.network, branches, (3, 32, 32))
    harms = [lost([branch], 0.1) / lost.saved(branch) for branch in branches]
    assert harms == sorted(harms)
    assert harms[-1] > 1.5 * harms[0]
    assert lost([], 0.0) == 0
    assert lost(branches[:2], 0.1) > lost(branches[:1], 0.1) + lost(branches[1:2], 0.0)


def test_the_space_takes_the_order_that_its_options_ask_for() -> None:
    branches = RESNET.graph.branches.all
    for order_for in ("untrained", "trained"):
        space = space_of(RESNET, order_for=order_for, keep=(0.5, 1.0))
        shallow = space.canonical({**space.neutral, "depth.branches": len(branches) - 2})
        first = removal_order(RESNET.network, branches, images(16), 3, trained=order_for == "trained")[:2]
        assert set(branches_gone_of(shallow)) == {branch.name for branch in first}


def test_attention_whose_products_are_not_counted_saves_its_share_of_the_parameters() -> None:
    branches = ViT.graph.branches.all
    lost = CapacityLost.of(ViT.network, branches, (3, 16, 16))
    attention = next(branch for branch in branches if "attention" in branch.name)
    assert lost.macs[attention.name] == 0
    assert lost.saved(attention) == lost.parameters[attention.name] / lost.whole_parameters > 0.1
    order = removal_order(ViT.network, branches, images(8, side=16), 3, trained=True)
    assert {branch.name for branch in order} == {branch.name for branch in branches}


class OfOneType(nn.Module):
    """Writes its logits into a tensor of float32, as autocast does not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.network = seeded("cifar_resnet20")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(x), 10)
        logits[:, torch.arange(10)] = self.network(x)
        return logits


class NormalisedLogits(nn.Module):
    """Ends in a batch-norm over vectors, which in training mode takes no single one."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.norm = seeded("cifar_resnet20"), nn.BatchNorm1d(10)
        self.head = nn.Linear(10, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.network(x)))


@pytest.mark.parametrize("kind", [OfOneType, NormalisedLogits])
def test_networks_that_not_each_precision_or_batch_suits_have_an_order_too(kind: type[nn.Module]) -> None:
    network = kind().eval()
    branches = Compressor.of(network, images(2)).graph.branches.all
    assert len(removal_order(network, branches, images(8), 2, trained=True)) == len(branches)


def test_a_number_a_layer_group_lets_each_branch_go_by_itself() -> None:
    space = space_of(RESNET, per="group")
    kinds = [name for name in space.distributions if name.endswith(".branches")]
    assert kinds == [f"{name}.branches" for name in RESNET.graph.branches.by_name]
    policy = space.canonical({**space.neutral, "layer2.1.branches": 0})
    assert policy == removing(RESNET, "layer2.1")
    by_stage = space_of(RESNET, "per-stage", per="group", keep=(0.5, 1.0))
    assert by_stage.distributions["layer1.branches"].low == 1


def test_branches_with_layers_that_are_left_alone_stay() -> None:
    space = space_of(RESNET, ignore=("layer1.*", "layer2.2.conv1"))
    assert isinstance(space.codec, NetworkCodec)
    assert space.codec.choices[0].parts[0][1].names == ("layer2.1", "layer3.1", "layer3.2")


def test_a_network_without_branches_is_told_of_and_searched_without_depth() -> None:
    network = vgg()
    compressor = Compressor.of(network, images(2))
    method = Depth().acquainted(network, compressor.graph, images)
    found = grouped(network, compressor.counts, compressor.graph)
    layers = {layer.name: layer for layer in compressor.counts.layers}
    (said,) = method.left_alone(found, layers)
    assert said.startswith("space.depth is left out: the network has no residual branch")
    space = network_space(found, compressor.counts, compressor.costs, options_of(further=[method]), CAPABILITIES)
    assert not [name for name in space.distributions if name.endswith("branches")]


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    (first, *_), known = RESNET.graph.branches.all, RESNET.graph.branches.by_name
    other = Policy.of({first.name: {"depth": {"removed": ["layer1.0.conv1"]}}})
    both = removing(RESNET, "layer1.0").settings | {"layer1.0.conv1": {"precision": "int8"}}
    for policy, words in (
        (Policy.of({"layer2.0": removing(RESNET, "layer1.0").settings["layer1.0"]}), "no residual branch 'layer2.0'"),
        (other, "is made of layer1.0.conv1, layer1.0.bn1"),
        (Policy.of(both), "'layer1.0.conv1' is removed, so that it takes no 'precision'"),
    ):
        with pytest.raises(SpaceError, match=words):
            RESNET.check(policy)
    for options in ({"per": "stage"}, {"images": 0}, {"order_for": "training"}, {"keep": (0.5, 0.2)}):
        with pytest.raises(SpaceError, match=r"space\.depth\."):
            DepthOptions(**options)  # type: ignore[arg-type]
    assert "layer1.0" in known


def test_a_network_that_still_holds_it_is_found_out() -> None:
    settings = removing(RESNET, "layer1.1").settings
    with pytest.raises(CompressionError, match=r"'layer1\.1' was to be left out, the network holds 'layer1\.1\.conv1"):
        Depth().verify_network(RESNET.network, settings)


@pytest.mark.slow
def test_a_group_whose_first_layer_goes_is_proven_on_another(tmp_path: Path) -> None:
    group = next(g for g in RESNET.graph.groups.values() if len(g.producers) > 2 and "layer3" in g.name)
    settings = removing(RESNET, "layer3.1", "layer3.2").settings
    settings |= {group.name: {"filter_pruning": {"keep": 32, "of": group.channels}}}
    assert RESNET.graph.filters(gone_of(Policy.of(settings)))[group.name] is not None
    _, network = builder_of(RESNET, images(8).numpy(), False, tmp_path).build(Policy.of(settings))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == cost_of(RESNET.costs, Policy.of(settings))["parameters"]


def test_a_uniform_ladder_leaves_out_more_and_more_and_never_others() -> None:
    space = space_of(RESNET)
    gone = [set(branches_gone_of(space.canonical(start.point))) for start in uniform_starts(space)]
    rungs = [names for names in gone if names]
    assert len(rungs) > 3
    assert all(lighter <= heavier for lighter, heavier in pairwise(rungs))
    known = space.codec
    assert isinstance(known, NetworkCodec)
    assert known.choices[0].parts[0][0].heaviest_allowed(known.choices[0].parts[0][1], lambda names, kind: 0.0) == {
        "branches": 2
    }


def test_the_order_is_found_without_a_trace_on_the_network() -> None:
    network = deepcopy(RESNET.network).train()
    network.bn1.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    for n_images in (1, 65):
        assert len(removal_order(network, RESNET.graph.branches.all, images(n_images), 2)) == len(
            RESNET.graph.branches.all
        )
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
