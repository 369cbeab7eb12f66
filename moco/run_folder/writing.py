"""Writing a run folder (design: "Command line, run folder and Python"): each file whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from safetensors.torch import save
from torch import nn

from moco.compression.policy_file import policy_file
from moco.compression.rankings.ranking import USUAL_RANKING
from moco.errors import RunFailedError, RunFolderError
from moco.file_lock import FileLock, holder_of
from moco.interfaces import Artifact
from moco.metrics import METRICS
from moco.policy import Policy
from moco.run_folder.manifest import Manifest
from moco.run_folder.network_file import file_name
from moco.run_folder.trial_record import TrialRecord
from moco.trial import BEFORE_RECOVERY, Trial
from moco.whole_file import write_bytes, writes

COLUMNS = ("number", "origin", "state", "feasible", "distinct", "score", "seconds", "reason")
LEDGER, RESULT, MANIFEST, EXPERIMENT = "study.db", "result.json", "manifest.json", "experiment.yaml"
STUDENT = "student.json"  # what a run that trains a student has found
FINALISTS = "finalists"  # the folder of trained weights
LOCK = ".lock"  # in the run folder while a search runs there
ELSEWHERE = "wait until it ends, or choose another --out"


def open_run_folder(out: Path, resume: bool) -> None:
    """Pass a folder that can be written, and that holds a search only if that is to be resumed; else a RunFolderError.

    A search that died before its first trial has left a folder without a ledger, which --resume takes too.
    """
    if not resume and any((out / name).exists() for name in (LEDGER, MANIFEST, RESULT, STUDENT)):
        raise RunFolderError(f"{out}: holds results already; continue them with --resume or choose another --out")
    if resume and not out.is_dir():
        raise RunFolderError(f"{out}: nothing to resume, there is no such folder; leave --resume out")
    with writes(f"{out}: the run folder"):
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.write_text("", encoding="utf-8")
        probe.unlink()


@contextmanager
def opened(out: Path, resume: bool) -> Iterator[FileLock]:
    """`open_run_folder`, owned alone within; a RunFolderError names the process of another search that runs there.

    What is refused before anything was written leaves no empty run folder.
    """
    refuse_owned(out)
    was_there = out.exists()
    with ExitStack() as stack:
        if not was_there:
            stack.push(lambda kind, *_: _remove_empty(out) if kind is not None else None)
        lock = stack.enter_context(_owned(out)) if out.is_dir() and os.access(out, os.W_OK) else None
        open_run_folder(out, resume)
        yield lock or stack.enter_context(_owned(out))


def refuse_owned(out: Path) -> None:
    """Pass a folder where no search runs, nor in one above it; a RunFolderError names the process of one that does."""
    for folder in (out, *out.resolve().parents):
        if (holder := holder_of(folder / LOCK)) is not None:
            raise RunFolderError(f"{folder}: a search is running there, by {holder}; {ELSEWHERE}")


def _owned(out: Path) -> FileLock:
    """The lock on a run folder that is there, taken."""
    with writes(f"{out}: the run folder"):
        return FileLock(out / LOCK, f"{out}: a search is running there", ELSEWHERE)


def _remove_empty(out: Path) -> None:
    with suppress(OSError):  # something was written, and stays
        out.rmdir()


def forget(out: Path, name: str) -> None:
    """Remove the folder of an earlier search of that name, of nothing else; a RunFolderError where one runs there."""
    if not out.is_dir() or not os.access(out, os.W_OK):
        return
    with _owned(out):
        try:
            manifest = Manifest.read(out / MANIFEST)
        except (OSError, KeyError, TypeError, ValueError):
            return
        if manifest.name != name or not (out / LEDGER).exists():
            return
        for path in out.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)
    _remove_empty(out)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of a text."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: object) -> None:
    """Write `data` as JSON that a person can read."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def read_yaml(path: Path) -> Any:
    """What `write_yaml` has written there; a RunFolderError where it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunFolderError(f"{path}: cannot be read: {type(error).__name__}; choose another --out") from None


def write_yaml(path: Path, data: object) -> None:
    """Write `data` as YAML, keys in their order."""
    write_text(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def write_trials(out: Path, trials: Iterable[Trial], objectives: Iterable[str]) -> None:
    """trials.csv, one row a trial, and trials.json, all that is known of each."""
    names = tuple(objectives)
    records = [TrialRecord.of(trial, names) for trial in trials]
    write_json(out / "trials.json", [record.to_json() for record in records])
    parameters = sorted({name for record in records for name in record.point})
    held = {name for record in records for name in record.metrics}
    metrics = [name for name, metric in METRICS.items() if name in held or not metric.on_request]
    scored = {name for record in records for name in record.before_recovery}
    before = [f"{BEFORE_RECOVERY}.{name}" for name in METRICS if name in scored]
    columns = [*COLUMNS, *(f"loss.{name}" for name in names), *metrics, *before, *parameters]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.row for record in records)
    write_text(out / "trials.csv", text.getvalue())


def write_network(  # noqa: PLR0913, all that a network is delivered with
    folder: Path,
    artifact: Artifact,
    policy: Policy,
    network_name: str,
    network: nn.Module | None = None,
    *,
    ranking: str | Mapping[str, Any] = USUAL_RANKING,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """policy.json, the file, network.safetensors of a given network; a RunFolderError says which cannot be written.

    `metadata` is what the weights say of images and classes, as an ONNX file does.
    """
    write_json(folder / "policy.json", policy_file(policy, network_name, ranking))
    try:
        content = artifact.path.read_bytes()
    except OSError as error:
        raise RunFolderError(f"{artifact.path}: cannot be read: {error.strerror or error}") from None
    if hashlib.sha256(content).hexdigest() != artifact.sha256:
        raise RunFailedError(f"{artifact.path}: is not the file that was scored and timed any more; search again")
    write_bytes(folder / file_name(artifact.path), content)
    if network is not None:
        write_weights(
            folder / "network.safetensors", network, {"policy": policy.text, "network": network_name, **metadata}
        )


def write_weights(path: Path, network: nn.Module, metadata: dict[str, str] | None = None) -> None:
    """The network's tensors as safetensors; a RunFolderError where they cannot be written."""
    # Copies: safetensors refuses tensors that share their memory, as those of tied layers do.
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(path, _in_order(save(tensors, metadata)))  # safetensors' writer leaves what nobody else may read


def _in_order(content: bytes) -> bytes:
    """The same safetensors file with its metadata by name: the library writes them in another order each time."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[end:]


def clear(folder: Path) -> None:
    """Remove a folder of an earlier delivery, so that nothing stale is delivered."""
    shutil.rmtree(folder, ignore_errors=True)
