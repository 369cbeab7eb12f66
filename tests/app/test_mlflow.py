"""A whole search as MLflow shows it: few numbers to compare by, its front, its networks by name, its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moco.report.importance_numbers import CURVES
from moco.tracking.shown_search import MOST_METRICS
from tests.app import tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> tuple[Any, Any, list[Any], dict[str, Any]]:
    """Client, parent run, nested runs and result.json of a tiny search of eight trials."""
    from mlflow import MlflowClient

    base = tmp_path_factory.mktemp("tracked")
    uri = f"sqlite:///{base / 'mlflow.db'}"
    yaml = tiny.write(
        base / "tiny.yaml",
        model={"weights": str(weights)},
        tracking={"mlflow": {"uri": uri, "registered_model": "tiny digits"}},
    )
    done = tiny.moco("search", yaml, "--out", base / "run")
    assert done.exit_code == 0, done.output
    result = tiny.read(base / "run" / "result.json")
    assert not [warning for warning in result["warnings"] if "MLflow" in warning]
    client = MlflowClient(uri)
    parent = client.get_run(tiny.read(base / "run" / "mlflow.json")["run_id"])
    nested = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    return client, parent, nested, result


def test_the_parent_has_at_most_40_metrics_and_what_decided(shown: tuple[Any, Any, list[Any], dict[str, Any]]) -> None:
    _, parent, _, result = shown
    numbers = parent.data.metrics
    decided = {name for name in numbers if name.startswith(("importance/", "correlation/"))}

    assert 20 <= len(numbers.keys() - decided) <= MOST_METRICS == 40
    assert 0 < len(decided) <= 2 * CURVES
    assert numbers["front_size"] == len(result["front"])
    assert numbers["hypervolume"] == pytest.approx(result["hypervolume"]["value"])
    assert numbers["best_score"] == pytest.approx(max(t["score"] for t in result["baselines"] + [result["best"]]))
    assert numbers["ratio/size_mb"] < 1


def test_nested_runs_are_named_by_origin_and_policy(shown: tuple[Any, Any, list[Any], dict[str, Any]]) -> None:
    _, _, nested, result = shown
    names = {int(run.data.tags["moco.trial"]): run.info.run_name for run in nested}

    assert names[0] == "0 reference"
    assert all(name.startswith(str(number)) for number, name in names.items())
    searched = [run.info.run_name for run in nested if run.data.tags["moco.origin"] == "search"]
    assert all(" random: " in name for name in searched)
    assert len(nested) == result["distinct"]
    assert {number for number in names if _is_marked(nested, number)} == {entry["trial"] for entry in result["front"]}


def _is_marked(nested: list[Any], number: int) -> bool:
    tags = next(run.data.tags for run in nested if run.data.tags["moco.trial"] == str(number))
    return bool(tags.get("moco.front") == "true")


def test_the_front_lies_there_with_its_files(shown: tuple[Any, Any, list[Any], dict[str, Any]]) -> None:
    client, parent, _, result = shown
    run = parent.info.run_id

    folders = {Path(file.path).name for file in client.list_artifacts(run, "front")}
    assert folders == {str(entry["trial"]) for entry in result["front"]}
    assert {"best/model.onnx", "best/card.md"} <= {file.path for file in client.list_artifacts(run, "best")}
    table = tiny.read(Path(client.download_artifacts(run, "front.json")))
    files = {row[table["columns"].index("file")] for row in table["data"]}
    assert "best/model.onnx" in files
    assert len(files - {None}) == len(result["front"]) + (result["best"]["trial"] not in map(int, folders))


def test_its_model_is_a_version_with_an_example(shown: tuple[Any, Any, list[Any], dict[str, Any]]) -> None:
    client, parent, _, result = shown

    [version] = client.search_model_versions("name = 'tiny digits'")
    assert (version.run_id, version.tags["moco.sha256"]) == (parent.info.run_id, result["best"]["sha256"])
    assert {entry.tags[0].value for entry in parent.inputs.dataset_inputs} >= {"search", "certification"}
    assert (parent.data.tags["moco.searcher"], parent.data.tags["moco.data"]) == ("random", "digits")
