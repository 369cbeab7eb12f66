"""E2's evidence from trials: what counts as dead, and as the lowest latency of use; the bits of T5.4 and ImageNet."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moco.policy import Policy
from moco.reproduction.cards.imagenet import NEEDS
from moco.reproduction.cards.sweep_evidence import Sweep, dead_and_alive, lowest_latencies
from moco.reproduction.reproduce import Request, reproduced, write_findings
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState

LAB: Any = SimpleNamespace(
    subject=SimpleNamespace(name="n"),
    reference={"top1_error": 0.1, "latency_ms": 2.0},
    prepared=SimpleNamespace(job=SimpleNamespace(data=SimpleNamespace(train=SimpleNamespace(classes=10)))),
)


def trial(error: float, latency: float) -> Trial:
    """A complete one with this error and latency."""
    metrics = {"top1_error": MetricValue(error), "latency_ms": MetricValue(latency)}
    policy = Policy.of({"a": latency})
    return Trial(0, Suggestion(0, {}), TrialState.COMPLETE, {}, policy, Evaluation(metrics))


def test_the_dead_are_near_chance_and_only_random_networks_count_once_each() -> None:
    drawn = [trial(0.85, 1.0), trial(0.79, 1.5), trial(0.85, 1.0)]
    sweeps = [Sweep("latency", "random", drawn), Sweep("latency", "gp", [trial(0.9, 0.1)])]

    assert dead_and_alive(LAB, sweeps) == {"network": "n", "dead": [0.5], "alive": [0.75]}


def test_the_lowest_latency_is_that_of_a_network_of_use_or_there_is_none() -> None:
    sweeps = [
        Sweep("latency", "gp", [trial(0.9, 0.1), trial(0.21, 0.2)]),
        Sweep("top-1", "gp", [trial(0.9, 0.1), trial(0.2, 1.0), trial(0.15, 1.6)]),
        Sweep("latency", "botorch", [trial(0.19, 0.8)]),
        Sweep("top-1", "botorch", [trial(0.19, 0.6)]),
    ]

    found = {one["searcher"]: (one["accuracy_sweep"], one["latency_sweep"]) for one in lowest_latencies(LAB, sweeps)}

    assert found == {"gp": (0.5, None), "botorch": (0.3, 0.4)}


@pytest.mark.parametrize("card", ["T5.2", "T5.3"])
def test_a_table_on_imagenet_has_its_printed_rows_and_says_what_it_needs(card: str, tmp_path: Path) -> None:
    record, _ = reproduced(Request(card, out=tmp_path))

    assert all(set(row.absent.values()) == {NEEDS} and row.published for row in record.rows)
    page = write_findings(tmp_path, tmp_path / "findings.md")
    assert f"| {card} not run | [" in page
    assert f"(cards/{card}.md). Not run: {NEEDS}." in page
