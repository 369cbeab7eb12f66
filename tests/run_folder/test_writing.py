"""The run folder: who may use it, and files that are whole or not there."""

from __future__ import annotations

import csv
import errno
import json
import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from moco.errors import ConfigError, RunFolderError
from moco.interfaces import Artifact
from moco.run.session import claim
from moco.run_folder.manifest import Manifest
from moco.run_folder.writing import (
    clear,
    open_run_folder,
    opened,
    write_json,
    write_network,
    write_text,
    write_trials,
    write_weights,
)
from moco.trial import Evaluation, MetricValue, Outcome, Suggestion, Trial, TrialState
from tests.policies import policy_of

FINGERPRINT = {"settings": "a", "network": "b", "data": "c"}


@pytest.mark.parametrize("name", ["study.db", "manifest.json", "result.json"])
def test_a_folder_with_a_search_is_for_resuming_only(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(RunFolderError, match="holds results already; continue them with --resume"):
        open_run_folder(tmp_path, resume=False)
    open_run_folder(tmp_path, resume=True)


def test_a_new_folder_is_made_and_one_with_other_things_is_taken(tmp_path: Path) -> None:
    open_run_folder(tmp_path / "a" / "b", resume=False)
    (tmp_path / "a" / "b" / "notes.txt").write_text("mine", encoding="utf-8")
    open_run_folder(tmp_path / "a" / "b", resume=False)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["notes.txt"]


def test_resuming_nothing_is_refused_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="nothing to resume"):
        open_run_folder(tmp_path / "typo", resume=True)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("written", [False, True])
def test_a_refusal_leaves_no_empty_folder(tmp_path: Path, written: bool) -> None:
    def refused() -> None:
        with opened(tmp_path / "run", resume=False):
            if written:
                (tmp_path / "run" / "manifest.json").write_text("{}", encoding="utf-8")
            raise ConfigError("refused")

    with pytest.raises(ConfigError, match="refused"):
        refused()
    assert (tmp_path / "run").exists() is written
    (tmp_path / "run").mkdir(exist_ok=True)
    if not written:
        with pytest.raises(ConfigError, match="refused"):
            refused()
    assert (tmp_path / "run").exists(), "a folder of the user's own stays"


def test_a_claim_names_what_differs(tmp_path: Path) -> None:
    assert claim(tmp_path, FINGERPRINT) is None
    manifest = {"name": "mine", "fingerprint": FINGERPRINT, "reference": {"latency_ms": 1.5}}
    write_json(tmp_path / "manifest.json", manifest)
    assert claim(tmp_path, FINGERPRINT) == Manifest.from_json(manifest)
    with pytest.raises(RunFolderError, match=r"another experiment \('mine'\): other network and data;"):
        claim(tmp_path, {**FINGERPRINT, "network": "x", "data": "y"})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fingerprint": "old"}', "\udcff"])
def test_a_manifest_that_moco_did_not_write_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunFolderError, match=r"manifest\.json: "):
        claim(tmp_path, FINGERPRINT)


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "below" / "result.json"
    write_json(path, {"a": "ä"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ä"}

    def full(self: Path, *_: Any, **__: Any) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunFolderError, match=r"result\.json: cannot be written: No space left on device"):
        write_text(path, "half")
    assert [left.name for left in path.parent.iterdir()] == ["result.json"]
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ä"}


def trials() -> list[Trial]:
    policy = policy_of({"conv": (3, 8)}, {"conv": "int8"})
    evaluation = Evaluation({"top1_error": MetricValue(0.25, 0.01), "size_mb": MetricValue(1.5)})
    start = Suggestion(-1, {"conv.keep": 0.4}, {"start": "reference"})
    return [
        Trial(
            0, start, TrialState.COMPLETE, {"conv.keep": 0.375}, policy, evaluation,
            Outcome((0.25, 0.5), (None, None), (-1.0,)), score=-0.5, seconds=2.0,
        ),
        Trial(1, Suggestion(0, {"conv.keep": 0.1}), TrialState.REJECTED, {"conv.keep": 0.1}, reason="too, thin\n!"),
    ]  # fmt: skip


def test_trials_are_written_for_people_and_for_programs(tmp_path: Path) -> None:
    write_trials(tmp_path, trials(), ["top1_error", "cost"])
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["number"], first["origin"], first["state"], first["feasible"]) == (
        "0",
        "reference",
        "complete",
        "True",
    )
    assert (first["top1_error"], first["loss.cost"], first["conv.keep"]) == ("0.25", "0.5", "0.375")
    assert (second["state"], second["reason"], second["score"]) == ("rejected", "too, thin\n!", "")
    records = json.loads((tmp_path / "trials.json").read_text(encoding="utf-8"))
    assert records[0]["policy"] == {"conv": {"filter_pruning": {"keep": 3, "of": 8}, "precision": "int8"}}
    assert records[0]["evaluation"]["metrics"]["top1_error"] == [0.25, 0.01]
    assert records[1]["evaluation"] is None
    write_trials(tmp_path, [], ["top1_error"])
    assert json.loads((tmp_path / "trials.json").read_text(encoding="utf-8")) == []


