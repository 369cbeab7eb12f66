"""`moco.optimize` and `moco.compress`: a network and data sets of one's own, without YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import TensorDataset

import moco
from moco.data import load_data
from moco.data.sources import SourceOptions
from moco.errors import ConfigError, DataError, MocoError, RunFolderError, SpaceError
from moco.models import build_model
from tests.app.tiny import SETTINGS, SPLITS, one_line
from tests.app.tiny import moco as command
from tests.processors import exact_integers

QUICK = {
    "data": {"splits": SPLITS},
    "target": {"timing": SETTINGS["target"]["timing"]},
    "certificate": SETTINGS["certificate"],
    "space": {"groups": "per-stage"},
    "searcher": {"start": "reference"},
    "store": False,
}


@pytest.fixture
def network(weights: Path) -> nn.Module:
    """A trained network, left in training mode as after one's own training loop."""
    built = build_model("digits_resnet", 10)
    built.load_state_dict(load_file(weights))
    return built.train()


@pytest.fixture(scope="module")
def sets() -> dict[str, TensorDataset]:
    """The digits as torch data sets."""
    data = load_data("digits", SourceOptions(), None)
    return {
        name: TensorDataset(torch.from_numpy(rows.images()), torch.from_numpy(rows.labels.copy()))
        for name, rows in (("train", data.train), ("test", data.test))
    }


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.slow
def test_ones_own_network_is_searched_and_left_as_it_was(
    network: nn.Module, sets: dict[str, TensorDataset], tmp_path: Path
) -> None:
    before = state(network)
    out = tmp_path / "my runs" / "first try"
    result = moco.optimize(network, **sets, floor="-10 pp", trials=10, out=out, settings=QUICK)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert result["trials"] == 10
    assert result["network"] == type(network).__name__
    assert result["experiment"] == "first-try"
    assert result["searcher"] == "greybox"
    assert result == json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert (out / "report.html").is_file()
    assert result["space"]["groups"], "the default methods stay where only the groups are changed"
    policies = [trial["policy"] for trial in json.loads((out / "trials.json").read_text(encoding="utf-8"))]
    settings = [setting for policy in policies for setting in policy.values()]
    assert any("filter_pruning" in setting for setting in settings)
    assert any("precision" in setting for setting in settings)

    again = moco.optimize(network, **sets, floor="-10 pp", trials=11, out=out, settings=QUICK, resume=True)
    assert again["trials"] == 11
    with pytest.raises(RunFolderError, match="holds results already"):
        moco.optimize(network, **sets, floor="-10 pp", trials=11, out=out, settings=QUICK)
    with torch.no_grad():
        next(network.parameters()).mul_(2)
    with pytest.raises(RunFolderError, match="other network"):
        moco.optimize(network, **sets, floor="-10 pp", trials=12, out=out, settings=QUICK, resume=True)
    # The resolved experiment cannot bring the network and the data back, and says so.
    assert "moco.optimize" in one_line(command("search", out / "experiment.yaml", "--out", tmp_path / "other"), 2)


def test_bounds_in_place_of_a_floor(network: nn.Module, sets: dict[str, TensorDataset], tmp_path: Path) -> None:
    result = moco.optimize(
        network, **sets, objective="resource-constrained", constraints={"size_mb": "<= 0.9x"},
        searcher="random", trials=5, out=tmp_path / "run", settings=QUICK,
    )  # fmt: skip
    assert result["objective"]["protocol"] == "resource-constrained"
    assert result["best"]["metrics"]["size_mb"] <= 0.9 * result["reference"]["size_mb"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"objective": "accuracy"}, ConfigError, "accuracy-guaranteed"),
        ({"searcher": "nsga-2"}, ConfigError, "nsga2"),
        ({"floor": "2 pp"}, ConfigError, r"objective\.floor"),
        ({"target": "onnx"}, ConfigError, "onnxruntime"),
        ({"trials": 0}, ConfigError, r"budget\.trials"),
        ({"workers": True}, ConfigError, "workers: expected at least 1, a whole number, got True"),
        ({"settings": {"spac": {}}}, ConfigError, "spac: unknown key.*space"),
        ({"settings": {"space": {"group": "per-stage"}}}, ConfigError, r"space\.group: unknown key"),
        ({"test": TensorDataset(torch.zeros(0, 1, 8, 8), torch.zeros(0))}, DataError, r"^test: .* empty"),
        ({"train": [(torch.zeros(1, 9, 9), 0)]}, DataError, r"\(1, 9, 9\)"),
        ({"train": [torch.zeros(1, 8, 8)]}, DataError, "train, row 0"),
        ({"train": 5}, DataError, "train: expected"),
    ],
)
def test_what_it_refuses(
    network: nn.Module,
    sets: dict[str, TensorDataset],
    tmp_path: Path,
    arguments: dict[str, Any],
    error: type[MocoError],
    message: str,
) -> None:
    given = {**sets, "floor": "-2 pp", "out": tmp_path / "run", **arguments}
    with pytest.raises(error, match=message):
        moco.optimize(network, **given)
    assert network.training


