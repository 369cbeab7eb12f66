"""The comparison on recorded evaluations: what is shown where a run ended early, and tests that are paired by seed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from benchmarks import greybox
from benchmarks.greybox import (
    AT,
    FEWER_SEEDS,
    KEPT,
    SLOW,
    Row,
    p_values,
    recorded_run,
    searcher_of,
    shares_at,
    table,
    trials_of,
)
from benchmarks.known_answers import code_of
from benchmarks.recorded.benchmark import Benchmark, benchmark
from benchmarks.recorded.rows import NAMES
from moco.policy import Policy
from moco.trial import Evaluation

RISING = np.linspace(0.0, 1.0, 200).tolist()


def row(strategy: str, first: list[float], last: float | None = None) -> Row:
    """One share a seed at the first place, the same at the second, and `last` (or as much again) at the third."""
    return Row(strategy, np.array([[x, x, x if last is None else last] for x in first]), 1.0)


def test_a_run_that_ended_early_has_no_later_share_but_the_ladder_stays() -> None:
    assert shares_at(RISING, "tpe") == [RISING[n - 1] for n in AT]
    assert [math.isnan(value) for value in shares_at(RISING[:60], "ladder + botorch")] == [False, True, True]
    assert shares_at(RISING[:20], "ladder") == [RISING[19]] * 3


@pytest.mark.slow
def test_a_run_that_was_shorter_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits, made = benchmark("digits"), []

    def counted(self: Benchmark, policy: Policy) -> Evaluation:
        made.append(policy)
        return evaluate(self, policy)

    evaluate = Benchmark.evaluate
    digits.problem  # noqa: B018, it evaluates the reference once
    monkeypatch.setattr(Benchmark, "evaluate", counted)
    monkeypatch.setattr(greybox, "SLOW", ("tpe",))
    for trials in (12, 20):
        monkeypatch.setattr(greybox, "FEWER_TRIALS", {"tpe": trials})
        found = recorded_run(digits, "tpe", 0, tmp_path / "taken up")
    assert len(made) == len(found["shares"]) == 20
    assert found["shares"] == recorded_run(digits, "tpe", 0, tmp_path / "at once")["shares"]


def test_p_is_wilcoxons_of_the_differences_with_holms_correction() -> None:
    ours = row("greybox", [0.90, 0.91, 0.92, 0.93, 0.94])
    close = row("tpe", [0.895, 0.92, 0.915, 0.90, 0.93])
    far = row("random", [0.1, 0.2, 0.15, 0.3, 0.12])
    p = p_values([ours, close, far], ours, 0)
    alone = wilcoxon(ours.shares[:, 0] - close.shares[:, 0], alternative="greater").pvalue
    assert math.isnan(p[0])
    assert p[2] == pytest.approx(2 / 32)  # 5 of 5 for the least of two
    assert p[1] == pytest.approx(max(2 / 32, alone))


def test_a_strategy_without_chance_is_paired_with_every_seed() -> None:
    ours = row("greybox", [0.9, 0.8, 0.7, 0.6, 0.95, 0.85])
    assert p_values([ours, row("ladder", [0.5])], ours, 0)[1] == pytest.approx(1 / 64)


def test_one_run_of_a_strategy_with_chance_is_not_tested() -> None:
    ours = row("greybox", [0.9, 0.8, 0.7, 0.6, 0.95, 0.85])
    assert math.isnan(p_values([ours, row("ladder + ax", [0.5])], ours, 0)[1])


def test_fewer_seeds_are_not_paired() -> None:
    """The least p of 6 against 3 is 1 / C(9, 3)."""
    ours = row("greybox", [0.9, 0.8, 0.7, 0.6, 0.95, 0.85])
    assert p_values([ours, row("ladder + ax", [0.5, 0.4, 0.55])], ours, 0)[1] == pytest.approx(1 / 84)


def test_what_ended_early_is_not_tested_and_not_counted() -> None:
    ours, short = row("greybox", [0.9, 0.8, 0.7]), row("ax", [0.5, 0.5, 0.5], last=math.nan)
    assert p_values([ours, short], ours, 0)[1] == pytest.approx(1 / 8)
    assert math.isnan(p_values([ours, short], ours, 2)[1])
    shown = table("digits", [ours, short]).splitlines()[-1]
    assert shown == "| ax | 3 | 0.500 | 0.500 | n/a | 0.500-0.500 | 1.0 | 0.125, 0.125, n/a |"


def test_every_kept_run_is_of_the_present_code() -> None:
    """One of other code is found by nobody: run it again and keep that, or take it out."""
    kept = [(path.parent.name, path.stem) for path in KEPT.rglob("*.json")]
    wanted = {
        (name, f"{strategy.replace(' + ', '_')}_{seed}_{code_of(searcher_of(strategy))}_{trials_of(strategy)}")
        for name in NAMES
        for strategy in SLOW
        for seed in range(FEWER_SEEDS[strategy])
    }
    assert kept
    assert set(kept) <= wanted
