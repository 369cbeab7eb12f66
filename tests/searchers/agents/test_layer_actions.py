from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.searchers.agents.layer_actions import ABSENT, ActionSet, PrecisionAndBits, action_set
from moco.space import LayerGroup, SearchSpace
from moco.trial import Point

PRECISION = CategoricalDistribution(("float32", "int8", "mixed"))
BITS = {"c.weight_bits": IntDistribution(1, 6), "c.activation_bits": IntDistribution(1, 6)}
JOINT = SearchSpace(
    {"c.keep": FloatDistribution(0.2, 1.0), "c.rank": FloatDistribution(0.1, 1.0), "c.precision": PRECISION, **BITS},
    groups=(LayerGroup("c", ("c.keep", "c.rank", "c.precision", *BITS)),),
    neutral={"c.keep": 1.0, "c.rank": 1.0, "c.precision": "float32", "c.weight_bits": 6, "c.activation_bits": 6},
)
GALEN = PrecisionAndBits("p", ("float32", "int8", "mixed"), {"w": IntDistribution(1, 6), "a": IntDistribution(1, 6)})


def of(space: SearchSpace, share: bool) -> ActionSet:
    return action_set(space, space.groups, share)


@pytest.mark.parametrize(
    ("parameters", "shared", "apart"),
    [
        (("c.keep",), ("ratio",), ("keep",)),
        (("c.keep", "c.rank"), ("ratio",), ("keep", "rank")),
        (("c.precision", *BITS), ("weight", "activation"), ("precision", "weight_bits", "activation_bits")),
        (("c.keep", "c.precision", *BITS), ("ratio", "weight", "activation"), None),
        (("c.keep", "c.precision"), ("ratio", "precision"), ("keep", "precision")),
        (tuple(BITS), ("weight_bits", "activation_bits"), ("weight_bits", "activation_bits")),
    ],
    ids=["pruning", "two ratios", "quantization", "joint", "precision by name", "bits alone"],
)
def test_a_layer_has_the_actions_of_its_parameters(
    parameters: tuple[str, ...], shared: tuple[str, ...], apart: tuple[str, ...] | None
) -> None:
    space = SearchSpace({n: JOINT.distributions[n] for n in parameters}, (LayerGroup("c", parameters),))
    assert of(space, share=True).kinds == shared
    assert of(space, share=False).kinds == (apart or ("keep", "precision", "weight_bits", "activation_bits"))


@pytest.mark.parametrize("share", [True, False])
def test_one_changes_nothing_and_zero_most(share: bool) -> None:
    actions = of(JOINT, share)
    n = len(actions.kinds)
    lightest = {"c.keep": 0.2, "c.rank": 0.1, "c.precision": "mixed", "c.weight_bits": 1, "c.activation_bits": 1}
    assert actions.values(0, np.ones(n)) == JOINT.neutral
    assert actions.values(0, np.zeros(n)) == lightest


def test_a_neutral_value_at_the_low_end_is_reached_by_one() -> None:
    space = SearchSpace({"c.cut": IntDistribution(0, 9)}, (LayerGroup("c", ("c.cut",)),), {"c.cut": 0})
    assert of(space, share=True).values(0, np.ones(1)) == {"c.cut": 0}


# S3.43 and S3.14 by hand: how much r = 1 - action; r > 0.5 mixed, > 0.2 int8; bits d = floor((1 - r') 6) + 1 with
# r' = (r - 0.5) / 0.5. Where only one action asks for mixed bits, the other's r' is 0: most bits (S3.44).
@pytest.mark.parametrize(
    ("r", "precision", "bits"),
    [
        ((0.1, 0.2), "float32", None),
        ((0.1, 0.3), "int8", None),
        ((0.45, 0.0), "int8", None),
        ((0.6, 0.1), "mixed", (5, 6)),
        ((0.1, 0.71), "mixed", (6, 4)),
        ((0.99, 0.76), "mixed", (1, 3)),
    ],
)
def test_precision_and_bits_follow_galen(r: tuple[float, float], precision: str, bits: tuple[int, int] | None) -> None:
    found = GALEN.values([1 - r[0], 1 - r[1]])
    assert found["p"] == precision
    if bits is not None:
        assert (found["w"], found["a"]) == bits


def test_other_precisions_share_what_is_not_mixed() -> None:
    slot = PrecisionAndBits("p", ("int8", "mixed"), GALEN.bits)
    assert [slot.values([1 - r, 1.0])["p"] for r in (0.0, 0.49, 0.51)] == ["int8", "int8", "mixed"]


@pytest.mark.parametrize("share", [True, False])
def test_what_was_executed_gives_itself_again(share: bool) -> None:
    actions = of(JOINT, share)
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = actions.values(0, rng.random(len(actions.kinds)))
        again = actions.values(0, actions.executed(0, values))
        used = {n: v for n, v in values.items() if "bits" not in n or not share or values["c.precision"] == "mixed"}
        assert {n: again[n] for n in used} == pytest.approx(used)


def test_the_executed_ratio_is_the_one_that_was_used() -> None:
    point: Point = {**JOINT.neutral, "c.rank": 0.55}
    assert of(JOINT, share=True).executed(0, point)[0] == pytest.approx(0.5)


def test_layers_ignore_the_actions_that_they_lack() -> None:
    parameters = {"a.keep": FloatDistribution(0.1, 1.0), "b.bits": IntDistribution(2, 8)}
    space = SearchSpace(parameters, (LayerGroup("a", ("a.keep",)), LayerGroup("b", ("b.bits",))))
    actions = of(space, share=True)
    assert actions.mask.tolist() == [[1, 0], [0, 1]]
    assert actions.values(0, np.array([0.0, 0.5])) == {"a.keep": 0.1}
    assert actions.executed(1, {"a.keep": 0.1, "b.bits": 2}).tolist() == [ABSENT, pytest.approx(1 / 14)]


def test_parameters_of_one_kind_in_a_layer_have_actions_of_their_own() -> None:
    parameters = {f"keep{i}": FloatDistribution(0.1, 1.0) for i in range(3)}
    space = SearchSpace(parameters, (LayerGroup("all", tuple(parameters)),))
    assert of(space, share=False).kinds == ("keep0", "keep1", "keep2")
