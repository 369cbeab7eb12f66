"""A comparison in MLflow: a parent run, a nested run a strategy and seed with its curves; down, it is a warning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moco.run_folder.comparison_record import ComparisonRecord, RunRecord
from moco.run_folder.manifest import Manifest
from moco.run_folder.result import TrialsAndSeconds
from moco.tracking.mlflow_comparison import MLflowComparison

MANIFEST = Manifest(name="made", seed=0, config={"budget": {"trials": 3}}, versions={"moco": "1"})
NEVER = {"seeds": 0}
CONTENT = ComparisonRecord.from_json(
    {
        "format": 1, "name": "made", "complete": True, "budget": {"trials": 3}, "seeds": [0, 1], "searchers": {},
        "problem": {"objectives": {}, "bounds": [], "parameters": 1}, "equal": {"trials": 3}, "alpha": 0.05,
        "primary": "score", "seeds_needed": 6, "runs": [], "warnings": [],
        "summary": {
            "tpe": {
                "seeds": 2, "score_at_equal_trials": 0.5, "first_feasible": NEVER, "beyond_start": NEVER,
                "distinct": 3.0, "charged_s": 1.5,
            }
        },
        "tests": {
            "score_at_equal_trials": {
                "quantity": "score",
                "axis": "trials",
                "friedman": {"statistic": 1.0, "p": 0.25, "agreement": 0.5, "seeds": 2, "mean_ranks": {}},
                "pairs": [
                    {
                        "first": "tpe", "second": "random", "verdict": "cannot tell", "seeds": 2, "wins": 1, "ties": 0,
                        "losses": 1, "p": 0.4, "p_holm": 0.5, "a12": 0.5, "rank_biserial": 0.0,
                    }
                ],
            }
        },
    }
)  # fmt: skip
CURVES = {"best_score": {2: 0.1, 3: 0.4}, "hypervolume": {1: 0.0, 2: 0.2, 3: 0.3}}


def run(searcher: str, seed: int, state: str = "finished", trials: int = 3) -> RunRecord:
    return RunRecord(
        searcher=searcher, seed=seed, state=state, trials=trials, distinct=3, feasible=2, rejected=0, failed=0,
        stored=0,
        values={"score": 0.4, "hypervolume": 0.3}, first_feasible=TrialsAndSeconds(trials=2, seconds=0.5),
        charged_s=1.5, spent_s=1.5,
    )  # fmt: skip


def tracker(base: Path) -> MLflowComparison:
    uri = f"sqlite:///{base / 'mlflow.db'}"
    return MLflowComparison(uri, "experiments", "made", lambda content: "One cannot tell.")


class Store:
    """What the store holds of the comparison in `base`."""

    def __init__(self, base: Path) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(f"sqlite:///{base / 'mlflow.db'}")
        self.parent = self.client.get_run(json.loads((base / "mlflow.json").read_text())["run_id"])
        info = self.parent.info
        runs = self.client.search_runs([info.experiment_id], f"tags.`mlflow.parentRunId` = '{info.run_id}'")
        self.nested = {found.info.run_name: found for found in runs}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Broken off after two runs, one of them failed; continued with one more trial in one of them."""
    base = tmp_path_factory.mktemp("mlflow")
    (base / "compare.json").write_text("{}")
    first = tracker(base)
    first.start(MANIFEST, base)
    first.report(run("tpe", 0), {"options": {"startup": 10}}, CURVES)
    first.report(run("random", 0, "failed"), {"options": {}}, CURVES)
    again = tracker(base)
    again.start(MANIFEST, base)
    again.report(run("tpe", 0), {"options": {"startup": 10}}, CURVES)
    longer = {name: {**history, 4: 0.9} for name, history in CURVES.items()}
    again.report(run("random", 0, trials=4), {"options": {}}, longer)
    again.report(run("tpe", 1), {"options": {"startup": 10}}, CURVES)
    again.finish(CONTENT, base)
    assert (first.warnings, again.warnings) == ((), ())
    return base


def test_there_is_one_parent_and_one_nested_run_each(base: Path) -> None:
    store = Store(base)
    assert set(store.nested) == {"tpe, seed 0", "random, seed 0", "tpe, seed 1"}
    assert store.parent.info.status == "FINISHED"
    assert store.parent.data.metrics["summary/tpe/score_at_equal_trials"] == 0.5
    assert store.parent.data.metrics["tests/score_at_equal_trials/friedman"] == 0.25
    assert store.parent.data.params["budget.trials"] == "3"
    assert store.parent.data.tags["mlflow.note.content"] == "One cannot tell."


def test_summaries_and_tests_are_tables(base: Path) -> None:
    store = Store(base)
    run = store.parent.info.run_id
    names = {file.path for file in store.client.list_artifacts(run)}
    tables = {name: store.client.download_artifacts(run, f"{name}.json") for name in ("strategies", "tests")}
    rows = {name: json.loads(Path(path).read_text()) for name, path in tables.items()}

    assert names == {"compare.json", "strategies.json", "tests.json"}
    assert rows["strategies"]["data"][0][:2] == ["tpe", 2]
    assert [row[:3] for row in rows["tests"]["data"]] == [
        ["score_at_equal_trials", "all", "all"],
        ["score_at_equal_trials", "tpe", "random"],
    ]


def test_a_nested_run_has_its_options_its_numbers_and_its_curves(base: Path) -> None:
    store = Store(base)
    found = store.nested["tpe, seed 1"]
    assert found.data.params == {"searcher": "tpe", "seed": "1", "options.startup": "10"}
    assert found.data.metrics["first_feasible/trials"] == 2
    history = store.client.get_metric_history(found.info.run_id, "best_score")
    assert {point.step: point.value for point in history} == CURVES["best_score"]
    assert found.data.tags["moco.seed"] == "1"


def test_a_run_that_went_on_is_the_same_nested_run_with_more_trials(base: Path) -> None:
    store = Store(base)
    found = store.nested["random, seed 0"]
    assert (found.info.status, found.data.tags["moco.trials"]) == ("FINISHED", "4")
    history = store.client.get_metric_history(found.info.run_id, "best_score")
    assert max(point.step for point in history) == 4


def test_a_server_that_is_down_is_one_warning_and_nothing_else(tmp_path: Path) -> None:
    down = MLflowComparison("http://127.0.0.1:9", "experiments", "made", lambda content: "", probe_timeout_s=0.5)
    down.start(MANIFEST, tmp_path)
    down.report(run("tpe", 0), {}, CURVES)
    down.finish(CONTENT, tmp_path)
    (warning,) = down.warnings
    assert warning.startswith("MLflow: ConnectionError: no answer from http://127.0.0.1:9")
    assert "complete without it" in warning
