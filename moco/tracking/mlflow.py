"""Shows a search in MLflow: a parent run for the search, a nested run for each trial, the chosen network as a model.

It may raise and may take seconds; the search reaches it through `moco.tracking.background`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from moco.run_folder.manifest import Manifest
from moco.run_folder.result import Result
from moco.secret import Secret
from moco.tracking import mlflow_values as values
from moco.tracking.mlflow_parent import ParentRun
from moco.trial import Trial, TrialState

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature
    from onnx import ModelProto

_FILES = ("experiment.yaml", "manifest.json", "result.json", "trials.csv", "report.html")
_BEST_FILES = ("policy.json", "certificate.json", "card.md")
_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.REJECTED: "KILLED", TrialState.FAILED: "FAILED"}
_TRIAL = "moco.trial"


class MLflowReporter:
    """Writes a search to an MLflow store or server (`moco.interfaces.Reporter`)."""

    def __init__(
        self,
        tracking_uri: str | Secret,
        experiment_name: str,
        run_name: str,
        probe_timeout_s: float = 3.0,
        distributions: tuple[str, ...] = (),
    ) -> None:
        """Nothing is imported, connected or written before `start`; arguments as for `ParentRun`.

        `distributions` are packages that the chosen network needs beside onnx and numpy: those of its target.
        """
        self._distributions = distributions
        self._parent = ParentRun(tracking_uri, experiment_name, run_name, probe_timeout_s)
        self._losses: list[str] = []
        self._written: set[int] = set()

    def start(self, manifest: Mapping[str, Any], folder: Path) -> None:
        """Open the parent run, or to resume RUN/mlflow.json's again; a ConnectionError where no server answers."""
        begun = Manifest.from_json(manifest)
        self._losses = list(begun.problem.objectives)
        ended = self._parent.open(folder, values.search_tags(begun), values.search_params(begun))
        self._written |= {int(tags[_TRIAL]) for tags in ended}

    def report(self, trial: Trial) -> None:
        """Write a trial as a nested run; one that is there already is left as it is."""
        if trial.number in self._written:
            return
        now = round(time.time() * 1000)
        with self._parent.working():
            began = now - round(trial.seconds * 1000)
            run = self._parent.nested(f"trial {trial.number}", began, values.trial_tags(trial))
            self._parent.log(run, values.trial_metrics(trial, self._losses), values.trial_params(trial))
            self._parent.client.set_terminated(run, _STATUS[trial.state], end_time=now)
        self._written.add(trial.number)

    def finish(self, result: Mapping[str, Any], folder: Path) -> None:
        """Write the result, the files of the run folder and the chosen network, and end the parent run."""
        parent, found = self._parent, Result.from_json(result)
        with parent.last():
            parent.log(parent.id, metrics=values.result_metrics(found))
            if found.certificate is not None and found.certificate.statement:
                parent.client.set_tag(parent.id, "moco.certificate", found.certificate.statement[: values.MAX_TAG])
            parent.client.set_terminated(parent.id)  # before the files: one that fails leaves no run "running"
            for name in _FILES:
                parent.log_file(folder / name)
            for name in _BEST_FILES:
                parent.log_file(folder / "best" / name, "best")
            if (network := folder / "best" / "model.onnx").is_file():
                _log_onnx_model(parent.client, parent.experiment_id, parent.id, network, self._distributions)

    def abandon(self) -> None:
        """End the parent run as killed; a search that is resumed opens it again."""
        with self._parent.last():
            self._parent.client.set_terminated(self._parent.id, "KILLED")


def _log_onnx_model(
    client: MlflowClient, experiment_id: str, run_id: str, file: Path, distributions: Sequence[str]
) -> None:
    """Make the ONNX file a model, as an output of the run: load it as `models:/<id>`."""
    import mlflow.onnx
    import onnx
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    network = onnx.load(str(file))
    model = client.create_logged_model(experiment_id, name="model", source_run_id=run_id)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        description = Model(artifact_path=model.artifact_location, run_id=run_id, model_id=model.model_id)
        mlflow.onnx.save_model(
            network,
            str(folder),
            mlflow_model=description,
            signature=_signature(network),
            # Without a list MLflow starts another process to find out what the model imports.
            pip_requirements=[f"{package}=={version(package)}" for package in ("onnx", *distributions, "numpy")],
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,
        )
        shutil.copyfile(file, folder / "model.onnx")  # the file that was scored and timed, not a re-encoding of it
        client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")


def _signature(network: ModelProto) -> ModelSignature:
    """float32 in and out, by the file's own names; sizes that are free there are -1."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(values: object) -> Schema:
        return Schema([TensorSpec(np.dtype(np.float32), _shape(value), value.name) for value in values])  # type: ignore[attr-defined]

    return ModelSignature(inputs=schema(network.graph.input), outputs=schema(network.graph.output))


def _shape(value: object) -> tuple[int, ...]:
    dimensions = value.type.tensor_type.shape.dim  # type: ignore[attr-defined]
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else -1 for d in dimensions)
