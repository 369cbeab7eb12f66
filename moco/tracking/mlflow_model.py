"""A network as a model of MLflow: the shipped file, byte for byte, with its signature."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature
    from onnx import ModelProto


def log_onnx_model(
    client: MlflowClient, experiment_id: str, run_id: str, file: Path, distributions: Sequence[str] = ()
) -> str:
    """Id of the model that the ONNX file becomes, as an output of the run: load it as `models:/<id>`.

    Args:
        distributions: packages of the target that runs the file, installed here.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    model = client.create_logged_model(experiment_id, name="model", source_run_id=run_id)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        description = Model(artifact_path=model.artifact_location, run_id=run_id, model_id=model.model_id)
        _save(file, folder, description, distributions)
        client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def _save(file: Path, folder: Path, description: object, distributions: Sequence[str]) -> None:
    import mlflow.onnx
    import onnx

    network = onnx.load(str(file))
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
