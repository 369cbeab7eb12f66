from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import known_answers
from benchmarks.known_answers import behaviour, cell, code_of, modules_of, searched, table, volume
from benchmarks.problems.known import KNOWN


def run(searcher: str, share: float, problem: str = "zdt1") -> dict[str, Any]:
    return {"searcher": searcher, "problem": problem, "share": share, "milliseconds": 2.0}


def command(monkeypatch: pytest.MonkeyPatch, out: Path, seeds: int, searchers: str = "random,sobol") -> None:
    arguments = f"--searchers {searchers} --problems branin --trials 5 --seeds {seeds} --out {out}"
    monkeypatch.setattr(sys, "argv", ["known_answers", *arguments.split()])
    known_answers.main()


def test_a_benchmark_that_was_broken_off_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, ran = tmp_path / "runs.jsonl", []

    def counted(*arguments: Any) -> dict[str, float]:
        ran.append(arguments)
        return searched(*arguments)

    monkeypatch.setattr(known_answers, "searched", counted)
    command(monkeypatch, out, seeds=1)
    command(monkeypatch, out, seeds=2)
    assert [(name, seed) for name, *_, seed in ran] == [("random", 0), ("sobol", 0), ("random", 1), ("sobol", 1)]
    assert len(out.read_text().splitlines()) == 4
    assert "| sobol | 2 |" in capsys.readouterr().out


def test_runs_of_other_code_are_run_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "runs.jsonl"
    command(monkeypatch, out, seeds=1)
    stale = [{**json.loads(line), "code": "other"} for line in out.read_text().splitlines()]
    out.write_text("".join(json.dumps(line) + "\n" for line in stale))
    command(monkeypatch, out, seeds=1)
    assert len(out.read_text().splitlines()) == 4


def test_what_is_asked_is_shown_and_random_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several tables stand on one file."""
    out = tmp_path / "runs.jsonl"
    command(monkeypatch, out, seeds=1)
    command(monkeypatch, out, seeds=1, searchers="uniform")
    shown = capsys.readouterr().out.rpartition("After 5 trials:")[2]
    assert "| uniform | 1 |" in shown
    assert "| random | 1 |" in shown
    assert "sobol" not in shown


def test_the_code_of_a_searcher_is_that_of_all_it_stands_on() -> None:
    assert code_of("nsga2") != code_of("nsga3")
    assert code_of("nsga2") == code_of("nsga2")
    searchers = "moco.searchers"
    assert set(modules_of("botorch")) == {
        f"{searchers}.{module}"
        for module in (
            "botorch",
            "models.axes",
            "models.botorch_models",
            "models.torch_draws",
            "shared.criteria",
            "shared.option_checks",
            "shared.proposals",
        )
    }


def test_texts_are_no_part_of_what_code_does() -> None:
    plain = behaviour("def f():\n    return 1\n")
    assert behaviour('"""Says."""\ndef f():  # why\n    """One."""\n    return 1\n') == plain
    assert behaviour("def f():\n    return 2\n") != plain


def test_releases_of_python_agree_on_what_code_does() -> None:
    read = "('Module', ('body', [('FunctionDef', ('name', 'f'), ('args', ('arguments',)), ('body', [('Pass',)]))]))"
    assert behaviour("def f(): pass") == read, "without type_params (3.12) and empty lists (shown before 3.13)"


def test_the_table_tells_what_is_larger_than_random() -> None:
    found = [run("random", 0.1 * n) for n in range(5)] + [run("tpe", 0.9 + 0.01 * n) for n in range(5)]
    lines = list(table(found, trials=100))
    assert lines[0] == "After 100 trials:"
    assert lines[4] == "| random | 5 | 2.0 | 0.2000 |"
    assert lines[5] == "| tpe | 5 | 2.0 | **0.9200** (0.004) |", "1 / C(10, 5) = 0.004"


def test_a_searcher_that_takes_no_seed_counts_as_one_run() -> None:
    assert cell([0.9] * 10, [0.1, 0.2, 0.3], "uniform") == "0.9000 (0.25)"


def test_the_volume_of_a_single_loss_is_what_lies_below_the_reference() -> None:
    assert volume([(3.0,), (5.0,)], (80.0,)) == 77.0
    assert volume([], (80.0,)) == 0.0


def test_a_run_tells_its_share_of_the_known_volume() -> None:
    found = searched("random", KNOWN["zdt1"], trials=20, seed=0)
    assert 0.2 < found["share"] < 1
    assert found["milliseconds"] > 0
