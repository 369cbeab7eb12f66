from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.problems.layers import instance
from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.agents.layer_walk import LayerOptions, LayerWalk
from moco.searchers.agents.published_states import bits_at, features_of
from moco.searchers.ddpg import DDPGOptions, DDPGSearcher
from moco.space import LayerGroup, SearchSpace
from moco.testing.loop import run, told
from moco.trial import MetricValue
from tests.compression.space.test_codec import space_of

LENGTHS = {"s1": 13, "galen_p": 19, "galen_q": 32, "galen_pq": 47, "s5": 8}
SHAPE = {"out_channels": 16.0, "in_channels": 16.0, "kernel": 3.0, "stride": 1.0, "weights": 9.0, "is_linear": 0.0}
SIDES = {"input_height": 32.0, "input_width": 32.0}
KEEPS = {f"kl_keep_{keep / 10:g}": 1.0 - keep / 10 for keep in range(10, 0, -1)}
BITS = {f"kl_{kind}_bits_{bits}": 1.0 / bits for kind in ("weight", "activation") for bits in range(1, 9)}


def problem(prunes: bool, quantises: bool, sensitive: bool = True) -> Problem:
    """Three layers that are pruned, quantised to at most six bits, or both."""
    distributions: dict[str, BaseDistribution] = {}
    groups = []
    for i in range(3):
        own: dict[str, BaseDistribution] = {}
        if prunes:
            own[f"l{i}.keep"] = FloatDistribution(0.1, 1.0)
        if quantises:
            own[f"l{i}.precision"] = CategoricalDistribution(("float32", "int8", "mixed"))
            own |= {f"l{i}.{kind}_bits": IntDistribution(1, 6) for kind in ("weight", "activation")}
        measured = {name: value * (i + 1) for name, value in {**KEEPS, **BITS, "kl_int8": 0.1}.items()}
        counts = {"index": float(i), "macs": 10.0 * 2**i, "macs_after": [60.0, 40.0, 0.0][i]}
        features = {**SHAPE, **SIDES, **counts, **(measured if sensitive else {})}
        groups.append(LayerGroup(f"l{i}", tuple(own), (f"l{i}",), features))
        distributions |= own
    neutral: Mapping[str, Any] = {
        name: "float32" if isinstance(d, CategoricalDistribution) else getattr(d, "high")  # noqa: B009
        for name, d in distributions.items()
    }
    return Problem(SearchSpace(distributions, tuple(groups), neutral), {"loss": "minimize"})


OF = {
    "s1": problem(True, False),
    "galen_p": problem(True, False),
    "galen_q": problem(False, True),
    "galen_pq": problem(True, True),
    "s5": problem(True, False),
}


def states(vector: str, **options: Any) -> np.ndarray:
    walk = LayerWalk(OF[vector], LayerOptions(features=vector, **options))
    return walk.rollout(lambda _layer, _state: np.full(walk.n_actions, 0.25)).states


@pytest.mark.parametrize("vector", LENGTHS)
def test_a_vector_is_exactly_as_long_as_published(vector: str) -> None:
    assert len(features_of(vector)) == LENGTHS[vector]
    assert states(vector).shape == (3, LENGTHS[vector])
    assert np.isfinite(states(vector)).all()


@pytest.mark.parametrize(("method", "vector"), [("pruning", "s1"), ("pruning", "s5")])
def test_the_layers_of_a_real_network_have_the_features(method: str, vector: str) -> None:
    space = space_of()
    whole = {name: MetricValue(value) for name, value in space.cost(space.canonical(space.neutral)).items()}
    walk = LayerWalk(Problem(space, {"top1_error": "minimize"}, reference=whole), LayerOptions(features=vector))
    episode = walk.rollout(lambda _layer, _state: np.full(walk.n_actions, 0.5))
    assert episode.states.shape == (walk.n_layers, LENGTHS[vector]), method
    if vector == "s1":
        left = episode.states[:, -1]
        assert left[0] == 1.0
        assert np.all(np.diff(left) < 0)  # every layer that is pruned leaves fewer MACs


def test_bits_are_those_of_galens_table() -> None:
    """r = 0, .1 ... .9 of six bits (requirements 3.2)."""
    assert [bits_at(k / 10, 6) for k in range(10)] == [6, 6, 5, 5, 4, 4, 3, 2, 2, 1]