def test_a_network_that_does_not_fit_the_data(sets: dict[str, TensorDataset], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\(1, 8, 8\)"):
        moco.optimize(build_model("cifar_resnet20"), **sets, floor="-2 pp", out=tmp_path / "run")
    with pytest.raises(DataError, match="10 classes"):
        moco.optimize(build_model("digits_resnet", 4), **sets, floor="-2 pp", out=tmp_path / "run2")


def test_compress_gives_a_physically_smaller_network(network: nn.Module) -> None:
    images = torch.rand(2, 1, 8, 8)
    before = state(network)
    policy = {"layer1.0.conv1": {"filter_pruning": {"keep": 12, "of": 32}}, "linear": {"precision": "int8"}}
    small = moco.compress(network, policy, images)
    assert small.layer1[0].conv1.weight.shape[0] == small.layer1[0].conv2.weight.shape[1] == 12
    assert small(images).shape == (2, 10)
    assert not small.training
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    neutral = moco.compress(network, {}, images)
    with torch.no_grad():
        torch.testing.assert_close(neutral(images), network.eval()(images))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_compress_takes_any_precision_and_keeps_it(network: nn.Module, dtype: torch.dtype) -> None:
    policy = {"layer1.0.conv1": {"filter_pruning": {"keep": 12, "of": 32}}}
    small = moco.compress(network.to(dtype), policy, torch.rand(2, 1, 8, 8, dtype=dtype))
    assert {p.dtype for p in small.parameters()} == {p.dtype for p in network.parameters()} == {dtype}
    assert small.layer1[0].conv1.weight.shape[0] == 12


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"layer9": {"precision": "int8"}}, "layer9"),
        ({"layer1.0.conv1": {"filter_pruning": {"keep": 64, "of": 32}}}, "layer1.0.conv1"),
        ({"layer1.0.conv1": {"filter_pruning": {"keep": 0.5}}}, "layer1.0.conv1"),
        ({"layer1.0.conv1": {"pruning": 3}}, "layer1.0.conv1"),
        ({"layer1.0.conv1": 12}, "layer1.0.conv1"),
    ],
)
def test_compress_refuses_a_policy_that_does_not_fit(network: nn.Module, policy: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        moco.compress(network, policy, torch.rand(1, 1, 8, 8))
    assert network.training


@exact_integers
def test_what_is_delivered_loads_into_the_compressed_network(finished: Path, weights: Path) -> None:
    best = finished / "best"
    groups = json.loads((best / "policy.json").read_text(encoding="utf-8"))["groups"]
    network = build_model("digits_resnet", 10)
    network.load_state_dict(load_file(weights))
    small = moco.compress(network, groups, torch.rand(2, 1, 8, 8))
    small.load_state_dict(load_file(best / "network.safetensors"))
    images = torch.rand(64, 1, 8, 8)
    with torch.no_grad():
        expected = small(images).numpy()
    logits = onnxruntime.InferenceSession(best / "model.onnx").run(["logits"], {"input": images.numpy()})[0]
    in_int8 = any("precision" in setting for setting in groups.values())
    tolerance = 0.1 * abs(expected).max() if in_int8 else 1e-4
    assert abs(logits - expected).max() < tolerance
