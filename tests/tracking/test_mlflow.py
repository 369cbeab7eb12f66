"""A search in a real MLflow store: its runs, what they hold, the model that loads; and servers that are down."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from moco.comparison.importance import importance_of
from moco.run.presentation import ReportWords
from moco.run_folder.reading import read_run
from moco.run_folder.writing import write_trials
from moco.secret import Secret
from moco.tracking.background import BackgroundReporter
from moco.tracking.database import file_address
from moco.tracking.mlflow import MLflowReporter
from moco.tracking.mlflow_model import ModelTerms, _example
from moco.tracking.mlflow_parent import ParentRun
from tests.tracking import made_trials

MANIFEST: dict[str, Any] = {
    "name": "made",
    "searcher": "nsga2",
    "seed": 3,
    "network": {"name": "a network"},
    "data": {"splits": {name: {"images": 200, "hash": name * 8} for name in ("search", "certification")}},
    "config": {
        "searcher": {"name": "nsga2", "population": 20},
        "data": {"source": "digits"},
        "objective": {"protocol": "accuracy-guaranteed"},
        "target": {"runtime": "onnxruntime"},
        "space": {f"group{n}": {"keep": n} for n in range(150)},
    },
    "problem": {"objectives": {"top1_error": "minimize", "cost": "minimize"}},
    "versions": {"moco": "0.1.0"},
}
TRIALS = [made_trials.trial(number, made_trials.problem()) for number in range(12)]


def _entry(number: int) -> dict[str, Any]:
    trial = TRIALS[number]
    assert trial.policy is not None
    assert trial.evaluation is not None
    metrics = {name: metric.value for name, metric in trial.evaluation.metrics.items()}
    return {"trial": number, "policy": trial.policy.settings, "metrics": metrics}


RESULT = {
    "experiment": "made",
    "description": {"classes": list("abcdefghij"), "size": [8, 8]},
    "searcher": "nsga2",
    "seed": 3,
    "objectives": ["top1_error", "cost"],
    "reference": {"top1_error": 0.08, "latency_ms": 1.25},
    "trials": 12,
    "feasible": 5,
    "best": {**_entry(3), "score": 0.4, "feasible": True, "sha256": "ab" * 32},
    "front": [_entry(3), _entry(5)],
    "hypervolume": {"value": 0.25, "reference_point": [1.0, 1.0]},
    "certificate": {
        "statement": "top-1 error at most 12 %",
        "holds": True,
        "floor": 0.87,
        "lower_bound": 0.88,
        "confidence": 0.95,
        "attempts": [{"trial": 3, "holds": True}],
    },
}


def _network(file: Path) -> None:
    """A tiny classifier: the mean over each channel, times a matrix."""
    weight = np.arange(30, dtype=np.float32).reshape(3, 10)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
        ],
        "made",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)


def run_folder(folder: Path) -> Path:
    """A finished run folder."""
    (folder / "best").mkdir(parents=True)
    (folder / "experiment.yaml").write_text("name: made\n")
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    (folder / "result.json").write_text(json.dumps(RESULT))
    (folder / "report.html").write_text("<!doctype html><title>made</title>")
    (folder / "best" / "certificate.json").write_text(json.dumps(RESULT["certificate"]))
    written = [replace(trial, point={name: value.item() for name, value in trial.point.items()}) for trial in TRIALS]
    write_trials(folder, written, MANIFEST["problem"]["objectives"])
    for delivered in ("best", "front/3", "front/5"):
        (folder / delivered).mkdir(parents=True, exist_ok=True)
        _network(folder / delivered / "model.onnx")
    return folder


def reporter(uri: str | Secret, experiment: str = "experiments", **more: Any) -> MLflowReporter:
    """A reporter that registers what it delivers, with an image as its example."""
    example = np.linspace(-2, 2, 192, dtype=np.float32).reshape(1, 3, 8, 8)
    return MLflowReporter(uri, experiment, "made", ReportWords(), ModelTerms((), lambda: example, "tiny"), **more)


@dataclass
class Shown:
    """A search that was shown in a store, the store's address, the warnings and what the console saw of it."""

    uri: str
    folder: Path
    warnings: tuple[str, ...]
    console: str
    working_folder_before: set[str]

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def parent(self) -> Any:
        return self.client.get_run(json.loads((self.folder / "mlflow.json").read_text())["run_id"])

    def children(self) -> list[Any]:
        parent = self.parent().info
        found = self.client.search_runs([parent.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.run_id}'")
        return sorted(found, key=lambda run: int(run.data.tags["moco.trial"]))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Twelve trials, shown through the background thread as a search does; killed after six, and resumed."""
    base = tmp_path_factory.mktemp("mlflow")
    uri, folder = f"sqlite:///{base / 'mlflow.db'}", run_folder(base / "run")
    before = {path.name for path in Path().iterdir()}
    console = io.StringIO()
    with redirect_stderr(console), redirect_stdout(console):
        first = reporter(uri)
        first.start(MANIFEST, folder)
        for trial in TRIALS[:6]:
            first.report(trial)
        resumed = BackgroundReporter(reporter(uri), "mlflow", close_timeout_s=120)
        resumed.start(MANIFEST, folder)
        for trial in TRIALS:
            resumed.report(trial)
        resumed.finish(RESULT, folder)
    return Shown(uri, folder, resumed.warnings, console.getvalue(), before)


def test_a_new_store_and_a_search_are_written_without_a_word(shown: Shown) -> None:
    assert shown.warnings == ()
    assert shown.console == ""


def test_a_resumed_search_is_one_parent_with_a_nested_run_for_each_network(shown: Shown) -> None:
    distinct = [str(trial.number) for trial in TRIALS if trial.distinct]
    assert shown.parent().info.status == "FINISHED"
    assert [run.data.tags["moco.trial"] for run in shown.children()] == distinct
    assert len(distinct) == 10
    assert len(shown.client.search_runs([shown.parent().info.experiment_id])) == 11


def test_the_parent_holds_the_configuration_and_the_result(shown: Shown) -> None:
    data = shown.parent().data

    assert data.params["searcher.name"] == "nsga2"
    assert data.params["space.group149.keep"] == "149"
    assert data.metrics["best/latency_ms"] == _entry(3)["metrics"]["latency_ms"]
    assert data.metrics["ratio/latency_ms"] == data.metrics["best/latency_ms"] / 1.25
    assert (data.metrics["front_size"], data.metrics["certificate/lower_bound"]) == (2, 0.88)
    assert data.tags["moco.certificate"] == "top-1 error at most 12 %"


def test_the_parent_is_found_by_its_tags_and_says_its_verdict(shown: Shown) -> None:
    tags = {"network": "a network", "protocol": "accuracy-guaranteed", "target": "onnxruntime", "data": "digits"}
    tags |= {"searcher": "nsga2", "seed": "3", "version": "0.1.0", "experiment": "made", "verdict": "certified"}
    wanted = " and ".join(f"tags.`moco.{name}` = '{text}'" for name, text in (tags | {"certified": "true"}).items())
    [found] = shown.client.search_runs([shown.parent().info.experiment_id], wanted)

    assert found.info.run_id == shown.parent().info.run_id
    assert found.data.tags["mlflow.note.content"].startswith("a network at ")
    assert "the floor of 87.00 % holds" in found.data.tags["mlflow.note.content"]


def test_curves_have_a_value_after_each_trial_also_of_a_search_that_was_delivered_twice(shown: Shown) -> None:
    again = reporter(shown.uri)
    again.start(MANIFEST, shown.folder)
    again.finish(RESULT, shown.folder)

    history = shown.client.get_metric_history(shown.parent().info.run_id, "hypervolume")
    assert sorted(point.step for point in history) == list(range(1, 13))
    assert len(shown.parent().outputs.model_outputs) == 1


def _front(shown: Shown) -> list[dict[str, Any]]:
    return _table(shown, "front.json")


def _table(shown: Shown, name: str) -> list[dict[str, Any]]:
    [artefact] = [file for file in shown.client.list_artifacts(shown.parent().info.run_id) if file.path == name]
    table = json.loads(Path(shown.client.download_artifacts(shown.parent().info.run_id, artefact.path)).read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def test_the_front_is_a_table_a_page_files_and_tags(shown: Shown) -> None:
    chosen, other, reference = _front(shown)

    told = [[row[name] for name in ("role", "trial", "certified", "file")] for row in (chosen, other)]
    assert told == [["chosen", 3, True, "best/model.onnx"], ["front", 5, None, "front/5/model.onnx"]]
    assert (reference["role"], reference["top-1 (%)"]) == ("reference", 92)
    run = shown.parent().info.run_id
    for name in ("front.html", *(row["file"] for row in (chosen, other))):
        assert Path(shown.client.download_artifacts(run, name)).stat().st_size > 0
    marked = {run.data.tags["moco.trial"] for run in shown.children() if run.data.tags.get("moco.front") == "true"}
    assert marked == {"3", "5"}


def test_what_decided_the_score_is_a_table_and_curves_after_each_result(shown: Shown) -> None:
    trials = read_run(shown.folder).trials
    found = importance_of(trials)
    rows, run = _table(shown, "importance.json"), shown.parent().info.run_id

    assert [(row["parameter"], row["importance"]) for row in rows] == [(p.name, p.share) for p in found.parameters]
    assert any(row["importance"] is not None for row in rows)
    assert [row["correlation"] for row in rows] == [one.correlation.value for one in found.parameters]
    first = found.parameters[0]
    for kind, last in (("importance", first.share), ("correlation", first.correlation.value)):
        history = shown.client.get_metric_history(run, f"{kind}/{first.name}")
        steps = {point.step: point.value for point in history}
        assert steps[max(steps)] == pytest.approx(last)
        assert len(steps) > 1
    told = sorted(trials, key=lambda trial: trial.number)
    [early] = [one for one in importance_of(told[: min(steps)]).parameters if one.name == first.name]
    assert steps[min(steps)] == pytest.approx(early.correlation.value)


def test_the_table_is_read_with_mlflow(shown: Shown, address: str) -> None:
    table = shown.client.load_table(shown.parent().info.experiment_id, "front.json", [shown.parent().info.run_id])
    assert list(table["trial"])[:2] == [3, 5]


def test_the_splits_are_data_sets_without_their_images(shown: Shown) -> None:
    found = {entry.tags[0].value: entry.dataset for entry in shown.parent().inputs.dataset_inputs}

    assert {name: (entry.name, entry.digest) for name, entry in found.items()} == {
        "search": ("digits", "search" * 6),
        "certification": ("digits", ("certification" * 8)[:36]),
    }
    assert json.loads(found["search"].profile)["images"] == 200


def test_a_nested_run_holds_its_trial(shown: Shown) -> None:
    problem = made_trials.problem()
    trial = made_trials.trial(1, problem)
    assert trial.outcome is not None
    run = shown.children()[1]

    assert run.info.run_name.startswith("1 nsga2: ")
    assert run.data.metrics["loss/cost"] == trial.outcome.losses[1]
    assert run.data.metrics["feasible"] == float(trial.feasible)
    assert run.data.params["layer1.precision"] == trial.point["layer1.precision"]
    assert run.data.params["policy"] == (trial.policy.text if trial.policy else None)
    assert run.info.end_time - run.info.start_time == pytest.approx(1340, abs=2)


def test_the_status_of_a_nested_run_tells_complete_rejected_and_failed_apart(shown: Shown) -> None:
    runs = {int(run.data.tags["moco.trial"]): run for run in shown.children()}

    assert [runs[number].info.status for number in (5, 6, 10)] == ["FINISHED", "KILLED", "FAILED"]
    assert (runs[0].info.run_name, runs[6].info.run_name) == ("0 reference", "6 nsga2: rejected")
    assert runs[10].data.tags["moco.reason"] == "out of memory"


def test_the_files_of_the_run_are_artefacts_beside_the_store(shown: Shown) -> None:
    parent = shown.parent().info

    names = {file.path for file in shown.client.list_artifacts(parent.run_id)}
    files = {"experiment.yaml", "manifest.json", "result.json", "trials.csv", "report.html", "front.json", "front.html"}
    files.add("importance.json")
    assert names == {*files, "best", "front"}
    best = {file.path for file in shown.client.list_artifacts(parent.run_id, "best")}
    assert best == {"best/certificate.json", "best/model.onnx"}
    assert parent.artifact_uri.startswith((shown.folder.parent / "mlflow_artifacts").as_uri())
    assert {path.name for path in Path().iterdir()} == shown.working_folder_before


def test_a_network_of_another_form_is_a_file_and_no_model(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    for file in folder.glob("*/**/model.onnx"):
        file.rename(file.with_suffix(".tflite"))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    made = reporter(uri)
    made.start(MANIFEST, folder)
    made.finish(RESULT, folder)

    shown = Shown(uri, folder, (), "", set())
    run = shown.parent().info.run_id
    assert {file.path for file in shown.client.list_artifacts(run, "best")} == {
        "best/certificate.json",
        "best/model.tflite",
    }
    assert {file.path for file in shown.client.list_artifacts(run, "front/5")} == {"front/5/model.tflite"}
    assert not shown.parent().outputs or not shown.parent().outputs.model_outputs


@pytest.fixture
def address(shown: Shown) -> Iterator[str]:
    """Address of the logged model, MLflow's own address being that of the store."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(shown.uri)
    [output] = shown.parent().outputs.model_outputs
    yield f"models:/{output.model_id}"
    mlflow.set_tracking_uri(before)


def test_the_model_loads_by_its_address_and_predicts_as_the_shipped_file(shown: Shown, address: str) -> None:
    import mlflow.onnx
    import mlflow.pyfunc
    import onnxruntime

    images = np.random.default_rng(0).standard_normal((5, 3, 8, 8)).astype(np.float32)
    shipped = shown.folder / "best" / "model.onnx"
    [expected] = onnxruntime.InferenceSession(str(shipped)).run(["logits"], {"input": images})

    predicted = mlflow.pyfunc.load_model(address).predict(images)

    np.testing.assert_array_equal(predicted["logits"], expected)
    assert mlflow.onnx.load_model(address).graph.output[0].name == "logits"


def test_the_model_is_registered_with_its_classes_and_an_example(shown: Shown, address: str) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model("models:/tiny/1")
    info = mlflow.models.get_model_info(address)
    example = model.input_example["input"]

    assert model.metadata.metadata["classes"] == list("abcdefghij")
    assert (model.metadata.metadata["trial"], info.metadata["sha256"]) == (3, "ab" * 32)
    np.testing.assert_array_equal(example, np.linspace(-2, 2, 192, dtype=np.float32).reshape(1, 3, 8, 8))
    assert example.dtype == np.float32
    assert model.predict(example)["logits"].shape == (1, 10)


def test_an_image_that_is_too_large_for_text_is_no_example() -> None:
    assert _example(lambda: np.zeros((1, 3, 224, 224), np.float32)) is not None
    assert _example(lambda: np.zeros((1, 3, 512, 512), np.float32)) is None


def test_the_model_is_the_shipped_file_with_its_signature(shown: Shown, address: str) -> None:
    import mlflow

    local = Path(mlflow.artifacts.download_artifacts(address))
    signature = mlflow.models.get_model_info(address).signature

    [given], [returned] = signature.inputs.inputs, signature.outputs.inputs
    assert (given.name, given.type, given.shape) == ("input", np.dtype("float32"), (-1, 3, 8, 8))
    assert (returned.name, returned.type, returned.shape) == ("logits", np.dtype("float32"), (-1, 10))
    assert (local / "model.onnx").read_bytes() == (shown.folder / "best" / "model.onnx").read_bytes()
    assert shown.client.get_logged_model(address.removeprefix("models:/")).status == "READY"


def test_a_run_folder_that_was_made_anew_gets_a_run_of_its_own(shown: Shown, tmp_path: Path) -> None:
    other = reporter(shown.uri)

    other.start(MANIFEST, tmp_path)

    assert json.loads((tmp_path / "mlflow.json").read_text())["run_id"] != shown.parent().info.run_id


def test_an_abandoned_search_is_closed_and_its_resumption_opens_it_again(shown: Shown, tmp_path: Path) -> None:
    first, resumed = (reporter(shown.uri, "abandoned") for _ in range(2))
    first.start(MANIFEST, tmp_path)
    run = json.loads((tmp_path / "mlflow.json").read_text())["run_id"]
    first.abandon()
    assert shown.client.get_run(run).info.status == "KILLED"

    resumed.start(MANIFEST, tmp_path)
    assert shown.client.get_run(run).info.status == "RUNNING"


def test_a_resumed_search_whose_run_was_deleted_starts_another(shown: Shown, tmp_path: Path) -> None:
    reporter(shown.uri, "deleted").start(MANIFEST, tmp_path)
    first = json.loads((tmp_path / "mlflow.json").read_text())["run_id"]
    shown.client.delete_run(first)

    reporter(shown.uri, "deleted").start(MANIFEST, tmp_path)

    second = json.loads((tmp_path / "mlflow.json").read_text())["run_id"]
    assert second != first
    assert shown.client.get_run(second).data.params["seed"] == "3"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_server() -> Iterator[int]:
    """Port of a server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_server_that_is_down_costs_one_warning(tmp_path: Path) -> None:
    port = _free_port()
    shown = BackgroundReporter(reporter(f"http://me:secret@127.0.0.1:{port}"), "mlflow")

    shown.start(MANIFEST, tmp_path)
    shown.report(TRIALS[0])
    shown.finish(RESULT, tmp_path)

    [warning] = shown.warnings
    assert f"no answer from http://127.0.0.1:{port}" in warning
    assert "1 of 1 trials" in warning


def test_a_server_that_never_answers_is_given_up_after_the_probe(tmp_path: Path, silent_server: int) -> None:
    silent = reporter(f"http://127.0.0.1:{silent_server}", probe_timeout_s=0.1)

    with pytest.raises(ConnectionError, match="timed out"):
        silent.start(MANIFEST, tmp_path)


def test_the_note_of_a_run_holds_no_password_whatever_characters_it_has() -> None:
    parent = ParentRun("postgresql://me:12/hunter2?b@h/d?password=a;b", "experiments", "made")
    assert parent._address()["tracking_uri"] == "postgresql://h/d?password=***"


def test_a_store_is_in_its_folder_whatever_that_is_called(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    base = tmp_path / "a?b %20{c}"
    address, folder = file_address(base / "mlflow.db"), run_folder(base / "run")
    first = reporter(address)
    first.start(MANIFEST, folder)
    first.abandon()
    experiment = MlflowClient(address.value).get_experiment_by_name("experiments")

    assert (base / "mlflow.db").is_file()
    assert experiment is not None
    assert experiment.artifact_location == (base / "mlflow_artifacts").as_uri()


def test_a_store_that_cannot_be_written_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    uri = f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}"
    blocked = BackgroundReporter(reporter(uri), "mlflow")

    blocked.start(MANIFEST, tmp_path)
    blocked.finish(RESULT, tmp_path)

    assert len(blocked.warnings) == 1


def test_reporting_leaves_no_thread_behind(shown: Shown, tmp_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate()}
    threaded = BackgroundReporter(reporter(shown.uri, "threads"), "mlflow")
    threaded.start(MANIFEST, tmp_path)
    threaded.finish(RESULT, shown.folder)

    assert {thread.name for thread in threading.enumerate()} - before == set()


_FIRST_IMPORT = """
import os, sys
from pathlib import Path
from moco.tracking.mlflow import MLflowReporter
reporter = MLflowReporter("sqlite:///" + sys.argv[1] + "/file/mlflow.db", "a", "b", presenter=None)
assert "mlflow" not in sys.modules
before = dict(os.environ)
try:
    reporter.start({}, Path(sys.argv[1]))
except Exception:
    pass
from mlflow.telemetry.client import get_telemetry_client
assert get_telemetry_client() is None
assert not {name for name in set(os.environ) - set(before) if name.startswith("MLFLOW_")}, os.environ
"""


def test_mlflow_is_imported_with_the_search_and_does_not_report_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way: no store is made")
    silent = {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "PYTEST_CURRENT_TEST", "CI"}
    environment = {name: value for name, value in os.environ.items() if name not in silent}

    done = subprocess.run(
        [sys.executable, "-c", _FIRST_IMPORT, str(tmp_path)], env=environment, capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a real tracking server."""
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    stores = [
        f"--backend-store-uri=sqlite:///{tmp_path / 'server.db'}",
        f"--artifacts-destination={tmp_path / 'store'}",
    ]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen([*command, *stores], stdout=log, stderr=log, start_new_session=True)
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()


@pytest.mark.slow
def test_a_tracking_server_takes_the_search_and_the_model_without_a_word(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder(tmp_path / "run")
    served = reporter(server)
    for _ in range(240):
        try:
            served.start(MANIFEST, folder)
            break
        except ConnectionError:
            time.sleep(0.5)

    served.report(TRIALS[1])
    served.finish(RESULT, folder)

    shown = Shown(server, folder, (), "", set())
    [output] = shown.parent().outputs.model_outputs
    assert capfd.readouterr() == ("", "")
    assert shown.client.get_logged_model(output.model_id).status == "READY"
    assert [run.info.status for run in shown.children()] == ["FINISHED"]
    assert [row["role"] for row in _front(shown)] == ["chosen", "front", "reference"]
    assert output.model_id in shown.client.get_model_version("tiny", "1").source
