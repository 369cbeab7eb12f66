"""Networks by name, and the errors of names and options."""

from __future__ import annotations

import pytest
import torch

from moco.errors import ConfigError
from moco.models import build_model, model_names


def test_moco_models_and_torchvision_classification_models_are_listed() -> None:
    names = model_names()

    assert {"cifar_resnet20", "cifar_resnet18", "digits_resnet", "resnet18", "mobilenet_v2"} <= set(names)
    assert "fasterrcnn_resnet50_fpn" not in names


def test_a_torchvision_model_is_built_with_its_classes_in_evaluation_mode() -> None:
    network = build_model("squeezenet1_1", num_classes=5)

    assert not network.training
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ConfigError, match=r"model\.name: unknown model 'cifar_resnet-20'; did you mean 'cifar_resnet20'"
    ):
        build_model("cifar_resnet-20")


def test_an_unknown_option_of_a_moco_model_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"model\.shortcuts: .* did you mean 'shortcut'\?"):
        build_model("cifar_resnet20", shortcuts="A")


def test_an_unknown_option_of_a_torchvision_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"torchvision's 'resnet18' does not take .*depths"):
        build_model("resnet18", depths=3)


def test_a_network_without_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.num_classes: expected at least 1, got 0"):
        build_model("cifar_resnet20", num_classes=0)
