"""What a search evaluates before it asks its searcher."""

from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.compression.space.network_space import SpaceOptions
from moco.errors import ConfigError
from moco.run.uniform_starts import LADDER_LEVELS, starts_in_fewer_bits, uniform_starts
from moco.space import SearchSpace
from tests.compression.space.test_codec import space_of as mixed_space_of
from tests.compression.space.test_network_space import space_of
from tests.compression.spaces import options_of

FLOATS = {"a.keep": FloatDistribution(0.3, 1.0), "b.keep": FloatDistribution(0.5, 1.0)}
NEUTRAL = {"a.keep": 1.0, "b.keep": 1.0}
PRECISION = CategoricalDistribution(("float32", "int8"))
BOTH = SearchSpace({**FLOATS, "a.precision": PRECISION}, neutral={**NEUTRAL, "a.precision": "float32"})


def test_none_gives_none() -> None:
    assert uniform_starts(BOTH, "none") == []


def test_the_reference_is_the_neutral_point() -> None:
    found = uniform_starts(BOTH, "reference")

    assert [start.name for start in found] == ["reference"]
    assert found[0].point == BOTH.neutral


def test_the_ladder_holds_the_reference_int8_and_uniform_steps_from_light_to_heavy() -> None:
    found = uniform_starts(BOTH)
    keeps = [start.point["a.keep"] for start in found]

    assert [start.name for start in found] == [
        "reference",
        "int8",
        *(f"ladder {level:g} int8" for level in LADDER_LEVELS),
    ]
    assert found[1].point == {**BOTH.neutral, "a.precision": "int8"}
    assert keeps == sorted(keeps, reverse=True)
    assert found[2].point["a.keep"] == pytest.approx(1 - LADDER_LEVELS[0] * 0.7)
    assert found[2].point["b.keep"] == pytest.approx(1 - LADDER_LEVELS[0] * 0.5)
    assert {start.point["a.precision"] for start in found[2:]} == {"int8"}


def test_without_precisions_the_ladder_is_in_float() -> None:
    space = SearchSpace(FLOATS, neutral=NEUTRAL)

    assert [start.name for start in uniform_starts(space)] == [
        "reference",
        *(f"ladder {level:g}" for level in LADDER_LEVELS),
    ]


def test_starts_that_round_to_one_policy_are_given_once() -> None:
    space = SearchSpace({"n": IntDistribution(7, 8)}, neutral={"n": 8})
    found = uniform_starts(space)

    assert [start.point["n"] for start in found] == [8, 7]
    assert len({space.canonical(start.point) for start in found}) == len(found)


def test_every_start_is_a_point_of_the_space() -> None:
    for start in uniform_starts(BOTH):
        BOTH.check(start.point)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (options_of(keep=(0.5, 0.75)), ["lightest", "ladder 0.35"]),
        (options_of(keep=(0.5, 1.0), precisions=("int8",)), ["int8", "ladder 0.2 int8"]),
        (options_of(keep=(0.5, 1.0), precisions=("float32", "int8")), ["reference", "int8", "ladder 0.2 int8"]),
    ],
)
def test_only_what_leaves_the_network_untouched_is_called_the_reference(
    options: SpaceOptions, names: list[str]
) -> None:
    found = uniform_starts(space_of(options=options))

    assert [start.name for start in found][: len(names)] == names
    assert len({start.name for start in found}) == len(found)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"searcher\.start: unknown start 'lader'; did you mean 'ladder'"):
        uniform_starts(BOTH, "lader")


@pytest.mark.parametrize("precisions", [("mixed",), ("int8", "mixed"), ("mixed", "int8"), ("float32", "mixed", "int8")])
def test_bits_that_can_be_chosen_give_the_whole_network_in_few_of_them(precisions: tuple[str, ...]) -> None:
    bits = {"weight_bits": (2, 8), "activation_bits": (8, 8)}
    space = mixed_space_of(precisions=precisions, bits=bits)
    found = starts_in_fewer_bits(space)

    assert [start.name for start in found] == ["weights in 5 bits and more", "weights in 4 bits and more"]
    costs = [space.cost(space.canonical(start.point)) for start in found]
    whole = space.cost(space.canonical(space.uniform(0.0, space.n_variants() - 1)))
    assert costs[1]["packed_size_mb"] < costs[0]["packed_size_mb"] < whole["packed_size_mb"]
    assert {cost["macs"] for cost in costs} == {whole["macs"]}
