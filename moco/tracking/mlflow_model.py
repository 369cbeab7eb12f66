"""The delivered network as a model of MLflow's: its file, signature, example and classes, registered where asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moco.tracking.mlflow_parent import ParentRun

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature
    from onnx import ModelProto

MOST_NUMBERS = 200_000
"""Of an example, which MLflow keeps as text, twice: an image of 3 x 256 x 256 makes 4 MB. Larger ones are left out."""

_SHA256 = "moco.sha256"


@dataclass(frozen=True)
class ModelTerms:
    """How the delivered network becomes a model.

    Attributes:
        distributions: packages that it needs beside onnx and numpy: those of its target.
        example: gives one image as the network takes it, float32 (1, channels, height, width); None gives none.
        registered: the name in the model registry that each delivery is a new version of; None registers nothing.
    """

    distributions: tuple[str, ...] = ()
    example: Callable[[], NDArray[np.float32]] | None = None
    registered: str | None = None


def log_model(parent: ParentRun, file: Path, sha256: str, terms: ModelTerms, about: Mapping[str, Any]) -> None:
    """Make the ONNX file a model, as an output of the parent run: load it as `models:/<id>`.

    `about` is JSON that goes into the model's metadata. A file that the run has as a model already is left as it is.
    """
    if sha256 in _known(parent):
        return
    from mlflow.entities import LoggedModelOutput

    client = parent.client
    model = client.create_logged_model(
        parent.experiment_id, name="model", source_run_id=parent.id, tags={_SHA256: sha256}
    )
    client.log_outputs(parent.id, [LoggedModelOutput(model.model_id, step=0)])
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        _save(folder, file, parent.id, model, terms, about)
        client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    if terms.registered is not None:
        _register(parent, terms.registered, model, sha256)


def _known(parent: ParentRun) -> set[str | None]:
    """Hashes of the finished models of the parent run."""
    outputs = parent.client.get_run(parent.id).outputs
    models = [parent.client.get_logged_model(output.model_id) for output in outputs.model_outputs] if outputs else []
    return {model.tags.get(_SHA256) for model in models if model.status == "READY"}


def _save(
    folder: Path, file: Path, run_id: str, model: LoggedModel, terms: ModelTerms, about: Mapping[str, Any]
) -> None:
    import mlflow.onnx
    import onnx
    from mlflow.models import Model

    network = onnx.load(str(file))
    mlflow.onnx.save_model(
        network,
        str(folder),
        mlflow_model=Model(artifact_path=model.artifact_location, run_id=run_id, model_id=model.model_id),
        signature=_signature(network),
        input_example=_example(terms.example),
        metadata=dict(about),
        # Without a list MLflow starts another process to find out what the model imports.
        pip_requirements=[f"{package}=={version(package)}" for package in ("onnx", *terms.distributions, "numpy")],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
    shutil.copyfile(file, folder / file.name)  # the file that was scored and timed, not a re-encoding of it
    for text in folder.glob("*example.json"):  # written with a line a number
        text.write_text(json.dumps(json.loads(text.read_text(encoding="utf-8"))), encoding="utf-8")


def _example(given: Callable[[], NDArray[np.float32]] | None) -> NDArray[np.float64] | None:
    """The image in the shortest decimals that are the same float32, for it is kept as text; None where too large."""
    image = None if given is None else given()
    if image is None or image.size > MOST_NUMBERS:
        return None
    return image.astype(np.float32).astype(str).astype(np.float64)


def _register(parent: ParentRun, name: str, model: LoggedModel, sha256: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        parent.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # By the place of its files: MLflow looks a `models:/<id>` up at its global address, which is another one.
    place, tags = model.artifact_location, {_SHA256: sha256}
    parent.client.create_model_version(name, place, parent.id, tags, await_creation_for=0, model_id=model.model_id)


def _signature(network: ModelProto) -> ModelSignature:
    """float32 in and out, by the file's own names; sizes that are free there are -1."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(values: object) -> Schema:
        return Schema([TensorSpec(np.dtype(np.float32), _shape(value), value.name) for value in values])  # type: ignore[attr-defined]

    return ModelSignature(inputs=schema(network.graph.input), outputs=schema(network.graph.output))


def _shape(value: object) -> tuple[int, ...]:
    dimensions = value.type.tensor_type.shape.dim  # type: ignore[attr-defined]
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else -1 for d in dimensions)