def test_ten_points_of_each_kind_are_seen() -> None:
    names = features_of("galen_pq")
    for kind in ("keep", "weight_bits", "activation_bits"):
        assert sum(name.startswith(f"kl_{kind}") for name in names) == 10


def test_the_actions_of_the_layer_before_are_in_the_state() -> None:
    """Galen's are what is taken off, the thesis's what is kept."""
    assert states("galen_pq")[:, -3:].tolist() == [[0.0, 0.0, 0.0], [0.75, 0.75, 0.75], [0.75, 0.75, 0.75]]
    assert states("galen_p")[:, -1].tolist() == [0.0, 0.75, 0.75]
    assert states("s1")[:, 10].tolist() == [1.0, 0.25, 0.25]


def test_constants_stand_in_for_sensitivities() -> None:
    """S3.53: of the 47 features the 32 divergences tell nothing, and all others are the same."""
    measured, constant = states("galen_pq"), states("galen_pq", sensitivities="constant")
    sensitive = np.array([name.startswith("kl_") for name in features_of("galen_pq")])
    assert sensitive.sum() == 32
    assert not constant[:, sensitive].any()
    assert measured[:, sensitive].any()
    assert np.array_equal(measured[:, ~sensitive], constant[:, ~sensitive])


def test_without_sensitivities_galens_vectors_are_refused_but_for_constants() -> None:
    bare = problem(True, False, sensitive=False)
    with pytest.raises(ConfigError, match=r"kl_keep_1.*space.sensitivity.*sensitivities: constant"):
        LayerWalk(bare, LayerOptions(features="galen_p"))
    assert LayerWalk(bare, LayerOptions(features="galen_p", sensitivities="constant")).n_features == 19


@pytest.mark.parametrize(("vector", "of"), [("galen_p", "galen_q"), ("galen_q", "galen_pq"), ("s1", "galen_pq")])
def test_a_vector_of_other_actions_is_refused(vector: str, of: str) -> None:
    with pytest.raises(ConfigError, match=f"searcher.features: '{vector}' is the state of an agent with"):
        LayerWalk(OF[of], LayerOptions(features=vector))


def test_a_plain_layer_without_features_is_refused() -> None:
    bare = Problem(SearchSpace({"x": FloatDistribution(0, 1)}, (LayerGroup("l", ("x",)),)), {"loss": "minimize"})
    with pytest.raises(ConfigError, match="'s5' holds 'out_channels', which no layer of this space has"):
        LayerWalk(bare, LayerOptions(features="s5"))


def test_idle_options_are_told() -> None:
    walk = LayerWalk(OF["s1"], LayerOptions(features="s1", state="s3", sensitivities="constant", direct=True))
    assert [text.partition(":")[0] for text in walk.warnings(OF["s1"])] == ["direct", "sensitivities", "state"]


def test_the_state_may_hold_what_the_device_showed_of_the_network_before() -> None:
    """Q19; a restart sees the same."""
    layers = instance(0, n_layers=4)
    plain = layers.problem()
    reference = {**plain.reference, "latency_ms": MetricValue(2.0)}
    timed = Problem(plain.space, plain.objectives, bounds=plain.bounds, reference=reference)

    def evaluate(point: Any) -> dict[str, float]:
        return {**layers.evaluate(point), "latency_ms": 1.0}

    options = DDPGOptions(warmup=3, hidden=(8,), direct=True)
    ledger = run(DDPGSearcher(timed, options, 0), timed, evaluate, 8)
    assert [trial.suggestion.notes["direct"] for trial in ledger[:2]] == [[0.0], [-1.0]]
    walk = LayerWalk(timed, options)
    assert walk.n_features == LayerWalk(timed, DDPGOptions(hidden=(8,))).n_features + 1
    assert walk.of(ledger[1].point, ledger[1].suggestion.notes).states[:, -1].tolist() == [-1.0] * 4
    again = told(DDPGSearcher(timed, options, 0), ledger[:5]).ask()
    assert (again.point, again.notes) == (ledger[5].suggestion.point, ledger[5].suggestion.notes)
