"""The command line on a finished search: the run folder, the delivered files, and the other commands."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import optuna
import pytest
import torch
import yaml
from safetensors.torch import load_file

import moco as library
from moco.compression.policy_file import read_policy
from moco.data import load_data
from moco.data.sources import SourceOptions
from moco.data.splits import make_splits
from moco.models import build_model
from tests.app.tiny import SPLITS, moco, one_line, read

RESULT_KEYS = {
    "experiment", "searcher", "seed", "reference", "trials", "distinct", "feasible", "best", "front", "hypervolume",
    "certificate", "seconds", "cache",
}  # fmt: skip
STAGES = {"search", "compress", "recover", "export", "score", "measure", "record", "other", "total"}
CERTIFICATE_KEYS = {"statement", "floor", "estimate", "lower_bound", "confidence", "images", "method", "holds"}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def result(finished: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(finished / "result.json")
    return found


@pytest.fixture(scope="module")
def test_split() -> Any:
    """Gives images and labels of a split of the test set."""
    data = load_data("digits", SourceOptions(), None)
    splits = make_splits(data.train.labels, data.test.labels, SPLITS, 0)

    def rows(name: str) -> tuple[np.ndarray, np.ndarray]:
        found = getattr(splits, name)
        return data.test.images(found), data.test.labels[found]

    return rows


def right(file: Path, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(file)
    logits = session.run(["logits"], {"input": images})[0]
    return np.asarray(np.asarray(logits).argmax(axis=1) == labels)


def test_a_trial_has_one_number_everywhere(finished: Path, result: dict[str, Any]) -> None:
    told = read(finished / "trials.json")
    numbers = {trial["number"]: trial["origin"] for trial in told}
    assert list(numbers) == list(range(8))
    ledger = optuna.load_study(storage=f"sqlite:///{finished / 'study.db'}", study_name="tiny")
    assert {trial.number: trial.user_attrs["origin"] for trial in ledger.trials} == numbers
    text = (finished.parent / "stdout.txt").read_text()
    for number, origin, done in re.findall(r"trial (\d+) \(([^)]*)\), (\d+)/8 done", text):
        assert (numbers[int(number)], int(done)) == (origin, int(number) + 1)
    assert f"trial 7 ({numbers[7]}), 8/8 done" in text
    assert {int(path.name) for path in (finished / "front").iterdir() if path.is_dir()} <= numbers.keys()
    held = [attempt["trial"] for attempt in result["certificate"]["attempts"] if attempt["holds"]]
    assert held[-1] == result["best"]["trial"]
    assert f"trial {result['best']['trial']}" in (finished / "report.html").read_text(encoding="utf-8")


def test_a_run_folder_is_complete(finished: Path, result: dict[str, Any]) -> None:
    for name in ("experiment.yaml", "manifest.json", "study.db", "trials.csv", "result.json", "report.html"):
        assert (finished / name).stat().st_size > 0, name
    best = {path.name for path in (finished / "best").iterdir()}
    assert best == {"SHA256SUMS", "policy.json", "model.onnx", "network.safetensors", "certificate.json", "card.md"}
    front = {str(entry["trial"]) for entry in result["front"]}
    assert {path.name for path in (finished / "front").iterdir()} == {*front, "SHA256SUMS"}
    for trial in front:
        assert {path.name for path in (finished / "front" / trial).iterdir()} == {"policy.json", "model.onnx"}
    assert not (finished / ".files").exists()
    assert not list(finished.rglob("*.partial"))


def test_the_result_has_the_keys_that_scripts_rely_on(finished: Path, result: dict[str, Any]) -> None:
    assert set(result) >= RESULT_KEYS
    assert set(result["best"]) >= {"trial", "policy", "metrics", "losses", "score"}
    assert result["front"]
    for entry in result["front"]:
        assert set(entry) == {"trial", "policy", "metrics", "losses"}
    assert set(result["hypervolume"]) == {"value", "reference_point"}
    assert set(result["certificate"]) >= CERTIFICATE_KEYS
    assert set(result["seconds"]) >= STAGES
    assert set(result["cache"]) == {"hits", "misses"}
    assert result["certificate"] == read(finished / "best" / "certificate.json")
    for name in ("top1_error", "latency_ms", "throughput_ips", "size_mb", "parameters", "macs", "bops"):
        assert result["reference"][name] >= 0
        assert result["best"]["metrics"][name] >= 0
    assert (result["experiment"], result["searcher"], result["seed"], result["trials"]) == ("tiny", "random", 0, 8)
    assert result["feasible"] >= 1
    assert result["seconds"]["total"] == pytest.approx(
        sum(value for name, value in result["seconds"].items() if name != "total"), rel=0.05
    )


def test_the_manifest_names_what_the_result_depends_on(finished: Path) -> None:
    manifest = read(finished / "manifest.json")
    assert {"moco", "torch", "onnxruntime", "optuna", "python"} <= set(manifest["versions"])
    assert {name: part["images"] for name, part in manifest["data"]["splits"].items() if name in SPLITS} == SPLITS
    assert manifest["seed"] == 0
    assert manifest["hardware"]


def test_what_was_scored_is_what_is_shipped(finished: Path, result: dict[str, Any], test_split: Any) -> None:
    trials = read(finished / "trials.json")
    best = result["best"]
    digest = sha256(finished / "best" / "model.onnx")
    assert digest == best["sha256"] == result["certificate"]["sha256"]
    assert digest == trials[best["trial"]]["evaluation"]["artifact_sha256"]
    for entry in result["front"]:
        file = finished / "front" / str(entry["trial"]) / "model.onnx"
        assert sha256(file) == trials[entry["trial"]]["evaluation"]["artifact_sha256"]
        assert entry["metrics"]["size_mb"] == file.stat().st_size / 1e6
        images, labels = test_split("search")
        assert 1 - right(file, images, labels).mean() == pytest.approx(entry["metrics"]["top1_error"], abs=1e-12)


def test_the_certificate_is_what_the_shipped_file_does_on_unseen_images(
    finished: Path, result: dict[str, Any], test_split: Any, weights: Path
) -> None:
    images, labels = test_split("certification")
    certificate = result["certificate"]
    of_best = right(finished / "best" / "model.onnx", images, labels)
    reference = build_model("digits_resnet", 10)
    reference.load_state_dict(load_file(weights))
    with torch.no_grad():
        of_reference = reference(torch.from_numpy(images)).argmax(1).numpy() == labels
    assert certificate["images"] == len(labels) == 300
    assert certificate["estimate"] == pytest.approx(of_best.mean() - of_reference.mean(), abs=1e-12)
    assert certificate["lower_bound"] < certificate["estimate"]
    assert certificate["holds"] is (certificate["lower_bound"] >= -0.1)


def test_the_front_is_not_dominated(result: dict[str, Any]) -> None:
    losses = [entry["losses"] for entry in result["front"]]
    for one in losses:
        assert not any(all(a <= b for a, b in zip(other, one, strict=True)) and other != one for other in losses)


def test_a_row_a_trial(finished: Path) -> None:
    with (finished / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(8))
    assert rows[0]["origin"] == "reference"
    assert all(row["state"] == "complete" and float(row["top1_error"]) <= 1 for row in rows)


def test_the_ledger_is_a_plain_optuna_study(finished: Path, result: dict[str, Any]) -> None:
    study = optuna.load_study(storage=f"sqlite:///{finished / 'study.db'}", study_name="tiny")
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.COMPLETE] * 8
    assert [trial.values for trial in study.trials][result["best"]["trial"]] == result["best"]["losses"]


def test_the_resolved_experiment_can_be_searched_again(finished: Path) -> None:
    from moco.experiment.identity import resolved
    from moco.experiment.loading import load_experiment

    written = yaml.safe_load((finished / "experiment.yaml").read_text(encoding="utf-8"))
    assert resolved(load_experiment(finished / "experiment.yaml")) == written


def test_progress_is_plain_where_there_is_no_terminal(finished: Path) -> None:
    text = (finished.parent / "stdout.txt").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "Search space" in text
    assert "trial 7 (" in text
    assert "8/8 done" in text
    assert "report.html" in text


def test_the_snippet_of_the_card_runs(finished: Path) -> None:
    card = (finished / "best" / "card.md").read_text(encoding="utf-8")
    snippet = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert snippet is not None
    done = subprocess.run(
        [sys.executable, "-c", snippet.group(1) + "print(labels)"],
        cwd=finished / "best", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\[\d\]\n", done.stdout)


def test_report_writes_the_page_anew(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    before = (run / "report.html").read_text(encoding="utf-8")
    (run / "report.html").unlink()
    done = moco("report", run)
    assert done.exit_code == 0
    assert (run / "report.html").read_text(encoding="utf-8") == before
    assert "certified" in done.stdout


@pytest.mark.parametrize("damage", ["missing", "empty", "torn", "other"])
def test_report_refuses_what_is_no_run_folder(finished: Path, tmp_path: Path, damage: str) -> None:
    run = tmp_path / "run"
    if damage != "missing":
        shutil.copytree(finished, run)
        text = (run / "result.json").read_text(encoding="utf-8")
        (run / "result.json").write_text({"empty": "", "torn": text[:500], "other": "[]"}[damage], encoding="utf-8")
    assert str(run) in one_line(moco("report", run), 2)


def test_profile_of_the_reference_and_of_a_policy(finished: Path, finished_yaml: Path) -> None:
    reference = moco("profile", finished_yaml)
    assert reference.exit_code == 0
    for name in ("top1_error", "latency_ms", "throughput_ips", "size_mb", "parameters", "macs", "energy_j"):
        assert name in reference.stdout
    done = moco("profile", finished_yaml, "--policy", finished / "best" / "policy.json")
    assert done.exit_code == 0
    assert re.search(r"size_mb.*0\.\d\d\d ", done.stdout)


@pytest.mark.parametrize("out", ["measured", "deep/measured.json"])
def test_the_measurements_of_a_profile_are_kept_with_their_raw_samples(
    finished: Path, finished_yaml: Path, tmp_path: Path, out: str
) -> None:
    policy = finished / "best" / "policy.json"
    done = moco("profile", finished_yaml, "--policy", policy, "--out", tmp_path / out, "--quiet")
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 1
    file = tmp_path / out if out.endswith(".json") else tmp_path / out / "profile.json"
    found = read(file)
    latency, raw = found["metrics"]["latency_ms"], found["evaluations"]
    assert latency["unit"] == "ms"
    assert latency["ratio"] == pytest.approx(latency["value"] / found["reference"]["latency_ms"]["value"], abs=0.05)
    assert {"network", "reference"} == set(raw)
    assert all(len(values) > 1 for part in raw.values() for values in part["samples"].values())
    table = file.with_suffix(".txt").read_text(encoding="utf-8")
    assert "latency_ms" in table
    assert "\x1b" not in table


def test_apply_writes_a_network_that_is_the_file(finished_yaml: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(
        '{"format": 1, "network": "digits_resnet", '
        '"groups": {"layer1.0.conv1": {"filter_pruning": {"keep": 16, "of": 32}}}}',
        encoding="utf-8",
    )
    out = tmp_path / "applied"
    assert moco("apply", finished_yaml, "--policy", policy, "--out", out).exit_code == 0
    assert {path.name for path in out.iterdir()} == {"policy.json", "model.onnx", "network.safetensors"}
    assert read(out / "policy.json") == read(policy)

    images = np.random.default_rng(0).random((8, 1, 8, 8), np.float32)
    small = library.compress(build_model("digits_resnet", 10), read_policy(policy), torch.from_numpy(images))
    small.load_state_dict(load_file(out / "network.safetensors"))
    with torch.no_grad():
        expected = small(torch.from_numpy(images)).numpy()
    logits = onnxruntime.InferenceSession(out / "model.onnx").run(["logits"], {"input": images})[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert small.layer1[0].conv1.out_channels == 16


def test_the_delivered_file_is_built_again_from_its_policy(finished: Path, finished_yaml: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    assert moco("apply", finished_yaml, "--policy", finished / "best" / "policy.json", "--out", out).exit_code == 0
    assert sha256(out / "model.onnx") == sha256(finished / "best" / "model.onnx")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_version_is_told(option: str) -> None:
    done = moco(option)

    assert done.exit_code == 0
    assert f"moco {library.__version__}" in done.stdout


@pytest.mark.slow
def test_doctor_says_what_this_machine_can_do_and_which_packages_work() -> None:
    done = moco("doctor")
    assert done.exit_code == 0
    for name in ("onnxruntime", "torchvision", "scikit-learn", "mlflow"):
        assert name in done.stdout.lower()
    assert "cannot be imported" not in done.stdout


def test_an_unknown_command_or_option_is_bad_usage(finished_yaml: Path) -> None:
    assert moco("serach").exit_code == 2
    assert moco("search", finished_yaml, "--resum").exit_code == 2
    assert moco("search").exit_code == 2


@pytest.mark.slow
def test_the_installed_command_searches(finished_yaml: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("moco"), "search", finished_yaml, "--set", "budget.trials=2"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert read(tmp_path / "runs" / "tiny" / "result.json")["trials"] == 2


@pytest.mark.slow
def test_the_demo_works_from_any_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("moco"), "demo",
            "--set", "budget.trials=3", "--set", "model.train.epochs=2", "--set", "tracking.mlflow=false",
            "--set", "finalists=false",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode in {0, 3}, done.stderr
    assert (tmp_path / "runs" / "demo" / "report.html").is_file()


def test_a_delivered_file_that_was_changed_is_named(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    assert moco("report", run).exit_code == 0
    with (run / "best" / "model.onnx").open("ab") as file:
        file.write(b" ")
    line = one_line(moco("report", run), 2)
    assert line.startswith(f"{run / 'best' / 'model.onnx'}: is not the file that was delivered")


@pytest.mark.slow
def test_the_ledger_of_a_run_is_repaired_and_its_search_goes_on(
    finished: Path, finished_yaml: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    with closing(sqlite3.connect(run / "study.db", isolation_level=None)) as database:
        database.execute("UPDATE trial_system_attributes SET value_json = '{' WHERE trial_id = 7")
    line = one_line(moco("search", finished_yaml, "--out", run, "--resume"), 2)
    assert f"`moco repair {run}`" in line
    told = moco("repair", run)
    assert told.exit_code == 0, told.output
    assert "a new ledger with the 7 trials that can be read, 1 cannot; the old one is" in told.output
    assert moco("search", finished_yaml, "--out", run, "--resume").exit_code == 0
    assert len(read(run / "trials.json")) == len(read(finished / "trials.json"))
    (run / "study.db").write_bytes(b"")
    line = one_line(moco("search", finished_yaml, "--out", run, "--resume"), 2)
    assert line == (
        f"{run / 'study.db'}: the ledger is empty, and with it the record of this search; `moco repair {run}` begins a "
        "new one, or choose another --out"
    )
