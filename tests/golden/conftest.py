"""The golden network is exported once for all tests: a second or two less for each search."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
import torch
from torch import nn

from moco.export import template

EXPORTED: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings compute, and are written in a store's key, as on a processor without bfloat16."""
    monkeypatch.setattr("moco.models.arithmetic.has_bfloat16", lambda: False)


@pytest.fixture(autouse=True)
def _exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    export = template.export_graph

    def exported(network: nn.Module, example: torch.Tensor) -> onnx.ModelProto:
        tensors = [tensor.double().sum().item() for tensor in network.state_dict().values()]
        key = f"{network} {tensors} {tuple(example.shape[1:])}"
        if key not in EXPORTED:
            EXPORTED[key] = export(network, example)
        copy = onnx.ModelProto()
        copy.CopyFrom(EXPORTED[key])
        return copy

    monkeypatch.setattr(template, "export_graph", exported)
