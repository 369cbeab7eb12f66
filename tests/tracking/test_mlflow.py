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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from moco.tracking.background import BackgroundReporter
from moco.tracking.database import file_address
from moco.tracking.mlflow import MLflowReporter
from moco.tracking.mlflow_parent import ParentRun
from tests.tracking import made_trials

MANIFEST = {
    "name": "made",
    "seed": 3,
    "config": {
        "searcher": {"name": "nsga2", "population": 20},
        "space": {f"group{n}": {"keep": n} for n in range(150)},
    },
    "problem": {"objectives": {"top1_error": "minimize", "cost": "minimize"}},
    "versions": {"moco": "0.1.0"},
}
RESULT = {
    "experiment": "made",
    "searcher": "nsga2",
    "seed": 3,
    "reference": {},
    "trials": 12,
    "feasible": 5,
    "best": {"trial": 3, "policy": {"groups": {}}, "metrics": {"latency_ms": 0.7}, "score": 0.4},
    "front": [{"trial": 3}],
    "hypervolume": {"value": 0.25},
    "certificate": {"statement": "top-1 error at most 12 %", "holds": True, "lower_bound": 0.88, "confidence": 0.95},
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
    _network(folder / "best" / "model.onnx")
    return folder


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
    problem = made_trials.problem()
    trials = [made_trials.trial(number, problem) for number in range(12)]
    console = io.StringIO()
    with redirect_stderr(console), redirect_stdout(console):
        first = MLflowReporter(uri, "experiments", "made")
        first.start(MANIFEST, folder)
        for trial in trials[:6]:
            first.report(trial)
        resumed = BackgroundReporter(MLflowReporter(uri, "experiments", "made"), "mlflow", close_timeout_s=120)
        resumed.start(MANIFEST, folder)
        for trial in trials:
            resumed.report(trial)
        resumed.finish(RESULT, folder)
    return Shown(uri, folder, resumed.warnings, console.getvalue(), before)


def test_a_new_store_and_a_search_are_written_without_a_word(shown: Shown) -> None:
    assert shown.warnings == ()
    assert shown.console == ""


def test_a_resumed_search_is_one_parent_with_a_nested_run_for_each_trial(shown: Shown) -> None:
    assert shown.parent().info.status == "FINISHED"
    assert [run.data.tags["moco.trial"] for run in shown.children()] == [str(number) for number in range(12)]
    assert len(shown.client.search_runs([shown.parent().info.experiment_id])) == 13


def test_the_parent_holds_the_configuration_and_the_result(shown: Shown) -> None:
    data = shown.parent().data

    assert data.params["searcher.name"] == "nsga2"
    assert data.params["space.group149.keep"] == "149"
    assert data.metrics["best/metrics/latency_ms"] == 0.7
    assert data.metrics["hypervolume/value"] == 0.25
    assert data.tags["moco.certificate"] == "top-1 error at most 12 %"


def test_a_nested_run_holds_its_trial(shown: Shown) -> None:
    problem = made_trials.problem()
    trial = made_trials.trial(1, problem)
    assert trial.outcome is not None
    run = shown.children()[1]

    assert run.info.run_name == "trial 1"
    assert run.data.metrics["loss/cost"] == trial.outcome.losses[1]
    assert run.data.metrics["feasible"] == float(trial.feasible)
    assert run.data.params["layer1.precision"] == trial.point["layer1.precision"]
    assert run.data.params["policy"] == (trial.policy.text if trial.policy else None)
    assert run.info.end_time - run.info.start_time == pytest.approx(1340, abs=2)


def test_the_status_of_a_nested_run_tells_complete_rejected_and_failed_apart(shown: Shown) -> None:
    runs = shown.children()

    assert [runs[number].info.status for number in (5, 6, 10)] == ["FINISHED", "KILLED", "FAILED"]
    assert runs[10].data.tags["moco.reason"] == "out of memory"


def test_the_files_of_the_run_are_artefacts_beside_the_store(shown: Shown) -> None:
    parent = shown.parent().info

    names = {file.path for file in shown.client.list_artifacts(parent.run_id)}
    assert names == {"experiment.yaml", "manifest.json", "result.json", "report.html", "best"}
    assert [file.path for file in shown.client.list_artifacts(parent.run_id, "best")] == ["best/certificate.json"]
    assert parent.artifact_uri.startswith((shown.folder.parent / "mlflow_artifacts").as_uri())
    assert {path.name for path in Path().iterdir()} == shown.working_folder_before


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
    other = MLflowReporter(shown.uri, "experiments", "again")

    other.start(MANIFEST, tmp_path)

    assert json.loads((tmp_path / "mlflow.json").read_text())["run_id"] != shown.parent().info.run_id


def test_an_abandoned_search_is_closed_and_its_resumption_opens_it_again(shown: Shown, tmp_path: Path) -> None:
    first, resumed = (MLflowReporter(shown.uri, "abandoned", "made") for _ in range(2))
    first.start(MANIFEST, tmp_path)
    run = json.loads((tmp_path / "mlflow.json").read_text())["run_id"]
    first.abandon()
    assert shown.client.get_run(run).info.status == "KILLED"

    resumed.start(MANIFEST, tmp_path)
    assert shown.client.get_run(run).info.status == "RUNNING"


def test_a_resumed_search_whose_run_was_deleted_starts_another(shown: Shown, tmp_path: Path) -> None:
    MLflowReporter(shown.uri, "deleted", "made").start(MANIFEST, tmp_path)
    first = json.loads((tmp_path / "mlflow.json").read_text())["run_id"]
    shown.client.delete_run(first)

    MLflowReporter(shown.uri, "deleted", "made").start(MANIFEST, tmp_path)

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
    reporter = BackgroundReporter(MLflowReporter(f"http://me:secret@127.0.0.1:{port}", "experiments", "made"), "mlflow")

    reporter.start(MANIFEST, tmp_path)
    reporter.report(made_trials.trial(0, made_trials.problem()))
    reporter.finish(RESULT, tmp_path)

    [warning] = reporter.warnings
    assert f"no answer from http://127.0.0.1:{port}" in warning
    assert "1 of 1 trials" in warning


def test_a_server_that_never_answers_is_given_up_after_the_probe(tmp_path: Path, silent_server: int) -> None:
    reporter = MLflowReporter(f"http://127.0.0.1:{silent_server}", "experiments", "made", probe_timeout_s=0.1)

    with pytest.raises(ConnectionError, match="timed out"):
        reporter.start(MANIFEST, tmp_path)


def test_the_note_of_a_run_holds_no_password_whatever_characters_it_has() -> None:
    parent = ParentRun("postgresql://me:12/hunter2?b@h/d?password=a;b", "experiments", "made")
    assert parent._address()["tracking_uri"] == "postgresql://h/d?password=***"


def test_a_store_is_in_its_folder_whatever_that_is_called(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    base = tmp_path / "a?b %20{c}"
    address, folder = file_address(base / "mlflow.db"), run_folder(base / "run")
    reporter = MLflowReporter(address, "experiments", "made")
    reporter.start(MANIFEST, folder)
    reporter.abandon()
    experiment = MlflowClient(address.value).get_experiment_by_name("experiments")

    assert (base / "mlflow.db").is_file()
    assert experiment is not None
    assert experiment.artifact_location == (base / "mlflow_artifacts").as_uri()


def test_a_store_that_cannot_be_written_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    uri = f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}"
    reporter = BackgroundReporter(MLflowReporter(uri, "experiments", "made"), "mlflow")

    reporter.start(MANIFEST, tmp_path)
    reporter.finish(RESULT, tmp_path)

    assert len(reporter.warnings) == 1


def test_reporting_leaves_no_thread_behind(shown: Shown, tmp_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate()}
    reporter = BackgroundReporter(MLflowReporter(shown.uri, "threads", "made"), "mlflow")
    reporter.start(MANIFEST, tmp_path)
    reporter.finish(RESULT, shown.folder)

    assert {thread.name for thread in threading.enumerate()} - before == set()


_FIRST_IMPORT = """
import os, sys
from pathlib import Path
from moco.tracking.mlflow import MLflowReporter
reporter = MLflowReporter("sqlite:///" + sys.argv[1] + "/file/mlflow.db", "a", "b")
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
    reporter = MLflowReporter(server, "experiments", "made")
    for _ in range(240):
        try:
            reporter.start(MANIFEST, folder)
            break
        except ConnectionError:
            time.sleep(0.5)

    reporter.report(made_trials.trial(1, made_trials.problem()))
    reporter.finish(RESULT, folder)

    shown = Shown(server, folder, (), "", set())
    [output] = shown.parent().outputs.model_outputs
    assert capfd.readouterr() == ("", "")
    assert shown.client.get_logged_model(output.model_id).status == "READY"
    assert [run.info.status for run in shown.children()] == ["FINISHED"]
