"""The evaluation store is a cache: what is wrong in it neither ends a search nor becomes a promise."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.app.tiny import moco, read

pytestmark = pytest.mark.slow


@pytest.fixture
def searched(experiment: Any, tmp_path: Path) -> Callable[[str], Path]:
    """Runs the tiny search beside one store; gives its run folder."""

    def run(name: str) -> Path:
        result = moco("search", experiment(store=str(tmp_path / "evaluations.db")), "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        return tmp_path / name

    return run


def tampered(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every row of the store but that of the network that is left as it is."""
    with closing(sqlite3.connect(store, isolation_level=None)) as database:
        for policy, text in database.execute("SELECT policy, evaluation FROM evaluations").fetchall():
            row = json.loads(text)
            if policy != "{}":
                change(row)
                database.execute("UPDATE evaluations SET evaluation = ? WHERE policy = ?", (json.dumps(row), policy))


def exact(run: Path) -> dict[str, Any]:
    """What is counted and scored of each policy of a run."""
    names = "top1_error", "top5_error", "size_mb", "macs"
    trials = [trial for trial in read(run / "trials.json") if trial["state"] == "complete"]
    return {
        json.dumps(trial["policy"]): [trial["evaluation"]["metrics"][name] for name in names]
        + [trial["evaluation"]["artifact_sha256"]]
        for trial in trials
    }


def perfect(row: dict[str, Any]) -> None:
    row["metrics"] |= {"top1_error": [0.0, 0.0], "size_mb": [1e-6, None], "macs": [1.0, None]}


def other_bytes(row: dict[str, Any]) -> None:
    row["artifact_sha256"] = "0" * 64


@pytest.mark.parametrize("change", [perfect, other_bytes])
def test_what_a_store_says_better_than_it_is_becomes_no_promise(
    searched: Callable[[str], Path], tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    true = exact(searched("first"))
    tampered(tmp_path / "evaluations.db", change)
    run = searched("second")
    result, best = read(run / "result.json"), read(run / "best" / "certificate.json")
    found = exact(run)
    promised = [result["best"], *result["front"], *result["baselines"]]
    for entry in promised:
        policy = json.dumps(entry["policy"])
        assert found[policy] == true[policy]
        assert entry["metrics"]["top1_error"] == true[policy][0][0]
        assert entry["metrics"]["size_mb"] == true[policy][2][0]
    assert result["best"]["sha256"] == best["sha256"] == true[json.dumps(result["best"]["policy"])][-1]
    said = [text for text in result["warnings"] if "what the evaluation store said of it does not hold" in text]
    assert said
    if change is perfect:
        assert "top1_error is" in said[0]
        assert "size_mb is" in said[0]
    with closing(sqlite3.connect(tmp_path / "evaluations.db")) as database:
        kept = {policy for (policy,) in database.execute("SELECT policy FROM evaluations")}
    assert not kept & {json.dumps(e["policy"], sort_keys=True, separators=(",", ":")) for e in promised if e["policy"]}


def test_a_search_beside_a_store_that_is_something_else_measures_all_itself(
    searched: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "evaluations.db").write_bytes(b"this is no database" * 100)
    result = read(searched("run") / "result.json")
    (said,) = [text for text in result["warnings"] if "evaluations.db" in text]
    assert said.endswith("move the file away, or set `store: false`")
    assert (tmp_path / "evaluations.db").read_bytes() == b"this is no database" * 100