def test_errors_before_recovery_are_columns_where_they_are_known(tmp_path: Path) -> None:
    complete, rejected = trials()
    assert complete.evaluation is not None
    scored = replace(complete.evaluation, details={"before_recovery": {"top1_error": 0.75}})
    write_trials(tmp_path, [replace(complete, evaluation=scored), rejected], ["top1_error"])
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["before_recovery.top1_error"] for row in rows] == ["0.75", ""]
    write_trials(tmp_path, trials(), ["top1_error"])
    assert "before_recovery" not in (tmp_path / "trials.csv").read_text(encoding="utf-8")


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight


def test_a_network_is_written_beside_its_file(tmp_path: Path) -> None:
    (tmp_path / "built.onnx").write_bytes(b"graph")
    artifact = Artifact(tmp_path / "built.onnx", sha256(b"graph").hexdigest(), 5)
    policy = policy_of({"conv": (3, 8)}, {})
    write_network(tmp_path / "best", artifact, policy, "tied", Tied())
    assert (tmp_path / "best" / "model.onnx").read_bytes() == b"graph"
    assert json.loads((tmp_path / "best" / "policy.json").read_text(encoding="utf-8")) == {
        "format": 1, "network": "tied", "groups": {"conv": {"filter_pruning": {"keep": 3, "of": 8}}},
    }  # fmt: skip
    with safe_open(tmp_path / "best" / "network.safetensors", "pt") as file:
        assert set(file.keys()) == {"first.weight", "first.bias", "second.weight", "second.bias"}
        assert torch.equal(file.get_tensor("first.weight"), file.get_tensor("second.weight"))
        assert file.metadata()["network"] == "tied"
    assert len({path.stat().st_mode for path in (tmp_path / "best").iterdir()}) == 1, "whoever reads one reads all"
    clear(tmp_path / "best")
    clear(tmp_path / "best")
    assert not (tmp_path / "best").exists()


def test_a_network_that_cannot_be_written_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "built.onnx").write_bytes(b"graph")
    artifact = Artifact(tmp_path / "built.onnx", sha256(b"graph").hexdigest(), 5)
    policy = policy_of({}, {})
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_network(tmp_path / "built.onnx" / "best", artifact, policy, "tied")

    whole = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "network.safetensors" not in path.name:
            return whole(path, content)
        whole(path, content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunFolderError, match=r"network\.safetensors: cannot be written: No space left on device"):
        write_network(tmp_path / "best", artifact, policy, "tied", Tied())
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["model.onnx", "policy.json"]


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    """The library writes metadata in another order each time."""
    network, metadata = nn.Linear(3, 2), {name: f"of {name}: ü" for name in ("policy", "network", "mean", "labels")}
    files = [tmp_path / f"{number}.safetensors" for number in range(6)]
    for file in files:
        write_weights(file, network, metadata)
    assert len({file.read_bytes() for file in files}) == 1
    with safe_open(files[0], "pt") as content:
        assert content.metadata() == metadata
        assert torch.equal(content.get_tensor("weight"), network.weight)
