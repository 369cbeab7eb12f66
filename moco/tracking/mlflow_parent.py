"""A parent run in MLflow with nested runs: opened, continued, written and ended.

Uses MLflow's client only: no active run, no global tracking address. Everything may raise and may take seconds; those
who call it see to it that no search is hurt.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

from sqlalchemy.engine import make_url

from moco.redaction import starred
from moco.run_folder.manifest import Manifest
from moco.secret import Secret
from moco.tracking import mlflow_values as values
from moco.tracking.messages import quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

NOTE = "mlflow.json"  # in the run folder: which parent run is this folder's

_PARENT, _NOTE_TAG, _TABLES = "mlflow.parentRunId", "mlflow.note.content", "mlflow.loggedArtifacts"
_DIGEST = 36  # characters of a data set's hash that MLflow has room for
_BATCH, _METRICS = 100, 1000  # parameters, and metrics, that a server takes in one call
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # otherwise it reports its use to its makers, from its first import on
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines a run, in the middle of the search's progress
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # of 7, which take four minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",  # of 120 s
}


class ParentRun:
    """One run with nested ones, in a store or on a server."""

    def __init__(
        self, tracking_uri: str | Secret, experiment_name: str, run_name: str, probe_timeout_s: float = 3.0
    ) -> None:
        """Nothing is imported, connected or written before `open`.

        `tracking_uri` is `sqlite:///FILE` or the address of a tracking server, which may take `probe_timeout_s` to
        answer at all; the experiment is created where there is none; `run_name` is that of the parent run.
        """
        self._secret, self._probe_timeout_s = Secret.of(tracking_uri), probe_timeout_s
        self._uri = self._secret.value
        self._experiment_name, self._run_name = experiment_name, run_name
        self._settings = ExitStack()
        self.client: MlflowClient
        self.experiment_id = self.id = ""

    def open(self, folder: Path, manifest: Manifest) -> list[dict[str, str]]:
        """Begin the run, or continue the one that FOLDER/mlflow.json names; a ConnectionError where no server answers.

        A new run has the manifest's tags, its configuration as parameters, and its splits as data sets. Given are
        the tags of each nested run that has ended there already, and its id under `id`.
        """
        self._settings.enter_context(_environment())
        try:
            with self.working():
                return self._open(folder, manifest)
        except BaseException:
            self._settings.close()
            raise

    def close(self) -> None:
        """Take MLflow's settings back; nothing more is written."""
        self._settings.close()

    @contextmanager
    def last(self) -> Iterator[None]:
        """As `working`; afterwards MLflow's settings are taken back."""
        with self._settings, self.working():
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Fail within seconds where a server is down (MLflow itself tries for minutes), and print nothing."""
        if self._uri.startswith(("http://", "https://")):
            _probe(self._uri, self._probe_timeout_s)
        import mlflow  # noqa: F401  sets the levels of its loggers, so it comes before `quiet`

        with quiet("mlflow", "alembic"):
            yield

    def nested(self, name: str, start_ms: int, tags: Mapping[str, str]) -> str:
        """The id of a new nested run."""
        tags = {_PARENT: self.id, "mlflow.source.name": "moco", **tags}
        run = self.client.create_run(self.experiment_id, start_time=start_ms, tags=tags, run_name=name)
        return str(run.info.run_id)

    def log(
        self, run_id: str, metrics: Mapping[str, float] | None = None, params: Mapping[str, str] | None = None
    ) -> None:
        """Write numbers and parameters of a run."""
        from mlflow.entities import Metric, Param

        now = round(time.time() * 1000)
        numbers = [Metric(name, value, now, 0) for name, value in (metrics or {}).items()]
        texts = [Param(name, text) for name, text in (params or {}).items()]
        for at in range(0, max(len(numbers), len(texts)), _BATCH):
            self.client.log_batch(run_id, numbers[at : at + _BATCH], texts[at : at + _BATCH], synchronous=True)

    def log_steps(self, run_id: str, name: str, history: Mapping[int, float]) -> None:
        """Write a metric's history: a value a step. Steps that are there already are left as they are."""
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        there = {point.step for point in self.client.get_metric_history(run_id, name)}
        points = [Metric(name, value, now, step) for step, value in history.items() if step not in there]
        for at in range(0, len(points), _METRICS):
            self.client.log_batch(run_id, points[at : at + _METRICS], synchronous=True)

    def log_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a table of the parent run in place of an earlier one; `mlflow.load_table` reads it.

        A row is its cells by column; a column that a row has not is None there.
        """
        # MLflow's own `log_table` appends to the table of an earlier session.
        columns = list(dict.fromkeys(column for row in rows for column in row))
        cells = [[row.get(column) for column in columns] for row in rows]
        self.client.log_dict(self.id, {"columns": columns, "data": cells}, name)
        tables = json.loads(self.client.get_run(self.id).data.tags.get(_TABLES, "[]"))
        if (entry := {"path": name, "type": "table"}) not in tables:
            self.tag(self.id, {_TABLES: json.dumps([*tables, entry])})

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()], synchronous=True)

    def describe(self, text: str) -> None:
        """What stands on top of the parent run's page."""
        self.tag(self.id, values.as_tags({_NOTE_TAG: text}))

    def log_file(self, file: Path, into: str | None = None) -> None:
        """Write a file of the parent run, where there is one."""
        if file.is_file():
            self.client.log_artifact(self.id, str(file), into)

    def remove_files(self, folder: str, kept: Set[str]) -> None:
        """Remove what lies in a folder of the parent run's files from an earlier session, but for some names."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        old = [file.path for file in self.client.list_artifacts(self.id, folder)]
        stale = [path for path in old if PurePosixPath(path).name not in kept]
        if stale:
            files = get_artifact_repository(self.client.get_run(self.id).info.artifact_uri, self._uri)
            for path in stale:
                files.delete_artifacts(path)  # type: ignore[no-untyped-call]

    def _open(self, folder: Path, manifest: Manifest) -> list[dict[str, str]]:
        from mlflow import MlflowClient

        self.client = MlflowClient(self._uri)
        self.experiment_id = self._experiment()
        if self._continue(folder / NOTE):
            return self._ended()
        tags = {"mlflow.source.name": "moco", "moco.run_folder": str(folder), **values.search_tags(manifest)}
        self.id = self.client.create_run(self.experiment_id, tags=tags, run_name=self._run_name).info.run_id
        self.log(self.id, params=values.search_params(manifest))
        self.client.log_inputs(self.id, _datasets(manifest))
        (folder / NOTE).write_text(json.dumps(self._address(), indent=1), encoding="utf-8")
        return []

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(self._experiment_name)
        if found is not None:
            return str(found.experiment_id)
        return str(self.client.create_experiment(self._experiment_name, _artifacts_beside(self._uri)))

    def _address(self) -> dict[str, str]:
        """Where the run is found again; without the secrets that the address may hold."""
        known = {"tracking_uri": _without_password(self._secret.without_password), "experiment_id": self.experiment_id}
        return {**known, "run_id": self.id}

    def _continue(self, note: Path) -> bool:
        from mlflow.exceptions import MlflowException

        found = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
        self.id = str(found.get("run_id", ""))
        if not found or found != self._address():
            return False
        try:
            self.client.update_run(self.id, status="RUNNING")
        except MlflowException:  # deleted there, or another store at that address
            return False
        return True

    def _ended(self) -> list[dict[str, str]]:
        finished = f"tags.`{_PARENT}` = '{self.id}' and attributes.status != 'RUNNING'"
        ended: list[dict[str, str]] = []
        page = None
        while True:
            runs = self.client.search_runs([self.experiment_id], finished, max_results=1000, page_token=page)
            ended += [{**run.data.tags, "id": run.info.run_id} for run in runs]
            page = runs.token
            if not page:
                return ended


def _datasets(manifest: Manifest) -> list[DatasetInput]:
    """The splits as data sets: name, source and hash, and how many images; the images stay where they are."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name = str(manifest.setting("data", "source") or "data")
    source = json.dumps(manifest.setting("data") or {}, default=str)
    found = []
    for split, record in manifest.data.splits.items():
        if record.hash is None:
            continue
        profile = json.dumps(record.to_json())
        dataset = Dataset(name, record.hash[:_DIGEST], "moco", source, profile=profile)
        found.append(DatasetInput(dataset, [InputTag("mlflow.data.context", split)]))
    return found


@contextmanager
def _environment() -> Iterator[None]:
    """MLflow's settings for which it has no other way, where the user has not set them; taken back in the end."""
    added = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _probe(address: str, timeout_s: float) -> None:
    """Raise where nothing answers at that address; any answer will do, MLflow knows better what it means."""
    host = _without_password(address)
    try:
        with urlopen(f"{host.rstrip('/')}/health", timeout=timeout_s):
            return
    except HTTPError:
        return
    except OSError as error:  # URLError and time-outs among them
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLError):
            return
        raise ConnectionError(f"no answer from {starred(host)} within {timeout_s:g} s ({reason})") from error


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else address


def _artifacts_beside(tracking_uri: str) -> str | None:
    if not tracking_uri.startswith("sqlite:///"):
        return None
    return (Path(make_url(tracking_uri).database or "").resolve().parent / "mlflow_artifacts").as_uri()
