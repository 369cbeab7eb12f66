"""`moco correlate`: the table, the JSON, the files, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.app.tiny import moco, one_line
from tests.comparison.correlation.made import GOLDEN, entry, five, run


def test_it_prints_the_matrix_of_a_real_search_and_writes_the_page(tmp_path: Path) -> None:
    result = moco("correlate", GOLDEN, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "Pearson below, Spearman above the diagonal" in result.stdout
    assert "n/a: energy, modelled energy, power, load time, first answer" in result.stdout
    assert result.stdout.count("rank reversal: ") == 3
    assert str(tmp_path / "out" / "correlations.html") in result.stdout
    assert (tmp_path / "out" / "correlations.json").exists()


def test_without_a_folder_nothing_is_written_and_the_json_is_all(tmp_path: Path) -> None:
    source = run(tmp_path / "a", five())
    result = moco("correlate", source, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert [matrix["networks"] for matrix in data["matrices"]] == ["all", "floats", "integers"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    quiet = moco("correlate", source, "--quiet")
    assert quiet.stdout.startswith("parameters and latency: ")


def test_errors_are_one_line(tmp_path: Path) -> None:
    assert "neither result.json nor compare.json" in one_line(moco("correlate", tmp_path), 2)
    failed = run(tmp_path / "f", [entry(0, {}, state="failed")])
    assert "found none" in one_line(moco("correlate", failed), 2)
    few = run(tmp_path / "g", five()[:3])
    assert "expected at least 4 finished trials" in one_line(moco("correlate", few), 2)
