"""From layer groups to points and policies: rounding by precision, round trips, what is legal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import nn

from moco.compression.compressor import Compressor
from moco.compression.costs import analytic_cost
from moco.compression.counting import count
from moco.compression.policy_settings import NEUTRAL, widths_of
from moco.compression.space.layer_groups import grouped
from moco.compression.space.network_space import SpaceOptions, idle_groups, network_space, space_summary
from moco.errors import SpaceError
from moco.interfaces import Capabilities
from moco.space import SearchSpace
from tests.compression.spaces import options_of
from tests.compression.toys import Chain, Concat, bops_of, images, made, seeded, tiny
from tests.policies import precisions_of

ALL = frozenset({"conv", "depthwise", "linear"})
CAPABLE = Capabilities(("float32", "int8"), {"float32": 1, "int8": 1}, {"float32": ALL, "int8": ALL}, frozenset())
STAIRS = replace(CAPABLE, channel_multiples={"float32": 8, "int8": 4})
BOTH = options_of(precisions=("float32", "int8"))

TINY = Compressor.of(tiny(), images(2, 1, 8))


def space_of(
    compressor: Compressor = TINY,
    options: SpaceOptions = BOTH,
    capabilities: Capabilities = CAPABLE,
    groups: str | Mapping[str, Sequence[str]] = "per-block",
) -> SearchSpace:
    found = grouped(compressor.network, compressor.counts, compressor.graph, groups)
    costs = analytic_cost(compressor.network, compressor.graph, compressor.counts)
    return network_space(found, compressor.counts, costs, options, capabilities)


SPACE = space_of(capabilities=STAIRS)


def test_a_declared_group_with_nothing_to_choose_is_told_with_its_cause() -> None:
    patterns = {"first": ["layer1.*.conv1"], "second": ["layer2.*.conv1"], "head": ["linear"]}
    found = grouped(TINY.network, TINY.counts, TINY.graph, patterns)
    eights = replace(CAPABLE, channel_multiples={"float32": 8})
    space = space_of(capabilities=eights, options=options_of(), groups=patterns)
    assert [group.name for group in space.groups] == ["second"]
    first, head = idle_groups(found, patterns, space)
    assert first.startswith("space.groups.first is left as it is: widths are multiples of 8 and it has 8 channels")
    assert "space.channel_multiple" in first
    assert head.startswith("space.groups.head is left as it is: the channels of its layers are coupled")
    assert list(idle_groups(found, {}, space)) == []  # groups that moco made itself
    ones = space_of(options=options_of(), groups=patterns)
    assert [text.split()[0] for text in idle_groups(found, patterns, ones)] == ["space.groups.head"]


def test_each_group_has_a_keep_ratio_and_a_precision_where_there_is_a_choice() -> None:
    space = space_of()

    assert space.distributions["layer1.0.keep"] == FloatDistribution(0.3, 1.0)
    assert space.distributions["layer1.0.precision"] == CategoricalDistribution(("float32", "int8"))
    assert "layer2.0.conv2.precision" not in space.distributions  # a stream has no layer of its own
    assert "linear.keep" not in space.distributions  # the head keeps its width
    assert [group.name for group in space.groups] == [
        "conv1",
        "layer1.0",
        "layer1.1",
        "layer2.0",
        "layer2.0.conv2",
        "layer2.1",
        "linear",
    ]


def test_the_neutral_point_is_the_empty_policy() -> None:
    for capabilities in (CAPABLE, STAIRS, replace(CAPABLE, channel_multiples={"float32": 6, "int8": 6})):
        space = space_of(capabilities=capabilities)

        assert space.canonical(space.neutral) == NEUTRAL
        assert space.canonical(space.uniform(0.0)) == NEUTRAL


def test_a_keep_ratio_is_rounded_for_the_precision_it_runs_in() -> None:
    point = {**SPACE.neutral, "layer2.1.keep": 0.75}  # 12 of 16

    assert widths_of(SPACE.canonical(point)) == {}  # 12 ties between 8 and 16 at multiples of 8: the wider
    assert widths_of(SPACE.canonical({**point, "layer2.1.precision": "int8"})) == {"layer2.1.conv1": 12}


def test_one_float_layer_beside_int8_layers_asks_for_the_larger_multiple() -> None:
    space = space_of(capabilities=STAIRS, groups="per-layer")
    point = {**space.neutral, "layer2.1.conv1.keep": 0.75, "layer2.1.conv1.precision": "int8"}

    assert widths_of(space.canonical(point)) == {}  # conv2, which reads them, is in float
    assert widths_of(space.canonical({**point, "layer2.1.conv2.precision": "int8"})) == {"layer2.1.conv1": 12}


def test_points_that_round_alike_are_one_policy() -> None:
    one, other = ({**SPACE.neutral, "layer2.1.keep": keep} for keep in (0.50, 0.53))

    assert SPACE.canonical(one) == SPACE.canonical(other)
    assert SPACE.canonical(one).key == SPACE.canonical(other).key
    assert SPACE.canonical(one) != SPACE.canonical(SPACE.neutral)


def points() -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries(
        {
            name: st.sampled_from(d.choices) if isinstance(d, CategoricalDistribution) else st.floats(d.low, d.high)
            for name, d in SPACE.distributions.items()
        }
    )


@given(points())
def test_the_executed_point_is_in_the_space_and_stands_for_the_same_policy(point: dict[str, object]) -> None:
    policy = SPACE.canonical(point)
    executed = SPACE.executed(policy, point)

    SPACE.check(executed)
    assert SPACE.canonical(executed) == policy
    assert SPACE.executed(policy, executed) == executed


@given(points())
def test_the_cost_is_that_of_the_network_that_is_built(point: dict[str, object]) -> None:
    policy = SPACE.canonical(point)
    counted = count(TINY.compress(policy), (1, 8, 8))
    bops = bops_of(counted, dict.fromkeys(precisions_of(policy), (8, 8)))
    cost = SPACE.cost(policy)

    assert (cost["macs"], cost["bops"], cost["parameters"]) == (counted.macs, bops, counted.parameters)


def test_the_packed_size_counts_codes_at_their_bits_and_a_scale_for_each_output() -> None:
    space = space_of(options=options_of(keep=None, precisions=("float32", "int8")))
    whole = space.cost(space.canonical(dict.fromkeys(space.distributions, "int8")))
    layers = [m for m in TINY.network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    codes, scales = sum(m.weight.numel() for m in layers), sum(len(m.weight) for m in layers)

    assert whole["packed_size_mb"] * 1e6 == codes + 4 * scales + 4 * (TINY.counts.parameters - codes)


def test_residual_streams_may_be_left_out() -> None:
    space = space_of(options=options_of(coupled=False))

    assert [name for name in space.distributions if "keep" in name] == [
        f"layer{s}.{b}.keep" for s in (1, 2) for b in (0, 1)
    ]


def test_a_depthwise_layer_does_not_make_a_stream() -> None:
    compressor = Compressor.of(made(Chain, nn.Conv2d(8, 8, 3, padding=1, groups=8)), images(2, side=8))

    assert "stem.keep" in space_of(compressor, options_of(coupled=False)).distributions


def test_a_kind_of_layer_that_the_target_cannot_run_in_int8_stays_in_float() -> None:
    compressor = Compressor.of(made(Chain, nn.Conv2d(8, 8, 3, padding=1, groups=8)), images(2, side=8))
    capabilities = replace(CAPABLE, layer_kinds={"float32": ALL, "int8": frozenset({"conv"})})
    space = space_of(compressor, options_of(keep=None, precisions=("float32", "int8")), capabilities)

    assert set(space.distributions) == {"stem.precision", "last.precision"}
    staged = space_of(Compressor.of(tiny(), images(2, 1, 8)), BOTH, capabilities, "per-stage")
    assert "linear.precision" not in staged.distributions


def test_a_group_whose_layers_no_precision_can_run_has_no_precision() -> None:
    compressor = Compressor.of(made(Chain, nn.Conv2d(8, 8, 3, padding=1, groups=2)), images(2, side=8))
    space = space_of(compressor, BOTH, groups="per-layer")  # the target names no grouped convolution

    assert set(space.distributions) == {"stem.keep", "last.keep", "stem.precision", "last.precision", "head.precision"}
    assert "middle" not in precisions_of(space.canonical(space.uniform(1.0, 1)))


def test_a_group_whose_every_ratio_rounds_to_the_whole_is_no_choice() -> None:
    space = space_of(capabilities=replace(CAPABLE, channel_multiples={"float32": 16, "int8": 16}))

    assert not [name for name in space.distributions if name.endswith("keep")]


def test_multiples_can_be_asked_for_in_the_targets_place() -> None:
    space = space_of(options=replace(BOTH, channel_multiples={"float32": 2, "int8": 2}), capabilities=STAIRS)

    assert widths_of(space.canonical({**space.neutral, "layer2.1.keep": 0.6}))["layer2.1.conv1"] == 10


def test_the_summary_shows_groups_widths_precisions_and_the_number_of_policies() -> None:
    space = space_of(options=options_of(keep=(0.5, 1.0), precisions=("float32", "int8")), capabilities=STAIRS)
    summary = space_summary(space)
    found = {group["name"]: group for group in summary["groups"]}

    assert found["layer2.1"]["widths"] == {"layer2.1.conv1": [8, 12, 16]}
    assert found["layer2.1"]["precisions"] == ["float32", "int8"]
    assert found["layer2.0.conv2"]["layers"] == []
    assert found["linear"]["widths"] == {}
    assert (summary["policies"], summary["policies_exact"]) == (space.n_policies(), True)


def test_the_number_of_policies_is_that_of_all_points() -> None:
    options = options_of(keep=(0.5, 1.0), coupled=False, precisions=("float32", "int8"))
    space = space_of(Compressor.of(made(Chain, nn.Identity()), images(2, side=8)), options)
    n = 400
    ratios = [0.5 + 0.5 * i / n for i in range(n + 1)]
    stems = {widths_of(space.canonical({**space.neutral, "stem.keep": keep})).get("stem", 8) for keep in ratios}
    lasts = {widths_of(space.canonical({**space.neutral, "last.keep": keep})).get("last", 6) for keep in ratios}

    assert (sorted(stems), sorted(lasts)) == ([4, 5, 6, 7, 8], [3, 4, 5, 6])
    assert space.n_policies() == 5 * 4 * 2**3


@pytest.mark.parametrize("groups", ["per-layer", "per-block", {"all": ["*"]}])
@pytest.mark.parametrize("precisions", [("float32", "int8"), ("int8",)])
@pytest.mark.slow
def test_policies_are_counted_exactly_where_widths_depend_on_precisions(
    groups: str, precisions: tuple[str, ...]
) -> None:
    capabilities = replace(CAPABLE, channel_multiples={"float32": 4, "int8": 3})
    options = options_of(keep=(0.4, 1.0), precisions=precisions)
    space = space_of(Compressor.of(made(Concat), images(2, side=8)), options, capabilities, groups)
    names = list(space.distributions)
    levels = [
        d.choices if isinstance(d, CategoricalDistribution) else [0.4, *(k / 24 for k in range(10, 25))]
        for d in space.distributions.values()
    ]
    policies = {space.canonical(dict(zip(names, values, strict=True))) for values in product(*levels)}

    assert space.n_policies() == len(policies)
    assert space_summary(space)["policies_exact"]


def test_too_many_combinations_of_precisions_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = space_of(capabilities=STAIRS).n_policies()
    monkeypatch.setattr("moco.compression.space.group_parameters.MOST_COMBINATIONS", 8)
    space = space_of(capabilities=STAIRS)
    summary = space_summary(space)

    assert exact is not None
    assert space.n_policies() is None
    assert summary["policies"] >= exact
    assert not summary["policies_exact"]


def test_features_describe_the_first_layer_and_sums() -> None:
    compressor = Compressor.of(seeded("cifar_resnet20"), images(2))
    groups = {group.name: group for group in space_of(compressor).groups}
    block = groups["layer2.0"].features

    assert block["in_channels"] == 16
    assert block["out_channels"] == 32
    assert block["stride"] == 2
    assert block["kernel"] == 3
    assert block["input_height"] == block["input_width"] == 32
    assert block["macs"] == 16 * 16 * 32 * (16 + 32) * 9
    assert block["weights"] == 32 * (16 + 32) * 9
    assert groups["linear"].features["is_linear"] == 1
    assert groups["linear"].features["macs_after"] == 0
    assert groups["conv1"].features["macs_after"] == 40_551_040 - 32 * 32 * 16 * 27


@pytest.mark.parametrize("keep", [(0.0, 1.0), (0.6, 0.5), (0.5, 1.1), (-0.1, 0.5)])
def test_impossible_bounds_are_refused(keep: tuple[float, float]) -> None:
    expected = r"\[lowest, highest\] ratio" if keep == (0.6, 0.5) else "0 < low <= high <= 1"
    with pytest.raises(SpaceError, match=rf"space\.filter_pruning\.keep: expected {expected}"):
        options_of(keep=keep)


def test_nothing_to_choose_is_refused() -> None:
    with pytest.raises(
        SpaceError, match=r"nothing is left to choose in any layer group: in conv1, layer1\.0, .*: no legal"
    ):
        space_of(options=options_of(keep=None))


def test_declared_groups_that_all_have_nothing_to_choose_are_named_with_cause_and_remedy() -> None:
    patterns = {"first": ["layer1.0.conv1"], "second": ["layer1.1.conv1"], "head": ["linear"]}
    sixteens = replace(CAPABLE, channel_multiples={"float32": 16})
    with pytest.raises(SpaceError) as refused:
        space_of(capabilities=sixteens, options=options_of(), groups=patterns)
    assert str(refused.value) == (
        "search space: nothing is left to choose in any layer group: in first, second: widths are multiples of 16 and "
        "it has 8 channels; set space.channel_multiple to a smaller number, such as 1; "
        "in head: the channels of its layers are coupled with those of other groups, or kept by the network"
    )


def test_a_precision_that_the_target_has_not_is_refused() -> None:
    with pytest.raises(SpaceError, match="the target has no 'int4'; it has float32, int8"):
        space_of(options=options_of(precisions=("float32", "int4")))
