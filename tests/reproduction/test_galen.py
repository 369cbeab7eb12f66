"""S3's cards: the modelled latency by hand, the reward as printed, and every card on a tiny setting."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moco.compression.compressor import Compressor
from moco.models.zoo import ZOO
from moco.objectives.galen import GalenObjective, GalenOptions
from moco.policy import Policy
from moco.reproduction.card import Card
from moco.reproduction.cards import galen_ablation, galen_orders, galen_search, galen_table, galen_targets
from moco.reproduction.cards.galen_agents import AGENTS, PQ
from moco.reproduction.cards.galen_search import COST, Reward, halfway
from moco.reproduction.cards.modelled_latency import ModelledLatency, time_of
from moco.reproduction.setting import Drawn, Setting
from moco.trial import Evaluation, MetricValue


@pytest.mark.parametrize(("product", "time"), [(1024, 1.0), (64, 0.6), (36, 0.6), (12, 0.2), (1, 0.6 / 36)])
def test_a_multiplication_takes_what_its_bits_say(product: float, time: float) -> None:
    assert time_of(product) == pytest.approx(time)


def test_the_latency_of_a_network_is_that_of_its_layers() -> None:
    latency = ModelledLatency(Compressor.of(ZOO["digits_resnet"]().eval(), torch.zeros(2, 1, 8, 8)).costs)
    layers = {layer.name: layer.macs for layer in latency.costs.layers}
    total, one = sum(layers.values()), layers["layer1.0.conv1"]
    few = {"quantization": {"weight_bits": 3, "activation_bits": 4}}

    assert latency.ratio(Policy.of({})) == 1
    assert latency.ratio(Policy.of({name: {"precision": "int8"} for name in layers})) == pytest.approx(0.6)
    assert latency.ratio(Policy.of({"layer1.0.conv1": few})) == pytest.approx(1 - 0.8 * one / total)
    half = Policy.of({"layer1.0.conv1": {"filter_pruning": {"keep": 16, "of": 32}}})
    assert latency.ratio(half) == pytest.approx(1 - one / total)  # half of it, and half of the layer that reads it


@pytest.mark.parametrize("cost", [0.1, 0.2, 0.25])
def test_the_reward_is_the_printed_one(cost: float) -> None:
    found = Evaluation({"top1_error": MetricValue(0.1), COST: MetricValue(cost)})
    printed = GalenObjective(GalenOptions(metric="bops", target=0.2, bounded=False))
    alike = Evaluation({"top1_error": MetricValue(0.1), "bops": MetricValue(cost)})

    assert Reward(0.2)(found) == pytest.approx(printed.score(alike, {"bops": MetricValue(1.0)}))


def test_the_first_of_two_agents_goes_half_of_the_way_as_the_captions_say() -> None:
    assert halfway(0.2) == pytest.approx(0.6)


def test_the_agents_are_as_published_at_the_full_scale() -> None:
    for agent in AGENTS:
        full = agent.options(Setting(True, 0, Path()))
        assert (full["hidden"], full["warmup"], full["noise_decay"]) == ([400, 300], 10, 0.95)
    assert PQ.options(Setting(True, 0, Path()), constant=True)["sensitivities"] == "constant"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """A folder that the cards share, as they do for real."""
    return Setting(False, 0, tmp_path_factory.mktemp("galen"))


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three episodes of next to no training."""
    for module in (galen_search, galen_ablation, galen_orders, galen_table, galen_targets):
        if hasattr(module, "episodes_of"):
            monkeypatch.setattr(module, "episodes_of", lambda _: 4)
    monkeypatch.setattr(galen_search, "PART", 0.1)
    monkeypatch.setattr(galen_search, "retraining", lambda _: 0.1)
    monkeypatch.setattr(galen_targets, "SMALL_TARGETS", (0.2,))


def _drawn(card: Card, setting: Setting) -> Drawn:
    drawn = card.runner(setting)
    for row in drawn.rows:
        assert row.values.keys() <= set(card.columns)
        assert row.values.keys() | row.absent.keys() == set(card.columns)
    return drawn


def _is_found(found: object) -> bool:
    return isinstance(found, dict) and found.keys() == {"cost", "search", "unseen"} and 0 <= found["unseen"] <= 100


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_table_has_the_network_and_three_agents(tiny: Setting) -> None:
    rows = {row.name: row.values for row in _drawn(galen_table.TABLE_CARD, tiny).rows}

    assert list(rows) == ["uncompressed", "P", "Q", "PQ"]
    assert rows["uncompressed"]["modelled_latency"].value == 1
    assert rows["Q"]["macs_ratio"].value == 1
    assert rows["P"]["bops_ratio"].value == pytest.approx(rows["P"]["macs_ratio"].value)
    assert rows["P"]["modelled_latency"].value == pytest.approx(rows["P"]["macs_ratio"].value)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_policies_have_a_row_a_layer_and_agent(tiny: Setting) -> None:
    rows = {row.name: row.values for row in _drawn(galen_table.FIGURE_CARD, tiny).rows}

    assert len(rows) == 3 * 11
    assert {rows[f"P: {name}"]["weight_bits"].value for name in ("conv1", "linear")} == {32}
    assert rows["Q: layer1.0.conv1"]["kept"].value == 1
    assert rows["Q: conv1"]["weight_bits"].value in {8, 32}, "its one input channel has no kernel for few bits"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_targets_give_evidence_of_two_tries_a_side(tiny: Setting) -> None:
    drawn = _drawn(galen_targets.CARD, tiny)

    (entry,) = drawn.evidence["Q12"]
    assert entry["c"] == 0.2
    assert entry["joint"].keys() == {"first", "second"}
    assert entry["single"].keys() == {"p", "q"}
    assert all(_is_found(one) for side in ("joint", "single") for one in entry[side].values())
    assert entry["joint"]["first"]["cost"] != entry["joint"]["second"]["cost"], "the tries draw other numbers"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_second_of_two_agents_keeps_what_the_first_has_done(tiny: Setting) -> None:
    with galen_search.benched(galen_search.DIGITS, tiny) as bench:
        begun, ended = bench.one_after_the_other(*galen_orders.PAIRS["q_then_p"], 0.2, 6)

    kept = {name: setting for name, setting in begun.policy.settings.items() if setting}
    assert kept
    for name, setting in kept.items():
        assert setting.items() <= ended.policy.settings[name].items()
    assert (begun.episodes, ended.episodes) == (3, 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_orders_give_evidence_of_both(tiny: Setting) -> None:
    drawn = _drawn(galen_orders.CARD, tiny)

    (entry,) = drawn.evidence["Q10"]
    assert entry["sequential"].keys() == {"p_then_q", "q_then_p"}
    assert all(_is_found(one) for side in ("joint", "sequential") for one in entry[side].values())
    assert len(drawn.rows) == 3 * 12


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_ablation_differs_by_the_sensitivities_alone(tiny: Setting) -> None:
    drawn = _drawn(galen_ablation.CARD, tiny)

    (entry,) = drawn.evidence["Q11"]
    assert all(_is_found(entry[side]["only"]) for side in ("with", "without"))
    assert entry["action_sd"].keys() == {"with", "without"}
    assert [row.name for row in drawn.rows if ":" not in row.name] == ["disabled", "enabled"]
