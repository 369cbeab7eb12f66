"""A base policy in a space: its settings stand in every policy, whatever is chosen beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moco.compression.methods.depth import BRANCHES, Depth, DepthOptions
from moco.compression.policy_settings import bits_of, branches_gone_of, pruned
from moco.compression.space.base_policy import BasePolicy
from moco.compression.space.layer_groups import grouped
from moco.compression.space.limits import Limit
from moco.compression.space.network_space import SpaceOptions, network_space, space_summary
from moco.encoding import decode
from moco.errors import SpaceError
from moco.policy import Policy
from moco.space import SearchSpace
from tests.compression.space.test_codec import ALL, TARGET, drawn, space_of
from tests.compression.space.test_network_space import TINY
from tests.compression.spaces import options_of
from tests.compression.toys import images

PRECISIONS = ("float32", "int8", "mixed")


def above(policy: Policy, groups: Any = "per-block", **options: Any) -> SearchSpace:
    found = grouped(TINY.network, TINY.counts, TINY.graph, groups)

    def made(given: SpaceOptions) -> SearchSpace:
        return network_space(found, TINY.counts, TINY.costs, given, TARGET)

    kept = BasePolicy(policy).kept_in(options_of(**options), TINY.graph.groups.values(), made)
    return made(kept)


def test_widths_stay_in_a_precision_that_would_round_them() -> None:
    rng = np.random.default_rng(3)
    for policy in drawn(space_of(), 20):
        if not pruned(policy):
            continue
        space = above(policy, precisions=PRECISIONS)
        assert not any(name.endswith(".keep") for name in space.distributions)
        for _ in range(5):
            found = space.canonical(decode(space, rng.random(len(space.distributions))))
            assert pruned(found) == pruned(policy)
            assert space.codec is not None
            assert space.canonical(space.codec.point(found)) == found


def test_bits_stay_whatever_is_pruned() -> None:
    rng = np.random.default_rng(4)
    for policy in drawn(space_of(keep=None, precisions=PRECISIONS), 20):
        space = above(policy, precisions=PRECISIONS)
        assert {name.rpartition(".")[2] for name in space.distributions} == {"keep"}
        found = [space.canonical(decode(space, rng.random(len(space.distributions)))) for _ in range(5)]
        assert all(bits_of(one) == bits_of(policy) for one in found)
        assert len(set(found)) > 1


def test_a_group_that_chose_a_method_keeps_it() -> None:
    chosen = {**ALL, "precisions": ()}
    policies = [policy for policy in drawn(space_of(**chosen), 40) if pruned(policy)]
    assert len(policies) > 5
    for policy in policies:
        space = above(policy, **ALL)
        kept = [space.canonical(point) for point in (space.neutral, space.uniform(0.5, 1), space.uniform(1.0, 1))]
        assert all(pruned(one) == pruned(policy) for one in kept)


def test_the_base_is_the_neutral_policy_and_is_told() -> None:
    policy = next(policy for policy in drawn(space_of(), 5) if pruned(policy))
    space = above(policy, precisions=PRECISIONS)
    assert space.canonical(space.neutral) == policy
    assert space_summary(space)["kept"] == [f"filter pruning ({len(pruned(policy))})"]
    assert "kept" not in space_summary(space_of())


def test_what_other_groups_cannot_give_is_refused() -> None:
    fine = space_of("per-layer", keep=None, precisions=PRECISIONS)
    policy = fine.canonical({**fine.neutral, next(n for n in fine.distributions if n.endswith("precision")): "int8"})
    with pytest.raises(SpaceError, match=r"^space\.base: it is not of this space: '.*' has .*, the nearest here is"):
        above(policy, {"all": ["*"]}, precisions=PRECISIONS)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Limit(values=(3,)), None),
        (Limit(low=3, high=3), None),
        (Limit(low=3, high=5), (3, 5)),
        (Limit(low=3), (3, 8)),
    ],
)
def test_a_whole_number_can_be_limited(limit: Limit, expected: tuple[int, int] | None) -> None:
    name = next(n for n in space_of(precisions=PRECISIONS).distributions if n.endswith(".weight_bits"))
    space = space_of(precisions=PRECISIONS, limits={name: limit})
    found = space.distributions.get(name)
    assert (None if found is None else (found.low, found.high)) == expected  # type: ignore[attr-defined]
    mixed = {**space.neutral, name.replace("weight_bits", "precision"): "mixed"}
    fewest = min(bits.weights for bits in bits_of(space.canonical(mixed)).values())
    assert fewest == (3 if expected is None else expected[1])


@pytest.mark.parametrize("limit", [Limit(values=(3, 4)), Limit(low=3.5), Limit(high=9), Limit(values=(True,))])
def test_a_whole_number_has_whole_limits(limit: Limit) -> None:
    name = next(n for n in space_of(precisions=PRECISIONS).distributions if n.endswith(".weight_bits"))
    with pytest.raises(SpaceError, match=rf"^space\.limits\.{name}: .*whole number"):
        space_of(precisions=PRECISIONS, limits={name: limit})


@pytest.mark.parametrize("per", ["network", "group"])
def test_branches_that_a_base_leaves_out_stay_out(per: str) -> None:
    method = Depth(
        DepthOptions(keep=(0.0001, 1.0), per=per)
    ).acquainted(  # type: ignore[arg-type]
        TINY.network, TINY.graph, lambda most: images(8, 1, 8)[:most]
    )
    first = space_of(keep=None, further=[method])
    shorter = {name: low for name, low in first.uniform(1.0).items() if name.endswith(BRANCHES)}
    policy = first.canonical({**first.neutral, **shorter})
    assert branches_gone_of(policy)
    space = above(policy, further=[method])
    assert not any(name.endswith(BRANCHES) for name in space.distributions)
    for level in (0.0, 0.5, 1.0):
        assert branches_gone_of(space.canonical(space.uniform(level))) == branches_gone_of(policy)
