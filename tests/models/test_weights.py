"""Weights: what fits is loaded, what does not is named, and no pickle is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from moco.errors import ConfigError, DataError
from moco.models import build_model, load_weights


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def weights() -> dict[str, Tensor]:
    return {name: torch.full_like(value, 0.5) for name, value in small().state_dict().items() if value.dim()}


def test_weights_without_batch_counts_are_loaded(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    network = small()

    load_weights(network, tmp_path / "w.safetensors")

    assert all(bool((value == 0.5).all()) for name, value in network.state_dict().items() if value.dim())


def test_weights_that_do_not_fit_name_the_layers_and_change_nothing(tmp_path: Path) -> None:
    state = weights()
    state["3.weight"] = torch.zeros(3, 9)
    state["fc.bias"] = state.pop("3.bias")
    save_file(state, tmp_path / "w.safetensors")
    network = small()
    before = network[0].weight.clone()

    with pytest.raises(DataError) as caught:
        load_weights(network, tmp_path / "w.safetensors")

    text = str(caught.value)
    assert "1 missing (3.bias)" in text
    assert "1 not in the network (fc.bias)" in text
    assert "3.weight expected (3, 8), got (3, 9)" in text
    assert "\n" not in text
    assert torch.equal(network[0].weight, before)


def test_only_the_first_layers_that_do_not_fit_are_named(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")

    with pytest.raises(DataError, match=r"97 missing \(conv1\.weight, bn1\.weight, bn1\.bias, \.\.\.\)"):
        load_weights(build_model("cifar_resnet20"), tmp_path / "w.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = weights()
    state["0.weight"][0] = torch.nan
    save_file(state, tmp_path / "w.safetensors")

    with pytest.raises(DataError, match=r"1 not finite \(0\.weight\)"):
        load_weights(small(), tmp_path / "w.safetensors")


def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"")

    with pytest.raises(
        DataError, match=r"pickled weights are never read.*save_file.*weights_only=True.*w\.safetensors"
    ):
        load_weights(small(), tmp_path / "w.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.safetensors: no such file of weights"):
        load_weights(small(), tmp_path / "gone.safetensors")


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_text("not tensors")

    with pytest.raises(DataError, match="not a readable safetensors file"):
        load_weights(small(), tmp_path / "w.safetensors")


def test_published_weights_need_a_torchvision_model() -> None:
    with pytest.raises(ConfigError, match=r"'DEFAULT' names torchvision's weights, but 'cifar_resnet20' is not one"):
        load_weights(small(), "DEFAULT", "cifar_resnet20")


def test_unknown_published_weights_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'resnet18' has no 'IMAGENET1K_V9'; did you mean 'IMAGENET1K_V1'\?"):
        load_weights(small(), "IMAGENET1K_V9", "resnet18")


def test_published_weights_are_loaded_without_pickled_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_model("squeezenet1_1")
    published = {name: torch.full_like(value, 0.25) for name, value in network.state_dict().items()}
    asked: dict[str, object] = {}

    def download(url: str, **options: object) -> dict[str, Tensor]:
        asked.update(options, url=url)
        return published

    from torchvision.models import _api

    monkeypatch.setattr(_api, "load_state_dict_from_url", download)

    load_weights(network, "IMAGENET1K_V1", "squeezenet1_1")

    assert asked["weights_only"] is True
    assert asked["check_hash"] is True
    assert all(bool((value == 0.25).all()) for value in network.state_dict().values())
