"""The exported file of a policy: byte by byte on the processor that wrote the record, rounded elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from moco.hardware.measuring.processor import processor
from tests.golden.experiment import experiment, moco
from tests.golden.records import elsewhere, other_exporter, read

LAYERS = ("stem.0", "inner.0", "outer.0", "down.0", "point.0", "linear")
HALF = {"keep": 8, "of": 16}
MIXED = {"weight_bits": 4, "activation_bits": 6}
POLICIES: dict[str, dict[str, Any]] = {
    "reference": {},
    "float32, filters pruned": {
        "inner.0": {"filter_pruning": HALF}, "down.0": {"filter_pruning": {"keep": 20, "of": 32}},
    },
    "coupled filters pruned": {"stem.0": {"filter_pruning": HALF}},
    "int8": {layer: {"precision": "int8"} for layer in LAYERS},
    "int8, filters pruned": {
        "inner.0": {"filter_pruning": HALF}, "down.0": {"precision": "int8"}, "linear": {"precision": "int8"},
    },
    "mixed bits": {
        "inner.0": {"quantization": MIXED}, "down.0": {"quantization": {"weight_bits": 2, "activation_bits": 8}},
    },
    "one bit": {"outer.0": {"quantization": {"weight_bits": 1, "activation_bits": 4}}},
    "factorised": {"outer.0": {"tucker": {"ranks": [8, 8]}}, "point.0": {"svd": {"rank": 12}}},
    "factorised, int8": {"down.0": {"tucker": {"ranks": [8, 12]}, "precision": "int8"}},
    "sparse": {"down.0": {"sparsity": {"keep": 1000, "of": 4608}}},
    "channels pruned": {"inner.0": {"channel_pruning": HALF}, "down.0": {"channel_pruning": {"keep": 20, "of": 32}}},
    "channels pruned, int8": {
        "inner.0": {"channel_pruning": HALF, "precision": "int8"}, "outer.0": {"precision": "int8"},
    },
}  # fmt: skip
CHANNELS = {"filter_pruning": None, "channel_pruning": {"keep": [0.3, 1.0]}}
DATA = {"source": "digits", "splits": {"calibration": 64, "search": 200, "certification": 300}}
TUNED = [{"fine_tuning": {"epochs": 1}}]
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "fisher": {"space": {"filter_pruning": {"keep": [0.3, 1.0], "rank": "fisher"}}},
    "geometric median": {"space": {"filter_pruning": {"keep": [0.3, 1.0], "rank": "geometric_median"}}},
    "random": {"space": {"filter_pruning": {"keep": [0.3, 1.0], "rank": "random"}}},
    "percentile": {"space": {"quantization": {"precision": ["mixed"], "range": "percentile"}}},
    "no recovery": {"recovery": []},
    "refit": {"recovery": ["refit", "batch_norm"]},
    "fine-tuned": {"recovery": TUNED},
    "distilled": {"recovery": [{"distillation": {"epochs": 1}}]},
    "quantization-aware": {"recovery": [{"quantization_aware": {"epochs": 1}}]},
}
"""Rankings, ranges and recovery by what the experiment says; each with the policy that shows it."""
SHOWN_BY = {"percentile": "mixed bits", "quantization-aware": "int8, filters pruned"}
CASES = {
    **{policy: ("as it is", policy) for policy in POLICIES},
    **{name: (name, SHOWN_BY.get(name, "float32, filters pruned")) for name in EXPERIMENTS if name != "as it is"},
}
TRAINED = {"fine-tuned", "distilled", "quantization-aware"}
"""A training multiplies the last digits of its kernels, so its weights are compared on the processor of the record."""


def written(case: str, folder: Path) -> Path:
    """The model.onnx of a case."""
    settings, policy = CASES[case]
    sections = dict(EXPERIMENTS[settings])
    channels = any("channel_pruning" in setting for setting in POLICIES[policy].values())
    yaml = experiment(folder, **({"space": CHANNELS} if channels else {}), **sections)
    path = folder / "policy.json"
    content = {"format": 1, "network": "golden_network:trained", "groups": POLICIES[policy]}
    path.write_text(json.dumps(content), encoding="utf-8")
    done = moco("apply", yaml, "--allow-import", "--policy", path, "--out", folder / "out")
    assert done.exit_code == 0, done.output
    return folder / "out" / "model.onnx"


def described(path: Path) -> dict[str, Any]:
    """The file's hash, and what of it is the same on every processor: its structure, and its rounded tensors."""
    model = onnx.load_from_string(path.read_bytes())
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [
        [
            node.op_type,
            list(node.input),
            list(node.output),
            [onnx.helper.printable_attribute(a) for a in node.attribute],
        ]
        for node in model.graph.node
    ]
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "structure": digest(nodes),
        "shapes": digest({name: [str(value.dtype), *value.shape] for name, value in sorted(tensors.items())}),
        "tensors": {name: summary(value) for name, value in sorted(tensors.items())},
    }


def summary(value: np.ndarray) -> list[float]:
    """Tolerance, mean, mean square, and a sum with weights by place, which a change of any order would change.

    An integer may round the other way on another processor, which is a hundredth of such a sum.
    """
    flat = value.astype(np.float64).ravel()
    weights = np.cos(np.arange(flat.size))
    scale = float(np.sqrt(np.mean(flat**2))) if flat.size else 0.0
    tolerance = 1e-4 if value.dtype.kind == "f" else 1e-2
    return [
        tolerance,
        float(flat.mean()) if flat.size else 0.0,
        scale,
        float(weights @ flat / np.sqrt(max(flat.size, 1))),
    ]


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def far(recorded: Mapping[str, list[float]], found: Mapping[str, list[float]]) -> list[str]:
    """The tensors that differ by more than their tolerance, relative to their scale."""
    assert recorded.keys() == found.keys()
    return [
        name
        for name, (tolerance, mean, scale, places) in recorded.items()
        if np.abs(np.subtract([mean, scale, places], found[name][1:])).max() > tolerance * max(scale, 1e-3)
    ]


def made(folder: Path) -> dict[str, Any]:
    """The description of every case's file."""
    return {case: described(written(case, folder / str(place))) for place, case in enumerate(CASES)}


@pytest.mark.parametrize("case", CASES)
def test_the_file_of_a_policy_is_the_recorded_one(case: str, tmp_path: Path) -> None:
    if "int8" in case and not processor().int8_exact:
        pytest.skip("weights have 7 bits on this processor, and had 8 on that of the record")
    recorded, found = read("files")[case], described(written(case, tmp_path / "case"))
    if not other_exporter():
        assert found["structure"] == recorded["structure"]
    assert found["shapes"] == recorded["shapes"]
    other = elsewhere(recorded.get("processor"))
    if case not in TRAINED or not other:
        assert far(recorded["tensors"], found["tensors"]) == []
    if not other:
        assert found["sha256"] == recorded["sha256"]


def test_each_case_has_a_file_of_its_own() -> None:
    """A policy or an option that changed nothing would show nothing."""
    hashes = [recorded["sha256"] for recorded in read("files").values()]
    assert len(set(hashes)) == len(hashes) == len(CASES)
