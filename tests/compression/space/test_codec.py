"""Spaces of many methods: what points choose, what policies cost, and that a mixed space holds the pure ones (W17)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from moco.compression.counting import count
from moco.compression.methods.low_rank import SvdRank, TuckerRanks
from moco.compression.policy_settings import bits_of, pruned, refitted_of
from moco.compression.precision import Bits
from moco.compression.space.codec import NetworkCodec, cost_of
from moco.compression.space.group_parameters import Choice
from moco.compression.space.layer_groups import grouped
from moco.compression.space.network_space import network_space, space_summary
from moco.compression.verify import verify_parameters
from moco.encoding import decode
from moco.errors import SpaceError
from moco.interfaces import Capabilities
from moco.policy import Policy
from moco.space import SearchSpace
from tests.compression.space.test_network_space import TINY
from tests.compression.spaces import left_alone, options_of
from tests.compression.toys import bops_of
from tests.policies import factors_of, policy_of, weights_kept_of

KINDS = frozenset({"conv", "depthwise", "linear"})
TARGET = Capabilities(
    ("float32", "int8", "mixed"),
    {"float32": 1, "int8": 4, "mixed": 4},
    {"float32": KINDS, "int8": KINDS, "mixed": frozenset({"conv", "linear"})},
    frozenset(),
)
ALL = {
    "pruning": ("filter_pruning", "channel_pruning"),
    "rank": (0.1, 1.0),
    "density": (0.1, 1.0),
    "choose": True,
    "precisions": ("float32", "int8", "mixed"),
}


def space_of(groups: Any = "per-block", **options: Any) -> SearchSpace:
    found = grouped(TINY.network, TINY.counts, TINY.graph, groups)
    return network_space(found, TINY.counts, TINY.costs, options_of(**options), TARGET)


def names_of(choice: Choice, kind: str) -> set[str]:
    return {name for _, part in choice.parts if kind in part.parameters for name in part.names}


def drawn(space: SearchSpace, n: int) -> list[Policy]:
    rng = np.random.default_rng(0)
    return [space.canonical(decode(space, rng.random(len(space.distributions)))) for _ in range(n)]


MIXED = space_of(**ALL)


def test_a_mixed_space_reaches_every_method() -> None:
    policies = drawn(MIXED, 40)
    for found in (pruned, refitted_of, factors_of, weights_kept_of, bits_of):
        assert any(found(policy) for policy in policies), found
    assert any(set(pruned(policy)) - refitted_of(policy) for policy in policies)
    ranks = [rank for policy in policies for rank in factors_of(policy).values()]
    assert {type(rank) for rank in ranks} == {SvdRank, TuckerRanks}
    assert any(bits.weights < 8 for policy in policies for bits in bits_of(policy).values())


@pytest.mark.parametrize("groups", ["per-block", "per-stage", {"all": ["*"]}])
@pytest.mark.parametrize(
    "options",
    [
        {"precisions": ("float32", "int8")},
        {"precisions": ("float32", "int8", "mixed")},
        {"rank": (0.3, 1.0), "density": (0.3, 1.0), "precisions": ("float32", "int8")},
        {**ALL, "rank": (0.3, 1.0), "density": (0.3, 1.0)},
    ],
)
def test_every_policy_of_a_space_has_a_point_that_gives_it_again(groups: Any, options: dict[str, Any]) -> None:
    space, rng = space_of(groups, **options), np.random.default_rng(5)
    assert space.codec is not None
    for _ in range(40):
        policy = space.canonical(decode(space, rng.random(len(space.distributions))))
        point = space.codec.point(policy)
        space.check(point)
        assert space.canonical(point) == policy


def test_a_policy_of_a_finer_space_has_a_point_near_to_it() -> None:
    fine, coarse = space_of("per-block"), space_of({"all": ["*"]})
    assert coarse.codec is not None
    first = next(name for name in fine.distributions if name.endswith(".keep"))
    policy = fine.canonical({**fine.neutral, first: 0.5})
    (keep,) = coarse.codec.point(policy).values()
    left = sum(kept for kept, _ in pruned(policy).values()) - sum(of for _, of in pruned(policy).values())
    channels = sum(group.channels for group in TINY.graph.groups.values())
    assert keep == pytest.approx(1 + left / channels)


def test_what_was_executed_stands_for_the_same_policy() -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        point = decode(MIXED, rng.random(len(MIXED.distributions)))
        policy = MIXED.canonical(point)
        assert MIXED.canonical(MIXED.executed(policy, point)) == policy


def test_the_neutral_point_of_every_space_changes_nothing() -> None:
    for options in (ALL, {"rank": (0.1, 1.0)}, {"density": (0.1, 1.0)}, {"precisions": ("float32", "mixed")}):
        space = space_of(**options)
        assert space.canonical(space.neutral).settings == {}, options
        assert space.codec is not None
        assert space.canonical(space.codec.point(Policy.of({}))).settings == {}, options


def test_one_group_takes_one_method_where_it_is_chosen() -> None:
    assert isinstance(MIXED.codec, NetworkCodec)
    for policy in drawn(MIXED, 40):
        for choice in MIXED.codec.choices:
            taken = [
                bool(pruned(policy).keys() & names_of(choice, "keep")),
                bool(factors_of(policy).keys() & names_of(choice, "rank")),
                bool(weights_kept_of(policy).keys() & names_of(choice, "density")),
            ]
            assert sum(taken) <= 1, (choice.group.name, policy.settings)


@pytest.mark.parametrize(
    "pure",
    [
        {"pruning": ("filter_pruning",)},
        {"pruning": ("channel_pruning",)},
        {"keep": None, "rank": (0.1, 1.0)},
        {"keep": None, "density": (0.1, 1.0)},
        {"keep": None, "precisions": ("float32", "int8")},
    ],
)
def test_a_mixed_space_contains_each_pure_one(pure: dict[str, Any]) -> None:
    space = space_of(**pure)
    assert space.codec is not None
    assert MIXED.codec is not None
    rng = np.random.default_rng(0)
    for _ in range(10):
        point = decode(space, rng.random(len(space.distributions)))
        policy = space.canonical(point)
        ratios = {name: value for name, value in point.items() if name in MIXED.distributions}
        assert MIXED.canonical({**MIXED.codec.point(policy), **ratios}) == policy


@torch.no_grad()
def test_costs_are_those_of_the_built_network() -> None:
    for policy in drawn(space_of(rank=(0.1, 1.0), precisions=("float32", "mixed")), 8):
        network = TINY.compress(policy)
        bits = {}
        for layer, used in bits_of(policy).items():
            module = network.get_submodule(layer)
            parts = [f"{layer}.{i}" for i in range(len(module))] if isinstance(module, torch.nn.Sequential) else [layer]
            bits |= dict.fromkeys(parts, (used.weights, used.activations))
        counted, stated = count(network, (1, 8, 8)), cost_of(TINY.costs, policy)
        assert stated["macs"] == counted.macs
        assert stated["bops"] == bops_of(counted, bits)
        assert stated["parameters"] == counted.parameters


def test_packed_size_counts_codes_their_scales_and_a_bit_for_each_zero() -> None:
    weights, outputs = TINY.costs.weights("layer2.1.conv2", {}), TINY.costs.width("layer2.1.conv2", "out", {})
    whole = TINY.costs.of({})["packed_size_mb"]
    four = cost_of(TINY.costs, policy_of({}, {"layer2.1.conv2": Bits(4, 8)}))["packed_size_mb"]
    half = cost_of(TINY.costs, policy_of({}, {}, weights_kept={"layer2.1.conv2": (weights // 2, weights)}))[
        "packed_size_mb"
    ]
    assert whole - four == pytest.approx((weights * 28 / 8 - outputs * 4) / 1e6)
    assert whole - half == pytest.approx((weights // 2 * 32 - weights) / 8 / 1e6)


def test_layers_that_factorisation_leaves_whole_are_named_with_the_reason() -> None:
    found = grouped(TINY.network, TINY.counts, TINY.graph, "per-block")

    def whole(**options: Any) -> dict[str, str]:
        told = left_alone(found, TINY.counts, options_of(**options))
        return dict(warning.removeprefix("'").split("' is not factorised: ") for warning in told)

    assert whole(rank=(0.1, 1.0))["conv1"] == "it reads 1 channels, too few to be cut"
    assert "layer2.1.conv1" not in whole(rank=(0.1, 1.0))
    assert whole(rank=(0.9, 1.0))["layer2.1.conv1"] == "a ratio of 0.9 does not make it smaller"
    assert whole(rank=(1.0, 1.0)).keys() == {n.name for n in TINY.counts.layers}
    assert whole() == {}


def test_only_widths_that_are_offered_are_proposed() -> None:
    offered = {"float32": {"layer2.1.conv1": (6, 16)}}
    space = space_of(offered=offered)
    widths = {pruned(policy).get("layer2.1.conv1", (16, 16))[0] for policy in drawn(space, 60)}
    assert widths == {6, 16}
    summary = {group["name"]: group["widths"] for group in space_summary(space)["groups"]}
    assert summary["layer2.1"]["layer2.1.conv1"] == [6, 16]


def test_what_loses_is_not_offered() -> None:
    names = space_of(precisions=("float32", "int8"), rank=(0.1, 1.0)).distributions
    assert {"layer2.1.keep", "layer2.1.rank", "layer2.1.precision"} <= set(names)
    losing = frozenset(
        (group, precision, move)
        for group in TINY.graph.groups
        for precision in ("float32", "int8")
        for move in ("factorisation", *(["precision"] if precision == "int8" else []))
    )
    offered = {precision: {"layer2.1.conv1": (16,)} for precision in ("float32", "int8")}
    left = space_of(precisions=("float32", "int8"), rank=(0.1, 1.0), losing=losing, offered=offered).distributions
    assert not {"layer2.1.keep", "layer2.1.precision"} & set(left)
    assert not [name for name in left if name.endswith(".rank") and name.startswith("layer")]  # the head gives no group


def test_fewer_bits_lose_where_int8_does() -> None:
    losing = frozenset(
        (group, precision, "factorisation") for group in TINY.graph.groups for precision in ("float32", "int8")
    )
    left = space_of(precisions=("float32", "mixed"), rank=(0.1, 1.0), losing=losing).distributions
    assert not [name for name in left if name.endswith(".rank") and name.startswith("layer")]


def test_factors_and_single_weights_that_are_declared_together_can_be_built() -> None:
    space, rng = space_of(rank=(0.1, 0.6), density=(0.3, 0.9)), np.random.default_rng(3)
    policies = [space.canonical(decode(space, rng.random(len(space.distributions)))) for _ in range(5)]
    assert all(factors_of(policy) and weights_kept_of(policy) for policy in policies)
    for policy in policies:
        assert not factors_of(policy).keys() & weights_kept_of(policy).keys()
        verify_parameters(TINY.compress(policy), space.codec.cost(policy)["parameters"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": (0.0, 1.0)}, r"space\.factorisation\.keep: expected 0 < low"),
        ({"density": (0.5, 0.4)}, r"space\.sparsity\.keep: expected \[lowest, highest\]"),
        ({"precisions": ("mixed",), "weight_bits": (0, 4)}, r"space\.quantization\.weight_bits: expected 1 <= fewest"),
        ({"pruning": ("filter_pruning", "channel_pruning")}, "remove the same channels"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        options_of(**options)


def test_further_numbers_of_layers_become_features_of_their_group() -> None:
    further = {"layer2.1.conv1": {"kl_int8": 1.0, "kl_keep_0.5": 3.0}, "layer2.1.conv2": {"kl_int8": 2.0}}
    features = {group.name: group.features for group in space_of(layer_features=further).groups}
    assert (features["layer2.1"]["kl_int8"], features["layer2.1"]["kl_keep_0.5"]) == (1.5, 3.0)
    assert "kl_int8" not in features["layer1.0"]
