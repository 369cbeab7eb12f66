"""Matrices and rank reversals of run folders: by hand, with what is left out, and what may not be mixed."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from moco.comparison.correlation.coefficients import Coefficient
from moco.comparison.correlation.matrices import Matrix, correlate
from moco.comparison.correlation.reversals import Column, Reversals, reversals
from moco.comparison.correlation.sources import MeasuredTrial
from moco.errors import RunFolderError
from moco.metrics import METRICS
from moco.randomness import generator
from tests.comparison.correlation.made import comparison, entry, five, run


def linear(matrix: Matrix, a: str, b: str) -> Coefficient:
    [found] = [pair.pearson for pair in matrix.pairs if set(pair.metrics) == {a, b}]
    return found


def reversed_(matrix: Matrix, a: str, b: str) -> Reversals:
    [found] = [one for one in matrix.reversals if set(one.metrics) == {a, b}]
    return found


def test_every_metric_is_there_and_what_no_trial_holds_is_none(tmp_path: Path) -> None:
    found = correlate([run(tmp_path / "a", five())])
    assert found.metrics == tuple(METRICS)
    whole = found.matrices[0]
    assert len(whole.pairs) == len(METRICS) * (len(METRICS) - 1) / 2
    assert whole.absent["size_mb"] == "constant over 5 trials"
    assert whole.absent["energy_j"] == "no trial holds it"
    lost = linear(whole, "latency_ms", "energy_j")
    assert (lost.value, lost.low, lost.reason) == (None, None, "energy_j: no trial holds it")
    # deviations −2 … 2 and latencies 2, 1, 4, 3.9, 5: products 8.9, squares 10 and 10.648
    assert linear(whole, "flops", "latency_ms").value == pytest.approx(8.9 / (10 * 10.648) ** 0.5)


def test_reversals_count_only_what_is_told_apart(tmp_path: Path) -> None:
    """Of ten pairs the third and fourth overlap in latency; only the first and second contradict."""
    found = reversed_(correlate([run(tmp_path / "a", five())]).matrices[0], "flops", "latency_ms")
    assert (found.count, found.pairs, found.undecided) == (1, 9, 1)
    assert found.share == pytest.approx(1 / 9)
    [clearest] = found.striking
    better, worse = found.metrics
    assert (better, worse) == ("latency_ms", "flops")
    assert (clearest.first.trial, clearest.second.trial) == (1, 0)
    assert clearest.first.intervals["latency_ms"] == pytest.approx((1 - 0.195996, 1 + 0.195996), abs=1e-5)
    assert clearest.first.intervals["flops"] == (200.0, 200.0)
    assert clearest.strength == pytest.approx(0.25)


def test_a_rate_that_grows_does_not_contradict_a_time_that_falls(tmp_path: Path) -> None:
    trials = [entry(n, {"latency_ms": 1.0 + n, "throughput_ips": 100.0 - n}) for n in range(4)]
    found = reversed_(correlate([run(tmp_path / "a", trials)]).matrices[0], "latency_ms", "throughput_ips")
    assert (found.count, found.pairs) == (0, 6)


def test_integers_have_a_matrix_of_their_own_where_they_are_enough(tmp_path: Path) -> None:
    mixed = [*five(), *(entry(9 + n, {"flops": 1.0 + n, "latency_ms": 9.0 - n}, "int8") for n in range(3))]
    whole, floats, integers = correlate([run(tmp_path / "a", mixed)]).matrices
    assert (whole.trials, floats.trials, integers.trials) == (8, 5, 3)
    assert (integers.pairs, integers.reason) == ((), "4 networks are needed, found 3")
    assert linear(floats, "flops", "latency_ms").value == pytest.approx(8.9 / (10 * 10.648) ** 0.5)
    assert linear(whole, "flops", "latency_ms").trials == 8


def test_rejected_failed_and_repeated_trials_are_left_out_and_counted(tmp_path: Path) -> None:
    more = [entry(5, {}, state="rejected"), entry(6, {}, state="failed"), entry(7, {}, state="failed"), five()[0]]
    found = correlate([run(tmp_path / "a", [*five(), *more])])
    assert found.matrices[0].trials == 5
    assert found.left_out == {"rejected": 1, "failed": 2, "repeated": 1}


def test_a_file_that_was_timed_twice_is_one_network(tmp_path: Path) -> None:
    again = [entry(n, {"latency_ms": float(n)}, sha256="same") for n in (8, 9)]
    found = correlate([run(tmp_path / "a", [*five(), *again])])
    assert (found.matrices[0].trials, found.left_out) == (6, {"repeated": 1})
    found = correlate([run(tmp_path / "b", [entry(1, {"latency_ms": 3.0}, sha256="same")]), tmp_path / "a"])
    assert (found.matrices[0].trials, found.left_out) == (6, {"repeated": 2})
    assert [one.trials for one in found.runs] == [1, 6]


def test_runs_of_one_setting_are_one_matrix_and_others_are_set_apart(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a", five()), run(tmp_path / "b", five("int8"))
    other = run(tmp_path / "c", five("bfloat16"), network="other")
    slower = run(tmp_path / "d", five("float16"), threads=2)
    found = correlate([other, first, second, slower, first])
    assert (found.network, found.matrices[0].trials) == ("net", 10)
    apart = {Path(one.run).name: one.apart for one in found.runs}
    assert apart["a"] is apart["b"] is None
    assert apart["c"] == "another network (other)"
    assert (apart["d"] or "").startswith("another target (")


def test_all_runs_of_a_comparison_are_read_and_a_shared_evaluation_counts_once(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "c", {"random": five(), "tpe": [five()[0], entry(7, {"latency_ms": 7.0})]})
    found = correlate([folder])
    assert (found.matrices[0].trials, found.left_out) == (6, {"repeated": 1})


def test_what_cannot_be_correlated_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    failed = run(tmp_path / "f", [entry(0, {}, state="failed")])
    few = run(tmp_path / "g", five()[:3])
    cases = {
        tmp_path / "empty": "expected the folder of a finished search or comparison",
        tmp_path / "nothing": "found nothing there",
        failed: "expected at least 4 finished trials with different networks, found none",
        few: "found 3;",
    }
    for folder, words in cases.items():
        with pytest.raises(RunFolderError, match=words) as error:
            correlate([folder])
        assert "\n" not in str(error.value)
        assert str(folder) in str(error.value)


def test_a_comparison_without_its_record_of_the_machine_stands_alone(tmp_path: Path) -> None:
    folders = [comparison(tmp_path / name, {"random": five()}) for name in ("c", "d")]
    for folder in folders:
        (folder / "manifest.json").unlink()
    found = correlate(folders)
    assert [run.apart for run in found.runs] == [None, "it does not say what it was measured on"]
    shutil.rmtree(folders[1] / "runs")
    assert correlate(folders).matrices[0].trials == 5


def test_reversals_are_those_of_a_plain_count_of_all_pairs() -> None:
    draws = generator(3, "reversals")
    rows = draws.integers(0, 9, (23, 2)).astype(float)
    trials = [
        MeasuredTrial("r", n, {"macs": x, "throughput_ips": y}, {}, False, str(n)) for n, (x, y) in enumerate(rows)
    ]
    found = reversals(trials, Column.of(trials, "macs"), Column.of(trials, "throughput_ips"))
    pairs = [(a, b) for a, b in combinations(rows, 2) if a[0] != b[0] and a[1] != b[1]]
    against = [min(abs(a - b) / np.ptp(rows, axis=0)) for a, b in pairs if (a[0] < b[0]) != (a[1] > b[1])]
    assert (found.pairs, found.count, found.undecided) == (len(pairs), len(against), 23 * 22 / 2 - len(pairs))
    assert [one.strength for one in found.striking] == pytest.approx(sorted(against, reverse=True)[:3])
    for one in found.striking:
        better, worse = one.first.values, one.second.values
        assert better["macs"] < worse["macs"]
        assert better["throughput_ips"] < worse["throughput_ips"]
