"""A short run of the fuzzer (benchmarks/fuzz.py), and that it would see a fault."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.fuzz import Tally, run
from benchmarks.fuzzing import kinds, soundness
from benchmarks.fuzzing.kinds import KINDS, Checked, Experiments
from benchmarks.fuzzing.mutations import mutated_bytes, mutated_text, mutated_values
from benchmarks.fuzzing.responses import function_response
from benchmarks.fuzzing.workbench import Workbench


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("bench"))


def faults(tallies: list[Tally]) -> dict[str, Any]:
    return {case: checked.faults for tally in tallies for case, checked in tally.faulty.items()}


@pytest.mark.slow
def test_a_short_run_finds_nothing(bench: Workbench) -> None:
    tallies = run({"experiments": 30, "policies": 4}, 3, bench)
    assert [tally.count for tally in tallies] == [30, 4]
    assert faults(tallies) == {}


@pytest.mark.slow
def test_a_longer_run_finds_nothing(bench: Workbench) -> None:
    assert faults(run({"experiments": 100, "policies": 40, "leftovers": 12}, 2, bench)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_what_was_not_mutated_is_taken(name: str, bench: Workbench) -> None:
    kind = KINDS[name](bench)
    for number in range(3):
        checked = kind.check(f"0/{name}/{number}", [])
        assert checked.faults == ()
        assert "exit 0" in checked.ended or "exit 3" in checked.ended


def raising() -> None:
    raise ValueError("no error of moco's")


def sleeping() -> None:
    time.sleep(5)


UNEXPECTED = "moco: an error that moco did not expect: "


@pytest.mark.parametrize(
    ("function", "limit_s", "told"),
    [
        (raising, 10.0, "ValueError: no error"),
        (sleeping, 0.1, "HangError: nothing came"),
    ],
)
def test_an_error_that_nobody_expected_and_a_hang_are_faults(function: Any, limit_s: float, told: str) -> None:
    faults = function_response(function, limit_s=limit_s).faults()
    assert [fault for fault in faults if fault.startswith(UNEXPECTED + told)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: -1", "seed = -1 outside 0..9.0072e+15"),
        ("budget: {trials: true}", "budget.trials = True outside"),
        ("bugdet: {}", "unknown key 'bugdet' in ''"),
        ("seed: 1\nseed: 2", "the key 'seed' stands twice"),
        ("objective: {weights: {size_mb: .inf}}", ".objective.weights.size_mb: inf"),
        ("name: 2020-01-01", ".name: a date"),
    ],
)
def test_nonsense_in_an_experiment_is_seen(text: str, told: str) -> None:
    assert any(told in what for what in soundness.of_experiment(text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"format": true, "groups": {}}', "format True"),
        ('{"format": 1, "groups": {"a": {}, "a": {}}}', "a key stands twice"),
        ('{"format": 1, "groups": {"a": {"filter_pruning": {"keep": 9, "of": 8}}}}', "a.filter_pruning: keep 9 of 8"),
        ('{"format": 1, "groups": {"a": {"weight_bits": NaN}}}', ".groups.a.weight_bits: nan"),
    ],
)
def test_nonsense_in_a_policy_is_seen(text: str, told: str) -> None:
    assert any(told in what for what in soundness.of_policy(text))


def test_a_fault_is_told_with_as_few_mutations_as_give_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def check(_: Experiments, case: str, seeds: Any) -> Checked:
        return Checked(("broken",) if f"{case}/1" in seeds else (), "exit 0", 0.0, "")

    monkeypatch.setattr(kinds.Experiments, "check", check)
    kind = Experiments(Workbench(tmp_path))
    assert kind.minimised("c", ["c/0", "c/1", "c/2"]) == ["c/1"]


@pytest.mark.parametrize(
    ("mutated", "value"),
    [(mutated_values, {"a": [1, {"b": "x"}]}), (mutated_text, "a: 1\nb: 2\n"), (mutated_bytes, b"abcdef" * 9)],
)
def test_a_mutation_is_a_function_of_its_seed(mutated: Any, value: Any) -> None:
    assert repr(mutated(value, Random("7"))) == repr(mutated(value, Random("7")))
    assert len({repr(mutated(value, Random(str(n)))) for n in range(20)}) > 10
