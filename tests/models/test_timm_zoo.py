"""timm's networks by name, where timm is installed: built, refused, and given the weights that timm publishes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from moco.errors import ConfigError, DataError
from moco.models import build_model, load_weights, model_names
from moco.models.weights import is_published
from moco.optional import installed

pytestmark = pytest.mark.skipif(not installed("timm"), reason="timm is an extra")

LCNET = "timm/lcnet_050"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's, with no way to the hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def cached(hub: Path, repository: str, network: nn.Module, name: str = "model.safetensors") -> None:
    """The network's weights, where the hub keeps what it has downloaded."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(network.state_dict(), snapshot / name)


def test_a_network_is_built_by_its_name_with_its_classes_and_options() -> None:
    network = build_model("timm/vit_tiny_patch16_224", num_classes=5, img_size=32, in_chans=1, depth=1)

    assert not network.training
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 5)
    assert {LCNET, "timm/vit_tiny_patch16_224", "resnet18"} <= set(model_names())


def test_nothing_is_printed_and_nothing_downloaded(hub: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build_model(LCNET)

    assert capfd.readouterr() == ("", "")
    assert not list(hub.iterdir())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("timm/lcnet_55", r"unknown model 'timm/lcnet_55'; did you mean 'timm/lcnet_0?[0-9]+'\?"),
        ("lcnet_050", r"unknown model 'lcnet_050'; did you mean 'timm/lcnet_050'\?"),
        ("timm/lcnet_050.ra2_in1k", r"name the weights apart: \{name: timm/lcnet_050, weights: ra2_in1k\}"),
        ("timm/hf-hub:someone/theirs", r"unknown model 'timm/hf-hub:someone/theirs'"),
        ("timm/", r"unknown model 'timm/'; \d+ are in timm\.list_models\(\)"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build_model(name)


@pytest.mark.parametrize("option", ["pretrained", "checkpoint_path", "pretrained_cfg"])
def test_no_weights_come_in_by_an_option(option: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"model\.options\.{option}: weights are named by model\.weights"):
        build_model(LCNET, **{option: str(tmp_path / "w.pth")})


def test_an_option_that_the_network_does_not_take_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"'timm/lcnet_050' does not take \{'depths': 3\}: .*depths"):
        build_model(LCNET, depths=3)


def test_weights_of_a_file_are_loaded(tmp_path: Path) -> None:
    trained = build_model(LCNET, num_classes=3)
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    network = build_model(LCNET, num_classes=3)

    load_weights(network, tmp_path / "w.safetensors", LCNET)

    assert torch.equal(network.classifier.weight, trained.classifier.weight)


@pytest.mark.parametrize("tag", ["ra2_in1k", "DEFAULT"])
def test_published_weights_are_taken_from_the_cache_of_the_hub(tag: str, hub: Path) -> None:
    trained, network = build_model(LCNET), build_model(LCNET)
    cached(hub, "timm/lcnet_050.ra2_in1k", trained)

    load_weights(network, tag, LCNET)

    assert torch.equal(network.classifier.weight, trained.classifier.weight)


def test_published_weights_that_do_not_fit_are_named(hub: Path) -> None:
    cached(hub, "timm/lcnet_050.ra2_in1k", build_model(LCNET))

    with pytest.raises(DataError, match=r"timm's timm/lcnet_050 ra2_in1k: .*classifier\.weight expected \(10, 1280\)"):
        load_weights(build_model(LCNET, num_classes=10), "ra2_in1k", LCNET)


def test_weights_that_cannot_be_downloaded_are_told_of_in_one_line(
    hub: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"timm's timm/lcnet_050 ra2_in1k cannot be downloaded: ") as caught:
        load_weights(build_model(LCNET), "ra2_in1k", LCNET)

    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_pickle_of_the_hub_is_not_read(hub: Path) -> None:
    cached(hub, "timm/lcnet_050.ra2_in1k", build_model(LCNET), "pytorch_model.bin")

    with pytest.raises(DataError, match="cannot be downloaded"):
        load_weights(build_model(LCNET), "ra2_in1k", LCNET)


def test_unknown_published_weights_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'timm/lcnet_050' has no 'ra3_in1k'; did you mean 'ra2_in1k'\?"):
        load_weights(build_model(LCNET), "ra3_in1k", LCNET)


def test_a_network_without_published_weights_says_so() -> None:
    with pytest.raises(ConfigError, match=r"timm publishes no weights for 'timm/resnetblur18', got 'DEFAULT'"):
        load_weights(build_model("timm/resnetblur18"), "DEFAULT", "timm/resnetblur18")


def test_a_tag_is_no_path_and_a_path_no_tag() -> None:
    assert is_published("ra2_in1k", LCNET)
    assert is_published("DEFAULT", LCNET)
    assert not is_published("ra2_in1k", "resnet18")
    assert not is_published("w.safetensors", LCNET)
    assert not is_published("/here/weights", LCNET)
